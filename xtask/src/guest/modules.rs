//! Which kernel modules a guest needs, in the order they must be loaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// What the lab and the tracer use. A guest loads all of them before the tests: it has no
/// modprobe that the kernel could call.
const WANTED: [&str; 14] = [
    "veth",
    "dummy",
    "bridge",
    "tun",
    "8021q",
    // Filters and shaping: clsact is in sch_ingress.
    "sch_ingress",
    "cls_bpf",
    "act_bpf",
    "sch_netem",
    // Dumps of sockets that are older than the tracer.
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    // Address translation on the gateway.
    "nf_conntrack",
    "nf_conntrack_netlink",
];

/// Loaded before all others where they exist: the checksum that nf_conntrack's libcrc32c asks
/// the crypto interface for, a dependency that modules.dep does not know. Newer kernels hold it.
const WANTED_FIRST: [&str; 1] = ["crc32c_generic"];

/// Writes the modules and their dependencies, uncompressed, into a folder of the image and
/// returns their file names in loading order.
pub fn install(modules: &Path, into: &Path) -> Result<Vec<String>> {
    let index = fs::read_to_string(modules.join("modules.dep"))
        .with_context(|| format!("no index of modules in {}", modules.display()))?;
    let builtin = fs::read_to_string(modules.join("modules.builtin")).unwrap_or_default();
    fs::create_dir_all(into)?;
    let mut names = Vec::new();
    let mut order = loading_order(&index, &WANTED_FIRST);
    for path in loading_order(&index, &WANTED) {
        if !order.contains(&path) {
            order.push(path);
        }
    }
    for name in WANTED {
        if !holds(&order, name) && !builtin.lines().any(|path| module_name(path) == name) {
            eprintln!("vm: warning: this kernel has no module {name}");
        }
    }
    for path in order {
        let name = format!("{}.ko", module_name(&path));
        uncompress(&modules.join(&path), &into.join(&name))?;
        names.push(name);
    }
    Ok(names)
}

/// Paths relative to the index: each module after all that it depends on.
fn loading_order(index: &str, wanted: &[&str]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in wanted {
        let line = index.lines().find_map(|line| {
            let (path, dependencies) = line.split_once(':')?;
            (module_name(path) == *name).then_some((path, dependencies))
        });
        // Absent: in the kernel itself, or not at all.
        let Some((path, dependencies)) = line else {
            continue;
        };
        // depmod(8) lists the dependencies so that the last one comes first.
        let needed = dependencies.split_whitespace().rev().chain([path]);
        for path in needed {
            if !order.iter().any(|known| known == path) {
                order.push(path.to_owned());
            }
        }
    }
    order
}

fn holds(order: &[String], name: &str) -> bool {
    order.iter().any(|path| module_name(path) == name)
}

/// `kernel/net/8021q/8021q.ko.xz` is `8021q`; the kernel takes `-` and `_` for the same.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn uncompress(from: &Path, to: &PathBuf) -> Result<()> {
    let program = match from.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => {
            fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
            return Ok(());
        }
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => bail!("{} is compressed in an unknown way", from.display()),
    };
    let output = fs::File::create(to)?;
    let mut command = Command::new(program);
    command.arg("-dc").arg(from);
    process::into_file(&mut command, output, Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
kernel/net/sched/cls_bpf.ko:
kernel/net/ipv4/tcp_diag.ko.xz: kernel/net/ipv4/inet_diag.ko.xz
kernel/net/ipv4/inet_diag.ko.xz:
kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko
";

    #[test]
    fn dependencies_come_first_and_once() {
        assert_eq!(
            loading_order(INDEX, &["bridge", "tcp_diag", "inet_diag"]),
            [
                "kernel/net/llc/llc.ko",
                "kernel/net/802/stp.ko",
                "kernel/net/bridge/bridge.ko",
                "kernel/net/ipv4/inet_diag.ko.xz",
                "kernel/net/ipv4/tcp_diag.ko.xz",
            ]
        );
    }

    #[test]
    fn a_module_that_is_not_in_the_index_is_not_loaded() {
        assert!(loading_order(INDEX, &["tun"]).is_empty());
    }

    #[test]
    fn names_are_told_from_paths() {
        assert_eq!(module_name("kernel/net/netfilter/nf-x.ko.zst"), "nf_x");
    }
}
