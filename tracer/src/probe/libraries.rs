//! Where on this host a C library function lives: every libc found, and this program
//! itself when it is linked statically.

use std::{
    collections::HashSet,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use object::{
    Object as _, ObjectSegment as _, ObjectSymbol as _, ObjectSymbolTable as _, ReadRef,
    read::{ReadCache, elf::ElfFile64},
};

/// A function in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub path: PathBuf,
    /// Offset of its first instruction in the file.
    pub offset: u64,
}

/// Where distributions put their C libraries; the one this process uses is found in its
/// own mappings.
const USUAL: &[&str] = &[
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/i386-linux-gnu/libc.so.6",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/usr/lib/x86_64-linux-musl/libc.so",
    "/usr/lib/aarch64-linux-musl/libc.so",
];

/// Every place of the function, each file once.
pub(super) fn find(function: &str) -> Vec<Place> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped = mapped_libraries(&maps);
    let mut files: Vec<PathBuf> = mapped.iter().map(PathBuf::from).collect();
    if mapped.is_empty() {
        files.extend(std::env::current_exe().ok());
    }
    files.extend(USUAL.iter().map(PathBuf::from));
    let mut seen = HashSet::new();
    files
        .into_iter()
        .filter(|path| fs::metadata(path).is_ok_and(|data| seen.insert((data.dev(), data.ino()))))
        .filter_map(|path| {
            let offset = offset_of(&path, function)?;
            Some(Place { path, offset })
        })
        .collect()
}

/// C libraries among the mappings of a process.
fn mapped_libraries(maps: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for line in maps.lines() {
        let Some(begin) = line.find('/') else {
            continue;
        };
        let path = &line[begin..];
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_libc = name == "libc.so.6"
            || name.starts_with("libc-2.")
            || name.starts_with("ld-musl-")
            || name == "libc.so";
        if is_libc && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// A file up to this size is read at once, which is faster; a debug build of a program
/// linked statically can be far larger, and is read piecemeal.
const READ_AT_ONCE: u64 = 16 << 20;

/// File offset of a function, from the dynamic symbols or else from the full table.
fn offset_of(path: &Path, function: &str) -> Option<u64> {
    if fs::metadata(path).ok()?.len() <= READ_AT_ONCE {
        let bytes = fs::read(path).ok()?;
        offset_in(bytes.as_slice(), function)
    } else {
        let cache = ReadCache::new(File::open(path).ok()?);
        offset_in(&cache, function)
    }
}

fn offset_in<'data>(data: impl ReadRef<'data>, function: &str) -> Option<u64> {
    let file = ElfFile64::<object::Endianness, _>::parse(data).ok()?;
    let address = address_of(&file, function)?;
    file.segments().find_map(|segment| {
        let (in_file, length) = segment.file_range();
        let distance = address.checked_sub(segment.address())?;
        (distance < length).then(|| in_file.checked_add(distance))?
    })
}

fn address_of<'data, R: ReadRef<'data>>(
    file: &ElfFile64<'data, object::Endianness, R>,
    function: &str,
) -> Option<u64> {
    [file.dynamic_symbol_table(), file.symbol_table()]
        .into_iter()
        .flatten()
        .find_map(|table| {
            table
                .symbols()
                .find(|symbol| symbol.is_definition() && symbol.name() == Ok(function))
                .map(|symbol| symbol.address())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_mapped_in_several_pieces_is_found_once() {
        let maps = "7f0-7f1 r--p 0 fe:00 1 /usr/lib/libc.so.6\n\
                    7f1-7f2 r-xp 1 fe:00 1 /usr/lib/libc.so.6\n\
                    7f3-7f4 r-xp 1 fe:00 2 /usr/lib/libcrypto.so.3\n";
        assert_eq!(mapped_libraries(maps), ["/usr/lib/libc.so.6"]);
    }

    #[test]
    fn getaddrinfo_is_found_on_this_host() {
        let places = find("getaddrinfo");
        assert!(!places.is_empty());
        assert!(places.iter().all(|place| place.offset > 0));
    }

    #[test]
    fn a_function_that_nobody_has_is_nowhere() {
        assert_eq!(find("no_such_function_anywhere"), []);
    }
}
