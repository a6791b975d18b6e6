//! Captures to read: a mix as on the link of an office, and the shapes that cost a reader
//! dearly who looks at everything for everything. The same number of packets gives the same
//! bytes on every machine.

use super::messages;
use super::packets::{ACK, FIN, PUSH, Packets, SYN, Segment, Way};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::path::Path;

/// Bytes of a full segment with timestamps.
const MSS: usize = 1448;
/// Connections that live at a time in the mix.
const LIVE: usize = 200;
/// Clients and servers of the mix.
const CLIENTS: u32 = 250;
const SERVERS: u32 = 400;
/// One connection of the mix in so many asks for its server's address first.
const ASKS: u64 = 3;
const RESOLVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 53), 53);

/// What a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// DNS, HTTP/1.1 and TLS 1.2 and 1.3 on many connections at once, with bodies from a few
    /// hundred bytes to a megabyte, acknowledgements, and now and then a lost segment.
    Mix,
    /// One download.
    OneConnection,
    /// SYNs that nobody answers, each to another port or host.
    Scan,
    /// DNS queries that nobody answers.
    Unanswered,
}

impl Shape {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::OneConnection => "one-connection",
            Self::Scan => "scan",
            Self::Unanswered => "unanswered",
        }
    }

    /// Writes a capture of about `packets` packets; returns how many there are.
    ///
    /// # Errors
    /// Those of writing to `path`.
    pub fn write(self, path: &Path, packets: u32) -> io::Result<u32> {
        let mut file = Packets::new(BufWriter::with_capacity(1 << 20, File::create(path)?))?;
        match self {
            Self::Mix => mix(&mut file, packets)?,
            Self::OneConnection => one_connection(&mut file, packets)?,
            Self::Scan => scan(&mut file, packets)?,
            Self::Unanswered => unanswered(&mut file, packets)?,
        }
        file.finish()
    }
}

type Output = Packets<BufWriter<File>>;

/// Numbers without a pattern that matters (xorshift64*, Vigna 2014), the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Most bodies are small, most bytes are in large ones.
    fn body_length(&mut self) -> usize {
        let (from, to) = match self.below(100) {
            0..60 => (300, 4_000),
            60..90 => (4_000, 40_000),
            90..99 => (40_000, 200_000),
            _ => (500_000, 1_000_000),
        };
        (from + self.below(to - from)) as usize
    }
}

/// Bytes to cut bodies from.
struct Material {
    text: Vec<u8>,
    noise: Vec<u8>,
}

impl Material {
    fn new(random: &mut Random) -> Self {
        const LENGTH: usize = 2 << 20;
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz <>/=\n";
        let noise: Vec<u8> = (0..LENGTH).map(|_| random.next() as u8).collect();
        let letters = noise.iter().map(|byte| LETTERS[usize::from(byte % 32)]);
        Self {
            text: letters.collect(),
            noise,
        }
    }

    fn cut<'a>(from: &'a [u8], random: &mut Random, length: usize) -> &'a [u8] {
        let start = random.below((from.len() - length) as u64) as usize;
        from.get(start..start + length).unwrap_or_default()
    }
}

/// One end's bytes that are sent in one go.
struct Flight<'a> {
    from_server: bool,
    data: Cow<'a, [u8]>,
}

/// A connection on its way through its flights.
struct Conversation<'a> {
    client: (Ipv4Addr, u16),
    server: (Ipv4Addr, u16),
    /// Next sequence number of client and server.
    sequence: [u32; 2],
    flights: VecDeque<Flight<'a>>,
    /// Of the flight that is under way.
    sent: usize,
    /// Segments that the other end has not acknowledged.
    unacknowledged: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Syn,
    SynAck,
    Ack,
    Data,
    ClientFin,
    LastAck,
    Over,
}

impl<'a> Conversation<'a> {
    fn new(
        client: (Ipv4Addr, u16),
        server: (Ipv4Addr, u16),
        flights: VecDeque<Flight<'a>>,
    ) -> Self {
        let port = u32::from(client.1);
        Self {
            client,
            server,
            sequence: [
                port.wrapping_mul(0x9e37_79b9),
                port.wrapping_mul(0x85eb_ca6b),
            ],
            flights,
            sent: 0,
            unacknowledged: 0,
            stage: Stage::Syn,
        }
    }

