//! The other threads of the process that may be workers, for what they say: nothing.

use std::{collections::HashMap, fs, time::Duration};

use super::{Account, Eye};

/// Processor time that no thread uses by just being there.
const A_LITTLE: Duration = Duration::from_micros(500);

/// What all threads were doing at one moment, and how much processor time they had used.
#[derive(Debug)]
pub(in crate::stall) struct Others(HashMap<u32, Other>);

#[derive(Debug)]
struct Other {
    /// Without digits. Tokio gives all threads of a runtime one name, or a user names them one by
    /// one, as a rule with a number. So if a worker has been handed on to another thread
    /// (`block_in_place`), that is one of those whose names are the same but for these.
    name: Vec<u8>,
    account: Account,
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
                account: look.account,
                asleep: look.is_asleep(),
            };
            Some((thread, other))
        });
        Some(Self(others.collect()))
    }

    /// Whether any with the name of `thread`, and not known to be another worker, has been busy for
    /// the `time` since `before`: then, how much processor time the one that has used most has used
    /// since `first`.
    ///
    /// Busy is who does not sleep most of the time, and is given processors if there are any.
    pub(in crate::stall) fn busy(
        &self,
        thread: u32,
        (before, time): (&Self, Duration),
        first: &Self,
        is_another: impl Fn(u32) -> bool,
    ) -> Option<Duration> {
        let this = self.0.get(&thread)?;
        let is_busy = |at: &u32, other: &Other| {
            let before = before.account(*at);
            let used = other.account.cpu.saturating_sub(before.cpu);
            let in_line = other.account.in_line.saturating_sub(before.in_line);
            // Who is in line at the moment may have been so for long, which is not counted yet.
            !other.asleep || (used >= A_LITTLE && used + in_line >= time / 2)
        };
        self.0
            .iter()
            .filter(|(at, other)| **at != thread && other.name == this.name)
            .filter(|(at, other)| is_busy(at, other) && !is_another(**at))
            .map(|(at, other)| other.account.cpu.saturating_sub(first.account(*at).cpu))
            .max()
    }

    /// Nothing, of one that was not there yet.
    fn account(&self, thread: u32) -> Account {
        self.0
            .get(&thread)
            .map_or(Account::default(), |other| other.account)
    }
}

/// The name of a thread, without digits.
fn name(thread: u32) -> Option<Vec<u8>> {
    let mut name = fs::read(format!("/proc/self/task/{thread}/comm")).ok()?;
    name.retain(|byte| !byte.is_ascii_digit());
    Some(name)
}
