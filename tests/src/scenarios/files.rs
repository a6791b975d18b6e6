//! Files: only those that were asked for, for the eyes that may see them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::program::{Program, Tracer, find_program, find_tracer, sparing_options};
use crate::requests;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "recordings_are_for_their_owner_whatever_the_umask_or_the_old_mode",
        run: modes,
    },
    Scenario {
        name: "a_capture_that_cannot_begin_leaves_the_old_report_whole",
        run: old_report,
    },
    Scenario {
        name: "under_sudo_files_belong_to_the_user_and_links_lead_nowhere_else",
        run: sudo_files,
    },
    Scenario {
        name: "no_file_is_written_but_those_asked_for",
        run: nothing_else,
    },
];

/// nobody.
const USER: u32 = 65_534;

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn modes() -> Result<()> {
    let tracer = find_tracer().context("no tracer")?;
    let server = requests::server(false)?;
    let place = tempfile::tempdir()?;
    let old = place.path().join("old.pcapng");
    fs::write(&old, "before")?;
    fs::set_permissions(&old, PermissionsExt::from_mode(0o666))?;
    for name in ["new.pcapng", "old.pcapng"] {
        let script = format!(
            "umask 000; exec {} fetch {} --save {name} -o {name}.json http://{server}/",
            tracer.display(),
            sparing_options().join(" ")
        );
        let shell = Program::new("sh").args(["-c", &script]);
        shell.folder(place.path()).run()?.expect_code(0)?;
        let path = place.path().join(name);
        ensure!(mode(&path)? == 0o600, "{name}: {:o}", mode(&path)?);
        // Secrets are redacted in a report: it is an ordinary file.
        let report = place.path().join(format!("{name}.json"));
        ensure!(mode(&report)? == 0o666, "{:o}", mode(&report)?);
        let arguments = [Path::new("read"), &path];
        Tracer::new(arguments).run()?.expect_code(0)?;
    }
    // Somebody else's file could be opened again by its owner.
    chown(&old, Some(USER), None)?;
    let save = old.to_string_lossy();
    let outcome = Tracer::new(["fetch", "--save", &save, "http://127.0.0.1:9/"]).run()?;
    ensure!(outcome.code() != Some(0), "{}", outcome.describe());
    outcome.expect_stderr("belongs to user 65534")?;
    Ok(())
}

fn old_report() -> Result<()> {
    let place = tempfile::tempdir()?;
    let report = place.path().join("report.json");
    fs::write(&report, "before")?;
    let path = report.to_string_lossy();
    Tracer::new([
        "fetch",
        "--interface",
        "nosuch0",
        "-o",
        &path,
        "http://127.0.0.1:9/",
    ])
    .run()?
    .expect_code(2)?
    .expect_stderr("nosuch0")?;
    ensure!(fs::read_to_string(&report)? == "before");
    Tracer::sparing(["fetch", "-o", &path, "http://127.0.0.1:9/"])
        .run()?
        .expect_code(1)?;
    let document: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report)?)?;
    ensure!(document["schema_version"] == 1, "{document:#}");
    Ok(())
}

fn sudo_files() -> Result<()> {
    let under_sudo = |program: Program| {
        program
            .env("SUDO_UID", USER.to_string())
            .env("SUDO_GID", USER.to_string())
            .env("SUDO_USER", "nobody")
    };
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let root_owned = tempfile::tempdir()?;
    let secret = root_owned.path().join("secret");
    fs::write(&secret, "root's")?;
    let own = tempfile::tempdir()?;
    chown(own.path(), Some(USER), Some(USER))?;
    // A folder of the user's, and one that only root may write into.
    for folder in [own.path(), root_owned.path()] {
        let run = Tracer::sparing(["fetch", "--save", "a.pcapng", "-o", "a.json", &url]);
        run.with(|program| under_sudo(program.folder(folder)))
            .run()?
            .expect_code(0)?;
        for name in ["a.pcapng", "a.json"] {
            let data = fs::metadata(folder.join(name))?;
            ensure!((data.uid(), data.gid()) == (USER, USER), "{name}: {data:?}");
        }
        ensure!(mode(&folder.join("a.pcapng"))? == 0o600);
    }
    // What the user may not write, a link of the user's does not write either.
    symlink(&secret, own.path().join("link.json"))?;
    symlink(&secret, own.path().join("link.pcapng"))?;
    for arguments in [["-o", "link.json"], ["--save", "link.pcapng"]] {
        let run = Tracer::new(["fetch", &url]).with(|program| program.args(arguments));
        let outcome = run
            .with(|program| under_sudo(program.folder(own.path())))
            .run()?;
        ensure!(outcome.code() == Some(1), "{}", outcome.describe());
        ensure!(fs::read_to_string(&secret)? == "root's", "it was written");
    }
    Ok(())
}

/// Private file systems over every usual place; what is in them at the end was written.
fn nothing_else() -> Result<()> {
    if find_program("find").is_none() {
        return Err(Skipped("find is not installed here".into()).into());
    }
    let tracer = find_tracer().context("no tracer")?;
    let server = requests::server(false)?;
    let script = format!(
        "set -e; mount -t tmpfs none /mnt; cp {} /mnt/tracer; \
         for place in /tmp /var/tmp /root /run /dev/shm /home; do \
         if [ -d $place ]; then mount -t tmpfs none $place; fi; done; \
         mount -t tmpfs none /var/cache 2>/dev/null || true; \
         mkdir /tmp/work; cd /tmp/work; export HOME=/root; \
         /mnt/tracer fetch --save a.pcapng -o a.json -o b.txt http://{server}/; \
         /mnt/tracer read -o c.json a.pcapng; \
         /mnt/tracer demo -o d.json; \
         /mnt/tracer doctor >/dev/null; \
         find /tmp /var/tmp /root /run /dev/shm /home /mnt /var/cache ! -type d | sort",
        tracer.display()
    );
    if !Path::new("/mnt").is_dir() {
        return Err(Skipped("there is no /mnt to mount on".into()).into());
    }
    let outcome = Program::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .run()?
        .expect_code(0)?;
    let found: Vec<&str> = outcome.stdout.lines().collect();
    let asked = [
        "/mnt/tracer",
        "/tmp/work/a.json",
        "/tmp/work/a.pcapng",
        "/tmp/work/b.txt",
        "/tmp/work/c.json",
        "/tmp/work/d.json",
    ];
    ensure!(found == asked, "{}", outcome.describe());
    Ok(())
}
