//! Processes, and how sure their part is.

use schemars::JsonSchema;
use serde::Serialize;

/// How sure the link between a process and what it did is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attribution {
    /// The kernel named process and socket in one event, in the process's own context.
    SocketCookie,
    /// Joined by addresses and ports.
    Tuple,
    /// Found in /proc by the socket's inode.
    Procfs,
    /// Not known.
    Unknown,
}

/// A container, as far as the path of its cgroup tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// docker, containerd, cri-o, podman; absent where the path does not tell.
    pub engine: Option<String>,
    /// UID of the Kubernetes pod.
    pub pod: Option<String>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Process {
    pub pid: u32,
    /// Its number in its own pid namespace, where that is another one.
    pub namespace_pid: Option<u32>,
    /// Name of the program as the kernel keeps it (at most 15 bytes).
    pub comm: String,
    /// Path of the executable.
    pub exe: Option<String>,
    /// Command line, redacted.
    pub command: Vec<String>,
    pub uid: Option<u32>,
    /// Path in the cgroup v2 hierarchy.
    pub cgroup: Option<String>,
    /// The container that the cgroup belongs to, by its name; absent where none is named.
    pub container: Option<Container>,
    pub attribution: Attribution,
}
