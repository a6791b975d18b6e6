//! Journeys in the network of the demo: each stage of the story, and each way it can fail.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::demo::told_with;
use crate::journey::{self, strings};
use crate::outcome::Outcome;
use crate::program::Tracer;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "demo_shows_every_stage_of_an_encrypted_fetch",
        run: every_stage,
    },
    Scenario {
        name: "demo_decrypts_the_built_in_clients_own_exchange",
        run: decrypted,
    },
    Scenario {
        name: "demo_text_view_has_a_row_for_every_phase",
        run: text_view,
    },
    Scenario {
        name: "verbose_view_names_the_evidence_of_every_event",
        run: verbose_view,
    },
    Scenario {
        name: "layers_view_opens_packets_as_nested_boxes",
        run: layers_view,
    },
    Scenario {
        name: "ndjson_journey_needs_no_join",
        run: ndjson,
    },
    Scenario {
        name: "ipv6_is_traced_like_ipv4",
        run: ipv6,
    },
    Scenario {
        name: "plain_http_is_decoded",
        run: plain_http,
    },
    Scenario {
        name: "literal_address_needs_no_resolution",
        run: literal,
    },
    Scenario {
        name: "redirects_are_linked_journeys",
        run: redirects,
    },
    Scenario {
        name: "another_client_is_traced_without_its_secrets",
        run: foreign_client,
    },
    Scenario {
        name: "nxdomain_fails_at_resolve",
        run: nxdomain,
    },
    Scenario {
        name: "silent_dns_server_fails_with_its_retries",
        run: silent_dns,
    },
    Scenario {
        name: "closed_port_fails_as_refused",
        run: refused,
    },
    Scenario {
        name: "missing_neighbor_fails_as_host_unreachable",
        run: unreachable,
    },
    Scenario {
        name: "wrong_certificate_fails_at_tls",
        run: bad_certificate,
    },
    Scenario {
        name: "tls_alert_of_the_server_is_named",
        run: alert,
    },
    Scenario {
        name: "server_that_closes_early_fails_at_http_or_tls",
        run: closes_early,
    },
];

/// A demo of one stage, or of one failure.
fn demo(arguments: &[&str], code: i32) -> Result<Outcome> {
    let all = ["demo", "--format", "json"].iter().chain(arguments);
    Tracer::sparing(all).run()?.expect_code(code)
}

fn fetched(arguments: &[&str]) -> Result<Value> {
    let document = demo(arguments, 0)?.json()?;
    journey::check_invariants(&document)?;
    Ok(document)
}

/// The demo as everybody gets it.
fn whole_story() -> Result<Value> {
    let document = told_with(&["--format", "json"])?.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    Ok(document)
}

fn every_stage() -> Result<()> {
    let document = whole_story()?;
    let told = &document["journeys"][0];
    let connection = journey::connection(&document, told)?;
    let context = || format!("{document:#}");

    ensure!(told["url"] == "https://www.shop.test/", "{}", told["url"]);
    ensure!(told["outcome"] == "ok", context());
    ensure!(document["capture"]["complete"] == true, context());
    ensure!(
        told["resolution"]["source"] == "dns",
        "{}",
        told["resolution"]
    );
    let chain = strings(&told["resolution"]["chain"]);
    let expected = ["www.shop.test", "shop.cdn.test", "edge7.gslb.test"];
    ensure!(chain == expected, "{chain:?}");
    ensure!(
        told["resolution"]["getaddrinfo"]["name"] == "www.shop.test",
        "{}",
        told["resolution"]
    );
    let files = strings(&told["resolution"]["files"]);
    ensure!(
        files.contains(&"/etc/hosts".to_owned()),
        "/etc/hosts was not seen: {files:?}"
    );
    let types: Vec<_> = journey::dns(&document, told)?
        .iter()
        .map(|query| query["question"]["type"].clone())
        .collect();
    ensure!(types.len() == 2, "A and AAAA expected: {types:?}");

    let route = &told["route"];
    ensure!(route["on_link"] == false, "{route}");
    ensure!(route["interface"] == "eth0", "{route}");
    let gateway: IpAddr = route["gateway"].as_str().context("no gateway")?.parse()?;
    let neighbor = journey::neighbor(&document, told)?;
    ensure!(neighbor["ip"] == gateway.to_string(), "{neighbor}");
    ensure!(neighbor["outcome"] == "resolved", "{neighbor}");
    for phase in [
        "resolve", "route", "neighbor", "connect", "tls", "request", "wait", "response",
    ] {
        ensure!(
            !told["phases"][phase].is_null(),
            "no {phase}: {}",
            context()
        );
    }

    let handshake = &connection["handshake"];
    for fact in [
        "syn_at_ns",
        "syn_ack_at_ns",
        "ack_at_ns",
        "rtt_ns",
        "client_isn",
        "server_isn",
    ] {
        ensure!(handshake[fact].is_u64(), "no {fact}: {handshake}");
    }
    ensure!(handshake["client_options"]["mss"].is_u64(), "{handshake}");
    let client = journey::states(connection, "client");
    let server = journey::states(connection, "server");
    ensure!(
        client.starts_with(&["CLOSED>SYN_SENT".into(), "SYN_SENT>ESTABLISHED".into()]),
        "client: {client:?}"
    );
    ensure!(
        server.starts_with(&["LISTEN>SYN_RECV".into(), "SYN_RECV>ESTABLISHED".into()]),
        "server: {server:?}"
    );
    ensure!(
        client.last().is_some_and(|s| s.ends_with(">CLOSED")),
        "{client:?}"
    );
    ensure!(
        server.last().is_some_and(|s| s.ends_with(">CLOSED")),
        "{server:?}"
    );
    ensure!(
        connection["close"]["kind"] == "fin",
        "{}",
        connection["close"]
    );

    let process = &told["process"];
    ensure!(process["attribution"] == "socket-cookie", "{process}");
    ensure!(process["comm"] == "tracer", "{process}");
    let server_process = &connection["server_process"];
    ensure!(server_process["pid"].is_u64(), "{server_process}");
    ensure!(server_process["pid"] != process["pid"], "{server_process}");
    Ok(())
}

