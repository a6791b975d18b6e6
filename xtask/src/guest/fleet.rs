//! Guests in pairs: each has two virtual processors that take turns on one of this machine's.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::release::{Kernel, Release};
pub use super::visit::{Job, Visit};
use super::visit::{Share, prepare, visit};
use crate::output::say;
use crate::results::Counts;
use crate::workspace::Workspace;

/// Guests that run at the same time.
const AT_A_TIME: usize = 2;
/// With fewer kernels than this, a run has not shown what it is for.
const FEWEST_KERNELS: usize = 3;

/// Every kernel that can be had. One that cannot is skipped, and said so; too few are a failure.
pub fn every_kernel(workspace: &Workspace) -> (Vec<Kernel>, Counts) {
    let (kernels, missing) = fetch(workspace, &Release::ALL);
    let mut counts = Counts::default();
    for reason in &missing {
        say(&format!("   SKIPPED: {reason}"));
        counts.skipped += 1;
    }
    if kernels.len() < FEWEST_KERNELS {
        say(&format!(
            "   failed: {} kernels only, and at least {FEWEST_KERNELS} are needed: mend what the \
             lines above name, or name a kernel of your own (`cargo xtask vm --kernel FILE --modules FOLDER`)",
            kernels.len()
        ));
        counts += Counts::ONE_FAILED;
    }
    (kernels, counts)
}

/// The kernels that somebody named: one that cannot be had is a failure.
pub fn named_kernels(workspace: &Workspace, releases: &[Release]) -> (Vec<Kernel>, Counts) {
    let (kernels, missing) = fetch(workspace, releases);
    let mut counts = Counts::default();
    for reason in &missing {
        say(&format!("   failed: {reason}"));
        counts += Counts::ONE_FAILED;
    }
    (kernels, counts)
}

fn fetch(workspace: &Workspace, releases: &[Release]) -> (Vec<Kernel>, Vec<String>) {
    let mut kernels = Vec::new();
    let mut missing = Vec::new();
    for release in releases {
        match release.fetch(workspace) {
            Ok(kernel) => kernels.push(kernel),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    (kernels, missing)
}

/// Boots all their guests, two at a time; the visits are in the order of the kernels. A guest that
/// cannot even be started counts as one failure.
pub fn run(workspace: &Workspace, kernels: &[Kernel], job: &Job) -> Vec<Visit> {
    let images: Vec<_> = kernels
        .iter()
        .map(|kernel| (kernel, prepare(workspace, kernel, job)))
        .collect();
    let guests = images
        .iter()
        .flat_map(|image| job.shares().map(move |share| (image, share)));
    let waiting: Mutex<VecDeque<_>> = Mutex::new(guests.enumerate().collect());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    let mut visits: Vec<(usize, Visit)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME)
            .map(|_| {
                scope.spawn(|| {
                    std::iter::from_fn(next)
                        .map(|(index, ((kernel, image), share))| {
                            let image = image.as_deref();
                            (index, attempt(kernel, image, job, share))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    visits.sort_by_key(|(index, _)| *index);
    visits.into_iter().map(|(_, visit)| visit).collect()
}

fn attempt(
    kernel: &Kernel,
    image: Result<&Path, &anyhow::Error>,
    job: &Job,
    share: Share,
) -> Visit {
    let failed = |error: &anyhow::Error| {
        say(&format!("   guest {}: failed: {error:#}", kernel.name));
        Visit {
            counts: Counts::ONE_FAILED,
            diagnosis: None,
        }
    };
    match image {
        Ok(image) => visit(image, kernel, job, share).unwrap_or_else(|error| failed(&error)),
        Err(error) => failed(error),
    }
}
