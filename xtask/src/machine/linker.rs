//! bpf-linker, which must have the same LLVM major as the compiler of the kernel programs.
//!
//! Another LLVM gives "Invalid record", or a link that succeeds with broken type information.
//! A linker of the user that fits is used where it is; any other is left alone, and ours is
//! installed under `target/tools`, which comes first on the kernel build's PATH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::packages;
use super::toolchain::{Kind, TARGET, Toolchain};
use crate::process;
use crate::workspace::{self, Workspace};

/// The release that the kernel programs are built and tested with.
const VERSION: &str = "0.13.0";

/// LLVM majors that this release of bpf-linker can be built for.
const SUPPORTED_LLVM: [u32; 3] = [21, 22, 23];

const QUICK: Duration = Duration::from_secs(30);
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// A bpf-linker that fits a compiler.
#[derive(Debug, Clone)]
pub struct Linker {
    pub path: PathBuf,
}

impl Linker {
    /// The first installed linker that fits; or why each installed one does not.
    pub fn find(workspace: &Workspace, toolchain: &Toolchain) -> Result<Self, Vec<String>> {
        let mut refused = Vec::new();
        for path in candidates(workspace, toolchain) {
            match check(workspace, toolchain, &path) {
                Ok(()) => return Ok(Self { path }),
                Err(reason) => refused.push(format!("{}: {reason:#}", path.display())),
            }
        }
        Err(refused)
    }
}

/// Finds a linker that fits, building one where there is none.
pub fn ensure(workspace: &Workspace, toolchain: &Toolchain) -> Result<Linker> {
    match Linker::find(workspace, toolchain) {
        Ok(linker) => Ok(linker),
        Err(refused) => {
            for reason in refused {
                eprintln!("setup: not used: {reason}");
            }
            install(workspace, toolchain)
        }
    }
}

fn own_folder(workspace: &Workspace, llvm: u32) -> PathBuf {
    workspace.tools().join(format!("llvm-{llvm}"))
}

