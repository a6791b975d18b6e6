//! Numbers as people read them. The blank before a unit is one that does not break a line
//! (U+00A0); pages print it as an ordinary one.

/// A duration with a sensible unit and at most three digits that matter: `850 ns`,
/// `12 µs`, `0.14 ms`, `12.3 ms`, `1.21 s`, `2 min 5 s`.
pub fn duration(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => with_unit(&nanoseconds.to_string(), "ns"),
        1_000..100_000 => scaled(nanoseconds, 1_000, "µs", 0),
        100_000..1_000_000_000 => scaled(nanoseconds, 1_000_000, "ms", 2),
        1_000_000_000..60_000_000_000 => scaled(nanoseconds, 1_000_000_000, "s", 2),
        _ => {
            let seconds = nanoseconds / 1_000_000_000;
            match seconds % 60 {
                0 => format!("{}\u{a0}min", seconds / 60),
                rest => format!("{}\u{a0}min\u{a0}{rest}\u{a0}s", seconds / 60),
            }
        }
    }
}

/// Bytes: exact below 10 000, decimal units above (IEC 80000-13).
pub fn bytes(count: u64) -> String {
    match count {
        0..10_000 => with_unit(&count.to_string(), "B"),
        10_000..1_000_000 => scaled(count, 1_000, "kB", 2),
        1_000_000..1_000_000_000 => scaled(count, 1_000_000, "MB", 2),
        _ => scaled(count, 1_000_000_000, "GB", 2),
    }
}

/// `count` with its noun, which takes an `s` for all but one.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 {
        with_unit("1", noun)
    } else {
        [&count.to_string(), "\u{a0}", noun, "s"].concat()
    }
}

/// There are several in most lines of a report: put together, not formatted.
fn with_unit(number: &str, name: &str) -> String {
    [number, "\u{a0}", name].concat()
}

/// `value / unit` with fewer decimals the larger it gets.
fn scaled(value: u64, unit: u64, name: &str, decimals: u32) -> String {
    let digits = match value / unit {
        0..10 => decimals,
        10..100 => decimals.saturating_sub(1),
        _ => 0,
    };
    // Whole numbers are several times as quick as fractions. Only what lies halfway is left to
    // those. There are digits behind the point below 100 units only: nothing overflows.
    let steps = 10_u64.pow(digits);
    let (below, rest) = (value * steps / unit, value * steps % unit);
    let half = unit / 2;
    if rest == half {
        // Both are far below 2^53 wherever the fraction is shown.
        let exact = value as f64 / unit as f64;
        return match digits {
            0 => format!("{exact:.0}\u{a0}{name}"),
            1 => format!("{exact:.1}\u{a0}{name}"),
            _ => format!("{exact:.2}\u{a0}{name}"),
        };
    }
    let rounded = below + u64::from(rest > half);
    let whole = (rounded / steps).to_string();
    if digits == 0 {
        return with_unit(&whole, name);
    }
    let fraction = (rounded % steps).to_string();
    let zero = if digits > 1 && fraction.len() == 1 {
        "0"
    } else {
        ""
    };
    [&whole, ".", zero, &fraction, "\u{a0}", name].concat()
}

#[cfg(test)]
mod tests {
    use super::{bytes, counted, duration, scaled};
    use proptest::prelude::*;

    fn unbroken(text: &str) -> String {
        text.replace(' ', "\u{a0}")
    }

    #[test]
    fn durations_have_the_unit_a_reader_expects() {
        let expected = [
            (0, "0 ns"),
            (999, "999 ns"),
            (12_400, "12 µs"),
            (140_000, "0.14 ms"),
            (1_210_000, "1.21 ms"),
            (12_340_000, "12.3 ms"),
            (123_400_000, "123 ms"),
            (1_210_000_000, "1.21 s"),
            (59_000_000_000, "59.0 s"),
            (120_000_000_000, "2 min"),
            (125_000_000_000, "2 min 5 s"),
        ];
        for (nanoseconds, text) in expected {
            assert_eq!(duration(nanoseconds), unbroken(text));
        }
        assert_eq!(duration(u64::MAX), unbroken("307445734 min 33 s"));
    }

    #[test]
    fn bytes_are_exact_while_that_is_readable() {
        assert_eq!(bytes(84), unbroken("84 B"));
        assert_eq!(bytes(9_999), unbroken("9999 B"));
        assert_eq!(bytes(12_345), unbroken("12.3 kB"));
        assert_eq!(bytes(1_250_000), unbroken("1.25 MB"));
        assert_eq!(bytes(u64::MAX), unbroken("18446744074 GB"));
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(counted(1, "segment"), unbroken("1 segment"));
        assert_eq!(counted(0, "segment"), unbroken("0 segments"));
    }

    proptest! {
        /// What the formatter of the standard library makes of the fraction.
        #[test]
        fn whole_numbers_round_as_fractions_do(value in 0_u64..100_000_000_000, power in 1_u32..4) {
            let unit = 1000_u64.pow(power);
            for value in [value, value - value % (unit / 200).max(1)] {
                let digits = match value / unit {
                    0..10 => 2,
                    10..100 => 1,
                    _ => 0,
                };
                let fraction = value as f64 / unit as f64;
                let expected = format!("{fraction:.digits$}\u{a0}x");
                prop_assert_eq!(scaled(value, unit, "x", 2), expected);
            }
        }
    }
}
