//! Sockets that outlive the moment when their owner was to be seen: older than the tracer,
//! inherited, passed on, used by a thread, kept over an execve(2), of a process that is gone.

use std::env;
use std::fs;
use std::io::BufReader;
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::namespaces::{said, write_request};
use super::owners::start_server;
use crate::crowd;
use crate::handover;
use crate::network::Network;
use crate::program::{Program, Tracer, watching, watching_with};
use crate::requests;
use crate::running::Running;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "requests_on_connections_older_than_the_tracer_have_their_processes",
        run: || alone(older),
    },
    Scenario {
        name: "an_inherited_connection_belongs_to_who_opened_it_and_names_who_reads",
        run: || alone(inherited),
    },
    Scenario {
        name: "a_passed_connection_belongs_to_who_opened_it_and_names_who_reads",
        run: || alone(passed),
    },
    Scenario {
        name: "a_connection_of_a_preforking_server_belongs_to_the_child_that_serves",
        run: || alone(|| accepted_by_child("prefork")),
    },
    Scenario {
        name: "a_connection_to_a_listening_socket_that_was_passed_belongs_to_who_serves",
        run: || alone(|| accepted_by_child("pass-listening")),
    },
    Scenario {
        name: "who_only_writes_to_a_passed_connection_is_named_where_writes_are_watched",
        run: || alone(answered),
    },
    Scenario {
        name: "a_thread_with_a_name_of_its_own_is_told_by_its_process",
        run: || alone(thread),
    },
    Scenario {
        name: "a_program_that_replaced_itself_keeps_its_connection",
        run: || alone(replaced),
    },
    Scenario {
        name: "a_process_that_is_gone_when_it_is_looked_up_is_still_named",
        run: || alone(gone),
    },
    Scenario {
        name: "a_traced_server_on_loopback_is_told_from_the_syn_of_a_stranger_on",
        run: || alone(served),
    },
];

/// In a network of its own: journeys are numbered, and others' would count.
fn alone(work: fn() -> Result<()>) -> Result<()> {
    Network::create()?.inside(work)
}

/// Ends a live capture once it has told `count` journeys.
fn journeys(live: Running, count: usize) -> Result<Vec<Value>> {
    live.wait_for_stdout(&format!("\"id\":\"j{count}\""))?;
    live.signal(Signal::SIGINT)?;
    let lines = live.finish()?.expect_code(0)?.json_lines()?;
    let lines = lines.into_iter().filter(|line| line["type"] == "journey");
    let journeys: Vec<Value> = lines.collect();
    ensure!(journeys.len() == count, "{} journeys", journeys.len());
    Ok(journeys)
}

fn one(live: Running) -> Result<Value> {
    Ok(journeys(live, 1)?.remove(0))
}

fn is(process: &Value, pid: u64, attribution: &str) -> Result<()> {
    ensure!(process["pid"] == pid, "{pid} expected: {process}");
    let told = &process["attribution"];
    ensure!(told == attribution, "{attribution} expected: {process}");
    Ok(())
}

fn older() -> Result<()> {
    let (port, server, _running) = start_server()?;
    let this = u64::from(std::process::id());
    let connect = || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, u16::try_from(port)?)).map_err(anyhow::Error::from)
    };
    // Both ends have read before, as with any connection that is used again.
    let mut reading = BufReader::new(connect()?);
    crowd::ask(&mut reading, u16::try_from(port)?, 0, 0, false)?;
    let mut silent = BufReader::new(connect()?);
    crowd::ask(&mut silent, u16::try_from(port)?, 0, 1, false)?;
    let live = watching(&port.to_string())?;
    crowd::ask(&mut reading, u16::try_from(port)?, 0, 2, false)?;
    live.wait_for_stdout("\"id\":\"j1\"")?;
    // Nobody reads the answer: only /proc knows whose socket that is.
    write_request(silent.get_mut(), port, "/unread")?;
    let told = journeys(live, 2)?;
    for (journey, grade) in told.iter().zip(["socket-cookie", "procfs"]) {
        let connection = &journey["connection"];
        is(&journey["process"], this, grade)?;
        is(&connection["client_process"], this, grade)?;
        is(&connection["server_process"], server, "socket-cookie")?;
        ensure!(journey["outcome"] == "ok", "{journey:#}");
    }
    Ok(())
}

