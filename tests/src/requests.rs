//! A web server and a web client of the smallest kind, so that scenarios on loopback need
//! no other program on the machine (guests have none).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use crate::{crowd, handover, pieces};

/// First argument that turns the end-to-end program into a client.
pub const CLIENT: &str = "__requests";
/// First argument that turns it into a client of hosts that the other arguments name.
pub const BY_NAME: &str = "__by_name";
/// First argument that turns it into a client that hears nothing for a while.
pub const DEAF_CLIENT: &str = "__deaf";
/// First argument that turns it into a client with many requests at a time.
pub const FLOOD: &str = "__flood";
/// First argument that turns the end-to-end program into a server.
pub const SERVER: &str = "__server";

const BODY: &str = "<!doctype html><title>hello</title>";
/// A peer that says nothing for this long is gone.
pub const SILENCE: Duration = Duration::from_secs(20);

/// Plays the part that the first argument names, if any.
pub fn part() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |index: usize| arguments.get(index)?.parse::<u16>().ok();
    let result = match arguments.get(1)?.as_str() {
        CLIENT => request_all(number(2).unwrap_or(0), number(3).unwrap_or(1)),
        BY_NAME => request_by_name(arguments.get(2..).unwrap_or_default()),
        DEAF_CLIENT => request_deaf(number(2).unwrap_or(0)),
        FLOOD => flood(number(2).unwrap_or(0), number(3).unwrap_or(1)),
        SERVER => serve_forever(),
        pieces::REFUSING_CLIENT => pieces::request_refusing(number(2).unwrap_or(0)),
        crowd::CROWD => crowd::gather(arguments.get(2..).unwrap_or_default()),
        crowd::CUSTOMER => crowd::be_customer(arguments.get(2..).unwrap_or_default()),
        crowd::KEEPING_SERVER => crowd::keep_serving(number(2).unwrap_or(0)),
        handover::PART => handover::play(arguments.get(2..).unwrap_or_default()),
        _ => return None,
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

/// `count` requests to this port on 127.0.0.1, each on a connection of its own.
fn request_all(port: u16, count: u16) -> Result<()> {
    for _ in 0..count {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(SILENCE))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.ends_with(BODY), "not the expected answer: {answer}");
    }
    Ok(())
}

/// One request to port 80 of each host.
fn request_by_name(hosts: &[String]) -> Result<()> {
    for host in hosts {
        let mut stream = TcpStream::connect((host.as_str(), 80))?;
        stream.set_read_timeout(Some(SILENCE))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    Ok(())
}

/// Requests from several threads as fast as they can, each on a connection of its own and
/// for a path of its own. Prints the port and the path of each. The tracer, which is the
/// parent, is stopped during the second third of them, so that it loses events however fast
/// it is; the others it can follow.
fn flood(port: u16, count: u16) -> Result<()> {
    let (stop, go_on) = (count / 3, count / 3 * 2);
    flood_with(port, 0..stop)?;
    let stopped = Stopped::parent()?;
    let flooded = flood_with(port, stop..go_on);
    drop(stopped);
    flooded?;
    flood_with(port, go_on..count)
}

/// The parent process, stopped while this lives.
struct Stopped(Pid);

impl Stopped {
    fn parent() -> Result<Self> {
        let parent = getppid();
        kill(parent, Signal::SIGSTOP)?;
        Ok(Self(parent))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Fails only when it is gone.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

fn flood_with(port: u16, numbers: Range<u16>) -> Result<()> {
    const THREADS: u16 = 4;
    let work = |thread: u16| -> Result<String> {
        let mut said = String::new();
        let own = numbers.clone().skip(usize::from(thread));
        for number in own.step_by(usize::from(THREADS)) {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(SILENCE))?;
            let own_port = stream.local_addr()?.port();
            write!(
                stream,
                "GET /{number} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            ensure!(answer.ends_with(BODY), "not the expected answer: {answer}");
            said.push_str(&format!("{own_port} /{number}\n"));
        }
        Ok(said)
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS)
            .map(|it| scope.spawn(move || work(it)))
            .collect();
        for one in threads {
            let said = one
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
            print!("{}", said?);
        }
        Ok(())
    })
}

/// One request whose answers this socket refuses, until both ends have sent again: the
/// shortest retransmission timeout of Linux is 200 ms.
fn request_deaf(port: u16) -> Result<()> {
    /// BPF_RET | BPF_K of include/uapi/linux/bpf_common.h.
    const RETURN: u16 = 0x06;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let socket = socket2::SockRef::from(&stream);
    // Nought bytes of every packet are let in.
    socket.attach_filter(&[socket2::SockFilter::new(RETURN, 0, 0, 0)])?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    )?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut answer = String::new();
    ensure!(
        stream.read_to_string(&mut answer).is_err(),
        "heard {answer} in spite of the filter"
    );
    socket2::SockRef::from(&stream).detach_filter()?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.read_to_string(&mut answer)?;
    ensure!(answer.ends_with(BODY), "not the expected answer: {answer}");
    Ok(())
}

/// Prints the port and serves until it is ended.
fn serve_forever() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("port {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    serve(&listener);
    Ok(())
}

/// A server in this process, on a port of loopback; it ends with the process.
pub fn server(ipv6: bool) -> Result<SocketAddr> {
    let address: SocketAddr = if ipv6 {
        (Ipv6Addr::LOCALHOST, 0).into()
    } else {
        (Ipv4Addr::LOCALHOST, 0).into()
    };
    let listener = TcpListener::bind(address).context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    serve_in_background(listener);
    Ok(address)
}

/// As [`server`], for clients that close by themselves: it closes after them, so that every
/// connection passes the same states.
pub fn patient_server() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The second read sees the client's FIN.
            let _ =
                respond(&stream).and_then(|mut reader| Ok(reader.read_line(&mut String::new())?));
        }
    });
    Ok(address)
}

/// A listener of loopback whose queue holds one connection.
pub fn crowded_listener() -> Result<(TcpListener, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    socket.bind(&address.into())?;
    // The queue is full when it holds more than this (sk_acceptq_is_full, include/net/sock.h).
    socket.listen(0)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves whoever came until the process ends.
pub fn serve_in_background(listener: TcpListener) {
    thread::spawn(move || serve(&listener));
}

fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        // A client that went away is its own business.
        let _ = answer(stream);
    }
}

fn answer(stream: TcpStream) -> Result<()> {
    let mut reader = respond(&stream)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // Until the client's FIN.
    let _ = reader.read_line(&mut String::new());
    Ok(())
}

/// Reads a request and answers it.
fn respond(mut stream: &TcpStream) -> Result<BufReader<TcpStream>> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    )?;
    Ok(reader)
}
