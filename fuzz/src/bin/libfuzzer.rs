//! The one program of `cargo xtask fuzz`: libFuzzer around the target that
//! TRACER_FUZZ_TARGET names. Before it starts, its seeds are written to the folder that
//! TRACER_FUZZ_SEEDS names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;
use tracer_fuzz::{Target, captures, findings, named};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: prepare(),
    |input: &[u8]| {
        if let Some(target) = TARGET.get() {
            target.check(input);
        }
    }
);

fn prepare() {
    let name = std::env::var("TRACER_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = named(&name) else {
        eprintln!(
            "no target is called {name:?}: set TRACER_FUZZ_TARGET to one of `cargo xtask fuzz --list`"
        );
        std::process::exit(2);
    };
    if let Some(folder) = std::env::var_os("TRACER_FUZZ_SEEDS")
        && let Err(error) = write_seeds(target, Path::new(&folder))
    {
        eprintln!("cannot write seeds: {error}; check that there is room and that you may write");
        std::process::exit(2);
    }
    // The first run fills tables that live on: they are not the memory of an input.
    (target.run)(b"");
    TARGET.get_or_init(|| target);
}

fn write_seeds(target: &Target, folder: &Path) -> std::io::Result<()> {
    let seeds = (target.seeds)(&captures::all());
    let known = findings::of(target.name)?
        .into_iter()
        .map(|(_, input)| input);
    for (input, number) in seeds.into_iter().chain(known).zip(1_u32..) {
        if input.len() <= target.longest {
            std::fs::write(folder.join(format!("seed-{number}")), input)?;
        }
    }
    Ok(())
}
