//! `tracer schema`.

use super::arguments::{ExitCode, Schema, SchemaFormat};
use super::problem::Problem;
use crate::report::schema as schemas;
use std::io::{self, Write};

pub(super) fn schema(arguments: &Schema) -> Result<ExitCode, Problem> {
    let schema = match arguments.format {
        SchemaFormat::Json => schemas::document(),
        SchemaFormat::Ndjson => schemas::line(),
        SchemaFormat::Doctor => schemas::diagnosis(),
    };
    print(&format!("{:#}\n", schema.as_value()))
}

/// Writes a result; a reader that had enough is success.
pub(super) fn print(text: &str) -> Result<ExitCode, Problem> {
    let mut stdout = anstream::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Problem::System {
            operation: "write to standard output",
            source,
        }),
        _ => Ok(ExitCode::Done),
    }
}
