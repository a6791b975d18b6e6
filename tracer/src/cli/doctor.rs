//! `tracer doctor`: which hook serves which fact on this kernel.

use super::arguments::{Doctor, ExitCode};
use super::capture;
use super::problem::Problem;
use super::schema::print;
use crate::journey::model::HookStatus;
use crate::probe::{Probe, ProbeOptions};
use crate::report::doctor::render;
use crate::report::outputs::{Destination, Terminal};
use crate::session;

/// Tries every hook as a capture would, says what became of each, and detaches.
pub(super) async fn doctor(arguments: Doctor) -> Result<ExitCode, Problem> {
    let options = ProbeOptions {
        kernel_path: true,
        ..capture::probe_options(&arguments.hooks, None, false, true)
    };
    let probe = Probe::attach(options).await?;
    let hooks = probe.hooks().to_vec();
    probe.detach().await;
    let style = Terminal::detect().style_of(&Destination::Stdout, arguments.color);
    let kernel = session::host().kernel;
    print(&render(&hooks, kernel.as_deref(), style, arguments.verbose))?;
    let served = |fact: &str| {
        let mut of_fact = hooks.iter().filter(|hook| hook.fact == fact);
        of_fact.any(|hook| hook.status == HookStatus::Attached)
    };
    let complete = hooks.iter().all(|hook| served(&hook.fact));
    Ok(if complete {
        ExitCode::Done
    } else {
        ExitCode::KernelLacks
    })
}