fn decrypted() -> Result<()> {
    let document = whole_story()?;
    let told = &document["journeys"][0];
    let connection = journey::connection(&document, told)?;
    let tls = &connection["tls"];
    ensure!(tls["version"] == "1.3", "{tls:#}");
    ensure!(tls["sni"] == "www.shop.test", "{tls:#}");
    ensure!(tls["alpn"] == "h2", "{tls:#}");
    ensure!(tls["decrypted_by"] == "keylog", "{tls:#}");
    let certificates = tls["certificates"].as_array().context("no certificates")?;
    ensure!(
        certificates.len() == 2,
        "chain of 2 expected: {certificates:?}"
    );
    let names = strings(&certificates[0]["san"]);
    ensure!(names.contains(&"www.shop.test".to_owned()), "{names:?}");
    let messages: Vec<String> = tls["records"]
        .as_array()
        .context("no records")?
        .iter()
        .flat_map(|record| strings(&record["messages"]))
        .collect();
    for message in [
        "ClientHello",
        "ServerHello",
        "EncryptedExtensions",
        "Certificate",
        "CertificateVerify",
        "Finished",
    ] {
        ensure!(
            messages.iter().any(|found| found == message),
            "no {message} in {messages:?}"
        );
    }
    let exchange = &connection["http"][0];
    ensure!(exchange["version"] == "2", "{exchange:#}");
    ensure!(exchange["method"] == "GET", "{exchange:#}");
    ensure!(exchange["status"] == 200, "{exchange:#}");
    ensure!(
        exchange["response_body_bytes"].as_u64() > Some(0),
        "{exchange:#}"
    );
    Ok(())
}

fn text_view() -> Result<()> {
    let outcome = Tracer::new(["demo"]).run()?.expect_code(0)?;
    let head = outcome.stdout.lines().next().unwrap_or_default();
    for words in ["GET https://www.shop.test/", "200", "HTTP/2", "TLS 1.3"] {
        ensure!(
            outcome.stdout.contains(words),
            "no {words:?} in {head:?}\n{}",
            outcome.describe()
        );
    }
    for row in [
        "resolve", "route", "neighbor", "connect", "tls", "request", "wait", "response",
    ] {
        let found = outcome
            .stdout
            .lines()
            .any(|line| line.trim_start().starts_with(row));
        ensure!(found, "no row {row}\n{}", outcome.describe());
    }
    ensure!(
        !outcome.stdout.contains('\u{1b}'),
        "colours although standard output is no terminal"
    );
    Ok(())
}

