//! The socket tables of the calling thread's network namespace by sock_diag(7).

use std::io;
use std::net::SocketAddr;

use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6},
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket as Netlink, protocols::NETLINK_SOCK_DIAG};

use super::{MOST_SOCKETS, Socket, TCP, UDP, ends};

/// A kernel that has not answered by then will not.
const PATIENCE_S: i64 = 2;
/// The kernel fills at most this much at a time (netlink_dump, net/netlink/af_netlink.c).
const ANSWER_BYTES: usize = 64 * 1024;

/// Every TCP and UDP socket that belongs to a process.
///
/// # Errors
/// When the kernel has no sock_diag, or does not answer in time.
pub(super) fn sockets(namespace: Option<u32>) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    for protocol in [TCP, UDP] {
        for family in [AF_INET, AF_INET6] {
            dump(family, protocol, |header| {
                if found.len() < MOST_SOCKETS && header.inode != 0 {
                    found.push(socket(header, protocol, namespace));
                }
            })?;
        }
    }
    Ok(found)
}

fn socket(header: &InetResponseHeader, protocol: u8, namespace: Option<u32>) -> Socket {
    let id = &header.socket_id;
    let (local, remote) = ends(
        SocketAddr::new(id.source_address, id.source_port),
        SocketAddr::new(id.destination_address, id.destination_port),
    );
    Socket {
        protocol,
        inode: u64::from(header.inode),
        cookie: Some(u64::from_ne_bytes(id.cookie)),
        local,
        remote,
        namespace,
    }
}

/// Asks for one table and hands out its entries.
fn dump(family: u8, protocol: u8, mut entry: impl FnMut(&InetResponseHeader)) -> io::Result<()> {
    let socket = Netlink::new(NETLINK_SOCK_DIAG)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))?;
    socket.send(&request(family, protocol), 0)?;
    loop {
        let mut answer = Vec::with_capacity(ANSWER_BYTES);
        socket.recv(&mut answer, 0)?;
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            match &message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    entry(&response.header);
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            // Messages are aligned to four bytes; a length of nothing would never end.
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            let length = length.max(1).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

fn request(family: u8, protocol: u8) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}
