//! The other threads of the process that may be workers, for what they say: nothing.

use std::{collections::HashMap, fs, ops::Range, time::Duration};

/// How much processor time threads of the same name had used at one moment.
///
/// Tokio gives all threads of a runtime one name. So if a worker has been handed on to another thread
/// (`block_in_place`), that is one of these.
#[derive(Debug)]
pub(in crate::stall) struct Others {
    name: Vec<u8>,
    used: HashMap<u32, Duration>,
}

impl Others {
    /// The threads with the name of this one, but for itself.
    pub(in crate::stall) fn of(thread: u32) -> Option<Self> {
        let name = name(thread)?;
        let used = times(&name, thread);
        Some(Self { name, used })
    }

    /// Whether any of them, other than those that are known, has used so much processor time since
    /// then.
    pub(in crate::stall) fn any_busy(
        &self,
        thread: u32,
        time: Range<Duration>,
        is_known: impl Fn(u32) -> bool,
    ) -> bool {
        times(&self.name, thread).into_iter().any(|(other, used)| {
            let before = self.used.get(&other).copied().unwrap_or_default();
            !is_known(other) && time.contains(&used.saturating_sub(before))
        })
    }
}

fn name(thread: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/self/task/{thread}/comm")).ok()
}

fn times(like: &[u8], but: u32) -> HashMap<u32, Duration> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return HashMap::new();
    };
    tasks
        .filter_map(|task| {
            let thread: u32 = task.ok()?.file_name().to_str()?.parse().ok()?;
            if thread == but || name(thread)? != like {
                return None;
            }
            let schedstat =
                fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
            let used: u64 = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
            Some((thread, Duration::from_nanos(used)))
        })
        .collect()
}
