//! The lab's network as rtnetlink shows it, and that nothing of it stays behind.

use super::{HOLD_LAB, start, trial};
use anyhow::{Context, ensure};
use libtest_mimic::Trial;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitCode, Stdio};
use tracer::capture::neighbor_state;
use tracer::lab::{
    CLIENT_MAC, CLIENT_V4, CLIENT_V6, DNS_V4, GATEWAY_MAC, GATEWAY_V4, GATEWAY_V6, Lab, SERVER_V4,
    SERVER_V6,
};
use tracer::launch::{self, LaunchSpec, Program};
use tracer::probe::netlink;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("lab_client_has_its_addresses", addresses),
        trial("lab_routes_lead_through_the_gateway", routes),
        trial("lab_neighbor_caches_are_cold_and_flushed_cold", neighbors),
        trial("lab_leaves_nothing_when_dropped", dropped),
        trial("lab_leaves_nothing_when_its_owner_is_killed", killed),
    ]
}

async fn addresses() -> anyhow::Result<()> {
    let lab = start()?;
    let inside = lab.enter_client()?;
    let interfaces = netlink::interfaces().await?;
    drop(inside);
    let eth0 = interfaces
        .iter()
        .find(|interface| interface.name == "eth0")
        .context("eth0")?;
    ensure!(eth0.mac == Some(CLIENT_MAC) && eth0.mtu == 1500 && !eth0.loopback);
    for address in [(IpAddr::V4(CLIENT_V4), 24), (IpAddr::V6(CLIENT_V6), 64)] {
        ensure!(eth0.addresses.contains(&address), "{eth0:?}");
    }
    let here = netlink::interfaces().await?;
    ensure!(
        !here
            .iter()
            .any(|interface| interface.mac == Some(CLIENT_MAC)),
        "the thread did not leave the lab: {here:?}"
    );
    Ok(())
}

async fn routes() -> anyhow::Result<()> {
    let lab = start()?;
    let _inside = lab.enter_client()?;
    let far: [(IpAddr, IpAddr, IpAddr, &str); 2] = [
        (
            SERVER_V4.into(),
            GATEWAY_V4.into(),
            CLIENT_V4.into(),
            "0.0.0.0",
        ),
        (SERVER_V6.into(), GATEWAY_V6.into(), CLIENT_V6.into(), "::"),
    ];
    for (destination, gateway, source, default) in far {
        let route = netlink::route_to(destination, None, Some(0)).await?;
        ensure!(route.gateway == Some(gateway), "{route:?}");
        ensure!(route.source == Some(source), "{route:?}");
        ensure!(route.prefix == Some((default.parse()?, 0)), "{route:?}");
        ensure!(route.interface.as_deref() == Some("eth0"), "{route:?}");
        ensure!((route.table, route.mtu) == (254, Some(1500)), "{route:?}");
        ensure!(
            (route.kind.as_str(), route.error) == ("unicast", None),
            "{route:?}"
        );
    }
    let near: [(IpAddr, &str, u8); 2] = [
        (GATEWAY_V4.into(), "10.77.1.0", 24),
        (GATEWAY_V6.into(), "fd77:1::", 64),
    ];
    for (destination, prefix, length) in near {
        let route = netlink::route_to(destination, None, None).await?;
        ensure!(route.gateway.is_none(), "{route:?}");
        ensure!(route.prefix == Some((prefix.parse()?, length)), "{route:?}");
    }
    let own = netlink::route_to(CLIENT_V4.into(), None, None).await?;
    ensure!(own.kind == "local" && own.table == 255, "{own:?}");
    // Without its default route the client is told so by the kernel.
    run_in(&lab, &["ip", "route", "del", "default"]).await?;
    run_in(&lab, &["ip", "route", "add", "prohibit", "203.0.113.0/24"]).await?;
    let gone = netlink::route_to(SERVER_V4.into(), None, None).await?;
    ensure!(gone.error == Some(libc::ENETUNREACH), "{gone:?}");
    let forbidden = netlink::route_to(Ipv4Addr::new(203, 0, 113, 1).into(), None, None).await?;
    ensure!(
        (forbidden.error, forbidden.kind.as_str()) == (Some(libc::EACCES), "prohibit"),
        "{forbidden:?}"
    );
    Ok(())
}

