//! Many client processes and several servers on loopback. Each request says in its path who
//! sent it, so that whoever reads a timeline can tell a right owner from a plausible one.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::program::Program;
use crate::running::Running;

/// First argument that turns the end-to-end program into the crowd: how many clients, how
/// many requests each, then the ports of the servers.
pub const CROWD: &str = "__crowd";
/// First argument of one of its clients: its number, how many requests, the ports.
pub const CUSTOMER: &str = "__customer";
/// First argument that turns the program into a server that keeps connections open, on the
/// port that follows or on a free one.
pub const KEEPING_SERVER: &str = "__keeping_server";

/// Clients that live at the same time: enough for two processors to interleave them.
const AT_ONCE: usize = 16;
/// A peer that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(20);
const BODY: &str = "served";

/// Such a server on this port, once it listens.
pub fn start_server_at(port: u16) -> Result<Running> {
    let program = Program::new(std::env::current_exe()?);
    let running = program.args([KEEPING_SERVER, &port.to_string()]).start()?;
    running.wait_for_stdout("\n")?;
    Ok(running)
}

/// How many requests a client sends over one connection before it opens the next one: all,
/// one, or a few.
fn requests_per_connection(client: usize, requests: usize) -> usize {
    match client % 3 {
        0 => requests,
        1 => 1,
        _ => requests.min(5),
    }
}

/// Connections that `clients` with `requests` each open in all.
pub fn connections(clients: usize, requests: usize) -> usize {
    let of_one = |client| requests.div_ceil(requests_per_connection(client, requests));
    (0..clients).map(of_one).sum()
}

/// The path of a request: process, number of the client, number of the request.
fn path(pid: u32, client: usize, request: usize) -> String {
    format!("/{pid}/{client}/{request}")
}

/// The three numbers of a request's path.
pub fn told_by_path(url: &str) -> Option<(u64, usize, usize)> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let mut parts = path.split('/');
    let told = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(told)
}

fn numbers<T: std::str::FromStr>(arguments: &[String]) -> Result<Vec<T>> {
    let read = |argument: &String| {
        argument
            .parse()
            .ok()
            .with_context(|| format!("{argument} is not such a number"))
    };
    arguments.iter().map(read).collect()
}

/// Starts every client, a few at a time, and fails when one of them fails.
pub fn gather(arguments: &[String]) -> Result<()> {
    let [clients, requests, ports @ ..] = arguments else {
        anyhow::bail!("clients, requests and ports are wanted");
    };
    let program = std::env::current_exe()?;
    let mut living: VecDeque<Child> = VecDeque::new();
    let end = |mut child: Child| -> Result<()> {
        let status = child.wait()?;
        ensure!(
            status.success(),
            "client {} ended with {status}",
            child.id()
        );
        Ok(())
    };
    for client in 0..clients.parse::<usize>()? {
        if living.len() >= AT_ONCE
            && let Some(oldest) = living.pop_front()
        {
            end(oldest)?;
        }
        let mut command = Command::new(&program);
        command.args([CUSTOMER, &client.to_string(), requests]);
        living.push_back(command.args(ports).spawn()?);
    }
    living.into_iter().try_for_each(end)
}

/// One client: its connections go to the servers in turn.
pub fn be_customer(arguments: &[String]) -> Result<()> {
    let [client, requests, ports @ ..] = arguments else {
        anyhow::bail!("number, requests and ports are wanted");
    };
    let (client, requests): (usize, usize) = (client.parse()?, requests.parse()?);
    let ports: Vec<u16> = numbers(ports)?;
    let each = requests_per_connection(client, requests);
    let all: Vec<usize> = (0..requests).collect();
    for (connection, part) in all.chunks(each).enumerate() {
        let port = ports
            .get((client + connection) % ports.len().max(1))
            .context("no port")?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut reader = BufReader::new(stream);
        for (place, request) in part.iter().enumerate() {
            let last = place + 1 == part.len();
            ask(&mut reader, *port, client, *request, last)?;
        }
        ensure!(
            reader.read(&mut [0])? == 0,
            "the server said more than was asked for"
        );
    }
    Ok(())
}

/// One request and its answer; `last`: the server is to close.
pub fn ask(
    stream: &mut BufReader<TcpStream>,
    port: u16,
    client: usize,
    request: usize,
    last: bool,
) -> Result<()> {
    let path = path(std::process::id(), client, request);
    let then = if last { "close" } else { "keep-alive" };
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: {then}\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    read_head(stream)?.context("the server closed before its answer")?;
    let mut body = [0; BODY.len()];
    stream.read_exact(&mut body)?;
    ensure!(body == *BODY.as_bytes(), "not the expected answer");
    Ok(())
}

/// Lines up to the empty one; none when the peer closed instead. True when it asks for a
/// close.
pub fn read_head(stream: &mut impl BufRead) -> Result<Option<bool>> {
    let mut close = false;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => return Ok(Some(close)),
            "Connection: close" => close = true,
            _ => {}
        }
    }
}

/// Prints the port and serves each connection in a thread of its own.
pub fn keep_serving(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("port {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    for stream in listener.incoming().flatten() {
        // A client that went away is its own business.
        thread::spawn(move || drop(serve(stream)));
    }
    Ok(())
}

/// One answer.
pub fn answer(stream: &mut TcpStream) -> Result<()> {
    let length = BODY.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{BODY}");
    Ok(stream.write_all(answer.as_bytes())?)
}

/// The requests of one connection, until one asks for a close.
pub fn serve(stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut stream = BufReader::new(stream);
    while let Some(close) = read_head(&mut stream)? {
        answer(stream.get_mut())?;
        if close {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_process_client_and_request() {
        let url = format!("http://localhost:80{}", path(4242, 7, 49));
        assert_eq!(told_by_path(&url), Some((4242, 7, 49)));
        assert_eq!(told_by_path("http://localhost/"), None);
        assert_eq!(told_by_path("http://localhost/1/2/3/4"), None);
    }

    #[test]
    fn clients_keep_renew_or_mix_their_connections() {
        assert_eq!(connections(3, 50), 1 + 50 + 10);
        assert_eq!(connections(1, 2), 1);
    }
}
