//! `tracer doctor`: which hook serves which fact on this kernel.

mod provoke;

use super::arguments::{Doctor, DoctorFormat, ExitCode};
use super::capture;
use super::problem::Problem;
use super::schema::print;
use crate::output_file::{self, Readers};
use crate::probe::{self, Probe, ProbeOptions, is_optional};
use crate::report::doctor::{Diagnosis, render};
use crate::report::outputs::{Destination, Terminal};
use crate::session;
use std::io::{self, Write};
use std::path::Path;

/// Tries the hooks as a capture would, and lets them see something; or tries all of them, one
/// by one. Says what became of each, and detaches.
pub(super) async fn doctor(arguments: Doctor) -> Result<ExitCode, Problem> {
    let kernel = session::host().kernel;
    let diagnosis = if arguments.all {
        Diagnosis::new(&probe::inspect()?, kernel, is_optional)
    } else {
        let options = ProbeOptions {
            kernel_path: true,
            statistics: true,
            ..capture::probe_options(&arguments.hooks, None, false, true)
        };
        let probe = Probe::attach(options).await?;
        let mut diagnosis = Diagnosis::new(probe.hooks(), kernel, is_optional);
        let provoked = provoke::events();
        if let Some(counted) = probe.cost().and_then(|cost| cost.kernel) {
            diagnosis.count_runs(&counted, &provoked);
        }
        probe.detach().wait();
        diagnosis
    };
    let text = match arguments.format {
        DoctorFormat::Json => {
            let json =
                serde_json::to_string_pretty(&diagnosis).map_err(|error| Problem::System {
                    operation: "write JSON",
                    source: error.into(),
                })?;
            format!("{json}\n")
        }
        DoctorFormat::Text => {
            let destination = match &arguments.output {
                Some(path) => Destination::File(path.clone()),
                None => Destination::Stdout,
            };
            let style = Terminal::detect().style_of(&destination, arguments.color);
            render(&diagnosis, style, arguments.verbose)
        }
    };
    match &arguments.output {
        Some(path) => write(path, &text).map_err(|source| Problem::System {
            operation: "write the diagnosis",
            source,
        })?,
        None => {
            print(&text)?;
        }
    }
    Ok(if diagnosis.complete {
        ExitCode::Done
    } else {
        ExitCode::KernelLacks
    })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = output_file::open(path, Readers::Umask)?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}
