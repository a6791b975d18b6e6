//! The `tracer` program.

/// A large capture is millions of small pieces of memory, each soon given back: this allocator
/// is quicker at that than the C library's, and holds somewhat more memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tracer::cli::run()
}
