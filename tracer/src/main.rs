//! The `tracer` program.

/// A capture of a million packets is some ten million small pieces of memory, each soon given
/// back: the C library's allocator took a third of all time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tracer::cli::run()
}
