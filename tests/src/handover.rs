//! Programs whose sockets do not stay with one process: inherited, passed on, kept over an
//! execve(2), used by a thread, or inside a container. Each says on standard output which
//! processes took part.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::crowd::{answer, ask, read_head, serve};

/// First argument that makes this program play one of the parts here, whose name follows.
pub const PART: &str = "__handover";

/// Plays the part that the arguments name.
pub fn play(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inherit", port] => inherit(port.parse()?),
        ["pass", port] => pass(port.parse()?),
        ["receive", port] => ask_on(receive()?.into(), port.parse()?),
        ["exec", port, program] => replace(port.parse()?, program),
        ["thread", port] => in_thread(port.parse()?),
        ["from", own, port] => from_port(own.parse()?, port.parse()?),
        ["prefork"] => prefork(),
        ["pass-listening"] => pass_listening(),
        ["pass-accepted"] => pass_accepted(),
        ["ask", "at", address] => ask_at(address.parse()?),
        ["serve", "at", address] => accept(TcpListener::bind(address.parse::<SocketAddr>()?)?),
        ["ask", port] => ask_on(standard_input()?.into(), port.parse()?),
        ["accept"] => accept(standard_input()?.into()),
        ["accept-passed"] => accept(receive()?.into()),
        ["answer-passed"] => answer(&mut TcpStream::from(receive()?)),
        ["contain"] => contain(),
        ["init"] => be_init(),
        ["apart"] => apart(),
        _ => bail!("no such part: {words:?}"),
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
}

fn ask_on(stream: TcpStream, port: u16) -> Result<()> {
    ask(&mut BufReader::new(stream), port, 0, 0, true)
}

/// One request to a server anywhere.
fn ask_at(address: SocketAddr) -> Result<()> {
    ask_on(TcpStream::connect(address)?, address.port())
}

/// What was standard input when this program began.
fn standard_input() -> Result<OwnedFd> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?)
}

/// This program in another part, with a descriptor as its standard input.
fn start(part: &[&str], input: impl Into<Stdio>) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.arg(PART).args(part).stdin(input).spawn()?;
    say(&format!("child {}", child.id()))?;
    Ok(child)
}

fn say(line: &str) -> Result<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

fn end(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "a child ended with {status}");
    Ok(())
}

/// From now on SIGUSR1 is a word that can be waited for.
fn wait_for_word() -> Result<SigSet> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    Ok(signals)
}

/// The parent connects, its child asks.
fn inherit(port: u16) -> Result<()> {
    let stream = OwnedFd::from(connect(port)?);
    end(start(&["ask", &port.to_string()], stream)?)
}

/// The parent connects and passes the socket to its child, who asks.
fn pass(port: u16) -> Result<()> {
    let (here, there) = UnixStream::pair()?;
    let child = start(&["receive", &port.to_string()], OwnedFd::from(there))?;
    give(&here, connect(port)?)?;
    end(child)
}

/// Passes a socket on, and keeps none.
fn give(here: &UnixStream, socket: impl Into<OwnedFd>) -> Result<()> {
    let socket = socket.into();
    let passed = [socket.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    ensure!(message.push(SendAncillaryMessage::ScmRights(&passed)));
    let data = [std::io::IoSlice::new(b"!")];
    sendmsg(here, &data, &mut message, SendFlags::empty())?;
    Ok(())
}

/// The socket that is passed over standard input.
fn receive() -> Result<OwnedFd> {
    let input = standard_input()?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [std::io::IoSliceMut::new(&mut byte)];
    recvmsg(&input, &mut data, &mut message, RecvFlags::empty())?;
    let mut passed = message.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    passed.next().context("nothing was passed")
}

/// Connects, becomes `program`, and asks.
fn replace(port: u16, program: &str) -> Result<()> {
    rustix::stdio::dup2_stdin(connect(port)?)?;
    let mut command = Command::new(program);
    Err(command.args([PART, "ask", &port.to_string()]).exec().into())
}

/// A thread with a name of its own does everything, when the process gets SIGUSR1.
fn in_thread(port: u16) -> Result<()> {
    let word = wait_for_word()?;
    say("ready")?;
    word.wait()?;
    let worker = thread::Builder::new().name("worker-thread".to_owned());
    let thread = worker.spawn(move || ask_on(connect(port)?, port))?;
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Asks from a port that it chose.
fn from_port(own: u16, port: u16) -> Result<()> {
    ask_on(connect_from(own, port)?, port)
}

/// A connection from a port that the caller chose.
pub fn connect_from(own: u16, port: u16) -> Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, own)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// The parent listens, its child accepts and serves.
fn prefork() -> Result<()> {
    let (listener, port) = listen()?;
    let child = start(&["accept"], OwnedFd::from(listener))?;
    say(&format!("port {port}"))?;
    end(child)
}

/// The same with a child that runs already, and is passed the listening socket.
fn pass_listening() -> Result<()> {
    let (here, there) = UnixStream::pair()?;
    let child = start(&["accept-passed"], OwnedFd::from(there))?;
    let (listener, port) = listen()?;
    give(&here, listener)?;
    say(&format!("port {port}"))?;
    end(child)
}

/// The parent accepts and reads; its child, whom it passes the connection, only writes.
fn pass_accepted() -> Result<()> {
    let (here, there) = UnixStream::pair()?;
    let child = start(&["answer-passed"], OwnedFd::from(there))?;
    let (listener, port) = listen()?;
    say(&format!("port {port}"))?;
    let (stream, _) = listener.accept()?;
    read_head(&mut BufReader::new(&stream))?.context("nothing was asked")?;
    give(&here, stream)?;
    end(child)
}

fn listen() -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

fn accept(listener: TcpListener) -> Result<()> {
    say("listens")?;
    for stream in listener.incoming() {
        serve(stream?)?;
    }
    Ok(())
}

/// A child in namespaces of its own, as a container's first process is.
fn contain() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    end(start(&["init"], Stdio::null())?)
}

/// A client with its server, inside. It asks when it gets SIGUSR1.
fn be_init() -> Result<()> {
    ensure!(std::process::id() == 1, "not the first of its namespace");
    let word = wait_for_word()?;
    let port = serve_inside()?;
    say(&format!("port {port}"))?;
    word.wait()?;
    ask_inside(port)
}

/// The same at once, and in no namespace but that of its network.
fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    ask_inside(serve_inside()?)
}

/// A server in a network that has only just been made.
fn serve_inside() -> Result<u16> {
    crate::program::must_run("ip", &["link", "set", "lo", "up"])?;
    let (listener, port) = listen()?;
    thread::spawn(move || accept(listener));
    Ok(port)
}

fn ask_inside(port: u16) -> Result<()> {
    let mut stream = connect(port)?;
    write!(
        stream,
        "GET /inside HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}
