//! Where there is no `/proc` that is known here: nothing is told, so nothing is told wrong.

use std::time::Duration;

use super::{super::clock::Moment, Account, BlockingCall, Look, Registers};

pub(in crate::stall) fn this_thread() -> u32 {
    super::number_of_our_own()
}

pub(in crate::stall) fn switches_of_this_thread() -> Option<u64> {
    None
}

#[derive(Debug)]
pub(in crate::stall) struct Eye;

impl Eye {
    pub(in crate::stall) fn on(_thread: u32) -> Self {
        Self
    }

    pub(in crate::stall) fn look(&self) -> Option<Look> {
        None
    }

    pub(in crate::stall) fn account(&self) -> Option<Account> {
        None
    }

    pub(in crate::stall) fn is_gone(&self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(in crate::stall) struct Others;

impl Others {
    pub(in crate::stall) fn of(_thread: u32) -> Option<Self> {
        None
    }

    pub(in crate::stall) fn has(&self, _thread: u32) -> bool {
        false
    }

    pub(in crate::stall) fn busy(
        &self,
        _thread: u32,
        _before: &Self,
        _first: &Self,
        _is_another: impl Fn(u32) -> bool,
    ) -> Option<Duration> {
        None
    }
}

#[derive(Debug, Default)]
pub(in crate::stall) struct Names;

impl Names {
    pub(in crate::stall) fn call(
        &mut self,
        _registers: &Registers,
        _still: impl FnOnce() -> bool,
    ) -> Option<BlockingCall> {
        None
    }

    pub(in crate::stall) fn forget(&mut self, _now: Moment) {}

    pub(in crate::stall) fn have_left_out(&self) -> bool {
        false
    }

    pub(in crate::stall) fn thread(_thread: u32) -> Option<String> {
        None
    }
}
