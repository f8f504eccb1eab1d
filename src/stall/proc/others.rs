//! The other threads of the process that may be workers, for what they say: nothing.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    time::{Duration, Instant},
};

use super::{Account, Eye, Look, thread::open};

/// Processor time that no thread uses by just being there.
const A_LITTLE: Duration = Duration::from_micros(500);

/// What all threads of one name were doing at one moment, and how much processor time they had used.
///
/// The names are without digits. Tokio gives all threads of a runtime one name, or a user names them one
/// by one, as a rule with a number. So if a worker has been handed on to another thread
/// (`block_in_place`), that is one of those whose names are the same but for these.
#[derive(Debug)]
pub(in crate::stall) struct Others {
    at: Instant,
    threads: HashMap<u32, Other>,
}

#[derive(Debug)]
struct Other {
    account: Account,
    asleep: bool,
}

impl Others {
    /// Those that are called like this one, which is among them. `None` if it is not, and if there are no
    /// descriptors left to look at all of them.
    ///
    /// It takes some microseconds for each thread, and several times as long for those of the name.
    pub(in crate::stall) fn of(thread: u32) -> Option<Self> {
        let at = Instant::now();
        let wanted = name(thread).ok()??;
        let mut threads = HashMap::new();
        for task in fs::read_dir("/proc/self/task").ok()? {
            let task = task.ok()?.file_name();
            let Some(other) = task.to_str().and_then(|task| task.parse().ok()) else {
                continue;
            };
            if name(other).ok()?.as_ref() == Some(&wanted)
                && let Some(look) = Eye::on(other).see().ok()?
            {
                threads.insert(other, Other::seen(&look));
            }
        }
        let others = Self { at, threads };
        others.has(thread).then_some(others)
    }

    pub(in crate::stall) fn has(&self, thread: u32) -> bool {
        self.threads.contains_key(&thread)
    }

    /// Whether any but `thread`, and not known to be another worker, has been busy since `before`: then,
    /// how much processor time the one that has used most has used since `first`.
    ///
    /// Busy is who does not sleep most of the time, and is given processors if there are any.
    pub(in crate::stall) fn busy(
        &self,
        thread: u32,
        before: &Self,
        first: &Self,
        is_another: impl Fn(u32) -> bool,
    ) -> Option<Duration> {
        // Not the time between two looks of the watchdog: each may have taken long to come to this.
        let time = self.at.saturating_duration_since(before.at);
        let is_busy = |at: &u32, other: &Other| {
            let before = before.account(*at);
            let used = other.account.cpu.saturating_sub(before.cpu);
            let in_line = other.account.in_line.saturating_sub(before.in_line);
            let awake = used + in_line;
            // Who is in line at the moment may have been so for long, which is not counted yet.
            !other.asleep || (awake >= A_LITTLE && awake >= time / 2)
        };
        self.threads
            .iter()
            .filter(|(at, _)| **at != thread)
            .filter(|(at, other)| is_busy(at, other) && !is_another(**at))
            .map(|(at, other)| other.account.cpu.saturating_sub(first.account(*at).cpu))
            .max()
    }

    /// Nothing, of one that was not there yet.
    fn account(&self, thread: u32) -> Account {
        self.threads
            .get(&thread)
            .map_or(Account::default(), |other| other.account)
    }
}

impl Other {
    fn seen(look: &Look) -> Self {
        Self {
            account: look.account,
            // One that was never given a processor has not gone to sleep yet.
            asleep: look.is_asleep() && look.account.turns > 0,
        }
    }
}

/// The name of a thread, without digits; `None` if it has ended, and an error for want of descriptors.
fn name(thread: u32) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = open(thread, "comm")? else {
        return Ok(None);
    };
    let mut name = Vec::new();
    if file.read_to_end(&mut name).is_err() {
        return Ok(None);
    }
    name.retain(|byte| !byte.is_ascii_digit());
    Ok(Some(name))
}

#[cfg(test)]
impl Others {
    /// Made up: each by what the system would say of it.
    pub(in crate::stall) fn made(at: Instant, threads: &[(u32, &str, &str)]) -> Self {
        let other = |(thread, syscall, schedstat): &(u32, &str, &str)| {
            let look = Look {
                state: super::thread::parse_syscall(syscall).expect("it is a line of the kernel"),
                account: super::thread::parse_schedstat(schedstat).expect("these are numbers"),
            };
            (*thread, Other::seen(&look))
        };
        Self {
            at,
            threads: threads.iter().map(other).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::{super::this_thread, *};

    const ASLEEP: &str = "202 0x1 0x0 0x0 0x0 0x0 0x0 0x7ffe 0x7fd";
    const MILLIS: Duration = Duration::from_millis(1);

    /// What is said of the thread 2 that is seen like this, so long after it was seen asleep.
    fn said_after(time: Duration, syscall: &str, schedstat: &str) -> Option<Duration> {
        let then = Instant::now();
        let before = Others::made(then, &[(1, ASLEEP, "5 5 5"), (2, ASLEEP, "7 7 7")]);
        let now = [(1, ASLEEP, "5 5 5"), (2, syscall, schedstat)];
        Others::made(then + time, &now).busy(1, &before, &before, |_| false)
    }

    #[test]
    fn a_thread_that_was_never_given_a_processor_is_busy() {
        assert_eq!(
            said_after(10 * MILLIS, "running", "0 0 0"),
            Some(Duration::ZERO)
        );
        assert_eq!(
            said_after(10 * MILLIS, ASLEEP, "0 0 0"),
            Some(Duration::ZERO)
        );
    }

    /// However long before that the watchdog had meant to look.
    #[test]
    fn busy_is_who_wants_a_processor_half_the_time_between_two_readings() {
        let used = "6000007 7 9";
        assert_eq!(said_after(10 * MILLIS, ASLEEP, used), Some(6 * MILLIS));
        assert_eq!(said_after(100 * MILLIS, ASLEEP, used), None);
        let in_line = "7 6000007 9";
        assert_eq!(
            said_after(10 * MILLIS, ASLEEP, in_line),
            Some(Duration::ZERO)
        );
        assert_eq!(said_after(100 * MILLIS, ASLEEP, in_line), None);
        assert_eq!(said_after(Duration::ZERO, ASLEEP, "100007 7 8"), None);
    }

    /// To look at all of them takes long where there are thousands.
    #[test]
    fn threads_of_another_name_are_not_looked_at() {
        let (tell, told) = mpsc::channel();
        let (over, is_over) = mpsc::channel::<()>();
        let is_over = std::sync::Arc::new(crate::sync::Mutex::new(is_over));
        let start = |name: &str| {
            let (tell, is_over) = (tell.clone(), is_over.clone());
            let body = move || {
                tell.send(this_thread()).expect("somebody listens");
                let _ = is_over.lock().recv();
            };
            let started = thread::Builder::new().name(name.to_owned()).spawn(body);
            let number = told.recv().expect("it says its number");
            (number, started.expect("there are threads"))
        };
        let all = ["w-1", "w-23", "v-1"].map(start);
        let [this, alike, another] = all.each_ref().map(|(number, _)| *number);
        let others = Others::of(this).expect("it is there");
        assert!(others.has(this) && others.has(alike));
        assert!(!others.has(another), "{others:?}");
        drop(over);
        for (_, thread) in all {
            thread.join().expect("it does not panic");
        }
        // The system may take a moment longer than `join` does.
        let end = Instant::now() + 60_000 * MILLIS;
        while Others::of(this).is_some() {
            assert!(Instant::now() < end, "it has ended");
        }
    }
}
