//! The other threads of the process that may be workers, for what they say: nothing.

use std::{collections::HashMap, fs, time::Duration};

use super::Eye;

/// How much processor time threads of the same name had used at one moment.
///
/// Tokio gives all threads of a runtime one name, or a user names them one by one, as a rule with a
/// number. So if a worker has been handed on to another thread (`block_in_place`), that is one of
/// those whose names are the same but for digits.
#[derive(Debug)]
pub(in crate::stall) struct Others {
    name: Vec<u8>,
    used: HashMap<u32, Duration>,
}

impl Others {
    /// The threads with the name of this one, but for itself.
    pub(in crate::stall) fn of(thread: u32) -> Option<Self> {
        let name = name(thread)?;
        let used = alike(&name, thread)
            .filter_map(|other| Some((other, Eye::on(other).account()?.cpu)))
            .collect();
        Some(Self { name, used })
    }

    /// Whether any of them, other than those that are known, is busy: it has used so much processor time
    /// since then, or it is on a processor or in line for one now.
    pub(in crate::stall) fn any_busy(
        &self,
        thread: u32,
        time: Duration,
        is_known: impl Fn(u32) -> bool,
    ) -> bool {
        alike(&self.name, thread).any(|other| {
            let Some(look) = Eye::on(other).look() else {
                return false;
            };
            let before = self.used.get(&other).copied().unwrap_or_default();
            let used = look.account.cpu.saturating_sub(before);
            // On a machine that is short of processors, one that is busy gets little of them.
            (used >= time || !look.is_asleep()) && !is_known(other)
        })
    }
}

/// The name of a thread, without digits.
fn name(thread: u32) -> Option<Vec<u8>> {
    let mut name = fs::read(format!("/proc/self/task/{thread}/comm")).ok()?;
    name.retain(|byte| !byte.is_ascii_digit());
    Some(name)
}

/// The threads of that name, but for one.
fn alike(wanted: &[u8], but: u32) -> impl Iterator<Item = u32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks.filter_map(move |task| {
        let thread: u32 = task.ok()?.file_name().to_str()?.parse().ok()?;
        (thread != but && name(thread)? == wanted).then_some(thread)
    })
}
