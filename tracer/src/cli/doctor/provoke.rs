//! A little of everything that a traced request does, on loopback, so that the hooks have
//! something to see.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Loopback answers at once; this only bounds a machine that is out of order.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a request of this host to itself runs through. Not the neighbour, which loopback has
/// none of, nor a segment that is sent again.
const EXCHANGE: &[&str] = &[
    "socket_owner",
    "socket_reader",
    "tcp_state",
    "tcp_sample",
    "route",
    "kernel_path",
    "frames_out",
];
const REFUSAL: &[&str] = &["tcp_reset", "packet_drop"];
const PROCESS: &[&str] = &["process"];
const LOOKUP: &[&str] = &["file_open", "getaddrinfo"];
/// A program with a C library of its own calls a function that nobody watches.
const LOOKUP_IN_OWN_LIBRARY: &[&str] = &["file_open"];

/// Does it all, and says for which facts that should have been enough.
pub(super) fn events() -> Vec<&'static str> {
    let lookup = if cfg!(target_feature = "crt-static") {
        LOOKUP_IN_OWN_LIBRARY
    } else {
        LOOKUP
    };
    let attempts = [
        (EXCHANGE, exchange()),
        (REFUSAL, be_refused()),
        (PROCESS, run_a_program()),
        (lookup, look_up()),
    ];
    let done = attempts.iter().filter(|(_, outcome)| outcome.is_ok());
    done.flat_map(|(facts, _)| facts.iter().copied()).collect()
}

/// A connection to a listener of our own, a few bytes each way, and its close.
fn exchange() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
    let (mut server, _) = listener.accept()?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(PATIENCE))?;
    }
    let mut buffer = [0; 4];
    client.write_all(b"ping")?;
    server.read_exact(&mut buffer)?;
    server.write_all(b"pong")?;
    client.read_exact(&mut buffer)
}

/// A connection to a port on which nobody listens.
fn be_refused() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    drop(listener);
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("somebody listens there by now")),
    }
}

/// This program, which says its version and ends.
fn run_a_program() -> io::Result<()> {
    let mut program = Command::new(std::env::current_exe()?);
    program.arg("--version").stdin(Stdio::null());
    program.stdout(Stdio::null()).stderr(Stdio::null());
    program.status().map(drop)
}

/// The name of this host itself, which is asked of /etc/hosts.
fn look_up() -> io::Result<()> {
    ("localhost", 0).to_socket_addrs().map(drop)
}
