//! What must not hurt: missing rights, an unfit kernel, vanishing things, sudden death.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::program::{Program, Tracer, find_tracer, watching};
use crate::requests;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "unusable_url_is_a_usage_error_with_a_hint",
        run: unusable_url,
    },
    Scenario {
        name: "without_rights_the_missing_capability_is_named",
        run: without_rights,
    },
    Scenario {
        name: "kernel_without_btf_is_unsupported",
        run: without_btf,
    },
    Scenario {
        name: "missing_command_ends_like_in_a_shell",
        run: missing_command,
    },
    Scenario {
        name: "interrupt_prints_what_is_known_so_far",
        run: interrupt,
    },
    Scenario {
        name: "killed_command_still_gives_a_report",
        run: killed_command,
    },
    Scenario {
        name: "two_tracers_at_once_both_see_everything",
        run: two_tracers,
    },
    Scenario {
        name: "nothing_stays_attached_after_the_end",
        run: nothing_stays,
    },
    Scenario {
        name: "what_a_killed_tracer_left_is_gone_after_the_next_start",
        run: killed_tracer,
    },
    Scenario {
        name: "vanishing_interface_does_no_harm",
        run: vanishing_interface,
    },
    Scenario {
        name: "xdp_slot_taken_is_served_by_tc_and_said",
        run: xdp_taken,
    },
];

fn unusable_url() -> Result<()> {
    for url in [
        "ftp://www.shop.test/",
        "http://",
        "https://www.shop.test:99999/",
    ] {
        let outcome = Tracer::new(["fetch", url]).run()?.expect_code(2)?;
        ensure!(outcome.stdout.is_empty(), "{}", outcome.describe());
        ensure!(
            outcome.stderr.contains("tracer") || outcome.stderr.contains("error"),
            "{}",
            outcome.describe()
        );
    }
    Tracer::new(["fetch", "--no-such-option", "http://a.test/"])
        .run()?
        .expect_code(2)?
        .expect_stderr("--no-such-option")?;
    Ok(())
}

fn without_rights() -> Result<()> {
    let tracer = find_tracer().context("no tracer")?;
    let url = "http://127.0.0.1:9/";
    // 65534 is nobody, who can often not reach the place where the binary was built.
    let place = tempfile::tempdir()?;
    let copy = place.path().join("tracer");
    std::fs::copy(tracer, &copy)?;
    std::fs::set_permissions(
        place.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let outcome = Program::new(copy)
        .args(["fetch", url])
        .user(65_534)
        .run()?
        .expect_code(3)?;
    ensure!(outcome.stderr.contains("CAP_"), "{}", outcome.describe());
    Ok(())
}

fn without_btf() -> Result<()> {
    let tracer = find_tracer().context("no tracer")?;
    let script = format!(
        "mount -t tmpfs none /sys/kernel/btf && exec {} fetch http://127.0.0.1:9/",
        tracer.display()
    );
    let outcome = Program::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .run()?
        .expect_code(4)?;
    ensure!(outcome.stderr.contains("BTF"), "{}", outcome.describe());
    Ok(())
}

fn missing_command() -> Result<()> {
    let outcome = Tracer::new(["run", "--", "/no/such/command"])
        .run()?
        .expect_code(127)?;
    ensure!(
        outcome.stderr.contains("/no/such/command"),
        "{}",
        outcome.describe()
    );
    Ok(())
}

fn interrupt() -> Result<()> {
    let server = requests::server(false)?;
    let program = std::env::current_exe()?;
    let script = format!(
        "{} {} {} 1; echo requested >&2; exec sleep 600",
        program.display(),
        requests::CLIENT,
        server.port()
    );
    let running = Tracer::new([
        "run", "--format", "json", "-o", "-", "--", "sh", "-c", &script,
    ])
    .start()?;
    running.wait_for_stderr("requested")?;
    running.signal(Signal::SIGINT)?;
    let outcome = running.finish()?;
    let document = outcome.json()?;
    ensure!(document["journeys"][0]["outcome"] == "ok", "{document:#}");
    ensure!(
        outcome.code() != Some(0),
        "an interrupted run is no success"
    );
    Ok(())
}

fn killed_command() -> Result<()> {
    let script = "kill -KILL $$";
    let outcome = Tracer::new([
        "run", "--format", "json", "-o", "-", "--", "sh", "-c", script,
    ])
    .run()?
    .expect_code(128 + 9)?;
    outcome.json()?;
    Ok(())
}

fn two_tracers() -> Result<()> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let first = watching(&port)?;
    let url = format!("http://{server}/");
    let outcome = Tracer::sparing(["fetch", "--format", "json", &url]).run()?;
    let document = outcome.expect_code(0)?.json()?;
    ensure!(document["journeys"][0]["outcome"] == "ok", "{document:#}");
    ensure!(
        document["connections"][0]["handshake"]["syn_ack_at_ns"].is_u64(),
        "{document:#}"
    );
    first.wait_for_stdout("\"type\":\"journey\"")?;
    first.signal(Signal::SIGINT)?;
    let lines = first.finish()?.expect_code(0)?.json_lines()?;
    let journeys = lines
        .iter()
        .filter(|line| line["type"] == "journey")
        .count();
    ensure!(journeys == 1, "{journeys} journeys");
    Ok(())
}

