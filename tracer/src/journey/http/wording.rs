//! Stand-ins for `protocol::text`, which another hand writes; each is to be replaced by the
//! function of the same name there.

/// Control characters never reach a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect()
}
