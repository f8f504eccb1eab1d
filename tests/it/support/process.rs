//! What the system says of this process.

use std::{fs, time::Duration};

/// The names of this process's threads that begin with `prefix`.
///
/// The system keeps fifteen characters of a name.
pub(crate) fn threads_named(prefix: &str) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux shows the threads of a process");
    tasks
        .filter_map(|task| {
            // A thread may end while we look.
            let name = fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
            name.starts_with(prefix).then(|| name.trim_end().to_owned())
        })
        .collect()
}

/// How much memory is resident, in bytes.
pub(crate) fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux shows the memory in use");
    let kilobytes: usize = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("the resident set is there, in kilobytes");
    kilobytes * 1024
}

/// How much processor time this process has used so far, in steps of a hundredth of a second.
pub(crate) fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux shows the time used");
    // The name, in parentheses, may contain spaces; what follows it does not.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("times are numbers"))
        .sum();
    Duration::from_millis(ticks * 10)
}
