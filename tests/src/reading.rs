//! Reading captures: a capture of a million packets of mixed HTTP and TLS is made, and read
//! by tracer, tshark and tcpdump.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// Packets of the capture, about.
const PACKETS: u32 = 1_000_000;
/// Bytes of a full segment.
const MSS: usize = 1448;

/// Where the capture is made; it is made once and used by every figure.
fn capture() -> Result<(PathBuf, f64)> {
    let path = std::env::temp_dir().join(format!("tracer-bench-{}.pcap", std::process::id()));
    let packets = if path.exists() {
        PACKETS.into()
    } else {
        write(&path).with_context(|| format!("cannot write {}", path.display()))?
    };
    Ok((path, packets))
}

/// Removes the capture.
pub fn clean() {
    let path = std::env::temp_dir().join(format!("tracer-bench-{}.pcap", std::process::id()));
    let _ = std::fs::remove_file(path);
}

/// Microseconds per packet of `program` with `arguments` and the capture behind them.
pub fn microseconds_per_packet(program: &Path, arguments: &[&str]) -> Result<f64> {
    let (capture, packets) = capture()?;
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .arg(&capture)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "{} failed: {status}", program.display());
    Ok(started.elapsed().as_secs_f64() * 1e6 / packets)
}

/// Conversations, one after the other and a few at a time, until there are enough packets.
fn write(path: &Path) -> Result<f64> {
    let mut file = Packets {
        writer: BufWriter::new(File::create(path)?),
        count: 0,
    };
    // Microseconds, version 2.4, snapshot length 256 KiB, Ethernet.
    file.writer.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    file.writer
        .write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    file.writer.write_all(&0x0004_0000_u32.to_le_bytes())?;
    file.writer.write_all(&1_u32.to_le_bytes())?;
    let mut number = 0;
    while file.count < PACKETS {
        let tls = number % 2 == 1;
        let conversation = Conversation {
            number,
            tls,
            sequence: [1000, 5000],
        };
        conversation.write(&mut file)?;
        number += 1;
    }
    file.writer.flush()?;
    Ok(file.count.into())
}

struct Packets {
    writer: BufWriter<File>,
    count: u32,
}

struct Conversation {
    number: u32,
    tls: bool,
    /// Next sequence number of client and server.
    sequence: [u32; 2],
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;

impl Conversation {
    fn write(mut self, file: &mut Packets) -> Result<()> {
        self.segment(file, 0, SYN, &[])?;
        self.segment(file, 1, SYN | ACK, &[])?;
        self.segment(file, 0, ACK, &[])?;
        let (request, response) = if self.tls {
            self.segment(file, 0, ACK, &client_hello(self.number))?;
            self.segment(file, 1, ACK, &server_hello())?;
            (record(23, &[0x5a; 300]), record(23, &[0xa5; 16_000]))
        } else {
            let path = self.number;
            let request = format!(
                "GET /object/{path} HTTP/1.1\r\nHost: www{}.shop.test\r\nUser-Agent: bench\r\n\r\n",
                path % 100
            );
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16000\r\n\r\n";
            let response = [head.as_bytes(), &[b'x'; 16_000]].concat();
            (request.into_bytes(), response)
        };
        self.segment(file, 0, ACK, &request)?;
        for (index, part) in response.chunks(MSS).enumerate() {
            self.segment(file, 1, ACK, part)?;
            if index % 2 == 1 {
                self.segment(file, 0, ACK, &[])?;
            }
        }
        self.segment(file, 1, FIN | ACK, &[])?;
        self.segment(file, 0, FIN | ACK, &[])?;
        self.segment(file, 1, ACK, &[])
    }

    fn segment(&mut self, file: &mut Packets, from: usize, flags: u8, data: &[u8]) -> Result<()> {
        let client = [
            10,
            1,
            (self.number >> 8 & 0xff) as u8,
            (self.number & 0xff) as u8,
        ];
        let server = [10, 2, 0, if self.tls { 2 } else { 1 }];
        let client_port = (10_000 + self.number / 65_536) as u16;
        let server_port: u16 = if self.tls { 443 } else { 80 };
        let (source, target, ports) = if from == 0 {
            (client, server, [client_port, server_port])
        } else {
            (server, client, [server_port, client_port])
        };
        let length = 14 + 20 + 20 + data.len();
        let at_us = u64::from(file.count) * 10;
        let header = [
            (at_us / 1_000_000) as u32,
            (at_us % 1_000_000) as u32,
            length as u32,
            length as u32,
        ];
        for word in header {
            file.writer.write_all(&word.to_le_bytes())?;
        }
        let mut packet = Vec::with_capacity(length);
        packet.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        packet.extend_from_slice(&[0x45, 0]);
        packet.extend_from_slice(&((40 + data.len()) as u16).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend_from_slice(&source);
        packet.extend_from_slice(&target);
        for port in ports {
            packet.extend_from_slice(&port.to_be_bytes());
        }
        packet.extend_from_slice(&self.sequence[from].to_be_bytes());
        packet.extend_from_slice(&self.sequence[1 - from].to_be_bytes());
        packet.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(data);
        file.writer.write_all(&packet)?;
        file.count += 1;
        let used = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.sequence[from] = self.sequence[from].wrapping_add(used);
        Ok(())
    }
}

/// TLS record of version 1.2 (RFC 5246, section 6.2.1).
fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend_from_slice(&(data.len() as u16).to_be_bytes());
    record.extend_from_slice(data);
    record
}

/// Handshake message (RFC 5246, section 7.4).
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend_from_slice(&(body.len() as u16).to_be_bytes());
    message.extend_from_slice(body);
    record(22, &message)
}

fn client_hello(number: u32) -> Vec<u8> {
    let name = format!("www{}.shop.test", number % 100);
    let name_length = name.len() as u16;
    let mut extension = vec![0, 0];
    extension.extend_from_slice(&(name_length + 5).to_be_bytes());
    extension.extend_from_slice(&(name_length + 3).to_be_bytes());
    extension.push(0);
    extension.extend_from_slice(&name_length.to_be_bytes());
    extension.extend_from_slice(name.as_bytes());
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    // No session, one cipher suite, no compression.
    body.extend_from_slice(&[0, 0, 2, 0xc0, 0x2f, 1, 0]);
    body.extend_from_slice(&(extension.len() as u16).to_be_bytes());
    body.extend_from_slice(&extension);
    handshake(1, &body)
}

fn server_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&[9; 32]);
    body.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
    handshake(2, &body)
}
