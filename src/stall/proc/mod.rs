//! What the system tells of a thread, without stopping it: `/proc` on Linux, and elsewhere nothing.

mod call;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
mod syscalls;
#[cfg(target_os = "linux")]
mod thread;

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

pub use self::call::BlockingCall;
#[cfg(not(target_os = "linux"))]
pub(super) use self::elsewhere::{Eye, Names, Others, switches_of_this_thread, this_thread};
#[cfg(target_os = "linux")]
pub(super) use self::{
    files::Names,
    others::Others,
    thread::{Eye, switches_of_this_thread, this_thread},
};

/// Numbers from here on are not the system's, but ours: where it does not tell. (Linux has none above
/// 4,194,304.)
const OURS: u32 = 1 << 31;

/// A number for this thread that no other has.
fn number_of_our_own() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(OURS);
    thread_local! {
        static MINE: u32 = NEXT.fetch_add(1, Relaxed).max(OURS);
    }
    MINE.try_with(|number| *number).unwrap_or(u32::MAX)
}

/// Whether the system's tools know a thread by this number.
pub(super) fn is_of_the_system(thread: u32) -> bool {
    thread < OURS
}

/// One look at a thread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) state: State,
    pub(super) account: Account,
}

/// What a thread has been given so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Account {
    /// How often it was given a processor. Two looks at a sleeping thread with the same number are
    /// looks at the same sleep.
    pub(super) turns: u64,
    /// How much processor time it has used.
    pub(super) cpu: Duration,
    /// How long it was in line for that.
    pub(super) in_line: Duration,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux shows what a thread does")
)]
pub(super) enum State {
    /// On a processor, or waiting for one.
    Running,
    Asleep(Sleep),
}

/// Where a thread sleeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux shows what a thread does")
)]
pub(super) enum Sleep {
    /// In this system call.
    Call(Registers),
    /// In the system, which does not say where: this process may not be looked into.
    Somewhere { on_a_lock: bool },
}

/// A system call, as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    /// Less than zero where the thread sleeps for another reason, such as a page of memory.
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
    pub(super) stack: u64,
    pub(super) program: u64,
}

impl Registers {
    /// Whether it waits for another thread.
    pub(super) fn is_futex(&self) -> bool {
        #[cfg(target_os = "linux")]
        return syscalls::of(self.number).is_some_and(|(name, _)| name.starts_with("futex"));
        #[cfg(not(target_os = "linux"))]
        return false;
    }
}

impl Look {
    pub(super) fn is_asleep(&self) -> bool {
        matches!(self.state, State::Asleep(_))
    }

    /// Whether the thread has slept all the time between the two.
    pub(super) fn same_sleep(&self, other: &Self) -> bool {
        self.account.turns == other.account.turns
            && matches!((&self.state, &other.state), (State::Asleep(a), State::Asleep(b)) if a == b)
    }
}
