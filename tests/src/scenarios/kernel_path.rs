//! The way through the kernel: every layer that is watched is passed, in order.

use std::env;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::demo::told_with;
use crate::journey;
use crate::program::Tracer;
use crate::requests;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "request_and_response_pass_every_watched_layer_in_order",
        run: every_layer,
    },
    Scenario {
        name: "ipv6_segments_pass_every_watched_layer_in_order",
        run: over_ipv6,
    },
    Scenario {
        name: "layers_of_the_kernel_are_watched_only_on_request",
        run: on_request,
    },
    Scenario {
        name: "kernel_path_is_shown_in_the_text_view",
        run: in_text,
    },
];

const KINDS: [&str; 3] = ["kprobe", "fentry", "tracepoint"];
/// Layers that only functions show.
const OF_FUNCTIONS: [&str; 3] = ["tcp_transmit", "neighbor", "ip_receive"];
/// Each layer, in order, with what may watch it: over IPv4, then over IPv6.
const DOWN: [(&str, &[&str], &[&str]); 6] = [
    ("socket_write", WRITES, WRITES),
    ("tcp_transmit", TRANSMITS, TRANSMITS),
    (
        "ip_output",
        &["__ip_queue_xmit", "ip_queue_xmit", "skb_egress"],
        &["inet6_csk_xmit", "skb_egress"],
    ),
    (
        "neighbor",
        &["ip_finish_output2", "ip_finish_output"],
        &["ip6_finish_output2", "ip6_finish_output"],
    ),
    ("queue", &["net:net_dev_queue"], &["net:net_dev_queue"]),
    (
        "device",
        &["net:net_dev_start_xmit"],
        &["net:net_dev_start_xmit"],
    ),
];
const UP: [(&str, &[&str], &[&str]); 6] = [
    ("driver", &["net:netif_rx"], &["net:netif_rx"]),
    (
        "device_receive",
        &["net:netif_receive_skb"],
        &["net:netif_receive_skb"],
    ),
    (
        "ip_receive",
        &["ip_rcv_core", "ip_rcv"],
        &["ip6_rcv_core", "ipv6_rcv"],
    ),
    (
        "tcp_receive",
        &["tcp_v4_rcv", "tcp:tcp_probe"],
        &["tcp_v6_rcv", "tcp:tcp_probe"],
    ),
    ("wake_up", WAKE_UPS, WAKE_UPS),
    (
        "read",
        &["skb:skb_copy_datagram_iovec"],
        &["skb:skb_copy_datagram_iovec"],
    ),
];
const WRITES: &[&str] = &["tcp_sendmsg", "tcp:tcp_sendmsg_locked"];
/// The latter is for IPv4 alone, but nothing was seen to need it.
const TRANSMITS: &[&str] = &["__tcp_transmit_skb", "tcp_v4_send_check"];
const WAKE_UPS: &[&str] = &["sock_def_readable", "sock:sk_data_ready"];

/// Hosts of the demo that one client asks, each with the family of its addresses.
const HOSTS: [(&str, bool); 2] = [("plain.test", false), ("v6only.test", true)];

/// A request to each host, watched by one kind of hook; `None` where this kernel lacks that kind.
fn requests_watched_by(kind: &str) -> Result<Option<Value>> {
    let force = format!("kernel_path={kind}");
    let program = env::current_exe()?;
    let program = program.to_string_lossy();
    let [plain, v6only] = HOSTS.map(|(host, _)| host);
    let options = ["--format", "json", "-o", "-", "--force-hook", &force];
    let command = ["--", &program, requests::BY_NAME, plain, v6only];
    let outcome = told_with(&[&options[..], &command].concat())?;
    if outcome.code() == Some(4) && kind != "tracepoint" {
        outcome.expect_stderr("kernel_path")?;
        return Ok(None);
    }
    let document = outcome.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    Ok(Some(document))
}

fn every_layer() -> Result<()> {
    passed_by(HOSTS[0])
}

fn over_ipv6() -> Result<()> {
    passed_by(HOSTS[1])
}

fn passed_by((host, ipv6): (&str, bool)) -> Result<()> {
    for kind in KINDS {
        if let Some(document) = requests_watched_by(kind)? {
            check(&document, kind, host, ipv6).with_context(|| format!("{kind}: {document:#}"))?;
        }
    }
    Ok(())
}