    /// Writes the next packet, or the next and its repetition.
    fn step(&mut self, file: &mut Output, again: bool) -> io::Result<()> {
        self.stage = match self.stage {
            Stage::Syn => self.send(file, false, SYN, &[], Stage::SynAck)?,
            Stage::SynAck => self.send(file, true, SYN | ACK, &[], Stage::Ack)?,
            Stage::Ack => self.send(file, false, ACK, &[], Stage::Data)?,
            Stage::Data => self.data(file, again)?,
            Stage::ClientFin => self.send(file, false, FIN | ACK, &[], Stage::LastAck)?,
            Stage::LastAck => self.send(file, true, ACK, &[], Stage::Over)?,
            Stage::Over => Stage::Over,
        };
        Ok(())
    }

    /// Segments of the flight, each second one acknowledged (RFC 9293, section 3.8.6.3).
    fn data(&mut self, file: &mut Output, again: bool) -> io::Result<Stage> {
        let Some(flight) = self.flights.front() else {
            return self.send(file, true, FIN | ACK, &[], Stage::ClientFin);
        };
        let from_server = flight.from_server;
        let rest = flight.data.get(self.sent..).unwrap_or_default();
        if self.unacknowledged == 2 || rest.is_empty() {
            self.unacknowledged = 0;
            if rest.is_empty() {
                self.flights.pop_front();
                self.sent = 0;
                // The answer acknowledges the question, too.
                if self
                    .flights
                    .front()
                    .is_some_and(|next| next.from_server != from_server)
                {
                    return self.data(file, again);
                }
            }
            return self.send(file, !from_server, ACK, &[], Stage::Data);
        }
        let part = rest.get(..MSS).unwrap_or(rest);
        let (part, whole) = (part.to_vec(), part.len() == rest.len());
        let flags = if whole { PUSH | ACK } else { ACK };
        self.sent += part.len();
        self.unacknowledged += 1;
        let before = self.sequence;
        self.send(file, from_server, flags, &part, Stage::Data)?;
        if again {
            self.sequence = before;
            self.send(file, from_server, flags, &part, Stage::Data)?;
        }
        Ok(Stage::Data)
    }

    fn send(
        &mut self,
        file: &mut Output,
        from_server: bool,
        flags: u8,
        data: &[u8],
        next: Stage,
    ) -> io::Result<Stage> {
        let (way, [own, other]) = match from_server {
            false => (
                Way {
                    from: self.client,
                    to: self.server,
                },
                self.sequence,
            ),
            true => (
                Way {
                    from: self.server,
                    to: self.client,
                },
                [self.sequence[1], self.sequence[0]],
            ),
        };
        let segment = Segment {
            sequence: own,
            acknowledgment: if flags & ACK == 0 { 0 } else { other },
            flags,
        };
        file.segment(way, segment, data)?;
        let used = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let own = &mut self.sequence[usize::from(from_server)];
        *own = own.wrapping_add(used);
        Ok(next)
    }
}

fn mix(file: &mut Output, packets: u32) -> io::Result<()> {
    let mut random = Random(0x7472_6163_6572);
    let material = Material::new(&mut random);
    let mut live: Vec<Conversation<'_>> = Vec::new();
    let mut number = 0;
    while file.count < packets || !live.is_empty() {
        if live.len() < LIVE && file.count < packets {
            live.push(begin(file, &mut random, &material, number)?);
            number += 1;
            continue;
        }
        // A sender has the link for a few segments at a time.
        let index = random.below(live.len() as u64) as usize;
        let turns = 1 + random.below(8);
        let Some(conversation) = live.get_mut(index) else {
            continue;
        };
        for _ in 0..turns {
            let again = random.below(1000) == 0;
            conversation.step(file, again)?;
            if conversation.stage == Stage::Over {
                live.swap_remove(index);
                break;
            }
        }
    }
    Ok(())
}

/// A new connection, and the query before it where the name is not known yet.
fn begin(
    file: &mut Output,
    random: &mut Random,
    material: &Material,
    number: u32,
) -> io::Result<Conversation<'static>> {
    let host = random.below(SERVERS.into()) as u32;
    let name = format!("www{host}.shop.test");
    let address = Ipv4Addr::from(0x0a02_0000 + host);
    let client = Ipv4Addr::from(0x0a01_0000 + number % CLIENTS);
    let port = (20_000 + number / CLIENTS % 40_000) as u16;
    if random.below(ASKS) == 0 {
        let asker = (client, 60_000 + (number % 5000) as u16);
        let id = number as u16;
        let query = messages::dns(id, &name, None);
        file.datagram(
            Way {
                from: asker,
                to: RESOLVER,
            },
            &query,
        )?;
        let alias = format!("edge{}.cdn.test", host % 40);
        let answer = messages::dns(id, &name, Some((&alias, address.octets())));
        file.datagram(
            Way {
                from: RESOLVER,
                to: asker,
            },
            &answer,
        )?;
    }
    let kind = random.below(4);
    let mut flights = VecDeque::new();
    match kind {
        0 | 1 => {}
        2 => classic_handshake(&mut flights, random, material, &name),
        _ => modern_handshake(&mut flights, random, material, &name),
    }
    for exchange in 0..1 + random.below(3) {
        let length = random.body_length();
        let (request, response) = if kind < 2 {
            let path = format!("/object/{number}/{exchange}?page={}", random.below(50));
            let posted = if random.below(8) == 0 { 600 } else { 0 };
            let chunked = random.below(3) == 0;
            let posted = Material::cut(&material.text, random, posted);
            let body = Material::cut(&material.text, random, length);
            (
                messages::http_request(&name, &path, posted),
                messages::http_response(body, chunked),
            )
        } else {
            (
                messages::sealed(Material::cut(&material.noise, random, 420)),
                messages::sealed(Material::cut(&material.noise, random, length)),
            )
        };
        flights.push_back(Flight {
            from_server: false,
            data: request.into(),
        });
        flights.push_back(Flight {
            from_server: true,
            data: response.into(),
        });
    }
    let server_port = if kind < 2 { 80 } else { 443 };
    Ok(Conversation::new(
        (client, port),
        (address, server_port),
        flights,
    ))
}

