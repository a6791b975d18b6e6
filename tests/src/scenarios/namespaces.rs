//! Other namespaces: their traffic is watched when asked for, and never taken for one's own.

use std::env;
use std::fs;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::owners::start_server;
use super::recording::Files;
use crate::crowd;
use crate::handover::{self, connect_from};
use crate::journey::{connection, states};
use crate::network::Network;
use crate::program::{
    Program, Tracer, find_program, find_tracer, must_run, tracing, watching_with,
};
use crate::requests;
use crate::running::Running;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "netns_fetch_is_a_client_of_that_namespace_and_its_recording_replays",
        run: fetch,
    },
    Scenario {
        name: "netns_run_gives_the_command_that_network_and_its_resolver_files",
        run: command,
    },
    Scenario {
        name: "netns_that_cannot_be_entered_is_named_with_the_reason",
        run: refused,
    },
    Scenario {
        name: "live_in_a_container_names_processes_by_both_their_numbers",
        run: container,
    },
    Scenario {
        name: "what_a_command_does_in_another_namespace_is_unseen_and_no_failure",
        run: out_of_sight,
    },
    Scenario {
        name: "a_tracer_in_a_pid_namespace_says_why_it_cannot_name_processes",
        run: inside_pid_namespace,
    },
    Scenario {
        name: "both_ends_of_a_container_s_connections_have_their_processes",
        run: through_veth,
    },
    Scenario {
        name: "what_a_traced_command_accepts_on_an_inherited_socket_is_told_from_the_syn_on",
        run: given_listener,
    },
    Scenario {
        name: "the_same_addresses_in_another_namespace_are_another_connection",
        run: same_addresses,
    },
];

/// A namespace for one scenario; its name is this process's own.
fn named(word: &str) -> Result<(String, Network)> {
    let name = format!("tracer-{word}-{}", std::process::id());
    let network = Network::named(&name)?;
    Ok((name, network))
}

fn fetch() -> Result<()> {
    let (name, network) = named("fetch")?;
    let (port, pid, _server) = network.inside(start_server)?;
    let url = format!("http://127.0.0.1:{port}/");
    let files = Files::new()?;
    let arguments = [
        "fetch",
        "--netns",
        &name,
        "--save",
        "capture.pcapng",
        "-o",
        "live.json",
        "-o",
        "live.txt",
        &url,
    ];
    files.tracer(&arguments).run()?.expect_code(0)?;
    files.check_replay("live")?;
    let document: Value = serde_json::from_str(&files.text("live.json")?)?;
    let capture = &document["capture"];
    ensure!(capture["network_namespace"] == name, "{capture}");
    ensure!(
        capture["interfaces"] == serde_json::json!(["lo"]),
        "{capture}"
    );
    let journey = &document["journeys"][0];
    ensure!(journey["outcome"] == "ok", "{journey:#}");
    ensure!(
        journey["process"]["attribution"] == "socket-cookie",
        "{journey:#}"
    );
    let server = &connection(&document, journey)?["server_process"];
    ensure!(server["pid"] == pid, "{server}");
    Ok(())
}

/// Files of /etc/netns, removed when dropped.
struct OwnFiles(PathBuf);

impl OwnFiles {
    fn create(name: &str, hosts: &str) -> Result<Self> {
        let folder = Path::new("/etc/netns").join(name);
        fs::create_dir_all(&folder)?;
        let files = Self(folder);
        fs::write(files.0.join("hosts"), hosts)?;
        Ok(files)
    }
}

impl Drop for OwnFiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Fails where other namespaces have files there, which stay.
        let _ = fs::remove_dir("/etc/netns");
    }
}

