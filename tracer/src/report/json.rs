//! The whole document as JSON (schema version 1).

use crate::journey::model::Document;
use std::io::{self, Write};

/// Writes `document` and a line end; `pretty` for people, otherwise one line.
///
/// # Errors
/// Those of `writer`.
pub fn write(document: &Document, pretty: bool, mut writer: impl Write) -> io::Result<()> {
    if pretty {
        serde_json::to_writer_pretty(&mut writer, document)?;
    } else {
        serde_json::to_writer(&mut writer, document)?;
    }
    writer.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::report::examples;

    fn written(pretty: bool) -> String {
        let mut bytes = Vec::new();
        write(&examples::shop(), pretty, &mut bytes).expect("memory takes everything");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn the_document_has_the_names_of_the_contract() {
        insta::assert_snapshot!("shop", written(true));
    }

    #[test]
    fn without_pretty_there_is_one_line() {
        assert_eq!(written(false).lines().count(), 1);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(&written(false)), value(&written(true)));
    }

    #[test]
    fn unknown_is_null_and_never_left_out() {
        let mut bytes = Vec::new();
        write(&examples::incomplete(), false, &mut bytes).expect("memory takes everything");
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        let journey = document.pointer("/journeys/0").expect("a journey");
        for member in [
            "process",
            "failure",
            "http",
            "neighbor",
            "route",
            "caused_by",
        ] {
            assert!(
                journey.get(member).is_some_and(serde_json::Value::is_null),
                "{member}"
            );
        }
        assert_eq!(
            journey.pointer("/phases/wait"),
            Some(&serde_json::Value::Null)
        );
    }
}
