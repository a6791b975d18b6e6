//! What the built-in client says about each scenario of the lab.

use super::{start, trial};
use anyhow::{Context, ensure};
use libtest_mimic::Trial;
use std::process::ExitStatus;
use tracer::capture::{ClientEvent, Fact};
use tracer::client::{self, RequestOptions};
use tracer::lab::{CA_PATH, Lab};
use tracer::launch;

/// How a fetch must end.
#[derive(Clone, Copy)]
enum End {
    Status(u16),
    /// Stage, and words of the message.
    Failed(&'static str, &'static str),
}

use End::{Failed, Status};

const SCENARIOS: [(&str, &[&str], End); 22] = [
    ("cname_chain", &["https://www.shop.test/"], Status(200)),
    (
        "http_1_1",
        &["--http1.1", "https://www.shop.test/"],
        Status(200),
    ),
    ("over_ipv6", &["-6", "https://www.shop.test/"], Status(200)),
    ("ipv4_only_name", &["https://v4only.test/"], Status(200)),
    ("ipv6_only_name", &["https://v6only.test/"], Status(200)),
    ("literal_ipv4", &["https://10.77.2.80/"], Status(200)),
    ("literal_ipv6", &["https://[fd77:2::80]/"], Status(200)),
    ("answer_over_tcp", &["https://long.test/"], Status(200)),
    ("plain_http", &["http://plain.test/"], Status(200)),
    ("not_found", &["http://plain.test/nothing"], Status(404)),
    (
        "head",
        &["-X", "HEAD", "https://www.shop.test/"],
        Status(200),
    ),
    (
        "post",
        &["-d", "a=1", "https://www.shop.test/form"],
        Status(404),
    ),
    ("insecure", &["-k", "https://badcert.test/"], Status(200)),
    (
        "no_such_name",
        &["https://nowhere.test/"],
        Failed("resolve", "not known"),
    ),
    (
        "no_dns_answer",
        &["https://silent.test/"],
        Failed("resolve", "temporary failure"),
    ),
    (
        "no_ipv4",
        &["-4", "https://v6only.test/"],
        Failed("resolve", "no address"),
    ),
    (
        "refused",
        &["http://refused.test/"],
        Failed("connect", "connection refused"),
    ),
    (
        "unreachable",
        &["http://unreachable.test/"],
        Failed("connect", "no route to host"),
    ),
    (
        "wrong_name",
        &["https://badcert.test/"],
        Failed("tls", "somebody-else.test"),
    ),
    (
        "expired",
        &["https://expired.test/"],
        Failed("tls", "expired 30 days ago"),
    ),
    (
        "alert",
        &["https://alert.test/"],
        Failed("tls", "handshake_failure"),
    ),
    (
        "closes_early",
        &["https://closes.test/partial"],
        Failed("http", "before the response was complete"),
    ),
];

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = SCENARIOS
        .into_iter()
        .map(|(name, arguments, end)| {
            trial(&format!("fetch_{name}"), move || async move {
                let fetched = fetch(&start()?, arguments).await?;
                fetched.check(end)
            })
        })
        .collect();
    trials.push(trial("fetch_closes_without_an_answer", || async {
        let lab = start()?;
        for url in ["https://closes.test/", "http://closes.test/"] {
            let end = Failed("http", "before the response was complete");
            fetch(&lab, &[url]).await?.check(end)?;
        }
        Ok(())
    }));
    trials.push(trial("fetch_gives_up_in_time", || async {
        let arguments = ["--max-time", "0.3", "http://unreachable.test/"];
        let fetched = fetch(&start()?, &arguments).await?;
        fetched.check(Failed("connect", "timed out after 0.3 s"))
    }));
    trials.push(trial(
        "redirects_are_followed_with_reports_of_their_own",
        redirects,
    ));
    trials.push(trial(
        "tls_secrets_of_one_session_arrive_before_its_end",
        secrets,
    ));
    trials.push(trial("the_client_closes_first_and_in_order", orderly_close));
    trials.push(trial("unusable_options_end_with_code_2", unusable));
    trials
}

/// What a client process said and how it ended.
struct Fetched {
    facts: Vec<Fact>,
    status: ExitStatus,
}

