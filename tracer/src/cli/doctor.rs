//! `tracer doctor`: which hook serves which fact on this kernel.

use super::arguments::{Doctor, ExitCode};
use super::problem::Problem;

pub(super) fn doctor(arguments: &Doctor) -> Result<ExitCode, Problem> {
    let _ = arguments;
    todo!()
}
