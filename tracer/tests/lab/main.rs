//! The lab, the launcher and the built-in client together, on this kernel. Needs root.

mod fetches;
mod launches;
mod network;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::time::Instant;
use tracer::lab::Lab;
use tracer::launch;

/// Hidden modes of this program, for tests that need a process of their own.
const HOLD_LAB: &str = "hold-lab";
const START_LAB: &str = "start-lab";

fn main() -> ExitCode {
    if let Some(code) = launch::hidden_command() {
        return code;
    }
    match std::env::args().nth(1).as_deref() {
        Some(HOLD_LAB) => return network::hold_lab(),
        Some(START_LAB) => return network::start_lab(),
        _ => {}
    }
    let arguments = Arguments::from_args();
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!(
            "\nSKIPPED: the tests of the lab need root (network namespaces); run them with sudo\n"
        );
        return ExitCode::SUCCESS;
    }
    let mut trials = fetches::trials();
    trials.extend(launches::trials());
    trials.extend(network::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that runs inside a tokio runtime of its own.
fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = anyhow::Result<()>>,
{
    Trial::test(name.to_owned(), move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime
            .block_on(async { test().await })
            .map_err(|error| Failed::from(format!("{error:#}")))
    })
}

fn start() -> anyhow::Result<Lab> {
    let started = Instant::now();
    let lab = Lab::start()?;
    eprintln!("lab ready after {:?}", started.elapsed());
    Ok(lab)
}
