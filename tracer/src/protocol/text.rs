//! Text from the network is data: what a terminal could obey is shown instead, and what is
//! secret is not shown at all.

use std::borrow::Cow;
use std::fmt::Write;

/// What stands in the place of a secret.
pub const REDACTED: &str = "<redacted>";

/// Headers whose whole value is a credential. The first four are the contract of the
/// output; the others are in wide use for the same purpose.
const SECRET_HEADERS: [&str; 14] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "cookie2",
    "set-cookie2",
    "api-key",
    "x-api-key",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-goog-api-key",
];

/// Headers whose value is, or holds, a URL.
const URL_HEADERS: [&str; 12] = [
    ":path",
    "content-location",
    "destination",
    "link",
    "location",
    "origin",
    "referer",
    "refresh",
    "sourcemap",
    "x-forwarded-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Parameter names that are secret when they are one word of the name: `api_key`, `apiKey`.
const SECRET_WORDS: [&str; 21] = [
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "code",
    "csrf",
    "hmac",
    "jwt",
    "key",
    "oauth",
    "otp",
    "pass",
    "passphrase",
    "pin",
    "samlresponse",
    "sid",
    "sig",
    "sign",
    "ticket",
    "verifier",
    "xsrf",
];

/// Parameter names that are secret wherever they stand in the name: `PHPSESSID`,
/// `accesstoken`.
const SECRET_PARTS: [&str; 10] = [
    "accesskey",
    "credential",
    "passw",
    "privatekey",
    "pwd",
    "secret",
    "sessid",
    "session",
    "signature",
    "token",
];

/// Percent-encoding in percent-encoding is undone this often; what is still encoded then is
/// redacted.
const MAX_NESTING: usize = 3;

/// One line of text that is safe to print: control characters become `\x1b`, characters
/// that reorder, hide or break text `\u{202e}`, and bytes that are not UTF-8 `\xff`.
pub fn printable(text: impl AsRef<[u8]>) -> String {
    let bytes = text.as_ref();
    if let Ok(text) = std::str::from_utf8(bytes)
        && is_printable(text)
    {
        return text.to_owned();
    }
    let mut printed = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_printable(&mut printed, character);
        }
        for byte in chunk.invalid() {
            push_escaped(&mut printed, format_args!("\\x{byte:02x}"));
        }
    }
    printed
}

/// Whether [`printable`] leaves `text` as it is.
pub fn is_printable(text: &str) -> bool {
    is_plain(text)
        || is_familiar(text.as_bytes())
        || text
            .chars()
            .all(|character| !character.is_control() && !is_deceptive(character))
}

/// Whether `text` is ASCII to be printed: a column for each byte, and nothing to escape. Most
/// text is, and several bytes are looked at in one step.
pub fn is_plain(text: &str) -> bool {
    fn all<const N: usize>(bytes: &[u8; N]) -> bool {
        let plain = bytes.map(|byte| matches!(byte, b' '..=b'~'));
        plain.iter().fold(true, |all, plain| all & plain)
    }
    let text = text.as_bytes();
    // Where the last ones overlap those before, some bytes are looked at twice.
    if let Some(last) = text.last_chunk::<16>() {
        text.as_chunks::<16>().0.iter().all(all) && all(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        all(first) && all(last)
    } else {
        text.iter().all(|byte| matches!(byte, b' '..=b'~'))
    }
}

/// ASCII, the blank within a fact, `µ`, `·`, arrows, and what lines and bars are drawn with,
/// which most text is made of: told by its bytes, several times as fast as by its characters.
fn is_familiar(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(place) = rest.iter().position(|byte| !matches!(byte, b' '..=b'~')) {
        rest = match rest.get(place..).unwrap_or_default() {
            // U+00A0, U+00B5, U+00B7; U+2190 to U+21BF; U+2500 to U+259F.
            [0xc2, 0xa0 | 0xb5 | 0xb7, behind @ ..]
            | [0xe2, 0x86, 0x90..=0xbf, behind @ ..]
            | [0xe2, 0x94 | 0x95, _, behind @ ..]
            | [0xe2, 0x96, 0x80..=0x9f, behind @ ..] => behind,
            _ => return false,
        }
    }
    true
}

fn push_printable(printed: &mut String, character: char) {
    let number = u32::from(character);
    if matches!(character, ' '..='~') {
        printed.push(character);
    } else if character.is_ascii_control() {
        push_escaped(printed, format_args!("\\x{number:02x}"));
    } else if character.is_control() || is_deceptive(character) {
        push_escaped(printed, format_args!("\\u{{{number:x}}}"));
    } else {
        printed.push(character);
    }
}

fn push_escaped(printed: &mut String, escape: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = printed.write_fmt(escape);
}

/// Characters that change how their neighbours look, or that nobody sees. The joiners
/// U+200C and U+200D are not among them: whole scripts need them.
fn is_deceptive(character: char) -> bool {
    matches!(character,
        // Soft hyphen, Arabic letter mark, Hangul fillers, Mongolian vowel separator.
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}'
        // Zero width space, direction marks.
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        // Line and paragraph separators, embeddings and overrides.
        | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates, deprecated format characters.
        | '\u{2060}'..='\u{206f}'
        // Byte order mark, interlinear annotation, tags.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A header's value as it may be shown: [`REDACTED`] for credentials, URLs through
/// [`redact_url`]. `name` in any case; HTTP/2 pseudo-headers with their colon.
pub fn redact_header(name: &str, value: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    if SECRET_HEADERS.contains(&name.as_str()) {
        return REDACTED.to_owned();
    }
    if URL_HEADERS.contains(&name.as_str()) {
        return redact_url(value);
    }
    value.to_owned()
}

/// A request target or URL as it may be shown: credentials before the host become
/// `<redacted>@`, and parameters whose names look secret `name=<redacted>`, be they in the
/// query, in the fragment (OAuth 2.0, RFC 6749, section 4.2.2), in the path
/// (`;jsessionid=`) or in a URL that is itself a parameter.
pub fn redact_url(text: &str) -> String {
    let (before_fragment, fragment) = split_before(text, '#');
    let (before_query, query) = split_before(before_fragment, '?');
    let mut redacted = String::with_capacity(text.len());
    push_before_query(&mut redacted, before_query);
    push_parameters(&mut redacted, query);
    push_parameters(&mut redacted, fragment);
    redacted
}

/// `text` up to the first `separator`, and the rest with the separator.
fn split_before(text: &str, separator: char) -> (&str, &str) {
    text.split_at(text.find(separator).unwrap_or(text.len()))
}

/// Scheme, authority and path.
fn push_before_query(redacted: &mut String, text: &str) {
    let mut path = text;
    if let Some((scheme, authority, rest)) = split_authority(text) {
        path = rest;
        redacted.push_str(scheme);
        match authority.rsplit_once('@') {
            // The whole of it: tokens travel in the place of the user as well.
            Some((_, host)) => {
                redacted.push_str(REDACTED);
                redacted.push('@');
                redacted.push_str(host);
            }
            None => redacted.push_str(authority),
        }
    }
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            redacted.push('/');
        }
        push_path_segment(redacted, segment);
    }
}