fn candidates(workspace: &Workspace, toolchain: &Toolchain) -> Vec<PathBuf> {
    let own = own_folder(workspace, toolchain.llvm).join("bin/bpf-linker");
    let mut found = Vec::new();
    if process::is_executable(&own) {
        found.push(own);
    }
    let on_path = process::find_program("bpf-linker");
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .map(|home| home.join("bin/bpf-linker"))
        .filter(|path| process::is_executable(path));
    for path in on_path.into_iter().chain(home) {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Whether a linker has the right release and LLVM and really links for this compiler.
fn check(workspace: &Workspace, toolchain: &Toolchain, path: &Path) -> Result<()> {
    let version = process::capture(Command::new(path).arg("--version"), QUICK)?;
    if version.split_whitespace().nth(1) != Some(VERSION) {
        bail!("its version is {}, and {VERSION} is needed", version.trim());
    }
    // Linking takes a moment, so success is remembered for exactly this linker and compiler.
    let stamp = workspace.tools().join("linker-checked");
    let key = identity(toolchain, path)?;
    let known = fs::read_to_string(&stamp).unwrap_or_default();
    if known.lines().any(|line| line == key) {
        return Ok(());
    }
    if let Some(llvm) = llvm_of(&fs::read(path)?)
        && llvm != toolchain.llvm
    {
        bail!(
            "it links with LLVM {llvm}, and {} needs LLVM {}",
            toolchain.rustc.display(),
            toolchain.llvm
        );
    }
    if toolchain.kind == Kind::Prebuilt {
        link_probe(workspace, toolchain, path)?;
    }
    fs::create_dir_all(workspace.tools())?;
    fs::write(&stamp, format!("{key}\n")).context("cannot remember that the linker works")
}

fn identity(toolchain: &Toolchain, path: &Path) -> Result<String> {
    let data = path.metadata()?;
    let changed = data
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(format!(
        "{} {} {} {} {} {}",
        path.display(),
        data.len(),
        changed.as_nanos(),
        toolchain.rustc.display(),
        toolchain.release,
        toolchain.llvm
    ))
}

/// The LLVM major of a linker that loads LLVM as a shared library, from the library's name:
/// `libLLVM.so.22.1` or, before LLVM 18, `libLLVM-17.so`.
fn llvm_of(program: &[u8]) -> Option<u32> {
    const NAMES: [&[u8]; 2] = [b"libLLVM.so.", b"libLLVM-"];
    NAMES.iter().find_map(|name| {
        let at = program
            .windows(name.len())
            .position(|window| window == *name)?;
        let rest = program.get(at + name.len()..)?;
        let digits: String = rest
            .iter()
            .take(3)
            .take_while(|byte| byte.is_ascii_digit())
            .map(|byte| char::from(*byte))
            .collect();
        digits.parse().ok()
    })
}

/// Compiles and links the smallest program, and looks for its type information (BTF).
fn link_probe(workspace: &Workspace, toolchain: &Toolchain, path: &Path) -> Result<()> {
    const PROGRAM: &str = r#"#![no_std]
#![no_main]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[unsafe(no_mangle)]
#[unsafe(link_section = "socket")]
pub extern "C" fn probe(_context: *mut core::ffi::c_void) -> u32 { 0 }
"#;
    let folder = workspace.tools().join("probe");
    fs::create_dir_all(&folder)?;
    let (source, object) = (folder.join("probe.rs"), folder.join("probe.o"));
    fs::write(&source, PROGRAM)?;
    let mut command = Command::new(&toolchain.rustc);
    workspace::without_toolchain(&mut command);
    command
        .args([
            "--edition=2024",
            "--crate-type=bin",
            "-Copt-level=2",
            "-Cdebuginfo=2",
        ])
        .args(["-Cpanic=abort", "-Clink-arg=--btf", "--target", TARGET])
        .arg(format!("-Clinker={}", path.display()))
        .arg("-o")
        .args([&object, &source]);
    process::capture(&mut command, QUICK).context("it cannot link a program of this compiler")?;
    let linked = fs::read(&object).context("it leaves no object for a program of this compiler")?;
    if !has_type_information(&linked) {
        bail!("it links a program of this compiler without type information (BTF)");
    }
    fs::remove_dir_all(&folder).context("cannot remove the probe's folder")
}

/// Whether an object has a `.BTF` section, told by the name in its section name table.
pub fn has_type_information(object: &[u8]) -> bool {
    const NAME: &[u8] = b".BTF\0";
    object.windows(NAME.len()).any(|window| window == NAME)
}

fn install(workspace: &Workspace, toolchain: &Toolchain) -> Result<Linker> {
    let llvm = toolchain.llvm;
    if !SUPPORTED_LLVM.contains(&llvm) {
        bail!(
            "{} has LLVM {llvm}, and bpf-linker {VERSION} exists for LLVM {SUPPORTED_LLVM:?} only: \
             update the compiler, or put a bpf-linker {VERSION} of LLVM {llvm} on PATH",
            toolchain.rustc.display()
        );
    }
    let prefix = llvm_prefix(llvm)?;
    eprintln!("setup: building bpf-linker {VERSION} for LLVM {llvm} (about a minute or two, once)");
    let root = own_folder(workspace, llvm);
    let mut command = host_cargo();
    command
        .env("LLVM_PREFIX", &prefix)
        .args([
            "install",
            "bpf-linker",
            "--locked",
            "--force",
            "--no-default-features",
        ])
        .arg(format!("--version={VERSION}"))
        .arg(format!("--features=llvm-{llvm}"))
        .arg("--root")
        .arg(&root);
    process::run(&mut command, BUILD_LIMIT).with_context(|| {
        format!(
            "bpf-linker cannot be built; by hand: `LLVM_PREFIX={} cargo install bpf-linker \
             --version {VERSION} --no-default-features --features llvm-{llvm}`",
            prefix.display()
        )
    })?;
    let path = root.join("bin/bpf-linker");
    check(workspace, toolchain, &path).context("the new bpf-linker does not work")?;
    Ok(Linker { path })
}

/// The cargo that runs xtask, without the flags of any other build.
fn host_cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    workspace::without_toolchain(&mut command);
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        // cargo was named by its path inside this toolchain and must find the same rustc.
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}

/// The folder above LLVM's `lib`, where distributions put it.
fn llvm_prefix(llvm: u32) -> Result<PathBuf> {
    if let Some(prefix) = find_llvm(llvm) {
        return Ok(prefix);
    }
    let package = format!("llvm-{llvm}-dev");
    if packages::has_apt() && packages::offered(&package)? {
        eprintln!("setup: installing {package}, which bpf-linker is linked with");
        packages::install(&[&package])?;
    }
    find_llvm(llvm).with_context(|| {
        format!(
            "bpf-linker needs the development files of LLVM {llvm}: install them ({package} on \
             Debian and Ubuntu, llvm{llvm}-devel or llvm-devel elsewhere) and run `cargo xtask setup` again"
        )
    })
}

fn find_llvm(llvm: u32) -> Option<PathBuf> {
    let named = [
        format!("/usr/lib/llvm-{llvm}"),
        format!("/usr/lib64/llvm{llvm}"),
        format!("/usr/lib/llvm{llvm}"),
        format!("/usr/lib/llvm/{llvm}"),
    ];
    let has_library = |prefix: &PathBuf| {
        ["lib", "lib64"]
            .iter()
            .any(|folder| prefix.join(folder).join("libLLVM.so").exists())
    };
    named
        .into_iter()
        .map(PathBuf::from)
        .chain(configured_llvm(llvm))
        .find(has_library)
}

/// The prefix that an `llvm-config` on PATH names, where it is of this major.
fn configured_llvm(llvm: u32) -> Option<PathBuf> {
    [format!("llvm-config-{llvm}"), "llvm-config".to_owned()]
        .iter()
        .find_map(|name| {
            let config = process::find_program(name)?;
            let ask = |what: &str| process::capture(Command::new(&config).arg(what), QUICK).ok();
            let version = ask("--version")?;
            (version.split('.').next()?.trim().parse() == Ok(llvm)).then_some(())?;
            Some(PathBuf::from(ask("--prefix")?.trim()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_linker_is_read_from_the_library_it_loads() {
        assert_eq!(llvm_of(b"\0libgcc_s.so.1\0libLLVM.so.22.1\0"), Some(22));
        assert_eq!(llvm_of(b"\0libLLVM-17.so.1\0"), Some(17));
        assert_eq!(llvm_of(b"a static linker"), None);
    }

    #[test]
    fn an_object_without_type_information_is_noticed() {
        assert!(has_type_information(b"\0.text\0.BTF\0.BTF.ext\0"));
        assert!(!has_type_information(b"\0.text\0.BTF.ext\0"));
    }
}
