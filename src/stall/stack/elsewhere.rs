//! Where stacks cannot be read: there are none.

use super::trace::{Stack, Trace};

/// Nothing is read.
#[derive(Debug)]
pub(in crate::stall) enum Modules {}

impl Modules {
    pub(in crate::stall) fn now() -> std::io::Result<Self> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Cannot be had here.
#[derive(Debug)]
pub(in crate::stall) enum Snapshot {}

pub(in crate::stall) fn capture(_thread: u32, _sp: u64, _pc: u64) -> Option<Snapshot> {
    None
}

impl Snapshot {
    pub(in crate::stall) fn walk(&self, _modules: &mut Modules) -> Walked {
        match *self {}
    }
}

/// As little as that.
#[derive(Clone, Debug)]
pub(in crate::stall) enum Walked {}

impl Walked {
    pub(in crate::stall) fn print(&self) -> u64 {
        match *self {}
    }

    pub(in crate::stall) fn stack(self) -> Stack {
        match self {}
    }

    pub(super) fn read(&self) -> Trace {
        match *self {}
    }
}
