//! An answer in pieces, each a segment of its own, and a client that refuses one of them until
//! the kernel has sent it again: what the network loses now and then, here always.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::{SockFilter, SockRef};

use crate::requests::SILENCE;

/// First argument that turns the end-to-end program into a client that refuses a piece.
pub const REFUSING_CLIENT: &str = "__refusing";

/// The pieces behind the head, each full of one letter. Three that arrive behind a missing one
/// are taken for a loss (RFC 5681, section 3.2).
const PIECES: &[u8] = b"abcdef";
const REFUSED: u8 = b'b';
pub const PIECE_BYTES: usize = 200;

/// A server in this process that answers one request.
pub fn server() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let answered = listener.accept().map(|(stream, _)| answer(stream));
        // A client that went away is its own business.
        drop(answered);
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    // What is written goes out at once, and not together with what is written next.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let length = PIECES.len() * PIECE_BYTES;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
    )?;
    for letter in PIECES {
        stream.write_all(&[*letter; PIECE_BYTES])?;
    }
    // Until the client closes.
    reader.read_line(&mut line)?;
    Ok(())
}

/// One request; the piece is refused until the server's kernel has sent it again for the
/// first time.
pub fn request_refusing(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let before = fast_retransmissions()?;
    SockRef::from(&stream).attach_filter(&segments_of(REFUSED))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")?;
    let deadline = Instant::now() + SILENCE;
    while fast_retransmissions()? == before {
        ensure!(Instant::now() < deadline, "nothing was sent again");
        thread::sleep(Duration::from_millis(1));
    }
    SockRef::from(&stream).detach_filter()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(&[b'f'; PIECE_BYTES]) {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the answer ended early");
        answer.extend_from_slice(buffer.get(..count).context("more than fits")?);
    }
    Ok(())
}

/// A filter that lets in every segment but those whose payload begins with `letter`. A socket's
/// filter sees a segment from its TCP header on (tcp_filter, net/ipv4/tcp_ipv4.c).
fn segments_of(letter: u8) -> [SockFilter; 10] {
    // include/uapi/linux/bpf_common.h: class, size or operation, and mode or source, added up.
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_BYTE_INDEXED: u16 = 0x50;
    const LOAD_LENGTH: u16 = 0x80;
    const AND: u16 = 0x54;
    const SHIFT_RIGHT: u16 = 0x74;
    const TO_INDEX: u16 = 0x07;
    const JUMP_GREATER_THAN_INDEX: u16 = 0x2d;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// The data offset in the upper half of this byte counts words of four bytes (RFC 9293,
    /// section 3.1).
    const DATA_OFFSET: u32 = 12;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, DATA_OFFSET),
        SockFilter::new(AND, 0, 0, 0xf0),
        SockFilter::new(SHIFT_RIGHT, 0, 0, 2),
        SockFilter::new(TO_INDEX, 0, 0, 0),
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        // Without payload: let in.
        SockFilter::new(JUMP_GREATER_THAN_INDEX, 0, 3, 0),
        SockFilter::new(LOAD_BYTE_INDEXED, 0, 0, 0),
        SockFilter::new(JUMP_EQUAL, 0, 1, letter.into()),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

fn fast_retransmissions() -> Result<u64> {
    tcp_counter("TCPFastRetrans")
}

/// One of the kernel's own counts of TCP in this network namespace.
pub fn tcp_counter(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let mut names = lines.next().context("no names")?.split(' ');
    let place = names.position(|known| known == name);
    let place = place.with_context(|| format!("the kernel does not count {name}"))?;
    let mut numbers = lines.next().context("no numbers")?.split(' ');
    Ok(numbers.nth(place).context("no number")?.parse()?)
}
