//! The files that the command line of `tracer read` means.

use crate::capture::file::FileError;
use std::io;
use std::path::{Path, PathBuf};

/// The files named; for a directory those in it that are captures by their ending, in order
/// of their names; for a pattern (`'dir/*.pcap'`, where the shell did not expand it) the
/// files it matches, in order. What exists under the very name wins over the pattern. A name
/// that stands for nothing is an error of its own: the others are read all the same.
pub(super) fn inputs(named: &[PathBuf]) -> Vec<Result<PathBuf, FileError>> {
    named.iter().flat_map(|path| input(path)).collect()
}

fn input(path: &Path) -> Vec<Result<PathBuf, FileError>> {
    if path.is_dir() {
        return one_or_more(path, directory(path));
    }
    let pattern = path.to_str().filter(|name| name.contains(['*', '?', '[']));
    match pattern {
        Some(pattern) if !path.exists() => one_or_more(path, matches(pattern)),
        _ => vec![Ok(path.to_owned())],
    }
}

fn one_or_more(path: &Path, found: io::Result<Vec<PathBuf>>) -> Vec<Result<PathBuf, FileError>> {
    match found {
        Ok(found) => found.into_iter().map(Ok).collect(),
        Err(source) => vec![Err(FileError::Open {
            name: path.display().to_string(),
            source,
        })],
    }
}

fn directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let inside = entry?.path();
        if inside.is_file() && is_capture(&inside) {
            found.push(inside);
        }
    }
    if found.is_empty() {
        return Err(io::Error::other(
            "the directory holds no .pcap, .pcapng or .cap",
        ));
    }
    found.sort();
    Ok(found)
}

/// In the order of their names. A directory in between that may not be read is an error,
/// because nobody knows what it holds.
fn matches(pattern: &str) -> io::Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern).map_err(io::Error::other)?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(io::Error::from)?;
        if !path.is_dir() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no file has this name, and none matches the pattern",
        ));
    }
    Ok(found)
}

/// By its ending, behind that of a compression.
fn is_capture(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".zst"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(&name);
    [".pcap", ".pcapng", ".cap"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        folder
    }

    fn names(found: Vec<Result<PathBuf, FileError>>) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        found.into_iter().map(|one| name(one.unwrap())).collect()
    }

    #[test]
    fn a_directory_stands_for_its_captures_in_order() {
        let folder = folder(&["b.pcapng.gz", "a.PCAP", "notes.txt", "c.cap.zst"]);
        let missing = folder.path().join("missing.pcap");
        let found = names(inputs(&[missing, folder.path().to_owned()]));
        let expected = ["missing.pcap", "a.PCAP", "b.pcapng.gz", "c.cap.zst"];
        assert_eq!(
            found, expected,
            "what does not exist is told when it is read"
        );
    }

    #[test]
    fn a_quoted_pattern_stands_for_what_it_matches_in_order() {
        let folder = folder(&["b.pcap", "a.pcap", "c.cap", "[x].pcap", "x.pcap"]);
        let matching = |pattern: &str| names(inputs(&[folder.path().join(pattern)]));
        assert_eq!(matching("*.cap"), ["c.cap"]);
        assert_eq!(matching("[ab].pcap"), ["a.pcap", "b.pcap"]);
        assert_eq!(matching("[x].pcap"), ["[x].pcap"], "the very name wins");
    }

    #[test]
    fn a_name_that_stands_for_nothing_does_not_stop_the_others() {
        let (empty, full) = (folder(&[]), folder(&["a.pcap"]));
        let nothing = full.path().join("*.none");
        let found = inputs(&[empty.path().to_owned(), nothing, full.path().to_owned()]);
        let read: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(read, [false, false, true]);
    }
}
