//! Whose socket was it: every request and every answer belongs to its own process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::{env, fs, thread};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use crate::crowd;
use crate::program::{Program, Tracer, must_run};
use crate::running::Running;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ten_thousand_requests_of_200_processes_belong_to_their_own_process",
        run: ten_thousand,
    },
    Scenario {
        name: "a_server_in_a_container_is_told_with_its_container",
        run: container,
    },
];

const SERVERS: usize = 4;

/// Clients, and requests of each. Guests are emulated: what takes seconds here takes minutes
/// there, so they play a smaller crowd.
fn size() -> (usize, usize) {
    if env::var_os("TRACER_GUEST").is_some() {
        (20, 10)
    } else {
        (200, 50)
    }
}

fn ten_thousand() -> Result<()> {
    in_own_network(crowd_is_told_apart)
}

/// Runs `work` where no other traffic of this machine is seen. A guest is alone already.
fn in_own_network(work: fn() -> Result<()>) -> Result<()> {
    if env::var_os("TRACER_GUEST").is_some() {
        return work();
    }
    // Namespaces belong to threads; the programs it starts inherit this one's.
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        must_run("ip", &["link", "set", "lo", "up"])?;
        work()
    });
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A server process and its port.
pub(super) fn start_server() -> Result<(u64, u64, Running)> {
    let running = Program::new(env::current_exe()?)
        .args([crowd::KEEPING_SERVER])
        .start()?;
    let said = running.wait_for_stdout("\n")?;
    let port = said.trim().strip_prefix("port ").context("no port")?;
    Ok((port.parse()?, u64::from(running.pid()), running))
}

fn crowd_is_told_apart() -> Result<()> {
    let servers: Vec<_> = (0..SERVERS)
        .map(|_| start_server())
        .collect::<Result<_>>()?;
    let ports: BTreeMap<u64, u64> = servers.iter().map(|(port, pid, _)| (*port, *pid)).collect();
    let (clients, requests) = size();
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let mut arguments = vec![
        "run".to_owned(),
        "-q".to_owned(),
        // All of it fits, however rarely a busy machine lets the tracer read: this is about
        // owners, not about loss, which `cargo xtask bench events:` is about.
        "--ring".to_owned(),
        "128M".to_owned(),
        "-o".to_owned(),
        report.to_string_lossy().into_owned(),
        "--".to_owned(),
        env::current_exe()?.to_string_lossy().into_owned(),
        crowd::CROWD.to_owned(),
        clients.to_string(),
        requests.to_string(),
    ];
    arguments.extend(ports.keys().map(u64::to_string));
    Tracer::new(arguments).run()?.expect_code(0)?;
    let document = serde_json::from_reader(std::io::BufReader::new(fs::File::open(report)?))?;
    if env::var_os("TRACER_GUEST").is_some() && !nothing_lost(&document) {
        // Seen on 7.2 only, a few: that kernel lets a task take the processor in the middle of a
        // program, and skips the runs that this task would cause. It counts them; what was
        // skipped cannot be judged.
        let reason = format!("the kernel skipped runs of programs: {}", lost(&document));
        return Err(Skipped(reason).into());
    }
    check_owners(&document, &ports, (clients, requests))
}

fn lost(document: &Value) -> &Value {
    &document["capture"]["lost"]
}

fn nothing_lost(document: &Value) -> bool {
    lost(document)
        .as_object()
        .is_some_and(serde_json::Map::is_empty)
}

