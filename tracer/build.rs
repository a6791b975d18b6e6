//! Makes the object with the kernel programs available to `include_bytes_aligned!`.
//!
//! `cargo xtask build` builds it and names it in `TRACER_BPF_OBJECT`. Without that, an
//! empty stub takes its place, so that checking, linting and unit tests need no BPF
//! toolchain; such a tracer says at run time what it lacks.

use std::{env, error::Error, fs, path::PathBuf};

const OBJECT: &str = "TRACER_BPF_OBJECT";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OBJECT}");
    let target = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?)
        .join("tracer.bpf.o");
    match env::var_os(OBJECT).filter(|path| !path.is_empty()) {
        Some(path) => {
            let path = PathBuf::from(path);
            println!("cargo::rerun-if-changed={}", path.display());
            let object = fs::read(&path).map_err(|error| {
                format!(
                    "cannot read the kernel programs {} named by {OBJECT}: {error}: \
                     run `cargo xtask build`",
                    path.display()
                )
            })?;
            fs::write(target, object)?;
        }
        None => fs::write(target, [])?,
    }
    Ok(())
}