/// Scheme with its slashes, authority (user, host and port: RFC 3986, section 3.2) and the
/// rest of a URL that has an authority.
fn split_authority(url: &str) -> Option<(&str, &str, &str)> {
    let start = if url.starts_with("//") {
        2
    } else {
        url.find("://")? + 3
    };
    let (scheme, rest) = url.split_at_checked(start)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    Some((scheme, authority, rest))
}

/// A path segment with its parameters (RFC 3986, section 3.3).
fn push_path_segment(redacted: &mut String, segment: &str) {
    let (name, parameters) = split_before(segment, ';');
    redacted.push_str(name);
    for parameter in parameters.split(';').skip(1) {
        redacted.push(';');
        match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => push_secret(redacted, name),
            _ => redacted.push_str(parameter),
        }
    }
}

/// A query or fragment with the character that starts it.
fn push_parameters(redacted: &mut String, text: &str) {
    let mut characters = text.chars();
    let Some(start) = characters.next() else {
        return;
    };
    redacted.push(start);
    for (index, parameter) in characters.as_str().split('&').enumerate() {
        if index > 0 {
            redacted.push('&');
        }
        push_parameter(redacted, parameter);
    }
}

fn push_parameter(redacted: &mut String, parameter: &str) {
    let Some((name, value)) = parameter.split_once('=') else {
        redacted.push_str(parameter);
        return;
    };
    if is_secret(name) {
        push_secret(redacted, name);
        return;
    }
    redacted.push_str(name);
    redacted.push('=');
    redacted.push_str(if holds_secret(value, MAX_NESTING) {
        REDACTED
    } else {
        value
    });
}

fn push_secret(redacted: &mut String, name: &str) {
    redacted.push_str(name);
    redacted.push('=');
    redacted.push_str(REDACTED);
}

/// Whether a parameter's value is itself a URL or a list of parameters, perhaps
/// percent-encoded, with something to hide. Parameters may be separated by `;` (HTML 4,
/// appendix B.2.2).
fn holds_secret(value: &str, nesting: usize) -> bool {
    let decoded = percent_decoded(value);
    let mut names = decoded
        .split(['?', '&', ';', '#'])
        .filter_map(|parameter| parameter.split_once('='))
        .map(|(name, _)| name);
    if names.any(is_secret)
        || split_authority(&decoded).is_some_and(|(_, authority, _)| authority.contains('@'))
    {
        return true;
    }
    decoded != value && (nesting == 0 || holds_secret(&decoded, nesting - 1))
}

/// Whether a parameter of this name is not for everybody's eyes. Rather too often than
/// too seldom.
fn is_secret(name: &str) -> bool {
    let name = percent_decoded(name);
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    SECRET_PARTS.iter().any(|part| letters.contains(part))
        || words(&name)
            .iter()
            .any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// The words of `snake_case`, `kebab-case` and `camelCase` names in lower case, without
/// digits.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for character in name.chars() {
        let starts_word = before.is_ascii_lowercase() && character.is_ascii_uppercase();
        if starts_word || !character.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if character.is_ascii_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        before = character;
    }
    words
}