fn verbose_view() -> Result<()> {
    let outcome = told_with(&["-v"])?.expect_code(0)?;
    for words in [
        "getaddrinfo(www.shop.test)",
        "ARP",
        "SYN-ACK",
        "SYN_SENT -> ESTABLISHED",
        "LISTEN -> SYN_RECV",
        "ClientHello",
        "FIN",
        "frame",
        "/etc/hosts",
    ] {
        ensure!(
            outcome.stdout.contains(words),
            "no {words:?}\n{}",
            outcome.describe()
        );
    }
    Ok(())
}

fn layers_view() -> Result<()> {
    let outcome = told_with(&["--layers"])?.expect_code(0)?;
    for words in ["Ethernet", "ARP", "IPv4", "TCP", "UDP", "DNS", "TLS"] {
        ensure!(
            outcome.stdout.contains(words),
            "no {words:?}\n{}",
            outcome.describe()
        );
    }
    Ok(())
}

fn ndjson() -> Result<()> {
    let outcome = Tracer::new(["demo", "--format", "ndjson"]).run()?;
    let lines = outcome.expect_code(0)?.json_lines()?;
    let types: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    ensure!(
        types.len() == lines.len(),
        "a line without a type: {lines:?}"
    );
    ensure!(types.first() == Some(&"capture"), "{types:?}");
    ensure!(types.last() == Some(&"lost"), "{types:?}");
    let journey = lines.iter().find(|line| line["type"] == "journey");
    let journey = journey.context("no journey line")?;
    ensure!(
        journey["connection"]["handshake"].is_object(),
        "the journey does not hold its connection: {journey:#}"
    );
    ensure!(
        journey["dns"]
            .as_array()
            .is_some_and(|dns| dns[0].is_object()),
        "the journey does not hold its DNS exchanges: {journey:#}"
    );
    Ok(())
}

fn ipv6() -> Result<()> {
    let document = fetched(&["https://v6only.test/"])?;
    let told = &document["journeys"][0];
    let connection = journey::connection(&document, told)?;
    let server = connection["server"]["ip"].as_str().unwrap_or_default();
    ensure!(server.contains(':'), "{server}");
    ensure!(told["outcome"] == "ok", "{told:#}");
    let neighbor = journey::neighbor(&document, told)?;
    ensure!(neighbor["protocol"] == "ndp", "{neighbor}");
    ensure!(told["route"]["on_link"] == false, "{}", told["route"]);
    let client = journey::states(connection, "client");
    ensure!(
        client.first().is_some_and(|s| s == "CLOSED>SYN_SENT"),
        "{client:?}"
    );
    Ok(())
}

fn plain_http() -> Result<()> {
    let document = fetched(&["http://plain.test/"])?;
    let told = &document["journeys"][0];
    let connection = journey::connection(&document, told)?;
    ensure!(told["scheme"] == "http", "{told:#}");
    ensure!(connection["tls"].is_null(), "{connection:#}");
    ensure!(connection["http"][0]["status"] == 200, "{connection:#}");
    ensure!(connection["http"][0]["version"] == "1.1", "{connection:#}");
    ensure!(told["phases"]["tls"].is_null(), "{told:#}");
    Ok(())
}

fn literal() -> Result<()> {
    let document = fetched(&["http://10.77.2.80/"])?;
    let told = &document["journeys"][0];
    ensure!(
        told["resolution"]["source"] == "literal",
        "{}",
        told["resolution"]
    );
    ensure!(
        document["dns"].as_array().is_some_and(Vec::is_empty),
        "{document:#}"
    );
    ensure!(told["outcome"] == "ok", "{told:#}");
    Ok(())
}

fn redirects() -> Result<()> {
    let document = fetched(&["-L", "http://redirect.test/"])?;
    let journeys = document["journeys"].as_array().context("no journeys")?;
    ensure!(journeys.len() == 2, "{} journeys", journeys.len());
    ensure!(
        journeys[0]["url"] == "http://redirect.test/",
        "{}",
        journeys[0]["url"]
    );
    ensure!(
        journeys[1]["url"] == "https://www.shop.test/",
        "{}",
        journeys[1]["url"]
    );
    ensure!(
        journeys[1]["caused_by"] == journeys[0]["id"],
        "{:#}",
        journeys[1]
    );
    Ok(())
}

