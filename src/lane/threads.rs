//! What a lane's own threads are like. They are started in [`source`](super::source).

use std::{error::Error as StdError, fmt, time::Duration};

use crate::sync::Arc;

/// Threads of a lane's own, for [`Builder::own_threads`](super::Builder::own_threads).
///
/// They are started when there is work for them, at most the lane's limit at once (more only for
/// what [suspended](super::JobState::Suspended) jobs wait for), named
/// `<lane>-<number>` with a number that no other has in the process, and end when they have been idle for [`keep_alive`](Self::keep_alive), when
/// their lane is closed or its last handle dropped, or when the runtime whose jobs they run ends.
#[derive(Clone)]
#[must_use]
pub struct Threads {
    pub(super) stack_size: Option<usize>,
    pub(super) keep_alive: Duration,
    pub(super) outfit: Option<Arc<dyn Outfit>>,
}

impl Threads {
    /// With the defaults: 2 MiB of stack (or what `RUST_MIN_STACK` says), and 10 s until an idle
    /// thread ends.
    pub fn new() -> Self {
        Self {
            stack_size: None,
            keep_alive: Duration::from_secs(10),
            outfit: None,
        }
    }

    /// Has each thread fitted out before it serves.
    pub(crate) fn outfit(mut self, outfit: Arc<dyn Outfit>) -> Self {
        self.outfit = Some(outfit);
        self
    }

    /// The size of each thread's stack, in bytes. Defaults to that of the standard library
    /// (2 MiB, or the environment variable `RUST_MIN_STACK`).
    ///
    /// Only what is used of a stack takes memory, so a small one saves address space and little
    /// else. HTTP clients have been seen to overflow below 148 KiB in debug builds.
    ///
    /// # Panics
    ///
    /// If `bytes` is less than 16 KiB (16,384), which no thread can live on.
    #[track_caller]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        assert!(
            bytes >= 16 * 1024,
            "`stack_size` must be at least 16384 bytes, not {bytes}"
        );
        self.stack_size = Some(bytes);
        self
    }

    /// How long an idle thread waits for the next job before it ends. Defaults to 10 s.
    pub fn keep_alive(mut self, time: Duration) -> Self {
        self.keep_alive = time;
        self
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("stack_size", &self.stack_size)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

/// What each thread has to have before it can serve, and gives up on the thread when it has served.
///
/// Jobs stay in the queue while a thread is being fitted out, and are told why if that fails and no
/// other thread is there. Threads with an outfit belong to no runtime: they serve whoever calls, or
/// each runtime would have to have its own.
pub(crate) trait Outfit: Send + Sync {
    /// Runs on each thread: calls `serve` once, or says why the thread cannot serve. Must not
    /// panic.
    ///
    /// What was to be served may be gone by the time that the thread could be fitted out: then
    /// `is_wanted` says so, and it need not be.
    fn around(
        &self,
        is_wanted: &dyn Fn() -> bool,
        serve: &mut dyn FnMut(),
    ) -> Result<(), Arc<dyn StdError + Send + Sync>>;

    /// Asked on the thread after each job: has it lost what it needs? It leaves then, although
    /// there may be jobs, and another thread comes for them.
    fn is_lost(&self) -> bool;

    /// Asked on any thread: is it one of these, in the middle of a job?
    fn is_in_use(&self) -> bool;
}
