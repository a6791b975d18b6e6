//! What a target is, and how it is run under its memory limit.

use crate::captures::Capture;
use peak_alloc::PeakAlloc;

/// Counts the heap of every program that links this crate.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// One decoder, or several that work together.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    /// What is decoded, in one sentence.
    pub about: &'static str,
    /// Decodes the input and checks what came out; panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs made from real traffic; without captures those made here alone.
    pub seeds: fn(&[Capture]) -> Vec<Vec<u8>>,
    /// Bytes at the start that say how the rest is to be read, and stand once.
    pub head: usize,
    /// Longest input that is worth the fuzzer's time, bytes.
    pub longest: usize,
    pub memory: Memory,
}

/// How much heap a run may hold at once.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Bytes that do not depend on the input: tables, read buffers, bounded stores.
    pub fixed: usize,
    /// Bytes for each byte of input.
    pub per_byte: usize,
}

impl Memory {
    const fn allowed(self, length: usize) -> usize {
        self.fixed
            .saturating_add(self.per_byte.saturating_mul(length))
    }
}

impl Target {
    /// Decodes `input` and returns the most heap it held at once, in bytes. Right only
    /// while no other thread allocates.
    ///
    /// # Panics
    /// When a promise is broken: by the decoder's own panic, by a check of what it made,
    /// or because it held more memory than the target allows.
    pub fn check(&self, input: &[u8]) -> usize {
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        (self.run)(input);
        let held = HEAP.peak_usage().saturating_sub(before);
        let allowed = self.memory.allowed(input.len());
        assert!(
            held <= allowed,
            "{}: {held} bytes of heap for {} bytes of input, {allowed} are allowed",
            self.name,
            input.len()
        );
        held
    }
}
