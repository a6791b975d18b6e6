//! Where on this host a C library function lives: every libc found, and this program
//! itself when it is linked statically. Which programs call it.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use object::{
    Object as _, ObjectSegment as _, ObjectSymbol as _, ObjectSymbolTable as _, ReadRef,
    read::{
        ReadCache,
        elf::{ElfFile64, ProgramHeader as _},
    },
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

/// Is this musl's C library?
pub(super) fn is_musl(library: &Path) -> bool {
    let path = library.to_string_lossy();
    path.contains("musl")
}

/// Does a program call functions of the GNU C library? Not one that was linked statically or
/// with another C library; most of Go's are. Scripts do what their interpreters do, which is
/// not looked up: yes, as for whatever cannot be read.
pub fn calls_c_library(program: &Path) -> bool {
    // To open a pipe is to wait for somebody who writes.
    let file = if program.is_file() {
        File::open(program).ok()
    } else {
        None
    };
    let Some(file) = file else {
        return true;
    };
    let cache = ReadCache::new(file);
    let Ok(elf) = ElfFile64::<object::Endianness, _>::parse(&cache) else {
        return true;
    };
    let interpreter = elf
        .elf_program_headers()
        .iter()
        .find_map(|header| header.interpreter(elf.endian(), elf.data()).ok().flatten());
    let is_musl = |path: &[u8]| is_musl(Path::new(OsStr::from_bytes(path)));
    interpreter.is_some_and(|path| !is_musl(path))
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
    fn a_program_without_an_interpreter_or_with_that_of_musl_calls_no_gnu_library() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let bytes = fs::read(own).unwrap();
        assert!(calls_c_library(&std::env::current_exe().unwrap()));
        let name = b"/lib64/ld-linux-x86-64.so.2\0";
        let Some(place) = bytes.windows(name.len()).position(|window| window == name) else {
            // Another architecture's: its name is another one.
            return;
        };
        let mut musl = bytes.clone();
        musl[place..place + name.len()].copy_from_slice(b"/lib/ld-musl-x86_64.so.1\0\0\0\0");
        let path = folder.path().join("program");
        fs::write(&path, musl).unwrap();
        assert!(!calls_c_library(&path));
        // The first program header that names an interpreter no longer does.
        let mut without = bytes;
        let headers = u64::from_le_bytes(without[32..40].try_into().unwrap()) as usize;
        let count = usize::from(u16::from_le_bytes(without[56..58].try_into().unwrap()));
        for place in (0..count).map(|index| headers + index * 56) {
            let kind = u32::from_le_bytes(without[place..place + 4].try_into().unwrap());
            if kind == object::elf::PT_INTERP {
                without[place..place + 4].copy_from_slice(&[0; 4]);
            }
        }
        fs::write(&path, without).unwrap();
        assert!(!calls_c_library(&path));
        fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(calls_c_library(&path));
        assert!(calls_c_library(&folder.path().join("nowhere")));
    }

    #[test]
    fn a_function_that_nobody_has_is_nowhere() {
        assert_eq!(find("no_such_function_anywhere"), []);
    }
}
