//! The targets without the fuzzer: `target list` names them, `target replay NAME FILE...`
//! runs one on inputs from files, as an ordinary program with an ordinary backtrace, and
//! `target growth [NAME]` measures whether time grows as the input does.

use std::process::ExitCode;
use std::time::Instant;
use tracer_fuzz::{TARGETS, captures, growth, named};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            for target in TARGETS {
                println!("{}\t{}\t{}", target.name, target.longest, target.about);
            }
            ExitCode::SUCCESS
        }
        ["replay", name, ref files @ ..] => replay(name, files),
        ["growth", ref names @ ..] => measure(names),
        _ => {
            eprintln!("usage: target list, target growth [NAME], or target replay NAME FILE...");
            ExitCode::from(2)
        }
    }
}

fn replay(name: &str, files: &[&str]) -> ExitCode {
    let Some(target) = named(name) else {
        eprintln!("no target is called {name:?}: `target list` names them");
        return ExitCode::from(2);
    };
    (target.run)(b"");
    for file in files {
        let input = match std::fs::read(file) {
            Ok(input) => input,
            Err(error) => {
                eprintln!("cannot read {file}: {error}; name an input that the fuzzer wrote");
                return ExitCode::from(2);
            }
        };
        println!("{file}: {} bytes", input.len());
        let begun = Instant::now();
        let held = target.check(&input);
        println!(
            "passed in {:?}, {held} bytes of heap at most",
            begun.elapsed()
        );
    }
    ExitCode::SUCCESS
}

/// A table, and failure when some time grows faster than its input.
fn measure(names: &[&str]) -> ExitCode {
    let captures = captures::all();
    let mut linear = true;
    println!("target          growth   512 KiB in  worst shape");
    for target in TARGETS {
        if !names.is_empty() && !names.contains(&target.name) {
            continue;
        }
        let Some(worst) = growth::worst(target, &captures) else {
            continue;
        };
        linear &= worst.is_linear();
        println!(
            "{:<14} {:>6.1} x {:>9.2} ms  {}{}",
            target.name,
            worst.factor(),
            worst.longest().as_secs_f64() * 1000.0,
            worst.shape,
            if worst.is_linear() {
                ""
            } else {
                "  NOT LINEAR"
            }
        );
    }
    match linear {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
