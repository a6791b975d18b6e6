//! The built-in HTTP client: `tracer URL` needs no curl.
//!
//! It runs as a process of its own, started stopped by [`crate::launch`], so that it is
//! traced exactly like any other program. Two private pipes lead to the tracer: on one it
//! says what it is doing (intent and verdict only; everything measured comes from the
//! kernel and the wire), on the other its TLS secrets, so that its own exchange can be
//! decrypted.

/// TCP connections, several addresses raced.
mod connect;
/// One request and its response on one connection.
mod exchange;
/// A URL with its redirects.
mod fetch;
/// A stream that outlives the HTTP library's interest in it.
mod held;
/// Command line options.
mod options;
/// The pipes, seen from the tracer.
mod pipes;
/// What goes through the pipes.
mod report;
/// A checked request.
mod request;
/// Names to addresses.
mod resolve;
/// TLS.
mod secure;

pub use options::{ClientArguments, RequestOptions};
pub use pipes::{ClientPipes, Statement, launch_spec};
pub use request::{Request, UsageError, check};

use std::process::ExitCode;

/// Exit code when the options cannot be used.
const USAGE: u8 = 2;

/// Runs the hidden subcommand `__client`: 0 when a response was received, whatever its
/// status, 1 when not, 2 when the options cannot be used.
#[must_use]
pub fn run(arguments: ClientArguments) -> ExitCode {
    crate::launch::set_process_name();
    let ready = check(&arguments.request)
        .map_err(|error| error.to_string())
        .and_then(|request| Ok((request, report::Reporter::open(&arguments)?)));
    let (request, reporter) = match ready {
        Ok(ready) => ready,
        Err(message) => {
            eprintln!("tracer: {message}");
            return ExitCode::from(USAGE);
        }
    };
    // The thread that calls getaddrinfo carries the program's name into the trace.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("tracer")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tracer: cannot start the client: {error}; check the limit on open files");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(fetch::follow(&request, &reporter));
    // A getaddrinfo that never returns must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fetch::Stop::Failed) => ExitCode::FAILURE,
        Err(fetch::Stop::Unusable(message)) => {
            eprintln!("tracer: {message}");
            ExitCode::from(USAGE)
        }
    }
}