async fn run_in(lab: &Lab, words: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("a command")?;
    let arguments = arguments.iter().map(Into::into).collect();
    let mut spec = LaunchSpec::new(Program::Command(program.into()), arguments);
    lab.place(&mut spec)?;
    let mut launched = launch::start(spec).await?;
    launched.go();
    let status = launched.wait().await?;
    ensure!(status.success(), "{words:?}: {status}");
    Ok(())
}

async fn neighbors() -> anyhow::Result<()> {
    let lab = start()?;
    let _inside = lab.enter_client()?;
    let cold = netlink::neighbors().await?;
    ensure!(cold.is_empty(), "{cold:?}");
    run_in(&lab, &["getent", "hosts", "www.shop.test"]).await?;
    let warm = netlink::neighbors().await?;
    // The resolver is on the gateway's host, under an address of its own.
    let resolver = warm
        .iter()
        .find(|entry| entry.ip == IpAddr::V4(DNS_V4))
        .with_context(|| format!("{warm:?}"))?;
    ensure!(resolver.mac == Some(GATEWAY_MAC), "{resolver:?}");
    ensure!(resolver.state == neighbor_state::REACHABLE, "{resolver:?}");
    ensure!(
        resolver.interface.as_deref() == Some("eth0"),
        "{resolver:?}"
    );
    lab.flush_neighbors()?;
    let flushed = netlink::neighbors().await?;
    ensure!(flushed.is_empty(), "{flushed:?}");
    Ok(())
}

fn process(pid: u32) -> anyhow::Result<OwnedFd> {
    let pid = Pid::from_raw(pid.cast_signed()).context("a pid")?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A pidfd is readable when its process has ended (pidfd_open(2)).
pub fn wait_for_end(process: &OwnedFd) -> anyhow::Result<()> {
    let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    ensure!(
        poll(&mut ended, PollTimeout::from(10_000_u16))? == 1,
        "the process lives on"
    );
    Ok(())
}

async fn dropped() -> anyhow::Result<()> {
    let lab = start()?;
    let servers: Vec<OwnedFd> = lab
        .server_pids()
        .into_iter()
        .map(process)
        .collect::<Result<_, _>>()?;
    ensure!(servers.len() == 2);
    lab.stop();
    for server in &servers {
        let mut ended = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
        ensure!(
            poll(&mut ended, PollTimeout::ZERO)? == 1,
            "a server outlived the lab"
        );
    }
    Ok(())
}

/// kill -9 of a process that holds a lab.
async fn killed() -> anyhow::Result<()> {
    let mut owner = Command::new("/proc/self/exe")
        .arg(HOLD_LAB)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(owner.stdout.take().context("stdout")?).read_line(&mut line)?;
    let servers: Vec<OwnedFd> = line
        .split_whitespace()
        .map(|pid| process(pid.parse()?))
        .collect::<Result<_, _>>()?;
    ensure!(servers.len() == 2, "{line}");
    owner.kill()?;
    owner.wait()?;
    servers.iter().try_for_each(wait_for_end)
}

/// Mode of this program: hold a lab until stdin ends, after its servers' pids were told.
pub fn hold_lab() -> ExitCode {
    match Lab::start() {
        Ok(lab) => {
            let pids: Vec<String> = lab.server_pids().iter().map(u32::to_string).collect();
            println!("{}", pids.join(" "));
            let _ = std::io::stdin().lock().read_line(&mut String::new());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Mode of this program: only try to start a lab.
pub fn start_lab() -> ExitCode {
    match Lab::start() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
