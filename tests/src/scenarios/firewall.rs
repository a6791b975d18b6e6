//! What a firewall of this host drops, wherever on the way it does so.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::facts::is_served;
use crate::journey;
use crate::network::Network;
use crate::program::{Tracer, find_program, must_run};
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_segment_that_a_firewall_drops_is_told_before_and_behind_the_frame_hooks",
    run: dropped,
}];

fn dropped() -> Result<()> {
    if find_program("nft").is_none() {
        return Err(Skipped("nftables is not installed here".into()).into());
    }
    // On the way out no frame was seen yet; on the way in one was.
    for (chain, kind) in [
        ("output", "not_sent"),
        ("prerouting", "timeout"),
        ("input", "timeout"),
    ] {
        Network::create()?
            .inside(|| dropped_in(chain, kind))
            .with_context(|| format!("in {chain}"))?;
    }
    Ok(())
}

fn dropped_in(chain: &str, kind: &str) -> Result<()> {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = server.local_addr()?.port();
    let rules = format!(
        "table ip scenario {{ chain one {{ type filter hook {chain} priority 0; tcp dport {port} drop; }}; }}\n"
    );
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), rules)?;
    must_run("nft", &["-f", &file.path().to_string_lossy()])?;

    let url = format!("http://127.0.0.1:{port}/");
    let arguments = ["fetch", "--connect-timeout", "1", "--format", "json", &url];
    let document = Tracer::new(arguments).run()?.expect_code(1)?.json()?;
    journey::check_invariants(&document)?;
    let told = &document["journeys"][0];
    ensure!(told["failure"]["kind"] == kind, "{told:#}");
    let connection = journey::connection(&document, told)?;
    let drops = connection["drops"].as_array().context("no drops")?;
    if !is_served(&document, "packet_drop") {
        let reason = "this kernel has no reasons of drops";
        return Err(Skipped(reason.into()).into());
    }
    let is_told = |it: &Value| {
        it["reason"] == "NETFILTER_DROP" && it["end"] == "client" && it["flags"] == "SYN"
    };
    ensure!(
        !drops.is_empty() && drops.iter().all(is_told),
        "{connection:#}"
    );
    let mut findings = told["findings"].as_array().context("no findings")?.iter();
    let found = findings.any(|finding| finding["kind"] == "kernel_drop");
    ensure!(found, "{told:#}");
    Ok(())
}