fn modern_handshake(
    flights: &mut VecDeque<Flight<'_>>,
    random: &mut Random,
    material: &Material,
    name: &str,
) {
    let noise = Material::cut(&material.noise, random, 1000);
    let last = [
        messages::change_cipher_spec(),
        messages::sealed(noise.get(..53).unwrap_or_default()),
    ];
    flights.extend([
        Flight {
            from_server: false,
            data: messages::client_hello(name, noise, true).into(),
        },
        Flight {
            from_server: true,
            data: messages::modern_server_flight(noise).into(),
        },
        Flight {
            from_server: false,
            data: last.concat().into(),
        },
    ]);
}

fn classic_handshake(
    flights: &mut VecDeque<Flight<'_>>,
    random: &mut Random,
    material: &Material,
    name: &str,
) {
    let noise = Material::cut(&material.noise, random, 1000);
    let last = [messages::change_cipher_spec(), messages::finished(noise)];
    flights.extend([
        Flight {
            from_server: false,
            data: messages::client_hello(name, noise, false).into(),
        },
        Flight {
            from_server: true,
            data: messages::classic_server_flight(noise).into(),
        },
        Flight {
            from_server: false,
            data: messages::classic_client_flight(noise).into(),
        },
        Flight {
            from_server: true,
            data: last.concat().into(),
        },
    ]);
}

fn one_connection(file: &mut Output, packets: u32) -> io::Result<()> {
    let material = Material::new(&mut Random(1));
    // Two of three packets carry data.
    let length = packets as usize * 2 / 3 * MSS;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let mut flights = VecDeque::from([
        Flight {
            from_server: false,
            data: messages::http_request("www.shop.test", "/image.iso", &[]).into(),
        },
        Flight {
            from_server: true,
            data: head.into_bytes().into(),
        },
    ]);
    let client = (Ipv4Addr::new(10, 1, 0, 1), 40_000);
    let server = (Ipv4Addr::new(10, 2, 0, 1), 80);
    let mut sent = 0;
    while sent < length {
        let part = MSS * 64.min((length - sent) / MSS);
        flights.push_back(Flight {
            from_server: true,
            data: material.text.get(..part).unwrap_or_default().into(),
        });
        sent += part;
    }
    let mut conversation = Conversation::new(client, server, flights);
    while conversation.stage != Stage::Over {
        conversation.step(file, false)?;
    }
    Ok(())
}

fn scan(file: &mut Output, packets: u32) -> io::Result<()> {
    for number in 0..packets {
        let from = (
            Ipv4Addr::new(10, 1, 0, 1),
            30_000 + (number / 1000 % 30_000) as u16,
        );
        let to = (
            Ipv4Addr::from(0x0a02_0000 + number % 250),
            [80, 443, 8080, 8443][number as usize / 250 % 4],
        );
        let segment = Segment {
            sequence: number.wrapping_mul(0x9e37_79b9),
            acknowledgment: 0,
            flags: SYN,
        };
        file.segment(Way { from, to }, segment, &[])?;
    }
    Ok(())
}

fn unanswered(file: &mut Output, packets: u32) -> io::Result<()> {
    for number in 0..packets {
        let client = Ipv4Addr::from(0x0a01_0000 + number % CLIENTS);
        let way = Way {
            from: (client, 20_000 + (number / CLIENTS % 40_000) as u16),
            to: RESOLVER,
        };
        let query = messages::dns(number as u16, &format!("host{number}.shop.test"), None);
        file.datagram(way, &query)?;
    }
    Ok(())
}