/// Programs, links and filters that this kernel holds now, by its own lists.
pub(super) fn attached() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for program in aya::programs::loaded_programs() {
        // A program that went away between listing and opening is not loaded.
        let Ok(program) = program else { continue };
        let name = program.name_as_str().unwrap_or("?").to_owned();
        found.insert(format!("program {} {name}", program.id()));
    }
    for link in aya::programs::loaded_links() {
        let Ok(link) = link else { continue };
        found.insert(format!("link {}", link.id()));
    }
    Ok(found)
}

fn nothing_stays() -> Result<()> {
    let before = attached()?;
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let running = watching(&port)?;
    ensure!(
        attached()?.len() > before.len(),
        "the check sees no programs at all"
    );
    running.signal(Signal::SIGINT)?;
    running.finish()?.expect_code(0)?;
    gone(&before)
}

/// Programs are freed by the kernel's workers shortly after their last reference.
pub(super) fn gone(before: &BTreeSet<String>) -> Result<()> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let now = attached()?;
        let left: Vec<&String> = now.difference(before).collect();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(
            std::time::Instant::now() < deadline,
            "still loaded: {left:?}"
        );
        std::thread::yield_now();
    }
}

fn killed_tracer() -> Result<()> {
    let before = attached()?;
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let running = watching(&port)?;
    running.signal(Signal::SIGKILL)?;
    running.finish()?;
    let url = format!("http://{server}/");
    Tracer::new(["fetch", &url]).run()?.expect_code(0)?;
    gone(&before)
}

fn vanishing_interface() -> Result<()> {
    // A namespace of its own, so that no interface of the machine is touched.
    let tracer = find_tracer().context("no tracer")?;
    let script = format!(
        "ip link set lo up && ip link add v0 type veth && ip link set v0 up && \
         {} run --format json -o - -- sh -c 'ip link del v0 && echo deleted >&2'",
        tracer.display()
    );
    if crate::program::find_program("ip").is_none() {
        return Err(crate::scenario::Skipped("iproute2 is not installed here".into()).into());
    }
    let outcome = Program::new("unshare")
        .args(["-n", "sh", "-c", &script])
        .run()?
        .expect_code(0)?;
    ensure!(outcome.stderr.contains("deleted"), "{}", outcome.describe());
    let document = outcome.json()?;
    let interfaces = crate::journey::strings(&document["capture"]["interfaces"]);
    ensure!(interfaces.contains(&"v0".to_owned()), "{interfaces:?}");
    Ok(())
}

fn xdp_taken() -> Result<()> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let first = watching(&port)?;
    let url = format!("http://{server}/");
    let document = Tracer::sparing(["fetch", "--format", "json", &url])
        .run()?
        .expect_code(0)?
        .json()?;
    first.signal(Signal::SIGINT)?;
    first.finish()?.expect_code(0)?;
    let hooks = document["capture"]["hooks"]
        .as_array()
        .context("no hooks")?;
    let refused = hooks.iter().any(|hook| {
        hook["hook"] == "xdp" && hook["status"] != "attached" && hook["reason"].is_string()
    });
    let served = hooks.iter().any(|hook| {
        hook["fact"] == "frames_in"
            && (hook["hook"] == "tcx" || hook["hook"] == "clsact")
            && hook["status"] == "attached"
    });
    ensure!(refused && served, "{hooks:#?}");
    Ok(())
}
