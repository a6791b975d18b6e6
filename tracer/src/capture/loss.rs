//! Where lost events were lost.

use serde::{Deserialize, Serialize};

/// When the first and the last of some lost events happened, and to whom. The time of the
/// observation is that of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossPlace {
    /// Nanoseconds from the first to the last of them.
    pub lasted_ns: u64,
    /// Number of the processor on which they happened, `None` where that is not known.
    pub processor: Option<u32>,
    /// Both ports of the TCP connection they were of, the lower one first; `None` where they
    /// were of none, or of one that is not known.
    pub ports: Option<(u16, u16)>,
}
