//! Which journeys somebody wants to be told.

use super::model::Process;
use super::place::Place;

/// A journey must pass all of these; `None` lets every one through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub pid: Option<u32>,
    /// The name of the process as the kernel keeps it (15 bytes).
    pub comm: Option<String>,
    /// The host that was asked for, in letters of either case; `*` stands for any text.
    pub host: Option<String>,
    /// The port of the connection: through a proxy the proxy's.
    pub port: Option<u16>,
}

impl Wanted {
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Is a journey of this process to this place wanted? `port` is that of its connection.
    pub(super) fn admits(
        &self,
        process: Option<&Process>,
        place: &Place,
        port: Option<u16>,
    ) -> bool {
        let pid = self
            .pid
            .is_none_or(|pid| process.is_some_and(|process| process.pid == pid));
        let comm = self
            .comm
            .as_ref()
            .is_none_or(|comm| process.is_some_and(|process| process.comm == *comm));
        let port = self.port.is_none_or(|wanted| port == Some(wanted));
        let host = self.host.as_ref().is_none_or(|pattern| {
            let host = place.host.as_deref().unwrap_or_default();
            matches(
                pattern.to_ascii_lowercase().as_bytes(),
                host.to_ascii_lowercase().as_bytes(),
            )
        });
        pid && comm && port && host
    }
}

/// `*` stands for any text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // The last star met and where the text stood then: enough to try again from there,
    // because an earlier star can only match what a later one can.
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, position));
                at += 1;
            }
            Some(letter) if text.get(position) == Some(letter) => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                star = Some((after, from + 1));
                (at, position) = (after, from + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        assert!(fits("*.shop.test", "www.shop.test"));
        assert!(fits("*", "") && fits("a*", "a") && fits("a*c*e", "abcde"));
        assert!(fits("*aab", "aaaab"));
        assert!(!fits("*.shop.test", "shop.test"));
        assert!(!fits("shop", "shop.test") && !fits("", "x"));
    }
}