/// A cgroup of this scenario, with a container's name; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn create(name: &str) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(place))
        });
        let root = root.ok_or_else(|| Skipped("no cgroup v2 is mounted here".into()))?;
        let folder = root.join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn take_in(&self, pid: u64) -> Result<()> {
        Ok(fs::write(self.0.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its server was waited for, so that the cgroup is empty.
        let _ = fs::remove_dir(&self.0);
    }
}

fn container() -> Result<()> {
    let id = format!("{:064x}", std::process::id());
    let name = format!("docker-{id}.scope");
    // Declared before the server, hence dropped after it.
    let cgroup = Cgroup::create(&name)?;
    let (port, pid, _server) = start_server()?;
    cgroup.take_in(pid)?;
    let url = format!("http://127.0.0.1:{port}/");
    let document = Tracer::sparing(["fetch", "--format", "json", &url])
        .run()?
        .expect_code(0)?
        .json()?;
    let connection = crate::journey::connection(&document, &document["journeys"][0])?;
    let server = &connection["server_process"];
    ensure!(server["pid"] == pid, "{server}");
    let told = server["cgroup"].as_str().context("no cgroup")?;
    ensure!(told.ends_with(&name), "{server}");
    let expected = serde_json::json!({"id": id, "engine": "docker", "pod": null});
    ensure!(server["container"] == expected, "{server}");
    let client = &connection["client_process"];
    ensure!(client["container"].is_null(), "{client}");
    Ok(())
}

/// Every request is told once, by the process that its path names and to the process that
/// has its port; nothing was lost.
fn check_owners(
    document: &Value,
    servers: &BTreeMap<u64, u64>,
    size: (usize, usize),
) -> Result<()> {
    let (clients, requests) = size;
    ensure!(nothing_lost(document), "lost: {}", lost(document));
    let listed = document["connections"].as_array().context("no list")?;
    let connections: HashMap<&str, &Value> = listed
        .iter()
        .filter_map(|connection| Some((connection["id"].as_str()?, connection)))
        .collect();
    let mut told = BTreeSet::new();
    for journey in document["journeys"].as_array().context("no list")? {
        let connection = journey["connection"]
            .as_str()
            .and_then(|id| connections.get(id));
        let connection = connection.with_context(|| format!("no connection: {journey:#}"))?;
        let (client, request) = check_journey(journey, connection, servers)
            .with_context(|| format!("{journey:#}\n{connection:#}"))?;
        ensure!(told.insert((client, request)), "told twice: {journey:#}");
    }
    ensure!(
        told.len() == clients * requests,
        "{} of {} requests are told",
        told.len(),
        clients * requests
    );
    let expected = crowd::connections(clients, requests);
    ensure!(
        connections.len() == expected,
        "{} of {expected} connections",
        connections.len()
    );
    Ok(())
}

/// The client's number and the request's.
fn check_journey(
    journey: &Value,
    connection: &Value,
    servers: &BTreeMap<u64, u64>,
) -> Result<(usize, usize)> {
    let url = journey["url"].as_str().context("no URL")?;
    let (pid, client, request) = crowd::told_by_path(url).context("not a request of a client")?;
    for owner in [&journey["process"], &connection["client_process"]] {
        ensure!(owner["pid"] == pid, "{pid} asked, not {owner}");
        ensure!(owner["attribution"] == "socket-cookie", "{owner}");
        let command = crate::journey::strings(&owner["command"]);
        let names = [crowd::CUSTOMER.to_owned(), client.to_string()];
        ensure!(
            command.get(1..3) == Some(&names),
            "{names:?} asked, not {command:?}"
        );
    }
    let port = connection["server"]["port"].as_u64().context("no port")?;
    let server = servers.get(&port).context("not a server's port")?;
    let owner = &connection["server_process"];
    ensure!(owner["pid"] == *server, "{server} answered, not {owner}");
    ensure!(owner["attribution"] == "socket-cookie", "{owner}");
    ensure!(journey["outcome"] == "ok", "outcome {}", journey["outcome"]);
    Ok((client, request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn process(pid: u64, client: usize) -> Value {
        let command = ["tests", crowd::CUSTOMER, &client.to_string(), "1", "80"];
        json!({"pid": pid, "attribution": "socket-cookie", "command": command})
    }

    /// Two clients with one request each, to one server.
    fn document() -> Value {
        let pids = [100, 101];
        let connection = |client: usize| {
            let server = json!({"pid": 7, "attribution": "socket-cookie"});
            json!({"id": format!("c{client}"), "server": {"port": 80},
                "client_process": process(pids[client], client), "server_process": server})
        };
        let journey = |client: usize| {
            json!({"connection": format!("c{client}"), "outcome": "ok",
                "url": format!("http://localhost:80/{}/{client}/0", pids[client]),
                "process": process(pids[client], client)})
        };
        json!({"capture": {"lost": {}}, "journeys": [journey(0), journey(1)],
            "connections": [connection(0), connection(1)]})
    }

    fn check(document: &Value) -> Result<()> {
        check_owners(document, &BTreeMap::from([(80, 7)]), (2, 1))
    }

    #[test]
    fn right_owners_pass() {
        check(&document()).unwrap();
    }

    #[test]
    fn two_owners_that_are_swapped_are_found() {
        for member in ["process", "url"] {
            let mut swapped = document();
            let first = swapped["journeys"][0][member].take();
            let second = swapped["journeys"][1][member].take();
            swapped["journeys"][0][member] = second;
            swapped["journeys"][1][member] = first;
            assert!(check(&swapped).is_err(), "{member}");
        }
        let mut swapped = document();
        swapped["connections"][1]["server_process"]["pid"] = json!(8);
        assert!(check(&swapped).is_err());
    }

    #[test]
    fn unknown_owners_lost_events_and_missing_requests_are_found() {
        let mut unknown = document();
        unknown["journeys"][0]["process"] = Value::Null;
        assert!(check(&unknown).is_err());
        let mut lost = document();
        lost["capture"]["lost"] = json!({"frame": 1});
        assert!(check(&lost).is_err());
        let mut short = document();
        short["journeys"].as_array_mut().unwrap().pop();
        assert!(check(&short).is_err());
    }
}
