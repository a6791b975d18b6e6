//! Starts the lab and runs the built-in client, or any command, in its client namespace;
//! shows what the client reports. Needs root.
//!
//! `cargo run --example lab_try -- https://www.shop.test/`
//! `cargo run --example lab_try -- run ip addr`

use clap::Parser;
use std::process::ExitCode;
use std::time::Instant;
use tracer::client::{self, RequestOptions};
use tracer::lab::{CA_PATH, Lab};
use tracer::launch::{self, Identity, LaunchSpec, Program};

#[derive(Parser)]
enum Try {
    /// A command in the client's network.
    Run {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// The built-in client.
    Fetch(RequestOptions),
}

fn main() -> ExitCode {
    if let Some(code) = launch::hidden_command() {
        return code;
    }
    let what = Try::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(attempt(what)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab_try: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn attempt(what: Try) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let lab = Lab::start()?;
    eprintln!("lab ready after {:?}", started.elapsed());
    let (mut spec, mut pipes) = match what {
        Try::Run { command } => {
            let mut words = command.into_iter();
            let program = Program::Command(words.next().unwrap_or_default());
            (LaunchSpec::new(program, words.collect()), None)
        }
        Try::Fetch(mut options) => {
            options.cacert.get_or_insert_with(|| CA_PATH.into());
            let (spec, pipes) = client::launch_spec(&options)?;
            (spec, Some(pipes))
        }
    };
    lab.place(&mut spec)?;
    spec.user = Identity::invoking();
    let started = Instant::now();
    let mut launched = launch::start(spec).await?;
    launched.go();
    if let Some(pipes) = &mut pipes {
        while let Some(statement) = pipes.next().await {
            eprintln!("{statement:?}");
        }
    }
    let status = launched.wait().await?;
    eprintln!("{status} after {:?}", started.elapsed());
    let started = Instant::now();
    lab.stop();
    eprintln!("lab gone after {:?}", started.elapsed());
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