/// Without percent-encoding; bytes that are then no UTF-8 become U+FFFD.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| hex::decode(digits).ok());
        match escaped.as_deref() {
            Some(&[byte]) => {
                decoded.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{is_secret, printable, redact_header, redact_url};
    use proptest::prelude::*;

    #[test]
    fn terminal_controls_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\x1b[31mred\x07"), "a\\x1b[31mred\\x07");
        assert_eq!(
            printable("two\r\nlines\t\x7f"),
            "two\\x0d\\x0alines\\x09\\x7f"
        );
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(printable(b"\x9b31m\xff"), "\\x9b31m\\xff");
        assert_eq!(printable("exe\u{202e}cod.txt"), "exe\\u{202e}cod.txt");
        assert_eq!(printable("a\u{2028}b\u{feff}"), "a\\u{2028}b\\u{feff}");
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        for text in [
            "C:\\tmp",
            "Grüße, 世界",
            "👩\u{200d}💻",
            "שלום",
            "نمی\u{200c}خواهم",
        ] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn credentials_in_headers_are_hidden() {
        for name in [
            "Authorization",
            "cookie",
            "SET-COOKIE",
            "proxy-authorization",
            "X-Api-Key",
        ] {
            assert_eq!(redact_header(name, "Basic dTpw"), "<redacted>");
        }
        assert_eq!(redact_header("Accept", "token=1"), "token=1");
        assert_eq!(
            redact_header(":path", "/a?token=1&b=2"),
            "/a?token=<redacted>&b=2"
        );
        assert_eq!(
            redact_header("Location", "https://u:p@h.test/#access_token=x&state=1"),
            "https://<redacted>@h.test/#access_token=<redacted>&state=1"
        );
    }

    #[test]
    fn nothing_secret_means_nothing_changed() {
        for url in [
            "/",
            "*",
            "",
            "www.shop.test:443",
            "/search?q=a%20b&page=2#top",
            "https://www.shop.test:8443/a;v=1/b?x=1;y=2&z",
            "//cdn.test/app.js?v=3",
            "/go?to=https%3A%2F%2Fwww.shop.test%2F%3Fpage%3D2",
            "/mail?to=a@b.test",
            "/a?design=1&monkey=2&passage=3&author=me",
            "?=&==&&#",
        ] {
            assert_eq!(redact_url(url), url);
        }
    }

    #[test]
    fn secrets_in_urls_are_hidden() {
        for (url, expected) in [
            ("/?api_key=1", "/?api_key=<redacted>"),
            ("/?a=1&sig=x%3D&b", "/?a=1&sig=<redacted>&b"),
            ("/cb?code=4/0A&scope=x", "/cb?code=<redacted>&scope=x"),
            ("/?X-Amz-Signature=ab", "/?X-Amz-Signature=<redacted>"),
            ("/?%74oken=1", "/?%74oken=<redacted>"),
            ("/a;jsessionid=1/b?c=2", "/a;jsessionid=<redacted>/b?c=2"),
            ("/?a=1;token=2", "/?a=<redacted>"),
            ("http://token@h.test/?a=1", "http://<redacted>@h.test/?a=1"),
            ("//u:p@ss@h.test", "//<redacted>@h.test"),
            ("/?token=a=b?c=d/e", "/?token=<redacted>"),
            (
                "/go?to=https%3A%2F%2Fh.test%2F%3Ftoken%3D1&x=1",
                "/go?to=<redacted>&x=1",
            ),
            ("/go?to=https%3A%2F%2Fu%3Ap%40h.test", "/go?to=<redacted>"),
            ("/go?to=%252F%253Fpassword%253D1", "/go?to=<redacted>"),
        ] {
            assert_eq!(redact_url(url), expected);
        }
    }

    #[test]
    fn names_are_secret_by_word_or_part() {
        for name in [
            "token",
            "key",
            "password",
            "passwd",
            "secret",
            "sig",
            "auth",
            "session",
            "code",
            "access_token",
            "api_key",
            "apiKey",
            "PHPSESSID",
            "client-secret",
            "userPwd",
            "jwt",
            "X-Goog-Credential",
            "key1",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "q", "keyword", "monkey", "page", "encoding", "design", "author", "assess",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn printed_text_holds_no_control_character(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!printable(&bytes).chars().any(char::is_control));
        }

        #[test]
        fn a_secret_value_never_survives(
            before in "[a-z/;?&=#%.:@]{0,20}",
            value in "[A-Z0-9%/+.~-]{6,12}",
            after in "(&[a-z]=[a-z]){0,3}",
        ) {
            let url = format!("https://h.test/{before}?token={value}{after}");
            prop_assert!(!redact_url(&url).contains(&value), "{}", redact_url(&url));
        }

        #[test]
        fn no_text_breaks_the_redaction(text in "\\PC{0,60}") {
            let once = redact_url(&text);
            redact_header("referer", &once);
        }
    }
}
