//! What the tracer says of itself, before anything is traced.

use anyhow::{Result, ensure};

use crate::program::Tracer;
use crate::scenario::Scenario;
use crate::schema;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "version_is_printed",
        run: version_is_printed,
    },
    Scenario {
        name: "schema_is_a_valid_json_schema",
        run: schema_is_a_valid_json_schema,
    },
    Scenario {
        name: "schema_refuses_an_empty_document",
        run: schema_refuses_an_empty_document,
    },
];

fn version_is_printed() -> Result<()> {
    let outcome = Tracer::new(["--version"]).run()?.expect_code(0)?;
    ensure!(
        outcome.stdout.starts_with("tracer ") && outcome.stdout.contains('.'),
        "no name and version\n{}",
        outcome.describe()
    );
    ensure!(
        outcome.stderr.is_empty(),
        "messages on standard error\n{}",
        outcome.describe()
    );
    Ok(())
}

fn schema_is_a_valid_json_schema() -> Result<()> {
    schema::compile(&schema::fetch()?).map(drop)
}

/// A schema that accepts everything would make every other check of a document worthless.
fn schema_refuses_an_empty_document() -> Result<()> {
    let validator = schema::compile(&schema::fetch()?)?;
    ensure!(
        !validator.is_valid(&serde_json::json!({})),
        "the schema accepts {{}}"
    );
    Ok(())
}
