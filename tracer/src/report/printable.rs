//! Stand-in for `protocol::text::printable`, until that exists: the one place to exchange.

/// `text` with everything a terminal would obey, or a reader could be deceived by, written
/// as an escape: control characters (C0, DEL, C1), line separators, invisible and
/// bidirectional formatting characters.
pub(super) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if deceives(character) {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn escape_sequences_become_text() {
        assert_eq!(printable("a\x1b[31mb\r\n"), "a\\u{1b}[31mb\\r\\n");
        assert_eq!(printable("gro\u{202e}test"), "gro\\u{202e}test");
        assert_eq!(printable("bücher.test →"), "bücher.test →");
    }
}
