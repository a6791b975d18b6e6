//! What the tests against captures share.

use std::path::{Path, PathBuf};

/// The captures: `../shared/captures` beside the workspace, or the folder that
/// `TRACER_CAPTURES` names.
pub fn captures() -> PathBuf {
    let folder = std::env::var_os("TRACER_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
        PathBuf::from,
    );
    assert!(
        folder.is_dir(),
        "no captures at {}: put some there, or name a folder in TRACER_CAPTURES",
        folder.display()
    );
    folder
}

/// Captures below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "pcap" || ending == "pcapng")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