fn command() -> Result<()> {
    let (name, network) = named("run")?;
    let _files = OwnFiles::create(&name, "127.0.0.1 only.there.test\n")?;
    let (port, ..) = network.inside(start_server)?;
    // That server has ended already: its port is closed.
    let port = port.to_string();
    let tracer = tracing(&["--netns", &name], &[requests::CLIENT, &port, "1"])?;
    let document = tracer.run()?.expect_code(1)?.json()?;
    let failure = &document["journeys"][0]["failure"];
    ensure!(failure["stage"] == "connect", "{document:#}");
    let (port, _pid, _server) = network.inside(start_server)?;
    let url = format!("http://only.there.test:{port}/");
    let arguments = ["fetch", "--netns", &name, "--format", "json", &url];
    let document = Tracer::sparing(arguments).run()?.expect_code(0)?.json()?;
    let journey = &document["journeys"][0];
    ensure!(journey["outcome"] == "ok", "{journey:#}");
    ensure!(journey["host"] == "only.there.test", "{journey:#}");
    // Without it, neither the network nor the name is there.
    let outcome = Tracer::sparing(["fetch", "--format", "json", &url]).run()?;
    outcome.expect_code(1)?;
    Ok(())
}

fn refused() -> Result<()> {
    let error = |name: &str, code, words: [&str; 2]| -> Result<()> {
        let url = "http://127.0.0.1:9/";
        let outcome = Tracer::new(["fetch", "--netns", name, url]).run()?;
        let outcome = outcome.expect_code(code)?;
        for word in words {
            ensure!(outcome.stderr.contains(word), "{}", outcome.describe());
        }
        Ok(())
    };
    error("no-such-name", 2, ["/run/netns has none", "`ip netns`"])?;
    // Above PID_MAX_LIMIT (include/linux/threads.h): no process has it.
    error("4194305", 2, ["process 4194305", "no such process"])?;
    error("../etc", 2, ["neither a name", "nor a pid"])?;
    // What is left of a name when its mount is gone.
    let rest = format!("tracer-rest-{}", std::process::id());
    let path = Path::new("/run/netns").join(&rest);
    fs::create_dir_all("/run/netns")?;
    fs::write(&path, "")?;
    let told = error(&rest, 1, ["is none any more", "`ip netns delete"]);
    fs::remove_file(&path)?;
    told
}

/// The number in a program's line `word NUMBER`, which it wrote at once.
pub(super) fn said(running: &Running, word: &str) -> Result<u64> {
    let start = format!("{word} ");
    let text = running.wait_for_stdout(&start)?;
    let number = text.lines().find_map(|line| line.strip_prefix(&start));
    Ok(number.context("no number")?.parse()?)
}

fn container() -> Result<()> {
    let program = Program::new(env::current_exe()?).args([handover::PART, "contain"]);
    let contained = program.start()?;
    let outer = said(&contained, "child")?;
    let port = said(&contained, "port")?;
    let live = watching_with(&["--netns", &outer.to_string()])?;
    kill(Pid::from_raw(i32::try_from(outer)?), Signal::SIGUSR1)?;
    contained.finish()?.expect_code(0)?;
    live.wait_for_stdout("\"type\":\"journey\"")?;
    live.signal(Signal::SIGINT)?;
    let lines = live.finish()?.expect_code(0)?.json_lines()?;
    let journeys: Vec<&Value> = lines.iter().filter(|l| l["type"] == "journey").collect();
    let [journey] = journeys.as_slice() else {
        anyhow::bail!("{} journeys: {lines:#?}", journeys.len());
    };
    ensure!(
        journey["url"] == format!("http://localhost:{port}/inside"),
        "{journey:#}"
    );
    let connection = &journey["connection"];
    for process in [
        &journey["process"],
        &connection["client_process"],
        &connection["server_process"],
    ] {
        ensure!(process["pid"] == outer, "{outer} expected: {process}");
        ensure!(process["namespace_pid"] == 1, "{process}");
        ensure!(process["attribution"] == "socket-cookie", "{process}");
    }
    Ok(())
}

fn out_of_sight() -> Result<()> {
    let tracer = tracing(&[], &[handover::PART, "apart"])?;
    let document = tracer.run()?.expect_code(0)?.json()?;
    let journey = &document["journeys"][0];
    ensure!(journey["outcome"] == "incomplete", "{journey:#}");
    ensure!(journey["failure"].is_null(), "{journey:#}");
    // This namespace's tables say nothing of that one's.
    ensure!(journey["route"].is_null(), "{journey:#}");
    let gap = &journey["gaps"][0];
    ensure!(gap["class"] == "namespace", "{journey:#}");
    let message = gap["message"].as_str().unwrap_or_default();
    ensure!(message.contains("--netns"), "{journey:#}");
    Ok(())
}

