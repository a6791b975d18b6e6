//! How far the start of a capture is, on the terminal of a person who waits: a host can have
//! thousands of interfaces, and a kernel that makes each of them wait.

use super::terminal_line::TerminalLine;
use crate::probe::Steps;
use crate::report::units;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the line is drawn.
const PERIOD: Duration = Duration::from_millis(200);

/// Shown until it is dropped, by a thread of its own: attaching keeps this one busy.
pub(super) struct Attaching {
    /// `None` at its end, which the thread hears.
    going_on: Option<Sender<()>>,
    drawing: Option<JoinHandle<()>>,
}

impl Attaching {
    pub fn show(steps: Steps, quiet: bool) -> Self {
        let line = TerminalLine::new(quiet);
        if !line.is_watched() {
            return Self {
                going_on: None,
                drawing: None,
            };
        }
        let (going_on, word) = channel();
        let drawing = thread::spawn(move || {
            while word.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                line.draw(|elapsed| describe(&steps, elapsed));
            }
        });
        Self {
            going_on: Some(going_on),
            drawing: Some(drawing),
        }
    }
}

impl Drop for Attaching {
    /// Waits for the thread: what comes next is written where its line was, and rights that are
    /// given up are given up by all threads.
    fn drop(&mut self) {
        self.going_on = None;
        if let Some(drawing) = self.drawing.take() {
            let _ = drawing.join();
        }
    }
}

fn describe(steps: &Steps, elapsed: Duration) -> String {
    let hooks = units::counted(steps.hooks(), "hook");
    let interfaces = units::counted(steps.interfaces(), "interface");
    let seconds = elapsed.as_secs();
    format!("tracer: attaching for {seconds} s: {hooks} so far, {interfaces} to watch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_there_is_to_do_and_what_is_done() {
        let steps = Steps::default();
        steps.begin(1000);
        steps.attached();
        let told = describe(&steps, Duration::from_millis(2600));
        let expected =
            "tracer: attaching for 2 s: 1\u{a0}hook so far, 1000\u{a0}interfaces to watch";
        assert_eq!(told, expected);
    }
}
