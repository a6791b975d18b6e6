//! JSON Schema (draft 2020-12) of what tracer writes, generated from the types themselves.

use super::doctor::Diagnosis;
use super::ndjson::Line;
use crate::journey::model::Document;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

/// The schema of `--format json`. Every member is required: what is not known is null.
pub fn document() -> Schema {
    generate::<Document>(
        "tracer document",
        "What really happened when URLs were opened, as written by `tracer --format json`.",
    )
}

/// The schema of each line of `--format ndjson`.
pub fn line() -> Schema {
    generate::<Line<'_>>("tracer line", "One line of `tracer --format ndjson`.")
}

/// The schema of `tracer doctor --format json`.
pub fn diagnosis() -> Schema {
    generate::<Diagnosis>(
        "tracer diagnosis",
        "Which hook serves which fact on this kernel, as written by `tracer doctor`.",
    )
}

fn generate<T: JsonSchema>(title: &str, description: &str) -> Schema {
    // "For serialize" is the contract of a writer: a member that may be null is still
    // always there, so that a validator notices when one is renamed or forgotten.
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    schema.insert("description".into(), description.into());
    schema
}

#[cfg(test)]
mod tests {
    use super::{document, line};
    use crate::report::{examples, ndjson};
    use serde_json::Value;

    fn validator(schema: &schemars::Schema) -> jsonschema::Validator {
        jsonschema::draft202012::new(schema.as_value()).expect("a valid schema")
    }

    fn shop() -> Value {
        serde_json::to_value(examples::shop()).expect("JSON")
    }

    #[test]
    fn every_example_is_valid() {
        let validator = validator(&document());
        for (name, example) in examples::all() {
            let value = serde_json::to_value(&example).expect("JSON");
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, [""; 0], "{name}");
        }
    }

    #[test]
    fn every_line_is_valid() {
        let validator = validator(&line());
        for (name, mut example) in examples::all() {
            for unclaimed in [false, true] {
                if unclaimed {
                    example.journeys.clear();
                }
                let mut bytes = Vec::new();
                ndjson::Writer::new(&mut bytes)
                    .document(&example)
                    .expect("memory");
                for text in String::from_utf8_lossy(&bytes).lines() {
                    let value: Value = serde_json::from_str(text).expect("JSON");
                    assert!(validator.is_valid(&value), "{name}: {text}");
                }
            }
        }
    }

    /// Every member of every object, one after the other, is taken away.
    #[test]
    fn a_missing_member_is_noticed_wherever_it_is() {
        let validator = validator(&document());
        let whole = shop();
        let mut paths = Vec::new();
        collect(&whole, String::new(), &mut paths);
        assert!(paths.len() > 400, "{}", paths.len());
        for (parent, member) in paths {
            let mut cut = whole.clone();
            let object = cut.pointer_mut(&parent).and_then(Value::as_object_mut);
            object.expect("an object").remove(&member);
            assert!(
                !validator.is_valid(&cut),
                "{parent}/{member} is not required"
            );
        }
    }

    /// All members of all objects but those whose keys are data.
    fn collect(value: &Value, path: String, paths: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members)
                if !path.ends_with("/lost") && !path.ends_with("/cost/events") =>
            {
                for (name, member) in members {
                    paths.push((path.clone(), name.clone()));
                    collect(member, format!("{path}/{name}"), paths);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    collect(item, format!("{path}/{index}"), paths);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn a_renamed_member_or_a_wrong_type_is_noticed() {
        let validator = validator(&document());
        let mut renamed = shop();
        let journey = renamed
            .pointer_mut("/journeys/0")
            .and_then(Value::as_object_mut);
        let journey = journey.expect("an object");
        let url = journey.remove("url").expect("a URL");
        journey.insert("uri".into(), url);
        assert!(!validator.is_valid(&renamed));
        let mut mistyped = shop();
        *mistyped
            .pointer_mut("/journeys/0/duration_ns")
            .expect("a number") = "7 ms".into();
        assert!(!validator.is_valid(&mistyped));
    }

    #[test]
    fn nullable_members_take_null_and_others_do_not() {
        let validator = validator(&document());
        let mut unknown = shop();
        *unknown.pointer_mut("/journeys/0/route").expect("a route") = Value::Null;
        assert!(validator.is_valid(&unknown));
        *unknown.pointer_mut("/journeys/0/phases").expect("phases") = Value::Null;
        assert!(!validator.is_valid(&unknown));
    }

    #[test]
    fn the_schema_names_its_draft_and_describes_its_members() {
        let schema = document().to_value();
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        let described = &schema["$defs"]["Journey"]["properties"]["outcome"];
        assert!(described.is_object());
        assert!(schema["$defs"]["TlsRecord"]["description"].is_string());
    }
}