fn inside_pid_namespace() -> Result<()> {
    let unshare = find_program("unshare");
    let unshare = unshare.ok_or_else(|| Skipped("no unshare(1) is here".into()))?;
    let tracer = find_tracer().context("no tracer to test")?;
    let arguments = ["-p", "-f", &tracer.to_string_lossy(), "live"];
    let outcome = Program::new(unshare)
        .args(arguments)
        .run()?
        .expect_code(1)?;
    for words in ["pid namespace", "on the host", "--pid=host"] {
        ensure!(outcome.stderr.contains(words), "{}", outcome.describe());
    }
    Ok(())
}

/// Where the watched namespace and the container meet.
const HERE: &str = "10.99.0.1";
const THERE: &str = "10.99.0.2";

/// A veth pair between the two. busybox has no command for it.
fn tie(watched: &Network, container: &Network) -> Result<()> {
    let version = must_run("ip", &["-V"]);
    if !version.is_ok_and(|told| told.stdout.contains("iproute2")) {
        return Err(Skipped("no iproute2 to make a veth pair with".into()).into());
    }
    let program = Program::new(env::current_exe()?).args([requests::SERVER]);
    let inside = container.inside(|| program.start())?;
    let pid = inside.pid().to_string();
    let up = |device: &str, address: &str| -> Result<()> {
        must_run(
            "ip",
            &["address", "add", &format!("{address}/24"), "dev", device],
        )?;
        must_run("ip", &["link", "set", device, "up"]).map(drop)
    };
    watched.inside(|| {
        let pair = ["link", "add", "near", "type", "veth", "peer", "name", "far"];
        must_run("ip", &[&pair[..], &["netns", &pid]].concat())?;
        up("near", HERE)
    })?;
    container.inside(|| up("far", THERE))
}

/// A program in one of the parts of [`handover`], and how it ends.
fn part(network: &Network, words: &[&str]) -> Result<Running> {
    let program = Program::new(env::current_exe()?);
    network.inside(|| program.args([handover::PART]).args(words).start())
}

/// A client in the container, then a server there, which is older than the tracer.
fn through_veth() -> Result<()> {
    let (name, watched) = named("veth")?;
    let container = Network::create()?;
    tie(&watched, &container)?;
    let port = 8_124;
    let (here, there) = (format!("{HERE}:{port}"), format!("{THERE}:{port}"));
    let serve = |network: &Network, address: &str| -> Result<Running> {
        let server = part(network, &["serve", "at", address])?;
        server.wait_for_stdout("listens")?;
        Ok(server)
    };
    let near = serve(&watched, &here)?;
    let far = serve(&container, &there)?;
    let live = watching_with(&["--netns", &name])?;
    let ask = |network: &Network, address: &str| -> Result<u32> {
        let client = part(network, &["ask", "at", address])?;
        let pid = client.pid();
        client.finish()?.expect_code(0)?;
        Ok(pid)
    };
    let from_container = ask(&container, &here)?;
    live.wait_for_stdout("\"id\":\"j1\"")?;
    let to_container = ask(&watched, &there)?;
    live.wait_for_stdout("\"id\":\"j2\"")?;
    live.signal(Signal::SIGINT)?;
    let lines = live.finish()?.expect_code(0)?.json_lines()?;
    let journeys: Vec<&Value> = lines.iter().filter(|l| l["type"] == "journey").collect();
    ensure!(journeys.len() == 2, "{lines:#?}");
    let wanted = [(from_container, near.pid()), (to_container, far.pid())];
    for (journey, (client, server)) in journeys.iter().zip(wanted) {
        let connection = &journey["connection"];
        ensure!(journey["outcome"] == "ok", "{journey:#}");
        for (end, pid) in [("client_process", client), ("server_process", server)] {
            let process = &connection[end];
            ensure!(process["pid"] == pid, "{pid} expected: {process}");
            ensure!(process["attribution"] == "socket-cookie", "{process}");
        }
        let told = states(connection, "client");
        ensure!(
            told.first().is_some_and(|it| it == "CLOSED>SYN_SENT"),
            "{told:?}"
        );
    }
    Ok(())
}

