//! Where this system's packages come from: `/etc/apt/sources.list` and its folder.
//!
//! Address and keyring of the distribution's archive are taken from here, so that a mirror or
//! a company's proxy is used for guests as well and none is written into this program. Formats:
//! sources.list(5), the one-line style and the deb822 style.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The names under which Debian's main archive is asked for.
const SUITES: [&str; 11] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "unstable",
    "testing",
    "stable",
    "oldstable",
    "oldoldstable",
];

/// One archive: address, and the keys its index must be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    pub uri: String,
    /// Paths of keyrings or a whole key, as `Signed-By` holds them; None leaves it to apt.
    pub signed_by: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

/// The Debian archive that this system itself uses.
pub fn debian_archive() -> Result<Archive> {
    let mut sources = Vec::new();
    for file in source_files(Path::new("/etc/apt")) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if file
            .extension()
            .is_some_and(|extension| extension == "sources")
        {
            sources.extend(parse_deb822(&text));
        } else {
            sources.extend(text.lines().filter_map(parse_line));
        }
    }
    match choose(&sources) {
        Some(archive) => Ok(archive),
        None => bail!(
            "no source in /etc/apt names Debian's main archive, which the guests' kernels come \
             from: use --kernel and --modules with a kernel of your own"
        ),
    }
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join("sources.list")];
    if let Ok(entries) = folder.join("sources.list.d").read_dir() {
        let mut more: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    files
}

fn choose(sources: &[Source]) -> Option<Archive> {
    let fits = |source: &&Source| {
        source
            .components
            .iter()
            .any(|component| component == "main")
            && source
                .suites
                .iter()
                .any(|suite| SUITES.contains(&suite.as_str()))
    };
    sources.iter().find(fits).and_then(|source| {
        Some(Archive {
            uri: source.uris.first()?.clone(),
            signed_by: source.signed_by.clone(),
        })
    })
}

/// Stanzas of fields; a line that begins with a blank continues the field before it.
fn parse_deb822(text: &str) -> Vec<Source> {
    let without_comments: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    without_comments
        .split(|line| line.trim().is_empty())
        .filter_map(parse_stanza)
        .collect()
}

fn parse_stanza(lines: &[&str]) -> Option<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut()?;
            value.push('\n');
            value.push_str(line);
        } else {
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let value = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value)
    };
    let words = |name: &str| -> Vec<String> {
        value(name).map_or_else(Vec::new, |text| {
            text.split_whitespace().map(str::to_owned).collect()
        })
    };
    if !words("types").iter().any(|kind| kind == "deb")
        || value("enabled").is_some_and(|on| on == "no")
    {
        return None;
    }
    Some(Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: value("signed-by").cloned(),
    })
}

/// `deb [option=value ...] uri suite component...`
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(|keyrings| keyrings.replace(',', " ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a comment of the image's maker
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
";

    #[test]
    fn the_main_archive_is_found_among_stanzas() {
        let archive = choose(&parse_deb822(DEB822)).unwrap();
        assert_eq!(archive.uri, "http://mirror.example/debian");
        assert_eq!(
            archive.signed_by.as_deref(),
            Some("/usr/share/keyrings/debian-archive-keyring.gpg")
        );
    }

    #[test]
    fn the_main_archive_is_found_among_lines() {
        let text = "# old\n\
            deb https://other.example/apt cloud-bookworm main\n\
            deb-src http://mirror.example/debian bookworm main\n\
            deb [arch=amd64 signed-by=/a.gpg,/b.gpg] http://mirror.example/debian bookworm main contrib # x\n";
        let sources: Vec<_> = text.lines().filter_map(parse_line).collect();
        let archive = choose(&sources).unwrap();
        assert_eq!(archive.uri, "http://mirror.example/debian");
        assert_eq!(archive.signed_by.as_deref(), Some("/a.gpg /b.gpg"));
    }

    #[test]
    fn a_key_inside_the_stanza_is_kept_whole() {
        let text = "Types: deb\nURIs: http://m.example/d\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n -----END\n";
        let sources = parse_deb822(text);
        let archive = choose(&sources).unwrap();
        assert_eq!(
            archive.signed_by.as_deref(),
            Some("\n -----BEGIN\n .\n abc\n -----END")
        );
    }

    #[test]
    fn disabled_foreign_and_broken_sources_are_passed_over() {
        assert!(
            parse_deb822("Types: deb\nEnabled: no\nURIs: u\nSuites: sid\nComponents: main\n")
                .is_empty()
        );
        assert!(parse_deb822(" continues nothing\n").is_empty());
        for line in ["", "deb", "deb [x", "debug http://x y z", "deb http://x"] {
            assert_eq!(parse_line(line), None, "{line:?}");
        }
    }
}
