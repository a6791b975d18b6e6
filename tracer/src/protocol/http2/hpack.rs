//! HPACK (RFC 7541) by fluke-hpack, guarded.
//!
//! fluke-hpack panics on a table size update that is cut, builds its Huffman table anew for
//! each string, and sets no limit to what a few bytes may expand to. So each field is taken
//! apart here, its Huffman strings are decoded with one table, and what the crate gets is
//! one well-formed field with plain strings.

use fluke_hpack::Decoder;
use fluke_hpack::decoder::DecoderError;
use fluke_hpack::huffman::HuffmanDecoder;
use std::fmt;

/// The largest dynamic table a sender may ask for, in bytes. Browsers announce 64 KiB.
const MAXIMUM_TABLE: usize = 1 << 20;

/// What all header blocks of one direction may decode to, in bytes. A few bytes that point
/// into the table can name much more than they are.
const MAXIMUM_DECODED: usize = 64 << 20;

/// Headers kept of one block.
const MAXIMUM_HEADERS: usize = 256;

/// Name and value in order, pseudo-headers included.
pub type RawHeaders = Vec<(Vec<u8>, Vec<u8>)>;

/// Decodes the header blocks of one direction, which share a table.
pub struct HeaderDecoder {
    decoder: Decoder<'static>,
    huffman: HuffmanDecoder,
    decoded: usize,
    /// After an error the table is not what the sender thinks it is.
    broken: bool,
    /// Blocks are missing: of the table only what came after them is known.
    lossy: bool,
}

impl fmt::Debug for HeaderDecoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HeaderDecoder")
            .field("decoded", &self.decoded)
            .field("broken", &self.broken)
            .field("lossy", &self.lossy)
            .finish_non_exhaustive()
    }
}

impl Default for HeaderDecoder {
    fn default() -> Self {
        Self {
            decoder: empty_table(),
            huffman: HuffmanDecoder::new(),
            decoded: 0,
            broken: false,
            lossy: false,
        }
    }
}

fn empty_table() -> Decoder<'static> {
    let mut decoder = Decoder::new();
    decoder.set_max_allowed_table_size(MAXIMUM_TABLE);
    decoder
}

impl HeaderDecoder {
    /// Decodes a whole block; at most 256 headers of it are returned. `None` when this
    /// block, or one before it, was malformed. After a loss only the headers that do not
    /// depend on it.
    pub fn decode(&mut self, block: &[u8]) -> Option<RawHeaders> {
        if self.broken {
            return None;
        }
        let mut headers = RawHeaders::new();
        self.broken = self.fields(block, &mut headers).is_none();
        (!self.broken).then_some(headers)
    }

    /// The headers of a block of which only the beginning was captured.
    pub fn decode_cut(&mut self, beginning: &[u8]) -> RawHeaders {
        let mut headers = RawHeaders::new();
        if !self.broken {
            let _ = self.fields(beginning, &mut headers);
            self.lose();
        }
        headers
    }

    /// A block was lost. What the ones after it say in full, or by numbers of the table
    /// given since, is as sure as before: such numbers count from the newest entry (RFC 7541,
    /// section 2.3.3).
    pub fn lose(&mut self) {
        self.decoder = empty_table();
        self.lossy = true;
    }

    fn fields(&mut self, block: &[u8], headers: &mut RawHeaders) -> Option<()> {
        let mut rest = block;
        while !rest.is_empty() {
            let (field, value_at) = self.take_field(&mut rest)?;
            let mut size = 0;
            let lossy = self.lossy;
            let mut result = self.decoder.decode_with_cb(&field, |name, value| {
                size = name.len() + value.len();
                let nameless = lossy && name.is_empty();
                if headers.len() < MAXIMUM_HEADERS && !nameless {
                    headers.push((name.into_owned(), value.into_owned()));
                }
            });
            if self.lossy && matches!(result, Err(DecoderError::HeaderIndexOutOfBounds)) {
                result = self.stand_in(&field, value_at);
            }
            // A size update alone is not at the end of the block, but of what we pass.
            if !matches!(result, Ok(()) | Err(DecoderError::SizeUpdateAtEnd)) {
                return None;
            }
            self.decoded = self.decoded.checked_add(size)?;
            (self.decoded <= MAXIMUM_DECODED).then_some(())?;
        }
        Some(())
    }

    /// A field whose name is lost takes its place in the table, so that those after it are
    /// counted right.
    fn stand_in(&mut self, field: &[u8], value_at: usize) -> Result<(), DecoderError> {
        const WITH_INDEXING: u8 = 0x40;
        if field
            .first()
            .is_none_or(|kind| kind & 0xc0 != WITH_INDEXING)
        {
            return Ok(());
        }
        let value = field.get(value_at..).unwrap_or_default();
        let nameless = [&[WITH_INDEXING, 0], value].concat();
        self.decoder.decode_with_cb(&nameless, |_, _| {})
    }

    /// Takes one field off the front (RFC 7541, section 6) and writes it without Huffman
    /// coding; with where its value stands.
    fn take_field(&mut self, rest: &mut &[u8]) -> Option<(Vec<u8>, usize)> {
        let kind = *rest.first()?;
        // Bits of the first byte that belong to the index or size.
        let (prefix, literal) = match kind {
            0x80.. => (7, false),
            0x40..=0x7f => (6, true),
            0x20..=0x3f => (5, false),
            _ => (4, true),
        };
        let before = *rest;
        let index = take_integer(rest, prefix)?;
        let mut field = before.get(..before.len() - rest.len())?.to_vec();
        let mut value_at = field.len();
        if literal {
            if index == 0 {
                self.take_string(rest, &mut field)?;
                value_at = field.len();
            }
            self.take_string(rest, &mut field)?;
        }
        Some((field, value_at))
    }