/// One request by this part, and its processes: the parent and the child that it names.
fn handed_over(part: &str) -> Result<(Value, u64, u64)> {
    let (port, _, _server) = start_server()?;
    let live = watching(&port.to_string())?;
    let program = Program::new(env::current_exe()?);
    let parent = program.args([handover::PART, part, &port.to_string()]);
    let parent = parent.start()?;
    let (pid, child) = (u64::from(parent.pid()), said(&parent, "child")?);
    parent.finish()?.expect_code(0)?;
    Ok((one(live)?, pid, child))
}

fn check_handed_over(part: &str) -> Result<()> {
    let (journey, parent, child) = handed_over(part)?;
    let connection = &journey["connection"];
    is(&connection["client_process"], parent, "socket-cookie")?;
    is(&journey["process"], parent, "socket-cookie")?;
    let readers = connection["client_readers"].as_array();
    let readers = readers.map(Vec::as_slice).unwrap_or_default();
    let [reader] = readers else {
        anyhow::bail!("{connection:#}");
    };
    ensure!(reader["pid"] == child, "{child} expected: {reader}");
    ensure!(connection["server_readers"] == json!([]), "{connection:#}");
    Ok(())
}

fn inherited() -> Result<()> {
    check_handed_over("inherit")
}

fn passed() -> Result<()> {
    check_handed_over("pass")
}

/// Guards what nothing of its own brings about: the child accepted, so the listening socket
/// that it shares with its parent, which opened that one, must not count for more.
fn accepted_by_child(part: &str) -> Result<()> {
    let (connection, _, child) = asked(part, &[])?;
    is(&connection["server_process"], child, "socket-cookie")?;
    ensure!(connection["server_readers"] == json!([]), "{connection:#}");
    // Who writes was not watched.
    for end in ["client_writers", "server_writers"] {
        ensure!(connection[end].is_null(), "{connection:#}");
    }
    Ok(())
}

/// One request to a server that plays this part: the connection, and the server's parent and
/// child.
fn asked(part: &str, options: &[&str]) -> Result<(Value, u64, u64)> {
    // The tracer meets the server as most tracers do: it is there already.
    let server = Program::new(env::current_exe()?).args([handover::PART, part]);
    let server = server.start()?;
    let (child, port) = (said(&server, "child")?, said(&server, "port")?);
    let live = watching_with(&[&["--port", &port.to_string()], options].concat())?;
    let address = format!("127.0.0.1:{port}");
    let client = Program::new(env::current_exe()?);
    let client = client.args([handover::PART, "ask", "at", &address]);
    let client = client.start()?;
    let pid = u64::from(client.pid());
    client.finish()?.expect_code(0)?;
    let mut journey = one(live)?;
    let connection = journey["connection"].take();
    is(&connection["client_process"], pid, "socket-cookie")?;
    Ok((connection, u64::from(server.pid()), child))
}

/// The child reads nothing, so nothing else of it is seen.
fn answered() -> Result<()> {
    let (connection, parent, child) = asked("pass-accepted", &["--kernel-path"])?;
    is(&connection["server_process"], parent, "socket-cookie")?;
    let summary = connection["kernel_path"]["summary"].as_array();
    let mut layers = summary.into_iter().flatten();
    if !layers.any(|entry| entry["layer"] == "socket_write") {
        return Err(Skipped("no hook of this kernel watches writes".to_owned()).into());
    }
    let writers = &connection["server_writers"];
    ensure!(
        writers[0]["pid"] == child,
        "{child} expected: {connection:#}"
    );
    ensure!(writers[1].is_null(), "{connection:#}");
    for others in ["server_readers", "client_readers", "client_writers"] {
        ensure!(connection[others] == json!([]), "{connection:#}");
    }
    Ok(())
}

