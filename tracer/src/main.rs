//! The `tracer` program.

fn main() -> std::process::ExitCode {
    tracer::cli::run()
}
