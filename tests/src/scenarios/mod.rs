//! All scenarios, in the order they run. A new file is registered here.

mod command_line;
mod cost;
mod facts;
mod faults;
mod files;
mod firewall;
mod frames;
mod host;
mod kernel_path;
mod lab;
mod losses;
mod namespaces;
mod owners;
mod privileges;
mod recording;
mod sockets;
mod start;
mod trouble;

use crate::scenario::Scenario;

/// Every scenario of the end-to-end program.
pub fn all() -> Vec<Scenario> {
    [
        command_line::SCENARIOS,
        lab::SCENARIOS,
        kernel_path::SCENARIOS,
        frames::SCENARIOS,
        host::SCENARIOS,
        owners::SCENARIOS,
        sockets::SCENARIOS,
        namespaces::SCENARIOS,
        facts::SCENARIOS,
        firewall::SCENARIOS,
        losses::SCENARIOS,
        cost::SCENARIOS,
        start::SCENARIOS,
        recording::SCENARIOS,
        trouble::SCENARIOS,
        privileges::SCENARIOS,
        faults::SCENARIOS,
        files::SCENARIOS,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_so_that_each_can_be_run_alone() {
        let all = super::all();
        let names: HashSet<_> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