fn thread() -> Result<()> {
    let (port, _, _server) = start_server()?;
    // Whoever is there already was seen by no fork and no exec.
    let client = Program::new(env::current_exe()?);
    let client = client.args([handover::PART, "thread", &port.to_string()]);
    let client = client.start()?;
    client.wait_for_stdout("ready")?;
    let live = watching(&port.to_string())?;
    client.signal(Signal::SIGUSR1)?;
    client.finish()?.expect_code(0)?;
    let journey = one(live)?;
    let connection = &journey["connection"];
    // The server's threads have the program's name, the client's has one of its own.
    for end in ["client_process", "server_process"] {
        ensure!(connection[end]["comm"] == "end_to_end", "{connection:#}");
    }
    Ok(())
}

/// Guards what nothing of its own brings about: whoever reads after execve(2) is the same
/// process under another name, and no reader of somebody else's socket.
fn replaced() -> Result<()> {
    let (port, _, _server) = start_server()?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("second-act");
    std::os::unix::fs::symlink(env::current_exe()?, &program)?;
    let live = watching(&port.to_string())?;
    let client = Program::new(env::current_exe()?);
    let name = program.to_string_lossy();
    let client = client.args([handover::PART, "exec", &port.to_string(), &name]);
    let client = client.start()?;
    let pid = u64::from(client.pid());
    client.finish()?.expect_code(0)?;
    let journey = one(live)?;
    let connection = &journey["connection"];
    is(&connection["client_process"], pid, "socket-cookie")?;
    // Who asked is the program that it became; when it became that is told.
    ensure!(journey["process"]["comm"] == "second-act", "{journey:#}");
    ensure!(connection["client_readers"] == json!([]), "{connection:#}");
    let events = journey["timeline"].as_array();
    let mut events = events.into_iter().flatten();
    let becomes = |event: &Value| {
        let summary = event["summary"].as_str().unwrap_or_default();
        summary.starts_with(&format!("second-act[{pid}] runs"))
    };
    ensure!(events.any(becomes), "{journey:#}");
    Ok(())
}

/// Guards that a process is described by what the kernel told when it began: /proc has
/// nothing of it any more when it is asked.
fn gone() -> Result<()> {
    let port = requests::server(false)?.port().to_string();
    let live = watching(&port)?;
    // What it is told meanwhile stays in the ring; /proc is read only when it goes on.
    live.signal(Signal::SIGSTOP)?;
    let client = Program::new(env::current_exe()?);
    let client = client.args([requests::CLIENT, &port, "1"]).start();
    let ended = client.and_then(|client| {
        let pid = u64::from(client.pid());
        client.finish()?.expect_code(0)?;
        Ok(pid)
    });
    live.signal(Signal::SIGCONT)?;
    let pid = ended?;
    let journey = one(live)?;
    let process = &journey["process"];
    is(process, pid, "socket-cookie")?;
    ensure!(process["comm"] == "end_to_end", "{process}");
    ensure!(process["exe"].is_null(), "it was there: {process}");
    let command = crate::journey::strings(&process["command"]);
    let part = command.get(1).map(String::as_str);
    ensure!(part == Some(requests::CLIENT), "{process}");
    Ok(())
}

/// On loopback a frame is seen once, as one that leaves: whoever sent it.
fn served() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let (report, program) = (report.to_string_lossy(), env::current_exe()?);
    let command = ["--", &program.to_string_lossy(), requests::SERVER];
    let server = Tracer::new(["run", "-o", &report].iter().chain(&command)).start()?;
    let port = said(&server, "port")?.to_string();
    let client = Program::new(&program).args([requests::CLIENT, &port, "1"]);
    client.run()?.expect_code(0)?;
    server.signal(Signal::SIGINT)?;
    server.finish()?.expect_code(130)?;
    let document: Value = serde_json::from_str(&fs::read_to_string(&*report)?)?;
    let connection = &document["connections"][0];
    let syn = &connection["handshake"]["syn_at_ns"];
    ensure!(syn.is_u64(), "{connection:#}");
    ensure!(connection["http"][0]["status"] == 200, "{connection:#}");
    Ok(())
}
