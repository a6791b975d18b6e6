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
use memchr::memmem;

use super::llvm;
use super::toolchain::{Kind, TARGET, Toolchain};
use crate::process;
use crate::workspace::{self, Workspace};

/// The release that the kernel programs are built and tested with.
const VERSION: &str = "0.13.0";

/// LLVM majors that this release of bpf-linker can be built for.
pub const SUPPORTED_LLVM: [u32; 3] = [21, 22, 23];

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
        for path in candidates(workspace, toolchain.llvm) {
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

/// Whether a linker of the right release and of this LLVM is installed.
pub fn is_installed_for(workspace: &Workspace, llvm: u32) -> bool {
    candidates(workspace, llvm).iter().any(|path| {
        check_version(path).is_ok()
            && fs::read(path).is_ok_and(|program| llvm_of(&program) == Some(llvm))
    })
}

fn candidates(workspace: &Workspace, llvm: u32) -> Vec<PathBuf> {
    let own = own_folder(workspace, llvm).join("bin/bpf-linker");
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
    check_version(path)?;
    // Linking takes a moment, so success is remembered for exactly this linker and compiler.
    let stamp = workspace.tools().join("linker-checked");
    let key = identity(toolchain, path)?;
    let known = fs::read_to_string(&stamp).unwrap_or_default();
    if known.lines().any(|line| line == key) {
        return Ok(());
    }
    match llvm_of(&fs::read(path)?) {
        Some(llvm) if llvm != toolchain.llvm => bail!(
            "it links with LLVM {llvm}, and {} needs LLVM {}",
            toolchain.rustc.display(),
            toolchain.llvm
        ),
        // Without a prebuilt `core` there is nothing to link on trial.
        None if toolchain.kind == Kind::BuildStd => bail!("its LLVM cannot be told"),
        _ => {}
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

fn check_version(path: &Path) -> Result<()> {
    let version = process::capture(Command::new(path).arg("--version"), QUICK)?;
    if version.split_whitespace().nth(1) == Some(VERSION) {
        return Ok(());
    }
    bail!("its version is {}, and {VERSION} is needed", version.trim())
}

/// The LLVM major of a linker, from the name of the library it loads (`libLLVM.so.22.1` or,
/// before LLVM 18, `libLLVM-17.so`), or from the mark that an LLVM inside it leaves in what it
/// writes (`LLVM22.1.8`).
fn llvm_of(program: &[u8]) -> Option<u32> {
    const WORD: &[u8] = b"LLVM";
    memmem::find_iter(program, WORD).find_map(|at| {
        let rest = program.get(at + WORD.len()..)?;
        let rest = [&b".so."[..], b"-"]
            .iter()
            .find_map(|separator| rest.strip_prefix(*separator))
            .unwrap_or(rest);
        // Two digits and a dot: no other text of a linker looks like that.
        let (digits, rest) = rest.split_at_checked(2)?;
        (rest.first() == Some(&b'.') && digits.iter().all(u8::is_ascii_digit)).then_some(())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    })
}

/// Compiles the smallest program to bitcode, links it, and looks for its type information (BTF).
///
/// Bitcode is handed over by itself: linking all of `core` would take seconds and prove no more.
fn link_probe(workspace: &Workspace, toolchain: &Toolchain, path: &Path) -> Result<()> {
    const PROGRAM: &str = r#"#![no_std]
#[unsafe(no_mangle)]
#[unsafe(link_section = "socket")]
pub extern "C" fn probe(_context: *mut u8) -> u32 { 0 }
"#;
    let folder = workspace.tools().join("probe");
    fs::create_dir_all(&folder)?;
    let file = |extension: &str| folder.join("probe").with_extension(extension);
    let (source, bitcode, object) = (file("rs"), file("bc"), file("o"));
    fs::write(&source, PROGRAM)?;
    let mut compile = Command::new(&toolchain.rustc);
    workspace::without_toolchain(&mut compile);
    compile
        .args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc"])
        .args([
            "-Copt-level=2",
            "-Cdebuginfo=2",
            "-Cpanic=abort",
            "--target",
            TARGET,
        ])
        .arg("-o")
        .args([&bitcode, &source]);
    process::capture(&mut compile, QUICK)?;
    let mut link = Command::new(path);
    link.args(["--btf", "--export", "probe", "--output"])
        .args([&object, &bitcode]);
    process::capture(&mut link, QUICK).context("it cannot link a program of this compiler")?;
    let linked = fs::read(&object).context("it leaves no object for a program of this compiler")?;
    if !has_type_information(&linked) {
        bail!("it links a program of this compiler without type information (BTF)");
    }
    fs::remove_dir_all(&folder).context("cannot remove the probe's folder")
}

/// Whether an object has a `.BTF` section, told by the name in its section name table.
pub fn has_type_information(object: &[u8]) -> bool {
    memmem::find(object, b".BTF\0").is_some()
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
    let prefix = llvm::ensure(llvm)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_linker_is_told_whether_it_is_inside_or_loaded() {
        assert_eq!(llvm_of(b"\0libgcc_s.so.1\0libLLVM.so.22.1\0"), Some(22));
        assert_eq!(llvm_of(b"\0libLLVM-17.so.1\0"), Some(17));
        assert_eq!(llvm_of(b"\0LLVM is here\0LLVM23.1.0\0"), Some(23));
        assert_eq!(llvm_of(b"something else, LLVM"), None);
    }

    #[test]
    fn an_object_without_type_information_is_noticed() {
        assert!(has_type_information(b"\0.text\0.BTF\0.BTF.ext\0"));
        assert!(!has_type_information(b"\0.text\0.BTF.ext\0"));
    }
}
