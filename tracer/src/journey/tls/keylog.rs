//! The secrets of a key log (SSLKEYLOGFILE, RFC 9850).

use std::collections::{HashMap, VecDeque};
use std::fmt;

/// Lines kept at once; older ones are dropped. A line is some 150 bytes, so this bounds the
/// memory to tens of megabytes, and the secrets of connections that old are not asked for.
const MAXIMUM_LINES: usize = 100_000;

/// Longest label that is kept, in bytes. The registry's longest has 31.
const MAXIMUM_LABEL: usize = 64;

/// Longest secret that is kept, in bytes. Secrets have at most 48; ECH_CONFIG is longer and
/// is cut, because only its presence matters here.
const MAXIMUM_SECRET: usize = 64;

/// Secrets of a key log (SSLKEYLOGFILE), by label and client random.
#[derive(Clone, Default)]
pub struct KeyLog {
    by_random: HashMap<[u8; 32], Vec<Secret>>,
    /// The client random of each line, oldest first.
    order: VecDeque<[u8; 32]>,
}

#[derive(Clone)]
struct Secret {
    label: String,
    value: Vec<u8>,
}

impl fmt::Debug for KeyLog {
    /// Secrets never reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyLog")
            .field("lines", &self.order.len())
            .finish_non_exhaustive()
    }
}

impl KeyLog {
    /// Takes one line of a key log; lines that are not understood are ignored.
    pub fn add_line(&mut self, line: &str) {
        let Some((random, secret)) = parse_line(line) else {
            return;
        };
        let known = self.by_random.entry(random).or_default();
        if known.iter().any(|other| other.label == secret.label) {
            return;
        }
        known.push(secret);
        self.order.push_back(random);
        if self.order.len() > MAXIMUM_LINES {
            self.drop_oldest();
        }
    }

    /// Nothing can be opened.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The secret of a label, for instance `CLIENT_TRAFFIC_SECRET_0`, of the connection
    /// whose ClientHello has this random.
    pub fn secret(&self, label: &str, client_random: &[u8; 32]) -> Option<&[u8]> {
        self.by_random
            .get(client_random)?
            .iter()
            .find(|secret| secret.label == label)
            .map(|secret| secret.value.as_slice())
    }

    fn drop_oldest(&mut self) {
        let Some(random) = self.order.pop_front() else {
            return;
        };
        if let Some(secrets) = self.by_random.get_mut(&random) {
            // Lines of one connection are in the order of `order`.
            if !secrets.is_empty() {
                secrets.remove(0);
            }
            if secrets.is_empty() {
                self.by_random.remove(&random);
            }
        }
    }
}

/// `LABEL client_random secret`, the last two in hexadecimal. What else is stuck to the secret
/// (a backslash, from a script that made the lines) is passed over.
fn parse_line(line: &str) -> Option<([u8; 32], Secret)> {
    let mut words = line.split_ascii_whitespace();
    let label = words.next()?;
    let mut random = [0; 32];
    hex::decode_to_slice(words.next()?, &mut random).ok()?;
    let value = words.next()?;
    let digits = value.bytes().take(2 * MAXIMUM_SECRET);
    let digits = digits.take_while(u8::is_ascii_hexdigit).count();
    let value = hex::decode(value.get(..digits)?).ok()?;
    let understood = label.len() <= MAXIMUM_LABEL
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && words.next().is_none();
    (understood && !value.is_empty()).then(|| {
        let label = label.to_owned();
        (random, Secret { label, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, random: u32) -> String {
        format!("{label} {random:064x} 0102")
    }

    fn random(number: u32) -> [u8; 32] {
        let mut random = [0; 32];
        random[28..].copy_from_slice(&number.to_be_bytes());
        random
    }

    #[test]
    fn a_secret_is_found_by_label_and_random() {
        let mut log = KeyLog::default();
        log.add_line(&line("CLIENT_RANDOM", 7));
        assert_eq!(log.secret("CLIENT_RANDOM", &random(7)), Some(&[1, 2][..]));
        assert_eq!(log.secret("CLIENT_RANDOM", &random(8)), None);
        assert_eq!(log.secret("CLIENT_TRAFFIC_SECRET_0", &random(7)), None);
        log.add_line(&format!("{}\\\r\n", line("CLIENT_TRAFFIC_SECRET_0", 7)));
        let secret = log.secret("CLIENT_TRAFFIC_SECRET_0", &random(7));
        assert_eq!(secret, Some(&[1, 2][..]));
    }

    #[test]
    fn lines_that_are_not_understood_are_ignored() {
        let mut log = KeyLog::default();
        let random = "ab".repeat(32);
        for line in [
            "",
            "# a comment",
            "RSA 0123456789abcdef 01",
            "CLIENT_RANDOM xyz 01",
            &format!("CLIENT_RANDOM {random}"),
            &format!("CLIENT_RANDOM {random} 0"),
            &format!("CLIENT_RANDOM {random} ä1"),
            &format!("CLIENT RANDOM {random} 01"),
            &format!("CLIENT_RANDOM {random} 01 02"),
        ] {
            log.add_line(line);
        }
        assert!(log.by_random.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_line_goes_first() {
        let mut log = KeyLog::default();
        for number in 0..=u32::try_from(MAXIMUM_LINES).expect("small") {
            log.add_line(&line("CLIENT_RANDOM", number));
            log.add_line(&line("CLIENT_RANDOM", number));
        }
        assert_eq!(log.order.len(), MAXIMUM_LINES);
        assert_eq!(log.by_random.len(), MAXIMUM_LINES);
        assert_eq!(log.secret("CLIENT_RANDOM", &random(0)), None);
        assert!(log.secret("CLIENT_RANDOM", &random(1)).is_some());
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut log = KeyLog::default();
        log.add_line(&line("CLIENT_RANDOM", 7));
        assert_eq!(format!("{log:?}"), "KeyLog { lines: 1, .. }");
    }
}