/// As a supervisor starts a server (inetd(8), systemd.socket(5)): it listens for it.
fn given_listener() -> Result<()> {
    let (watched, container) = (Network::create()?, Network::create()?);
    tie(&watched, &container)?;
    let tracer = tracing(&[], &[handover::PART, "accept"])?;
    let (server, address) = watched.inside(|| {
        let listener = TcpListener::bind((HERE, 0))?;
        let address = listener.local_addr()?.to_string();
        let tracer = tracer.with(|program| program.input(OwnedFd::from(listener)));
        Ok((tracer.start()?, address))
    })?;
    server.wait_for_stderr("listens")?;
    part(&container, &["ask", "at", &address])?
        .finish()?
        .expect_code(0)?;
    server.signal(Signal::SIGINT)?;
    let document = server.finish()?.expect_code(130)?.json()?;
    let connections = document["connections"].as_array().context("no list")?;
    let [connection] = &connections[..] else {
        anyhow::bail!("{document:#}");
    };
    ensure!(connection["http"][0]["status"] == 200, "{connection:#}");
    // It came before any socket of the server's had answered.
    let syn = &connection["handshake"]["syn_at_ns"];
    ensure!(syn.is_u64(), "{connection:#}");
    let server = &connection["server_process"];
    ensure!(server["attribution"] == "socket-cookie", "{server}");
    let command = crate::journey::strings(&server["command"]);
    ensure!(command.last().is_some_and(|it| it == "accept"), "{server}");
    Ok(())
}

/// A free port in both namespaces: nothing else is there.
const OWN_PORT: u16 = 40_123;
const SERVER_PORT: u16 = 8_123;

fn same_addresses() -> Result<()> {
    let (name, watched) = named("watched")?;
    let other = Network::create()?;
    let server = || crowd::start_server_at(SERVER_PORT);
    let (here, _there) = (watched.inside(server)?, other.inside(server)?);
    let live = watching_with(&["--netns", &name])?;
    // One connection is open while the other one lives and dies.
    let stream = watched.inside(|| connect_from(OWN_PORT, SERVER_PORT))?;
    let program = env::current_exe()?;
    let (own, port) = (OWN_PORT.to_string(), SERVER_PORT.to_string());
    let stranger = other.inside(|| {
        let stranger = Program::new(&program).args([handover::PART, "from", &own, &port]);
        stranger.run()
    })?;
    stranger.expect_code(0)?;
    crowd::ask(&mut BufReader::new(stream), SERVER_PORT, 0, 0, true)?;
    live.wait_for_stdout("\"type\":\"journey\"")?;
    live.signal(Signal::SIGINT)?;
    let lines = live.finish()?.expect_code(0)?.json_lines()?;
    let journeys: Vec<&Value> = lines.iter().filter(|l| l["type"] == "journey").collect();
    let [journey] = journeys.as_slice() else {
        anyhow::bail!("{} journeys: {lines:#?}", journeys.len());
    };
    ensure!(
        journey["process"]["pid"] == std::process::id(),
        "{journey:#}"
    );
    let connection = &journey["connection"];
    ensure!(
        connection["server_process"]["pid"] == here.pid(),
        "{connection:#}"
    );
    for (end, first) in [("client", "CLOSED>SYN_SENT"), ("server", "LISTEN>SYN_RECV")] {
        let told = states(connection, end);
        let lives = told.iter().filter(|state| *state == first).count();
        ensure!(lives == 1, "{end}: {told:?}");
        let readers = &connection[format!("{end}_readers")];
        ensure!(readers == &serde_json::json!([]), "{readers}");
    }
    Ok(())
}

/// Only for a connection that stays open: what was asked last is answered, and not read.
pub(super) fn write_request(stream: &mut TcpStream, port: u64, path: &str) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .context("cannot send a request")
}
