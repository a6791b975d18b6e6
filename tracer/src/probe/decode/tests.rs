//! Records as the kernel writes them, made by hand.

use std::net::SocketAddr;

use super::*;

/// The bytes of a record.
fn bytes_of<T: fields::Plain>(record: &T) -> Vec<u8> {
    let start = std::ptr::from_ref(record).cast::<u8>();
    // SAFETY: a plain record without padding, read for as long as it is.
    unsafe { std::slice::from_raw_parts(start, size_of::<T>()) }.to_vec()
}

fn header(event: u16, hook: u8) -> record::Header {
    record::Header {
        event,
        hook,
        flags: event::flag::PROCESS_CONTEXT,
        reserved: 0,
        at_ns: u64::MAX,
    }
}

fn decode(bytes: &[u8]) -> Result<Vec<Fact>, Malformed> {
    let mut into = Vec::new();
    Decoder::new(Clock::now(), HookKind::Tcx).decode(bytes, &mut into)?;
    Ok(into.into_iter().map(|one| one.fact).collect())
}

fn state(from: u8, to: u8) -> record::TcpState {
    let mut local = [0; 16];
    local[..4].copy_from_slice(&[127, 0, 0, 1]);
    record::TcpState {
        header: header(event::TCP_STATE, event::hook::KPROBE),
        socket: 7,
        cookie: 0,
        network: 0,
        family: event::family::INET,
        from,
        to,
        local_port: 80,
        remote_port: 0,
        tgid: 42,
        tid: 43,
        uid: 0,
        local,
        remote: [0; 16],
        comm: *b"server\0\0\0\0\0\0\0\0\0\0",
    }
}

#[test]
fn listening_says_both_the_state_and_whose_socket_it_is() {
    let facts = decode(&bytes_of(&state(7, 10))).expect("valid");
    let [Fact::TcpState(change), Fact::SocketOwner(owner)] = facts.as_slice() else {
        panic!("{facts:?}");
    };
    assert_eq!(
        (change.from, change.to),
        (TcpState::Close, TcpState::Listen)
    );
    assert_eq!((change.cookie, change.network_namespace), (None, None));
    assert_eq!((owner.usage, owner.pid), (SocketUse::Listen, 42));
    assert_eq!(owner.local, Some(SocketAddr::from(([127, 0, 0, 1], 80))));
}

#[test]
fn a_child_that_leaves_its_listener_has_no_cookie_of_its_own_yet() {
    for (to, cookie) in [(3, None), (7, Some(9))] {
        let mut record = state(10, to);
        record.cookie = 9;
        let facts = decode(&bytes_of(&record)).expect("valid");
        let [Fact::TcpState(change)] = facts.as_slice() else {
            panic!("{facts:?}");
        };
        assert_eq!(change.cookie, cookie, "to {to}");
    }
}

#[test]
fn a_transition_in_softirq_blames_nobody() {
    let mut record = state(7, 10);
    record.header.flags = 0;
    let facts = decode(&bytes_of(&record)).expect("valid");
    assert_eq!(facts.len(), 1);
}

#[test]
fn a_state_the_kernel_should_not_have_is_refused() {
    assert_eq!(decode(&bytes_of(&state(7, 99))), Err(Malformed));
}

fn frame_bytes(captured: u32, data: &[u8]) -> Vec<u8> {
    let head = record::FrameHead {
        header: header(event::FRAME, event::hook::TC),
        cookie: 5,
        original_length: 1514,
        captured,
        interface: 3,
        vlan_protocol: 0,
        vlan_tag: 0,
        direction: event::direction::OUT,
        link: event::link::ETHERNET,
        reserved: [0; 6],
    };
    [bytes_of(&head), data.to_vec()].concat()
}

#[test]
fn a_frame_has_exactly_the_bytes_that_were_captured() {
    // The ring rounds lengths up to 8 bytes.
    let facts = decode(&frame_bytes(3, b"abc\0\0\0\0\0")).expect("valid");
    let [Fact::Frame(frame)] = facts.as_slice() else {
        panic!("{facts:?}");
    };
    assert_eq!(frame.data, b"abc");
    assert_eq!((frame.hook, frame.cookie), (HookKind::Tcx, Some(5)));
    assert_eq!(frame.original_length, 1514);
}

#[test]
fn a_frame_that_claims_more_than_it_has_is_refused() {
    assert_eq!(decode(&frame_bytes(9, b"abc")), Err(Malformed));
    assert_eq!(decode(&frame_bytes(u32::MAX, b"abc")), Err(Malformed));
}

