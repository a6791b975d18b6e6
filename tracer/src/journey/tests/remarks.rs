//! What a capture file says of packets beside their bytes.

use super::{Flags, Script, resolver, server};
use crate::capture::{Fact, FileComment, Interface, NamedBy, NamedProcess, PacketNote};
use crate::journey::limits::Limits;
use crate::journey::model::{Attribution, CaptureComment, End};

const SERVER: u16 = 80;

fn comment(text: &str) -> Option<Box<PacketNote>> {
    Some(Box::new(PacketNote {
        comments: vec![text.to_owned()],
        process: None,
    }))
}

fn named(pid: u32, name: &str) -> Option<Box<PacketNote>> {
    Some(Box::new(PacketNote {
        comments: Vec::new(),
        process: Some(NamedProcess {
            pid,
            name: name.to_owned(),
            path: Some("/Applications/Safari".to_owned()),
            by: NamedBy::ProcessBlock,
        }),
    }))
}

#[test]
fn a_comment_is_a_line_of_its_connection_s_journey() {
    let mut script = Script::of_file(Limits::default());
    let mut other = script.wire(40_001, (server(2), SERVER));
    script.open(&mut other);
    let mut wire = script.wire(40_000, (server(1), SERVER));
    script.open(&mut wire);
    script.request(&mut wire, "shop.test", "/");
    script.note = comment("too late\n\u{1b}[31m?");
    script.response(&mut wire);
    script.close(&mut wire);
    script.exchange(&mut other, "other.test", "/");
    let document = script.finish().document;

    let told = document.connections.iter().flat_map(|it| {
        let comments = it.comments.iter();
        comments.map(|comment| {
            (
                it.client.port,
                comment.end,
                comment.frame,
                &comment.text[..],
            )
        })
    });
    let text = r"too late\x0a\x1b[31m?";
    assert_eq!(told.collect::<Vec<_>>(), [(40_000, End::Server, 8, text)]);
    let lines = document.journeys.iter().flat_map(|journey| {
        let lines = journey.timeline.iter();
        let comments = lines.filter(|line| line.evidence.contains("comment"));
        comments.map(|line| {
            (
                journey.host.as_deref(),
                &line.summary[..],
                &line.evidence[..],
            )
        })
    });
    let summary = format!("comment: {text}");
    let expected = (Some("shop.test"), &summary[..], "pcapng comment, frame 8");
    assert_eq!(lines.collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_thousand_comments_are_a_hundred() {
    let mut script = Script::of_file(Limits::default());
    let mut wire = script.wire(40_000, (server(1), SERVER));
    script.open(&mut wire);
    for _ in 0..1000 {
        script.note = comment(&"x".repeat(1000));
        script.segment(&mut wire, true, Flags::Ack, b"");
    }
    let connection = script.assembler.connections.iter().next().unwrap();
    assert!((100_000..150_000).contains(&connection.weight()));
    script.exchange(&mut wire, "shop.test", "/");
    let document = script.finish().document;
    assert_eq!(document.connections[0].comments.len(), 100);
}

#[test]
fn the_process_that_a_file_names_is_the_client_by_its_word() {
    for by_server in [false, true] {
        let mut script = Script::of_file(Limits::default());
        let mut wire = script.wire(40_000, (server(1), SERVER));
        // Frames leave the host of the client and come from the server: either way it is
        // the process of the host that captured.
        if !by_server {
            script.note = named(4711, "Safari\u{7}");
        }
        script.segment(&mut wire, true, Flags::Syn, b"");
        if by_server {
            script.note = named(4711, "Safari\u{7}");
        }
        script.segment(&mut wire, false, Flags::SynAck, b"");
        script.note = named(4712, "later");
        script.segment(&mut wire, true, Flags::Ack, b"");
        script.exchange(&mut wire, "shop.test", "/");
        let document = script.finish().document;

        let process = document.connections[0].client_process.as_ref().unwrap();
        assert_eq!((process.pid, &process.comm[..]), (4711, r"Safari\x07"));
        assert_eq!(process.exe.as_deref(), Some("/Applications/Safari"));
        assert_eq!(process.attribution, Attribution::Tuple);
        assert_eq!(document.connections[0].server_process, None);
        let journey = &document.journeys[0];
        assert_eq!(journey.process.as_ref(), Some(process));
        let evidence = format!("pcapng process block, frame {}", 1 + u8::from(by_server));
        let lines = journey.timeline.iter();
        let line = lines.clone().find(|line| line.evidence == evidence);
        let summary = r"the capture file names Safari\x07[4711] as the client";
        assert_eq!(line.unwrap().summary, summary);
    }
}

#[test]
fn a_file_s_word_gives_way_to_the_kernel_s() {
    let mut script = Script::new(false);
    let mut wire = script.connect_call(40_000, (server(1), SERVER));
    script.note = named(4711, "Safari");
    script.segment(&mut wire, true, Flags::Syn, b"");
    script.segment(&mut wire, false, Flags::SynAck, b"");
    script.exchange(&mut wire, "shop.test", "/");
    let document = script.finish().document;
    let process = document.connections[0].client_process.as_ref().unwrap();
    assert_eq!(process.pid, super::PID);
    assert_eq!(process.attribution, Attribution::SocketCookie);
    let mut lines = document.journeys[0].timeline.iter();
    assert!(!lines.any(|line| line.summary.contains("Safari")));
}

#[test]
fn a_header_that_names_the_process_is_its_evidence() {
    let mut script = Script::of_file(Limits::default());
    let mut wire = script.wire(40_000, (server(1), SERVER));
    script.note = named(4711, "curl");
    if let Some(process) = script.note.as_mut().and_then(|note| note.process.as_mut()) {
        process.by = NamedBy::PacketHeader;
    }
    script.open(&mut wire);
    script.exchange(&mut wire, "shop.test", "/");
    let document = script.finish().document;
    let mut lines = document.journeys[0].timeline.iter();
    let line = lines.find(|line| line.evidence == "PKTAP header, frame 1");
    let summary = "the capture file names curl[4711] as the client";
    assert_eq!(line.unwrap().summary, summary);
}

fn interface(index: u32, name: &str) -> Fact {
    Fact::Interface(Interface {
        index,
        name: name.to_owned(),
        mac: None,
        mtu: 0,
        addresses: Vec::new(),
        temporary: Vec::new(),
        loopback: false,
    })
}

fn of_file(interface: Option<u32>, text: &str) -> Fact {
    Fact::Comment(FileComment {
        interface,
        text: text.to_owned(),
    })
}

#[test]
fn what_is_about_no_connection_is_told_of_the_capture() {
    let mut script = Script::of_file(Limits::default());
    script.fact(of_file(None, "the office\n"));
    script.fact(interface(1, "eth0\u{1b}"));
    script.fact(of_file(Some(1), "at the gateway"));
    script.fact(of_file(Some(2), "nameless"));
    script.note = comment("who is it?");
    script.query("shop.test", resolver());
    let at_ns = script.at_ns;
    let mut wire = script.wire(40_000, (server(1), SERVER));
    script.note = comment("of the connection");
    script.open(&mut wire);
    script.exchange(&mut wire, "shop.test", "/");
    let document = script.finish().document;

    let comment = |interface: Option<&str>, frame, at_ns, text: &str| CaptureComment {
        interface: interface.map(str::to_owned),
        frame,
        at_ns,
        text: text.to_owned(),
    };
    let told = &document.capture.comments;
    let expected = [
        comment(None, None, None, r"the office\x0a"),
        comment(Some(r"eth0\x1b"), None, None, "at the gateway"),
        comment(Some("2"), None, None, "nameless"),
        comment(None, Some(1), Some(at_ns), "who is it?"),
    ];
    assert_eq!(told[..], expected);
    assert_eq!(document.connections[0].comments.len(), 1);
}

#[test]
fn a_thousand_comments_of_a_capture_are_a_hundred() {
    let mut script = Script::of_file(Limits::default());
    for _ in 0..500 {
        script.fact(of_file(None, &"x".repeat(5000)));
        script.note = comment("y");
        script.query("shop.test", resolver());
    }
    let document = script.finish().document;
    let comments = &document.capture.comments;
    assert_eq!(comments.len(), 100);
    assert_eq!(comments[0].text, "x".repeat(1000));
}
