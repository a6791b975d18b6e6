//! Input that is a list: `[tag][length, u16 big endian][bytes]` again and again. A fuzzer
//! that changes one byte changes one piece; a length that lies takes what there is.

/// Pieces in one input: more only makes a run slow.
const MAXIMUM: usize = 2_000;

/// The pieces of `input`, each with its tag.
pub fn pieces(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let (&[tag, high, low], after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (bytes, after) = after.split_at(length);
        rest = after;
        Some((tag, bytes))
    })
    .take(MAXIMUM)
}

/// Input that gives these pieces; what a piece has beyond 65535 bytes is left out.
pub fn joined<'a>(list: impl IntoIterator<Item = (u8, &'a [u8])>) -> Vec<u8> {
    let mut input = Vec::new();
    for (tag, bytes) in list {
        let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        input.push(tag);
        input.extend(length.to_be_bytes());
        input.extend(bytes);
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_comes_apart_again_and_a_length_that_lies_takes_the_rest() {
        let input = joined([(1, &b"one"[..]), (2, b"")]);
        let list: Vec<_> = pieces(&input).collect();
        assert_eq!(list, [(1, &b"one"[..]), (2, b"")]);
        let cut: Vec<_> = pieces(&input[..4]).collect();
        assert_eq!(cut, [(1, &b"o"[..])]);
    }
}
