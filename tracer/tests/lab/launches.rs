//! Commands are born stopped, run in the right surroundings, and end with their own code.

use super::{START_LAB, trial};
use anyhow::{Context, ensure};
use libtest_mimic::Trial;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::symlink;
use tracer::launch::{
    self, EtcFile, Identity, LaunchSpec, Launched, Output, Program, ResolverFiles,
};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("launch_holds_the_command_until_go", held),
        trial("launch_dropped_before_go_never_runs", dropped),
        trial("launch_ends_with_the_commands_own_code", codes),
        trial("launch_becomes_the_user", user),
        trial("launch_sends_stdout_to_stderr", redirected),
        trial(
            "launch_replaces_files_of_etc_for_the_command_only",
            private_etc,
        ),
        trial("launch_replaces_dangling_and_absent_files", || async {
            // In a thread of its own, which ends with the mounts it makes.
            let runtime = || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
            };
            std::thread::spawn(move || runtime()?.block_on(odd_etc()))
                .join()
                .map_err(|_| anyhow::anyhow!("it panicked"))?
        }),
        trial("lab_without_rights_names_the_capability", unprivileged),
    ]
}

fn shell(script: &str) -> LaunchSpec {
    let mut spec = LaunchSpec::new(
        Program::Command("sh".into()),
        vec!["-c".into(), script.into()],
    );
    spec.inherit_stdin = false;
    spec
}

/// Runs `spec` to its end; its exit code and what it wrote.
async fn output(mut spec: LaunchSpec) -> anyhow::Result<(Option<i32>, String)> {
    let mut file = tempfile::tempfile()?;
    spec.stdout = Output::Descriptor(file.try_clone()?.into());
    spec.stderr = Output::Descriptor(file.try_clone()?.into());
    let mut launched = launch::start(spec).await?;
    launched.go();
    let status = launched.wait().await?;
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok((status.code(), text))
}

async fn held() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mark = folder.path().join("ran");
    let script = format!("echo $$ > {}", mark.display());
    let mut launched = launch::start(shell(&script)).await?;
    // In its last step before the word, the child waits in a read of the pipe.
    wait_until_reading(&launched).await?;
    let program = fs::read_link(format!("/proc/{}/exe", launched.pid))?;
    ensure!(program == std::env::current_exe()?, "it runs {program:?}");
    ensure!(!mark.exists(), "the command ran before the word");
    launched.go();
    ensure!(launched.wait().await?.success());
    let pid: u32 = fs::read_to_string(&mark)?.trim().parse()?;
    ensure!(pid == launched.pid, "{pid} is not {}", launched.pid);
    Ok(())
}