fn foreign_client() -> Result<()> {
    if crate::program::find_program("curl").is_none() {
        return Err(crate::scenario::Skipped("curl is not installed here".into()).into());
    }
    let document = demo(
        &["-o", "-", "--", "curl", "-sk", "https://www.shop.test/"],
        0,
    )?
    .json()?;
    journey::check_invariants(&document)?;
    let told = &document["journeys"][0];
    let connection = journey::connection(&document, told)?;
    ensure!(told["process"]["comm"] == "curl", "{}", told["process"]);
    ensure!(told["host"] == "www.shop.test", "{told:#}");
    ensure!(told["outcome"] == "ok", "{told:#}");
    let tls = &connection["tls"];
    ensure!(tls["sni"] == "www.shop.test", "{tls:#}");
    ensure!(tls["decrypted_by"] == "none", "{tls:#}");
    ensure!(
        tls["certificates"].as_array().is_some_and(Vec::is_empty),
        "a TLS 1.3 certificate cannot be known without keys: {tls:#}"
    );
    ensure!(
        connection["http"].as_array().is_some_and(Vec::is_empty),
        "{connection:#}"
    );
    Ok(())
}

/// The one journey of a failed fetch.
fn failed(url: &str, stage: &str, kinds: &[&str]) -> Result<Value> {
    let document = demo(&[url], 1)?.json()?;
    journey::check_invariants(&document)?;
    let journeys = document["journeys"].as_array().context("no journeys")?;
    ensure!(
        journeys.len() == 1,
        "{} journeys: {document:#}",
        journeys.len()
    );
    let told = &journeys[0];
    ensure!(told["outcome"] == "failed", "{told:#}");
    let failure = &told["failure"];
    ensure!(failure["stage"] == stage, "{failure}");
    let kind = failure["kind"].as_str().unwrap_or_default();
    ensure!(kinds.contains(&kind), "{failure}");
    let evidence = failure["evidence"].as_array();
    ensure!(
        evidence.is_some_and(|e| !e.is_empty()),
        "no evidence: {failure}"
    );
    Ok(document.clone())
}

fn nxdomain() -> Result<()> {
    let document = failed("https://nowhere.test/", "resolve", &["nxdomain"])?;
    ensure!(
        document["dns"][0]["rcode"] == "NXDOMAIN",
        "{}",
        document["dns"]
    );
    ensure!(
        document["connections"]
            .as_array()
            .is_some_and(Vec::is_empty),
        "{document:#}"
    );
    Ok(())
}

fn silent_dns() -> Result<()> {
    let document = failed("https://silent.test/", "resolve", &["dns_timeout"])?;
    let retried = document["dns"].as_array().is_some_and(|queries| {
        let attempts = |q: &Value| q["attempts"].as_array().map_or(0, Vec::len);
        queries.iter().map(attempts).max() >= Some(2)
    });
    ensure!(retried, "no retries: {}", document["dns"]);
    Ok(())
}

fn refused() -> Result<()> {
    let document = failed("https://refused.test/", "connect", &["refused"])?;
    let close = &document["connections"][0]["close"];
    ensure!(
        close["kind"] == "rst" && close["first"] == "server",
        "{close}"
    );
    Ok(())
}

fn unreachable() -> Result<()> {
    let document = failed("http://unreachable.test/", "neighbor", &["neighbor_failed"])?;
    let neighbor = document["neighbors"]
        .as_array()
        .and_then(|all| all.iter().find(|n| n["outcome"] == "failed"));
    let attempts = neighbor
        .and_then(|n| n["attempts"].as_array())
        .map_or(0, Vec::len);
    ensure!(attempts >= 2, "retries expected: {}", document["neighbors"]);
    Ok(())
}

fn bad_certificate() -> Result<()> {
    failed("https://badcert.test/", "tls", &["certificate"])?;
    failed("https://expired.test/", "tls", &["certificate"])?;
    Ok(())
}

fn alert() -> Result<()> {
    let document = failed("https://alert.test/", "tls", &["alert"])?;
    let alerts = &document["connections"][0]["tls"]["alerts"];
    ensure!(alerts[0]["end"] == "server", "{alerts}");
    ensure!(alerts[0]["description"] == "handshake_failure", "{alerts}");
    Ok(())
}

fn closes_early() -> Result<()> {
    let document = demo(&["https://closes.test/"], 1)?.json()?;
    journey::check_invariants(&document)?;
    let failure = &document["journeys"][0]["failure"];
    let stage = failure["stage"].as_str().unwrap_or_default();
    ensure!(["tls", "http"].contains(&stage), "{failure}");
    let kind = failure["kind"].as_str().unwrap_or_default();
    ensure!(["closed_early", "reset"].contains(&kind), "{failure}");
    Ok(())
}
