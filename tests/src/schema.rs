//! The tracer's own JSON Schema, asked for once, against which every document is checked.

use std::fmt::Write as _;
use std::sync::OnceLock;

use anyhow::{Result, anyhow, bail};
use jsonschema::Validator;
use serde_json::Value;

use crate::program::Tracer;

/// More errors than these say nothing new about a document.
const SHOWN_ERRORS: usize = 20;

/// Checks a document of the tracer; the error names every place that does not fit.
pub fn validate(document: &Value) -> Result<()> {
    static VALIDATOR: OnceLock<Result<Validator, String>> = OnceLock::new();
    let validator = VALIDATOR
        .get_or_init(|| {
            fetch()
                .and_then(|schema| compile(&schema))
                .map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(|error| anyhow!("no schema to check with: {error}"))?;
    check(validator, document)
}

/// What `tracer schema` prints.
pub fn fetch() -> Result<Value> {
    Tracer::new(["schema"])
        .run()?
        .expect_code(0)?
        .unchecked_json()
}

/// A schema as a validator; an error where it is no valid JSON Schema.
pub fn compile(schema: &Value) -> Result<Validator> {
    if !schema.is_object() {
        bail!("the schema is not an object, so it would accept everything");
    }
    jsonschema::meta::validate(schema).map_err(|error| anyhow!("not a JSON Schema: {error}"))?;
    jsonschema::validator_for(schema).map_err(|error| anyhow!("not a JSON Schema: {error}"))
}

fn check(validator: &Validator, document: &Value) -> Result<()> {
    let mut text = String::new();
    for error in validator.iter_errors(document).take(SHOWN_ERRORS) {
        let _ = writeln!(text, "  at {}: {error}", error.instance_path());
    }
    if text.is_empty() {
        return Ok(());
    }
    bail!("the document does not fit the schema:\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_that_does_not_fit_is_refused_with_the_place() {
        let schema = json!({"type": "object", "properties": {"version": {"type": "integer"}}, "required": ["version"]});
        let validator = compile(&schema).unwrap();
        check(&validator, &json!({"version": 1})).unwrap();
        let error = check(&validator, &json!({"version": "1"}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/version"), "{error}");
    }

    #[test]
    fn something_else_than_a_schema_is_refused() {
        assert!(compile(&json!({"type": 5})).is_err());
        assert!(compile(&json!("text")).is_err());
    }
}
