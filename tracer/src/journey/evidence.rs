//! Where a fact was seen: the frame, or the kernel hook.

use super::model::End;
use crate::capture::{Direction, Frame, HookKind};
use std::collections::BTreeMap;

/// A frame, without its bytes: enough to order it and to name it as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub at_ns: u64,
    /// Number of the frame in the capture, from 1.
    pub number: u64,
    pub hook: HookKind,
    pub interface: u32,
    pub direction: Direction,
}

impl Mark {
    pub fn new(at_ns: u64, number: u64, frame: &Frame) -> Self {
        Self {
            at_ns,
            number,
            hook: frame.hook,
            interface: frame.interface,
            direction: frame.direction,
        }
    }
}

/// A frame of a connection, and which end sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndMark {
    pub end: End,
    pub mark: Mark,
}

/// Names of the interfaces by index.
#[derive(Debug, Clone, Default)]
pub(super) struct InterfaceNames(BTreeMap<u32, crate::capture::Interface>);

impl InterfaceNames {
    pub fn insert(&mut self, interface: crate::capture::Interface) {
        self.0.insert(interface.index, interface);
    }

    pub fn name(&self, index: u32) -> Option<&str> {
        self.0.get(&index).map(|interface| interface.name.as_str())
    }

    pub fn is_loopback(&self, index: u32) -> bool {
        self.0
            .get(&index)
            .is_some_and(|interface| interface.loopback)
    }

    pub fn iter(&self) -> impl Iterator<Item = &crate::capture::Interface> {
        self.0.values()
    }

    /// `xdp eth0 frame 12`, or `frame 12` in a file.
    pub fn evidence(&self, mark: Mark) -> String {
        match (mark.hook, self.name(mark.interface)) {
            (HookKind::Pcap, _) => format!("frame {}", mark.number),
            (hook, Some(name)) => format!("{} {name} frame {}", hook.name(), mark.number),
            (hook, None) => format!("{} frame {}", hook.name(), mark.number),
        }
    }
}