#[test]
fn a_call_that_never_returned_has_no_result() {
    let mut name = [0; 256];
    name[..5].copy_from_slice(b"a.tst");
    let mut call = record::GetAddrInfo {
        header: header(event::GET_ADDR_INFO, event::hook::UPROBE),
        entered_at_ns: 0,
        tgid: 1,
        tid: 2,
        result: 0,
        returned: 0,
        has_name: 1,
        has_service: 0,
        reserved: 0,
        comm: [0; 16],
        name,
        service: [0; 32],
    };
    let seen = |call: &record::GetAddrInfo| match decode(&bytes_of(call)).as_deref() {
        Ok([Fact::GetAddrInfo(seen)]) => seen.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(seen(&call).result, None);
    assert_eq!(seen(&call).name.as_deref(), Some("a.tst"));
    assert_eq!(seen(&call).service, None);
    (call.returned, call.result) = (1, -2);
    assert_eq!(seen(&call).result, Some(-2));
}

fn numbers(srtt: u32, ssthresh: u32) -> record::TcpSample {
    record::TcpSample {
        header: header(event::TCP_SAMPLE, event::hook::SOCK_OPS),
        cookie: 5,
        bytes_acked: 1,
        bytes_received: 2,
        srtt,
        mdev: 400,
        cwnd: 10,
        ssthresh,
        total_retrans: 0,
        lost: record::UNKNOWN,
        packets_out: 1,
        family: event::family::INET,
        moment: event::sample::ROUND_TRIP,
        ca_state: 3,
        local_port: 40_000,
        remote_port: 80,
        network: 0,
        local: [127; 16],
        remote: [127; 16],
    }
}

#[test]
fn the_kernels_fractions_of_a_microsecond_become_nanoseconds() {
    let seen = |record: record::TcpSample| match decode(&bytes_of(&record)).as_deref() {
        Ok([Fact::TcpSample(seen)]) => seen.clone(),
        other => panic!("{other:?}"),
    };
    let sample = seen(numbers(8 * 250, 7));
    assert_eq!(sample.srtt_ns, Some(250_000));
    assert_eq!(sample.rttvar_ns, Some(100_000));
    assert_eq!((sample.cwnd, sample.ssthresh), (Some(10), Some(7)));
    assert_eq!(sample.lost, None);
    assert_eq!(sample.hook, HookKind::SockOps);
    // Not measured yet, and a threshold that was never set.
    let sample = seen(numbers(0, 0x7fff_ffff));
    assert_eq!((sample.srtt_ns, sample.rttvar_ns), (None, None));
    assert_eq!(sample.ssthresh, None);
}

#[test]
fn nothing_in_a_record_can_make_it_panic() {
    let valid = [
        bytes_of(&state(7, 10)),
        bytes_of(&numbers(1, 1)),
        frame_bytes(3, b"abc\0\0\0\0\0"),
    ];
    for bytes in valid {
        for length in 0..bytes.len() {
            let _ = decode(&bytes[..length]);
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0xff;
            let _ = decode(&damaged);
        }
    }
    for event in 0..0x80_u16 {
        let mut bytes = vec![0xff; 2048];
        bytes[..2].copy_from_slice(&event.to_ne_bytes());
        bytes[2] = event::hook::XDP;
        let _ = decode(&bytes);
    }
}

#[test]
fn a_passage_is_named_by_what_watches_its_place() {
    let mut source = [0; 16];
    source[..4].copy_from_slice(&[10, 0, 0, 1]);
    let mut passage = record::LayerPassage {
        header: header(event::LAYER_PASSAGE, event::hook::KPROBE),
        sequence: 7,
        length: 100,
        family: event::family::INET,
        place: event::place::NEIGHBOR,
        reserved: 0,
        source_port: 4000,
        destination_port: 80,
        source,
        destination: source,
    };
    let watchers = vec![(event::place::NEIGHBOR, "ip_finish_output2".to_owned())];
    let decoder = Decoder::new(Clock::now(), HookKind::Tcx).with_watchers(watchers);
    let mut into = Vec::new();
    decoder
        .decode(&bytes_of(&passage), &mut into)
        .expect("valid");
    let Some(Fact::LayerPassage(told)) = into.pop().map(|one| one.fact) else {
        panic!("a passage");
    };
    assert_eq!(told.layer, KernelLayer::Neighbor);
    assert_eq!(told.function, "ip_finish_output2");
    assert_eq!(told.source, SocketAddr::from(([10, 0, 0, 1], 4000)));
    passage.place = event::place::UP;
    assert_eq!(decode(&bytes_of(&passage)), Err(Malformed));
}
