//! What is in a box, before it is drawn.

/// What the opening of a packet depends on beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// Decrypted or plain application text, where known.
    pub application: Option<&'a [u8]>,
    pub show_secrets: bool,
}

/// One box.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub title: String,
    /// Name and value, in the order of the header.
    pub fields: Vec<(&'static str, String)>,
    /// Lines below the fields, each shown on its own.
    pub lines: Vec<String>,
    /// What this layer carries.
    pub inside: Vec<Self>,
}

impl Layer {
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    pub fn field(&mut self, name: &'static str, value: impl ToString) {
        self.fields.push((name, value.to_string()));
    }

    /// A field that is left out when there is nothing to say.
    pub fn list(&mut self, name: &'static str, values: &[String]) {
        if !values.is_empty() {
            // An item is not broken where it can be moved to the next line.
            let kept: Vec<String> = values
                .iter()
                .map(|value| value.replace(' ', "\u{a0}"))
                .collect();
            self.field(name, kept.join(", "));
        }
    }

    /// A box for bytes that cannot be opened as `what`.
    pub fn cut(what: &str, bytes: &[u8]) -> Self {
        let mut layer = Self::new(what);
        layer.lines.push(match bytes.len() {
            0 => "nothing of it was captured".into(),
            count => format!("{count} bytes, too few for its header"),
        });
        layer.lines.extend(hex_lines(bytes, 2));
        layer
    }

    /// A box for a payload that nobody here can read. Its bytes are shown only to those
    /// who asked for secrets: it may be the rest of a form with a password.
    pub fn payload(title: &str, bytes: &[u8], show_secrets: bool) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let mut layer = Self::new(title);
        layer.field("length", format!("{} bytes", bytes.len()));
        if show_secrets {
            layer.lines = hex_lines(bytes, 8);
        }
        Some(layer)
    }
}

/// Lowercase hexadecimal with colons, as MAC addresses are written.
pub(super) fn mac(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// The first lines of a dump, 16 bytes each: offset, bytes, characters.
pub(super) fn hex_lines(bytes: &[u8], limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = bytes
        .chunks(16)
        .take(limit)
        .enumerate()
        .map(|(index, chunk)| {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let printable = |byte: &u8| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            };
            let text: String = chunk.iter().map(printable).collect();
            format!("{:04x}  {:<47}  {text}", index * 16, hex.join(" "))
        })
        .collect();
    let shown = limit.saturating_mul(16);
    if let Some(rest) = bytes.len().checked_sub(shown).filter(|rest| *rest > 0) {
        lines.push(format!("and {rest} bytes more"));
    }
    lines
}