async fn wait_until_reading(launched: &Launched) -> anyhow::Result<()> {
    let path = format!("/proc/{}/wchan", launched.pid);
    for _ in 0..5_000 {
        if fs::read_to_string(&path)?.contains("pipe_read") {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    anyhow::bail!("the child never waited for the word")
}

async fn dropped() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mark = folder.path().join("ran");
    let launched = launch::start(shell(&format!("touch {}", mark.display()))).await?;
    let process = rustix::process::Pid::from_raw(launched.pid.cast_signed()).context("a pid")?;
    let process = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?;
    drop(launched);
    super::network::wait_for_end(&process)?;
    ensure!(!mark.exists(), "it ran");
    Ok(())
}

async fn codes() -> anyhow::Result<()> {
    ensure!(output(shell("exit 7")).await?.0 == Some(7));
    ensure!(output(shell("kill -9 $$")).await?.0.is_none());
    for (program, code, words) in [
        ("no-such-command", 127, "no such command"),
        ("/etc/passwd", 126, "denied"),
    ] {
        let spec = LaunchSpec::new(Program::Command(program.into()), Vec::new());
        let (ended, text) = output(spec).await?;
        ensure!(ended == Some(code), "{program}: {ended:?}");
        ensure!(text.contains(words) && text.contains(program), "{text}");
    }
    Ok(())
}

async fn user() -> anyhow::Result<()> {
    let mut spec = shell(
        "id -u; id -g; id -G; echo $HOME $USER ${SUDO_UID-none}; grep CapEff /proc/$$/status",
    );
    spec.environment.push(("SUDO_UID".into(), "65534".into()));
    spec.user = Some(Identity {
        uid: 65534,
        gid: 65534,
        name: "nobody".into(),
    });
    let (code, text) = output(spec).await?;
    ensure!(code == Some(0), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    ensure!(
        lines.get(..3) == Some(&["65534", "65534", "65534"]),
        "{text}"
    );
    ensure!(
        lines
            .get(3)
            .is_some_and(|line| line.ends_with(" nobody none") && !line.contains("/root")),
        "{text}"
    );
    ensure!(text.ends_with("CapEff:\t0000000000000000\n"), "{text}");
    Ok(())
}

async fn redirected() -> anyhow::Result<()> {
    let mut spec = shell("true");
    spec.stdout = Output::Stderr;
    let mut launched = launch::start(spec).await?;
    let stdout = fs::read_link(format!("/proc/{}/fd/1", launched.pid))?;
    launched.go();
    launched.wait().await?;
    let stderr = fs::read_link("/proc/self/fd/2")?;
    ensure!(stdout == stderr, "{stdout:?} is not {stderr:?}");
    Ok(())
}

fn two_files() -> ResolverFiles {
    let file = |name: &str| EtcFile {
        name: name.to_owned(),
        contents: format!("of the lab: {name}\n"),
    };
    ResolverFiles {
        host_name: Some("client".to_owned()),
        files: vec![file("resolv.conf"), file("tracer-lab/note")],
    }
}

const SHOW: &str = "cat /etc/resolv.conf /etc/tracer-lab/note; hostname 2>/dev/null || cat /proc/sys/kernel/hostname";
const SHOWN: &str = "of the lab: resolv.conf\nof the lab: tracer-lab/note\nclient\n";

async fn private_etc() -> anyhow::Result<()> {
    let before = (
        fs::read("/etc/resolv.conf").ok(),
        fs::read_to_string("/proc/self/mountinfo")?,
        fs::read_to_string("/proc/sys/kernel/hostname")?,
        output(shell(
            "ls -A /etc; ls -A /tmp; cat /etc/passwd; ls /sys/fs/cgroup /sys/class/net",
        ))
        .await?,
    );
    let mut spec = shell(SHOW);
    spec.resolver_files = Some(two_files());
    let (code, text) = output(spec).await?;
    ensure!((code, text.as_str()) == (Some(0), SHOWN), "{text}");
    // Everything else looks the same, inside and out.
    let mut spec = shell(
        "ls -A /etc | grep -v tracer-lab; ls -A /tmp; cat /etc/passwd; ls /sys/fs/cgroup /sys/class/net",
    );
    spec.resolver_files = Some(two_files());
    let inside = output(spec).await?;
    let known = |line: &&str| !line.contains("resolv.conf");
    ensure!(
        inside
            .1
            .lines()
            .filter(known)
            .eq(before.3.1.lines().filter(known)),
        "inside:\n{}\nbefore:\n{}",
        inside.1,
        before.3.1
    );
    ensure!(before.0 == fs::read("/etc/resolv.conf").ok());
    ensure!(
        before.1 == fs::read_to_string("/proc/self/mountinfo")?,
        "mounts leaked"
    );
    ensure!(before.2 == fs::read_to_string("/proc/sys/kernel/hostname")?);
    Ok(())
}

/// A host whose resolv.conf is a dangling link, in a mount namespace of this test's thread.
async fn odd_etc() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let flags = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
    let none = MsFlags::empty();
    mount(Some("odd"), "/etc", Some("tmpfs"), none, None::<&str>)?;
    symlink("../nowhere/at/all.conf", "/etc/resolv.conf")?;
    fs::write("/etc/plain", "plain\n")?;
    let mut spec = shell(&format!(
        "{SHOW}; cat /etc/plain; test -L /etc/resolv.conf && echo link"
    ));
    spec.resolver_files = Some(two_files());
    let (_, text) = output(spec).await?;
    ensure!(text == format!("{SHOWN}plain\n"), "{text}");
    ensure!(fs::read_link("/etc/resolv.conf")?.ends_with("all.conf"));
    Ok(())
}

async fn unprivileged() -> anyhow::Result<()> {
    let mut spec = LaunchSpec::new(Program::ThisProgram, vec![START_LAB.into()]);
    spec.user = Some(Identity {
        uid: 65534,
        gid: 65534,
        name: String::new(),
    });
    let (code, text) = output(spec).await?;
    ensure!(code == Some(1), "{text}");
    ensure!(
        text.contains("not permitted") && text.contains("CAP_SYS_ADMIN") && text.contains("root"),
        "{text}"
    );
    Ok(())
}