async fn fetch(lab: &Lab, arguments: &[&str]) -> anyhow::Result<Fetched> {
    let mut options = parse(arguments)?;
    options.cacert.get_or_insert_with(|| CA_PATH.into());
    let (mut spec, mut pipes) = client::launch_spec(&options)?;
    lab.place(&mut spec)?;
    let mut launched = launch::start(spec).await?;
    let pid = launched.pid;
    launched.go();
    let mut facts = Vec::new();
    while let Some(statement) = pipes.next().await {
        if let Fact::Client(report) = &statement.fact {
            ensure!(report.pid == pid, "{report:?} is not from {pid}");
            ensure!(statement.boottime_ns > Some(0), "a report without its time");
        }
        facts.push(statement.fact);
    }
    let status = launched.wait().await?;
    Ok(Fetched { facts, status })
}

fn parse(arguments: &[&str]) -> anyhow::Result<RequestOptions> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: RequestOptions,
    }
    let line = ["fetch"].iter().chain(arguments);
    Ok(<Line as clap::Parser>::try_parse_from(line)?.options)
}

impl Fetched {
    fn events(&self) -> Vec<(&str, &ClientEvent)> {
        let reports = self.facts.iter().filter_map(|fact| match fact {
            Fact::Client(report) => Some((report.url.as_str(), &report.event)),
            _ => None,
        });
        reports.collect()
    }

    fn check(&self, end: End) -> anyhow::Result<()> {
        let events = self.events();
        let [(started, ClientEvent::Started), (ended, last)] = events.as_slice() else {
            anyhow::bail!("not one start and one end: {events:?}");
        };
        ensure!(started == ended);
        let (as_expected, code) = match (end, last) {
            (Status(expected), ClientEvent::Finished { status }) => (expected == *status, 0),
            (Failed(expected, words), ClientEvent::Failed { stage, message }) => {
                (expected == stage && message.contains(words), 1)
            }
            _ => (false, 0),
        };
        ensure!(as_expected, "it ended with {last:?}");
        ensure!(self.status.code() == Some(code), "exit: {}", self.status);
        Ok(())
    }
}

async fn redirects() -> anyhow::Result<()> {
    let fetched = fetch(&start()?, &["-L", "http://redirect.test/"]).await?;
    let events = fetched.events();
    let expected = [
        ("http://redirect.test/", ClientEvent::Started),
        (
            "http://redirect.test/",
            ClientEvent::Finished { status: 301 },
        ),
        ("https://www.shop.test/", ClientEvent::Started),
        (
            "https://www.shop.test/",
            ClientEvent::Finished { status: 200 },
        ),
    ];
    ensure!(
        events
            .iter()
            .map(|(url, event)| (*url, (*event).clone()))
            .eq(expected),
        "{events:?}"
    );
    ensure!(fetched.status.success());
    Ok(())
}

async fn secrets() -> anyhow::Result<()> {
    let fetched = fetch(&start()?, &["https://www.shop.test/"]).await?;
    let last = fetched.facts.last().context("facts")?;
    ensure!(matches!(last, Fact::Client(_)), "secrets after the end");
    let lines: Vec<Vec<&str>> = fetched
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::TlsSecret(line) => Some(line.split(' ').collect()),
            _ => None,
        })
        .collect();
    for label in [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ] {
        let found = lines.iter().filter(|line| line.first() == Some(&label));
        ensure!(found.count() == 1, "{label} in {lines:?}");
    }
    let random = |line: &Vec<&str>| line.get(1).map(|random| random.len());
    ensure!(
        lines
            .iter()
            .all(|line| line.len() == 3 && random(line) == Some(64))
    );
    Ok(())
}

/// TIME_WAIT is where only the end arrives that closed first and saw the peer's FIN
/// (RFC 9293, figure 5); a reset leaves nothing.
async fn orderly_close() -> anyhow::Result<()> {
    for arguments in [
        ["--http1.1", "https://www.shop.test/"],
        ["--http2", "https://www.shop.test/"],
        ["--http1.1", "http://plain.test/"],
    ] {
        let lab = start()?;
        fetch(&lab, &arguments).await?.check(Status(200))?;
        let inside = lab.enter_client()?;
        let sockets = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
        drop(inside);
        let states: Vec<&str> = sockets
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(3))
            .collect();
        ensure!(states == ["06"], "{arguments:?} left\n{sockets}");
    }
    Ok(())
}

async fn unusable() -> anyhow::Result<()> {
    let lab = start()?;
    for arguments in [
        ["--cacert", "/nonexistent", "https://www.shop.test/"],
        ["--body", "/nonexistent/x", "https://www.shop.test/"],
        ["-d", "@/nonexistent", "https://www.shop.test/"],
    ] {
        let fetched = fetch(&lab, &arguments).await?;
        ensure!(fetched.facts.is_empty(), "{:?}", fetched.facts);
        ensure!(fetched.status.code() == Some(2), "{}", fetched.status);
    }
    Ok(())
}