    /// A string (RFC 7541, section 5.2), appended to `field` without Huffman coding.
    fn take_string(&mut self, rest: &mut &[u8], field: &mut Vec<u8>) -> Option<()> {
        let huffman = rest.first()? & 0x80 != 0;
        let length = take_integer(rest, 7)?;
        let (coded, after) = rest.split_at_checked(length)?;
        *rest = after;
        if huffman {
            let plain = self.huffman.decode(coded).ok()?;
            put_length(field, plain.len());
            field.extend_from_slice(&plain);
        } else {
            put_length(field, coded.len());
            field.extend_from_slice(coded);
        }
        Some(())
    }
}

/// An integer with a prefix of `bits` (RFC 7541, section 5.1). `None` when it is cut or has
/// more than five bytes, which no length or index needs.
fn take_integer(rest: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, mut after) = rest.split_first()?;
    let mask = (1 << bits) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, following) = after.split_first()?;
            after = following;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            (shift < 28).then_some(())?;
        }
    }
    *rest = after;
    Some(value)
}

/// Length of a plain string, prefix of seven bits.
fn put_length(field: &mut Vec<u8>, length: usize) {
    const MASK: usize = 0x7f;
    if length < MASK {
        field.push(length.to_le_bytes()[0]);
        return;
    }
    field.push(0x7f);
    let mut rest = length - MASK;
    while rest >= 0x80 {
        field.push((rest & 0x7f).to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    field.push(rest.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &RawHeaders) -> Vec<String> {
        headers
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}={}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                )
            })
            .collect()
    }

    #[test]
    fn the_requests_of_rfc_7541_appendix_c_4_are_decoded_over_one_table() {
        let mut decoder = HeaderDecoder::default();
        let blocks = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ];
        let last = blocks
            .iter()
            .map(|block| decoder.decode(&hex::decode(block).expect("hexadecimal")))
            .last()
            .flatten()
            .expect("decoded");
        assert_eq!(
            names(&last),
            [
                ":method=GET",
                ":scheme=https",
                ":path=/index.html",
                ":authority=www.example.com",
                "custom-key=custom-value"
            ]
        );
    }

    #[test]
    fn a_cut_size_update_is_an_error_and_a_whole_one_is_not() {
        assert_eq!(HeaderDecoder::default().decode(&[0x3f]), None);
        assert_eq!(HeaderDecoder::default().decode(&[0x3f, 0xff]), None);
        let mut decoder = HeaderDecoder::default();
        assert_eq!(decoder.decode(&[0x20, 0x82]).map(|h| h.len()), Some(1));
        assert_eq!(decoder.decode(&[0x3f, 0xff, 0xff, 0xff, 0x7f]), None);
        assert_eq!(decoder.decode(&[0x82]), None, "broken stays broken");
    }

    #[test]
    fn after_a_loss_what_does_not_depend_on_it_is_decoded() {
        let mut decoder = HeaderDecoder::default();
        let decoded = |decoder: &mut HeaderDecoder, block: &[u8]| {
            decoder.decode(block).map(|headers| names(&headers))
        };
        // An entry of the table, then the loss of a block, which may have been another.
        let a_b = [0x40, 1, b'a', 1, b'b'];
        assert_eq!(decoded(&mut decoder, &a_b), Some(vec!["a=b".to_owned()]));
        decoder.lose();
        let unknown = [0x82, 0xbe, 0x84];
        let known = vec![":method=GET".to_owned(), ":path=/".to_owned()];
        assert_eq!(decoded(&mut decoder, &unknown), Some(known));
        // The newest entry has a name from before the loss, the second was given after it.
        let c_d = [0x40, 1, b'c', 1, b'd', 0x7f, 0x00, 1, b'e'];
        assert_eq!(decoded(&mut decoder, &c_d), Some(vec!["c=d".to_owned()]));
        let second = Some(vec!["c=d".to_owned()]);
        assert_eq!(decoded(&mut decoder, &[0xbe, 0xbf]), second);
    }

    #[test]
    fn the_beginning_of_a_block_is_decoded() {
        let mut decoder = HeaderDecoder::default();
        let headers = decoder.decode_cut(&[0x88, 0x40, 1, b'a', 9, b'b']);
        assert_eq!(names(&headers), [":status=200"]);
        assert_eq!(decoder.decode(&[0x88]).map(|h| h.len()), Some(1));
    }

    #[test]
    fn long_strings_survive_the_rewriting() {
        for length in [0, 1, 126, 127, 128, 254, 255, 256, 20_000] {
            let mut block = vec![0x00];
            put_length(&mut block, length);
            block.extend(std::iter::repeat_n(b'n', length));
            block.push(1);
            block.push(b'v');
            let headers = HeaderDecoder::default().decode(&block).expect("decoded");
            assert_eq!(headers[0].0.len(), length);
        }
    }

    #[test]
    fn a_header_bomb_is_cut_off() {
        let mut decoder = HeaderDecoder::default();
        // The largest table, a header of 64 KiB, then a million references to it.
        let mut block = vec![0x3f, 0xe1, 0xff, 0x3f, 0x40, 1, b'n'];
        put_length(&mut block, 65_535);
        block.extend(std::iter::repeat_n(b'v', 65_535));
        block.extend(std::iter::repeat_n(0xbe, 1_000_000));
        assert_eq!(decoder.decode(&block), None);
        assert!(decoder.decoded <= MAXIMUM_DECODED + 65_536);
    }
}
