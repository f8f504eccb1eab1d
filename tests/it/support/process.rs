//! What the system says of this process.

use std::{fs, thread, time::Duration};

use rustix::{
    process::{Pid, Resource, Rlimit, getrlimit, setrlimit},
    thread::set_thread_uid,
};

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

/// Whether a thread of this process sleeps.
pub(crate) fn sleeps(thread: Pid) -> bool {
    let file = format!("/proc/self/task/{thread}/stat");
    let stat = fs::read_to_string(file).expect("Linux shows the state of a thread");
    // The name, in parentheses, may be anything; the state follows it.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    fields.trim_start().starts_with('S')
}

/// How much memory is resident, in bytes.
pub(crate) fn resident() -> usize {
    memory("VmRSS:")
}

/// How much memory was resident at the most so far, in bytes.
#[cfg(feature = "ureq")]
pub(crate) fn peak_resident() -> usize {
    memory("VmHWM:")
}

/// How much memory was asked for at the most so far, in bytes, whether it was written to or not.
#[cfg(feature = "ureq")]
pub(crate) fn peak_address_space() -> usize {
    memory("VmPeak:")
}

fn memory(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux shows the memory in use");
    let kilobytes: usize = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("it is there, in kilobytes");
    kilobytes * 1024
}

/// How much processor time this process has used so far, in steps of a hundredth of a second.
pub(crate) fn cpu_time() -> Duration {
    time_used("/proc/self/stat")
}

/// As [`cpu_time`], of the thread that asks.
pub(crate) fn thread_cpu_time() -> Duration {
    time_used("/proc/thread-self/stat")
}

fn time_used(file: &str) -> Duration {
    let stat = fs::read_to_string(file).expect("Linux shows the time used");
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

/// Until it is dropped, no thread can be started by the one that made it. (Others can, if this is
/// root.)
pub(crate) struct NoMoreThreads(Rlimit);

impl NoMoreThreads {
    pub(crate) fn from_here_on() -> Self {
        if rustix::process::getuid().is_root() {
            // Root has no limit. To the system a user is the thread's, not the process's.
            let nobody = rustix::process::Uid::from_raw(65_534);
            set_thread_uid(nobody).expect("root may become anybody");
        }
        let before = getrlimit(Resource::Nproc);
        let none = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Nproc, none).expect("a soft limit may be lowered");
        let refused = thread::Builder::new().spawn(|| ());
        assert!(refused.is_err(), "there is no way to have a thread refused");
        Self(before)
    }
}

impl NoMoreThreads {
    /// From now on the user of this thread may have so many, those included that there are.
    pub(crate) fn but(&self, threads: u64) {
        let few = Rlimit {
            current: Some(threads),
            ..self.0
        };
        setrlimit(Resource::Nproc, few).expect("a soft limit may be raised again");
    }
}

impl Drop for NoMoreThreads {
    fn drop(&mut self) {
        setrlimit(Resource::Nproc, self.0).expect("a soft limit may be raised again");
    }
}
