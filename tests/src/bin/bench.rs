//! Figures that must stay small, measured and printed as a table; `cargo xtask bench` runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tracer_tests::program::Program;

#[derive(Debug, Parser)]
struct Arguments {
    /// The tracer to measure.
    #[arg(long, value_name = "FILE")]
    tracer: PathBuf,
    /// Only the figures whose name holds one of these words.
    words: Vec<String>,
}

/// One figure: how it is measured, and what it may be at most.
struct Figure {
    name: &'static str,
    unit: &'static str,
    limit: f64,
    measure: fn(&Arguments) -> Result<f64>,
}

const FIGURES: &[Figure] = &[Figure {
    name: "start of the program",
    unit: "ms",
    limit: 100.0,
    measure: start_of_the_program,
}];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let wanted = |figure: &&Figure| {
        arguments.words.is_empty()
            || arguments
                .words
                .iter()
                .any(|word| figure.name.contains(word.as_str()))
    };
    if !FIGURES.iter().any(|figure| wanted(&figure)) {
        bail!("no figure has such a name: run without words to see all");
    }
    let mut within = true;
    println!("{:<44} {:>12} {:>12}", "figure", "measured", "at most");
    for figure in FIGURES.iter().filter(wanted) {
        let measured = (figure.measure)(&arguments)
            .with_context(|| format!("cannot measure: {}", figure.name))?;
        let fits = measured <= figure.limit;
        within &= fits;
        let remark = if fits { "" } else { "  too much" };
        println!(
            "{:<44} {:>12} {:>12}{remark}",
            figure.name,
            format!("{measured:.1} {}", figure.unit),
            format!("{} {}", figure.limit, figure.unit)
        );
    }
    Ok(if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Loading and linking the binary, which every other figure includes. Median of eleven.
fn start_of_the_program(arguments: &Arguments) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&arguments.tracer).args(["--version"]);
        let started = Instant::now();
        program.run()?.expect_code(0)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
