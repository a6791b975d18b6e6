//! The end-to-end tests, as one program for this kernel and for guests.
//!
//! It takes the options of a Rust test program: a word runs the scenarios whose name holds
//! it, `--list` prints the names.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use tracer_tests::scenario::Scenario;
use tracer_tests::scenarios;
use tracer_tests::share::Share;

fn main() -> ExitCode {
    if let Some(code) = tracer_tests::requests::part() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Hooks and namespaces belong to the whole machine: scenarios would see one another.
    arguments.test_threads.get_or_insert(1);
    if !arguments.list && !nix::unistd::geteuid().is_root() {
        eprintln!(
            "end_to_end: loading kernel programs needs root: run `cargo xtask test --only native`, which uses sudo"
        );
        return ExitCode::from(3);
    }
    let share = match Share::asked_for() {
        Ok(share) => share,
        Err(error) => {
            eprintln!("end_to_end: {error:#}");
            return ExitCode::from(2);
        }
    };
    let trials: Vec<Trial> = share
        .part_of(scenarios::all())
        .map(Scenario::into_trial)
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
