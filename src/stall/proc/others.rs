//! The other threads of the process that may be workers, for what they say: nothing.

use std::{collections::HashMap, fs, time::Duration};

use super::Eye;

/// What all threads were doing at one moment, and how much processor time they had used.
#[derive(Debug)]
pub(in crate::stall) struct Others(HashMap<u32, Other>);

#[derive(Debug)]
struct Other {
    /// Without digits. Tokio gives all threads of a runtime one name, or a user names them one by one, as a
    /// rule with a number. So if a worker has been handed on to another thread (`block_in_place`), that is
    /// one of those whose names are the same but for these.
    name: Vec<u8>,
    used: Duration,
    asleep: bool,
}

impl Others {
    /// It takes some microseconds for each thread.
    pub(in crate::stall) fn now() -> Option<Self> {
        let tasks = fs::read_dir("/proc/self/task").ok()?;
        let others = tasks.filter_map(|task| {
            let thread: u32 = task.ok()?.file_name().to_str()?.parse().ok()?;
            let look = Eye::on(thread).look()?;
            let other = Other {
                name: name(thread)?,
                used: look.account.cpu,
                asleep: look.is_asleep(),
            };
            Some((thread, other))
        });
        Some(Self(others.collect()))
    }

    /// Whether any with the name of `thread`, other than those that are known, is busy: it has used so much
    /// processor time since `before`, or it is on a processor or in line for one now.
    pub(in crate::stall) fn any_busy(
        &self,
        before: &Self,
        thread: u32,
        time: Duration,
        is_known: impl Fn(u32) -> bool,
    ) -> bool {
        let Some(this) = self.0.get(&thread) else {
            return false;
        };
        let mut alike = (self.0.iter()).filter(|(at, it)| **at != thread && it.name == this.name);
        alike.any(|(at, other)| {
            let before = before.0.get(at).map_or(Duration::ZERO, |then| then.used);
            // On a machine that is short of processors, one that is busy gets little of them.
            let busy = other.used.saturating_sub(before) >= time || !other.asleep;
            busy && !is_known(*at)
        })
    }
}

/// The name of a thread, without digits.
fn name(thread: u32) -> Option<Vec<u8>> {
    let mut name = fs::read(format!("/proc/self/task/{thread}/comm")).ok()?;
    name.retain(|byte| !byte.is_ascii_digit());
    Some(name)
}
