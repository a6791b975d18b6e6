//! The `tracer` program.

/// A large capture is millions of small pieces of memory, each soon given back: with the C
/// library's allocator reading it takes some 40 % longer (docs/ARCHITECTURE.md, Decisions).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tracer::cli::run()
}
