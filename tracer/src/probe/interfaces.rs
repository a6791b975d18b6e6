//! The interfaces of the calling thread's network namespace. Asked by socket and not in
//! /sys/class/net, which shows the namespace in which /sys was mounted.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::ProbeError;
use crate::capture::LinkType;

/// An interface that can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub index: u32,
    pub name: String,
    pub link_type: LinkType,
    /// What leaves it arrives on it.
    pub is_loopback: bool,
}

// Hardware types of include/uapi/linux/if_arp.h whose frames have an Ethernet header
// (loopback has one too, of zeros) or none at all.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_PPP: u16 = 512;
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_TUNNEL: u16 = 768;
const ARPHRD_TUNNEL6: u16 = 769;
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_SIT: u16 = 776;
const ARPHRD_NONE: u16 = 0xfffe;

/// The interfaces named, or all that are up.
pub(super) fn select(names: &[String]) -> Result<Vec<Interface>, ProbeError> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|error| ProbeError::System {
        operation: "open a socket to list the interfaces",
        source: error.into(),
    })?;
    if names.is_empty() {
        let all = nix::net::if_::if_nameindex().map_err(|error| ProbeError::System {
            operation: "list the interfaces",
            source: error.into(),
        })?;
        Ok(all
            .iter()
            .filter_map(|entry| describe(&socket, entry.name(), entry.index()).ok())
            .filter_map(|(interface, is_up)| is_up.then_some(interface))
            .collect())
    } else {
        names.iter().map(|name| by_name(&socket, name)).collect()
    }
}

fn by_name(socket: &OwnedFd, name: &str) -> Result<Interface, ProbeError> {
    let refused = |reason: String| ProbeError::Interface {
        name: name.to_owned(),
        reason,
    };
    let index =
        nix::net::if_::if_nametoindex(name).map_err(|error| refused(error.desc().to_owned()))?;
    let text = std::ffi::CString::new(name).map_err(|error| refused(error.to_string()))?;
    describe(socket, &text, index)
        .map(|(interface, _)| interface)
        .map_err(|error| refused(error.to_string()))
}

/// The interface, and whether it is up. Fails when it is gone or its frames have a link
/// layer that we cannot read.
fn describe(socket: &OwnedFd, name: &CStr, index: u32) -> io::Result<(Interface, bool)> {
    let flags = request(socket, name, libc::SIOCGIFFLAGS)?;
    let hardware = request(socket, name, libc::SIOCGIFHWADDR)?;
    // SAFETY: each request has filled the member of the union that is read here.
    let (flags, hardware_type) = unsafe {
        (
            flags.ifr_ifru.ifru_flags,
            hardware.ifr_ifru.ifru_hwaddr.sa_family,
        )
    };
    let link_type = link_type(hardware_type).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!("link type {hardware_type} is not supported"),
        )
    })?;
    let interface = Interface {
        index,
        name: name.to_string_lossy().into_owned(),
        link_type,
        is_loopback: hardware_type == ARPHRD_LOOPBACK,
    };
    Ok((interface, i32::from(flags) & libc::IFF_UP != 0))
}

fn link_type(hardware: u16) -> Option<LinkType> {
    match hardware {
        ARPHRD_ETHER | ARPHRD_LOOPBACK => Some(LinkType::Ethernet),
        ARPHRD_NONE | ARPHRD_PPP | ARPHRD_RAWIP | ARPHRD_TUNNEL | ARPHRD_TUNNEL6 | ARPHRD_SIT => {
            Some(LinkType::RawIp)
        }
        _ => None,
    }
}

fn request(socket: &OwnedFd, name: &CStr, number: libc::Ioctl) -> io::Result<libc::ifreq> {
    // SAFETY: an ifreq of zeros is valid: it is plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.to_bytes();
    if bytes.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // SAFETY: the request is an ifreq with a name that ends in NUL, and lives long enough.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw mut request) };
    if result == 0 {
        Ok(request)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_read_as_ethernet() {
        let found = select(&["lo".to_owned()]).expect("lo");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].link_type, LinkType::Ethernet);
        assert!(found[0].is_loopback);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_named_in_the_error() {
        let error = select(&["nosuch0".to_owned()]).expect_err("must fail");
        assert!(error.to_string().contains("nosuch0"), "{error}");
    }

    #[test]
    fn tunnels_without_a_link_layer_are_raw_ip() {
        assert_eq!(link_type(ARPHRD_NONE), Some(LinkType::RawIp));
        // IEEE 802.11 with radiotap.
        assert_eq!(link_type(803), None);
    }
}
