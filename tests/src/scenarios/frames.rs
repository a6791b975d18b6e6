//! Every way to see frames, alone, shows the same request.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::journey;
use crate::program::Tracer;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "every_hook_that_can_see_frames_shows_the_same",
    run: frame_hooks,
}];

/// Hooks of arriving and of leaving frames.
const WAYS: &[(&str, &str)] = &[
    ("xdp", "tcx"),
    ("xdp", "clsact"),
    ("tcx", "clsact"),
    ("clsact", "tcx"),
    ("clsact", "clsact"),
];

fn frame_hooks() -> Result<()> {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for (arriving, leaving) in WAYS {
        let way = format!("{arriving}, {leaving}");
        let forced = [
            format!("frames_in={arriving}"),
            format!("frames_out={leaving}"),
        ];
        let mut arguments = vec!["demo", "--format", "json", "http://www.shop.test/"];
        arguments.extend(forced.iter().flat_map(|it| ["--force-hook", it]));
        let outcome = Tracer::sparing(arguments).run()?;
        if outcome.code() == Some(4) {
            // This kernel does not offer it; the message says so.
            let named = outcome.stderr.contains(arriving) || outcome.stderr.contains(leaving);
            ensure!(named, "{}", outcome.describe());
            continue;
        }
        let document = outcome.expect_code(0)?.json()?;
        journey::check_invariants(&document)?;
        ensure!(document["capture"]["complete"] == true, "{document:#}");
        told.push((way, seen(&document)?));
    }
    let (first, shown) = told.first().context("no hook at all")?;
    for (way, others) in &told {
        ensure!(shown == others, "{first}: {shown:#?}\n{way}: {others:#?}");
    }
    Ok(())
}

/// What frames alone tell, without times and what differs from run to run.
fn seen(document: &Value) -> Result<Vec<String>> {
    let told = &document["journeys"][0];
    let connection = journey::connection(document, told)?;
    let handshake = &connection["handshake"];
    let mut seen = vec![
        format!("SYN {}", handshake["client_options"]),
        format!("SYN-ACK {}", handshake["server_options"]),
        format!("ACK {}", handshake["ack_at_ns"].is_u64()),
        format!("bytes {}", connection["bytes"]),
        format!("status {}", connection["http"][0]["status"]),
        format!("neighbour {}", journey::neighbor(document, told)?["mac"]),
    ];
    ensure!(told["outcome"] == "ok", "{told:#}");
    for exchange in journey::dns(document, told)? {
        seen.push(format!("{} {}", exchange["question"], exchange["answers"]));
    }
    let messages = connection["close"]["messages"].as_array();
    for message in messages.context("no close")? {
        seen.push(format!("{} {}", message["end"], message["kind"]));
    }
    Ok(seen)
}
