//! The way of TCP bytes through the layers of this kernel.

use super::HookKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A layer of the kernel, in the order in which bytes pass: first down, then up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KernelLayer {
    /// A process hands bytes to its socket.
    SocketWrite,
    /// TCP makes a segment of them.
    TcpTransmit,
    /// IP finds the way.
    IpOutput,
    /// The link-layer header of the next hop is put in front.
    Neighbor,
    /// The queueing discipline of the device.
    Queue,
    /// The driver gets it.
    Device,
    /// The driver has it.
    Sent,
    /// The driver hands an arrived packet over: to GRO, or to a backlog.
    Driver,
    /// The kernel takes it up from the device.
    DeviceReceive,
    IpReceive,
    TcpReceive,
    /// The waiting process is woken.
    WakeUp,
    /// The bytes are copied to the process.
    Read,
}

impl KernelLayer {
    /// The word used in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SocketWrite => "socket_write",
            Self::TcpTransmit => "tcp_transmit",
            Self::IpOutput => "ip_output",
            Self::Neighbor => "neighbor",
            Self::Queue => "queue",
            Self::Device => "device",
            Self::Sent => "sent",
            Self::Driver => "driver",
            Self::DeviceReceive => "device_receive",
            Self::IpReceive => "ip_receive",
            Self::TcpReceive => "tcp_receive",
            Self::WakeUp => "wake_up",
            Self::Read => "read",
        }
    }

    /// Is it on the way from a process to the wire?
    pub fn is_down(self) -> bool {
        self <= Self::Sent
    }

    /// Does it handle bytes of a stream rather than packets?
    pub fn is_of_socket(self) -> bool {
        matches!(self, Self::SocketWrite | Self::WakeUp | Self::Read)
    }
}

/// Bytes of a TCP stream passed a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPassage {
    pub layer: KernelLayer,
    /// Who sends the bytes, whichever end this is.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// Sequence number of the first byte.
    pub sequence: u32,
    /// Number of bytes; several segments, where the kernel handles them as one.
    pub length: u32,
    /// The function or tracepoint that saw them.
    pub function: String,
    pub hook: HookKind,
}
