//! Frames: XDP sees the arriving ones, a TC classifier the leaving ones, and TC ingress
//! takes over where XDP cannot attach. All three share one parser, one filter and one way
//! of copying; they differ in how they reach the bytes ([`source`]).

mod copy;
mod filter;
pub mod flow;
mod others;
mod parse;
mod source;
mod work;

use aya_ebpf::{
    EbpfContext,
    bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS},
    helpers::generated,
    macros::{classifier, map, xdp},
    maps::HashMap,
    programs::{TcContext, XdpContext},
};
use tracer_common::event::{direction, hook, link};

use crate::layout::config;
use source::Source;

/// Link type by interface index, for interfaces that are not Ethernet.
#[map]
static LINK_TYPES: HashMap<u32, u32> = HashMap::with_max_entries(1024, 0);

/// What is known of a frame before its bytes are looked at.
pub struct Arrival {
    pub hook: u8,
    pub direction: u8,
    pub link: u8,
    pub interface: u32,
    /// 0 where the hook knows no socket.
    pub cookie: u64,
    pub vlan_protocol: u16,
    pub vlan_tag: u16,
}

/// Without support for fragments, for generic mode. With it, the kernel (seen on 6.18)
/// copies each frame to a new buffer and forgets `mac_len` on the way, so that every TC
/// program after us, of whomever, would look for the Ethernet header in the wrong place.
#[xdp]
pub fn tracer_xdp(context: XdpContext) -> u32 {
    arrived(&context)
}

/// For drivers that run XDP themselves: there a frame may come in several pieces.
#[xdp(frags)]
pub fn tracer_xdp_frags(context: XdpContext) -> u32 {
    arrived(&context)
}

#[inline(always)]
fn arrived(context: &XdpContext) -> u32 {
    if are_ethernet() && others::is_of_others(context.data(), context.data_end()) {
        return XDP_PASS;
    }
    let interface = context.ingress_ifindex() as u32;
    let arrival = Arrival {
        hook: hook::XDP,
        direction: direction::IN,
        link: link_type(interface),
        interface,
        cookie: 0,
        vlan_protocol: 0,
        vlan_tag: 0,
    };
    observe(&source::Xdp(context), &arrival);
    XDP_PASS
}

#[classifier]
pub fn tracer_out(context: TcContext) -> i32 {
    if are_ethernet() && others::is_of_others(context.data(), context.data_end()) {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: the helper takes this program's own context.
    let cookie = unsafe { generated::bpf_get_socket_cookie(context.as_ptr()) };
    classify(&context, direction::OUT, cookie)
}

#[classifier]
pub fn tracer_in(context: TcContext) -> i32 {
    if are_ethernet() && others::is_of_others(context.data(), context.data_end()) {
        return TC_ACT_UNSPEC;
    }
    classify(&context, direction::IN, 0)
}

/// Always leaves the verdict to whoever comes next: TC_ACT_UNSPEC, which is also
/// TCX_NEXT (-1).
#[inline(always)]
fn classify(context: &TcContext, direction: u8, cookie: u64) -> i32 {
    let buffer = context.skb.skb;
    // SAFETY: the verifier lets a classifier read these members of its context.
    let (interface, has_tag, protocol, tag) = unsafe {
        (
            (*buffer).ifindex,
            (*buffer).vlan_present,
            (*buffer).vlan_proto,
            (*buffer).vlan_tci,
        )
    };
    let (vlan_protocol, vlan_tag) = if has_tag != 0 {
        (u16::from_be(protocol as u16), tag as u16)
    } else {
        (0, 0)
    };
    let arrival = Arrival {
        hook: hook::TC,
        direction,
        link: link_type(interface),
        interface,
        cookie,
        vlan_protocol,
        vlan_tag,
    };
    observe(&source::Classifier(context), &arrival);
    TC_ACT_UNSPEC
}

#[inline(always)]
fn observe(source: &impl Source, arrival: &Arrival) {
    let Some(work) = work::place() else {
        return;
    };
    // SAFETY: this CPU's place.
    let Some(begun) = (unsafe { source::Begun::new(source, work) }) else {
        return;
    };
    parse::packet(&begun, arrival.link, work);
    filter::packet(work, arrival);
    copy::frame(&begun, arrival, work);
}

/// Do all interfaces have frames of Ethernet?
#[inline(always)]
fn are_ethernet() -> bool {
    config().has_raw_ip() == 0
}

#[inline(always)]
fn link_type(interface: u32) -> u8 {
    if are_ethernet() {
        return link::ETHERNET;
    }
    match LINK_TYPES.get_ptr(interface) {
        // SAFETY: written by the tracer before the programs are attached.
        Some(kind) => unsafe { *kind as u8 },
        None => link::ETHERNET,
    }
}