fn check(document: &Value, kind: &str, host: &str, ipv6: bool) -> Result<()> {
    let watched = attached(document);
    let journeys = document["journeys"].as_array().context("no journeys")?;
    let mut journeys = journeys.iter();
    let told = journeys.find(|told| told["host"] == host);
    let told = told.context("no journey to the host")?;
    let connection = journey::connection(document, told)?;
    let path = &connection["kernel_path"];
    ensure!(path.is_object(), "nothing was watched: {watched:?}");
    let down = layers_of(path, "down", &DOWN, &watched, ipv6)?;
    let up = layers_of(path, "up", &UP, &watched, ipv6)?;
    let found: Vec<&str> = down.iter().chain(&up).map(String::as_str).collect();
    for layer in OF_FUNCTIONS {
        let expected = kind != "tracepoint";
        ensure!(found.contains(&layer) == expected, "{layer} in {found:?}");
    }
    for layer in ["ip_output", "queue", "device", "driver", "device_receive"] {
        ensure!(found.contains(&layer), "no {layer} in {found:?}");
    }
    for layer in ["tcp_receive", "read"] {
        ensure!(found.contains(&layer), "no {layer} in {found:?}");
    }
    if kind != "tracepoint" {
        ensure!(found.contains(&"socket_write") && found.contains(&"wake_up"));
    }
    // The server is in a namespace of its own, and nobody but the client has its socket.
    let is_told = found.contains(&"socket_write");
    let expected = if is_told { json!([]) } else { Value::Null };
    ensure!(connection["client_writers"] == expected, "{connection:#}");
    ensure!(connection["server_writers"].is_null(), "{connection:#}");
    for entry in path["summary"].as_array().context("no summary")? {
        ensure!(entry["segments"].as_u64() > Some(0), "{entry}");
        ensure!(
            entry["median_ns"].as_u64() <= entry["max_ns"].as_u64(),
            "{entry}"
        );
    }
    Ok(())
}

/// What watches the way through the kernel.
fn attached(document: &Value) -> Vec<String> {
    let hooks = document["capture"]["hooks"]
        .as_array()
        .into_iter()
        .flatten();
    hooks
        .filter(|hook| hook["fact"] == "kernel_path" && hook["status"] == "attached")
        .filter_map(|hook| hook["target"].as_str().map(str::to_owned))
        .collect()
}

/// The layers of every segment of one direction at the client: those that are watched, all
/// of them, in order. Returns their names.
fn layers_of(
    path: &Value,
    way: &str,
    order: &[(&str, &[&str], &[&str])],
    watched: &[String],
    ipv6: bool,
) -> Result<Vec<String>> {
    let expected: Vec<&str> = order
        .iter()
        .filter(|(_, v4, v6)| {
            let functions = if ipv6 { v6 } else { v4 };
            functions
                .iter()
                .any(|name| watched.iter().any(|w| w == name))
        })
        .map(|(layer, _, _)| *layer)
        .collect();
    let segments = path[way].as_array().context("no list")?;
    let of_client: Vec<&Value> = segments.iter().filter(|s| s["end"] == "client").collect();
    ensure!(!of_client.is_empty(), "no segment went {way}");
    let mut whole = false;
    for segment in &of_client {
        let steps = segment["layers"].as_array().context("no layers")?;
        let names: Vec<&str> = steps.iter().filter_map(|s| s["layer"].as_str()).collect();
        let rest: Vec<&str> = expected
            .iter()
            .copied()
            .filter(|layer| names.contains(layer) || !may_be_passed_by(layer, watched))
            .collect();
        ensure!(
            names == rest,
            "{names:?} instead of {expected:?}: {segment:#}"
        );
        whole |= names == expected;
        let mut last = segment["at_ns"].as_u64().context("no time")?;
        for step in steps {
            let at = step["at_ns"].as_u64().context("no time of a layer")?;
            ensure!(at >= last, "before the layer above: {segment:#}");
            last = at + step["duration_ns"].as_u64().unwrap_or(0);
            let function = step["function"].as_str().unwrap_or_default();
            ensure!(
                watched.iter().any(|w| w == function),
                "{function:?} was not attached"
            );
        }
    }
    ensure!(
        whole,
        "no segment passed all of {expected:?}: {segments:#?}"
    );
    Ok(expected.into_iter().map(str::to_owned).collect())
}

/// A process that is not waiting is not woken, and `tcp:tcp_probe` is in the way of
/// established connections only: once this end has sent its FIN, it is silent.
fn may_be_passed_by(layer: &str, watched: &[String]) -> bool {
    let by_probe = || watched.iter().any(|target| target == "tcp:tcp_probe");
    layer == "wake_up" || layer == "tcp_receive" && by_probe()
}

/// A text report needs none of it, so nothing is attached and packets cost what they did.
fn on_request() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let inside =
        |arguments: &[&str]| Tracer::new(arguments).with(|program| program.folder(folder.path()));
    let capture = ["demo", "--save", "capture.pcapng", "http://plain.test/"];
    inside(&capture).run()?.expect_code(0)?;
    let read = ["read", "--format", "json", "capture.pcapng"];
    let document = inside(&read).run()?.expect_code(0)?.json()?;
    ensure!(attached(&document).is_empty(), "{:#}", document["capture"]);
    ensure!(
        document["capture"]["complete"] == true,
        "{:#}",
        document["capture"]
    );
    for connection in document["connections"]
        .as_array()
        .context("no connections")?
    {
        ensure!(connection["kernel_path"].is_null(), "{connection:#}");
    }
    Ok(())
}

fn in_text() -> Result<()> {
    let outcome = told_with(&["-v"])?.expect_code(0)?;
    for words in ["request down", "response up", "net:net_dev_queue"] {
        ensure!(
            outcome.stdout.contains(words),
            "no {words}: {}",
            outcome.describe()
        );
    }
    let outcome = told_with(&["--layers"])?.expect_code(0)?;
    ensure!(
        outcome.stdout.contains("through the kernel"),
        "{}",
        outcome.describe()
    );
    Ok(())
}
