//! What all kinds of sockets have in common (`struct sock_common`, which every `struct sock`
//! begins with), copied by one call: each call of a helper costs as much as twenty loads.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated;
use tracer_common::{event::family, layout::ABSENT};

use crate::{
    ends::{self, Ends, TCP},
    layout::{network_inode, offset, read_or_zero},
};

/// As far as what is asked for reaches on 64-bit machines; what lies behind is read by itself.
const BYTES: usize = 104;

/// A copy of it.
pub struct SocketCommon {
    socket: u64,
    words: [u64; BYTES / size_of::<u64>()],
}

impl SocketCommon {
    /// All zero where `socket` cannot be read.
    #[inline(always)]
    pub fn of(socket: u64) -> Self {
        let mut words = MaybeUninit::<[u64; BYTES / size_of::<u64>()]>::uninit();
        // SAFETY: the helper checks the address and writes as many bytes as are there, zeros
        // where it fails.
        let words = unsafe {
            generated::bpf_probe_read_kernel(
                words.as_mut_ptr().cast(),
                BYTES as u32,
                socket as *const _,
            );
            words.assume_init()
        };
        Self { socket, words }
    }

    /// Of the `struct sock`.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        self.socket
    }

    #[inline(always)]
    fn member<T: Copy + Default>(&self, offset: u16) -> T {
        let place = usize::from(offset);
        if offset == ABSENT || place + size_of::<T>() > BYTES {
            return read_or_zero(self.socket, offset);
        }
        // SAFETY: within the copy, which is aligned like the structure; plain integers.
        unsafe {
            (&raw const self.words)
                .cast::<u8>()
                .add(place)
                .cast::<T>()
                .read()
        }
    }

    #[inline(always)]
    pub fn state(&self) -> u8 {
        self.member(offset!(sock_state))
    }

    /// 0 where none is assigned yet.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        self.member(offset!(sock_cookie))
    }

    /// inode number of the network namespace, 0 where unknown.
    #[inline(always)]
    pub fn network(&self) -> u32 {
        match self.member::<u64>(offset!(sock_network)) {
            0 => 0,
            network => network_inode(network),
        }
    }

    /// Host byte order, 0 where there is none yet.
    #[inline(always)]
    pub fn remote_port(&self) -> u16 {
        u16::from_be(self.member(offset!(sock_remote_port)))
    }

    /// Host byte order, 0 where none is chosen yet.
    #[inline(always)]
    pub fn local_port(&self) -> u16 {
        source_port_unless(self.member(offset!(sock_local_port)), self.socket)
    }

    /// Both ends of a TCP socket: it is the source. `None` where it could not be read.
    #[inline(always)]
    pub fn ends(&self) -> Option<Ends> {
        let mut of_family = self.member::<u16>(offset!(sock_family));
        if of_family == 0 {
            return None;
        }
        let (source, destination) = if of_family == family::INET6 {
            let local = self.member::<[u32; 4]>(offset!(sock_local_v6));
            let remote = self.member::<[u32; 4]>(offset!(sock_remote_v6));
            // An IPv4 address in an IPv6 socket (RFC 4291, section 2.5.5.2) sends IPv4 packets.
            if remote[0] == 0 && remote[1] == 0 && remote[2] == 0xffff_u32.to_be() {
                of_family = family::INET;
                ([0, u64::from(local[3])], [0, u64::from(remote[3])])
            } else {
                (ends::words(local), ends::words(remote))
            }
        } else {
            let local = self.member::<u32>(offset!(sock_local_v4));
            let remote = self.member::<u32>(offset!(sock_remote_v4));
            ([0, u64::from(local)], [0, u64::from(remote)])
        };
        Some(Ends {
            source,
            destination,
            family: of_family,
            source_port: self.local_port(),
            destination_port: self.remote_port(),
            protocol: TCP,
            flags: 0,
            sequence: 0,
        })
    }

    /// Writes both ends as they stand in the socket: family, addresses, `[local, remote]` ports.
    ///
    /// # Safety
    /// All pointers are valid for writes, and aligned to four bytes where they are of addresses.
    #[inline(always)]
    pub unsafe fn write_ends(
        &self,
        family_into: *mut u16,
        local: *mut [u8; 16],
        remote: *mut [u8; 16],
        ports: [*mut u16; 2],
    ) {
        let of_family = self.member::<u16>(offset!(sock_family));
        let (from, to) = if of_family == family::INET6 {
            (
                self.member(offset!(sock_local_v6)),
                self.member(offset!(sock_remote_v6)),
            )
        } else {
            (
                [self.member(offset!(sock_local_v4)), 0, 0, 0],
                [self.member(offset!(sock_remote_v4)), 0, 0, 0],
            )
        };
        // SAFETY: as the caller promises.
        unsafe {
            *family_into = of_family;
            local.cast::<[u32; 4]>().write(from);
            remote.cast::<[u32; 4]>().write(to);
            *ports[0] = self.local_port();
            *ports[1] = self.remote_port();
        }
    }
}

/// Local and remote port of a socket, as [`SocketCommon`] tells them, for what is nearly always
/// told apart by them: by one small read where they stand side by side.
#[inline(always)]
pub fn ports_of(socket: u64) -> (u16, u16) {
    let place = offset!(sock_remote_port);
    let [remote, local] = if offset!(sock_local_port) == place.wrapping_add(2) {
        read_or_zero::<[u16; 2]>(socket, place)
    } else {
        [
            read_or_zero(socket, place),
            read_or_zero(socket, offset!(sock_local_port)),
        ]
    };
    (source_port_unless(local, socket), u16::from_be(remote))
}

/// A closed socket has given its port back (`skc_num`), but remembers which one it was
/// (`inet_sport`).
#[inline(always)]
fn source_port_unless(local_port: u16, socket: u64) -> u16 {
    if local_port == 0 {
        u16::from_be(read_or_zero(socket, offset!(sock_source_port)))
    } else {
        local_port
    }
}
