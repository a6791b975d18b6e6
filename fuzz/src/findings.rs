//! Inputs that a target once failed on: `fuzz/findings/TARGET/what-went-wrong`.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of a target's findings.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("findings")
        .join(target)
}

/// The findings of a target, by name; none when it has no folder.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn of(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let folder = folder(target);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        found.push((name.into_owned(), std::fs::read(&path)?));
    }
    found.sort();
    Ok(found)
}
