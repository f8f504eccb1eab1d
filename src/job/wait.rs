//! Waiting for a future on a thread that may block.
//!
//! Where the thread runs a job, it makes itself useful meanwhile: see [`nest`](super::nest). In this
//! order:
//!
//! 1. The future is polled. If it waits for no job, that is all: the thread parks until it is woken.
//! 2. If it does, the job is *suspended* in its lane, which is told in the same step which job it
//!    waits for, if it is one alone.
//! 3. Until the future is woken, jobs that it waits for and that have no slot are given that of a
//!    suspended one. If it waits for one alone, this thread runs it, which has nothing better to do.
//!    If there is anything else that could wake the future, as in a `select!`, that must not find
//!    the thread deep in another job: it is then run on a thread of its own.
//! 4. The future is polled again, without the slot: it is async code, and brief. If the slot had to
//!    be had for that, it could not let go of the very job that has it.
//! 5. The future is dropped, and with it the tasks in it. Then the job takes its slot back, which it
//!    may have to wait for, and goes on: what follows is code that blocks.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc as StdArc,
        atomic::{Ordering, fence},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    Job,
    help::{Helper, Meanwhile},
    nest::{self, Here},
};
use crate::{
    error::Cancelled,
    sync::{AtomicBool, Patience, Thread, current},
};

/// Polls a future on this thread until it is ready. The thread is parked in between, or runs jobs
/// that its own job waits for.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match wait(future, None) {
        Ok(output) => output,
        Err(Cancelled) => unreachable!("no cancel ends this wait"),
    }
}

/// The same, up to the cancel of a job.
pub(crate) fn block_on_in<F: Future>(job: &Job, future: F) -> Result<F::Output, Cancelled> {
    wait(future, Some(job))
}

fn wait<F: Future>(future: F, job: Option<&Job>) -> Result<F::Output, Cancelled> {
    let caller = StdArc::new(Caller::new());
    let waker = Waker::from(caller.clone());
    let _hook = job.map(|job| {
        let waker = waker.clone();
        job.on_cancel(move || waker.wake())
    });
    // Before the future, to be dropped after it: it takes the slot back.
    let current = nest::current_post();
    let mut helper = current.map(|(me, post)| Helper::new(me, post, &caller));
    let _wait = helper.is_some().then(nest::begin_wait);
    let mut future = pin!(Some(future));
    let mut cx = Context::from_waker(&waker);
    // Those who hold the waker beside the future.
    let others = StdArc::strong_count(&caller);
    job.map_or(Ok(()), Job::check)?;
    loop {
        let polled = {
            let here = |helper: &Helper| Here::Waiting(helper.post().clone(), waker.clone());
            let _polled = helper.as_ref().map(here).map(nest::poll_here);
            let future = future.as_mut().as_pin_mut().expect("it is not over");
            future.poll(&mut cx)
        };
        if let Poll::Ready(output) = polled {
            future.set(None);
            return Ok(output);
        }
        // Not before it was polled: what woke us may have been both.
        job.map_or(Ok(()), Job::check)?;
        match &mut helper {
            Some(helper) => {
                helper.help(&waker, || {
                    // A hook that has run holds its clone no more.
                    let wakers =
                        StdArc::strong_count(&caller).saturating_sub(others + nest::beside());
                    // Whoever has given its clone up has woken us before.
                    fence(Ordering::Acquire);
                    wakers == 1
                });
            }
            None => caller.park(),
        }
    }
}

/// The thread that waits.
pub(super) struct Caller {
    thread: Thread,
    /// The future is to be polled.
    woken: AtomicBool,
    /// There may be something to do in the meantime.
    look: AtomicBool,
}

impl Caller {
    pub(super) fn new() -> Self {
        Self {
            thread: current(),
            woken: AtomicBool::new(false),
            look: AtomicBool::new(false),
        }
    }

    /// Whether the future is to be polled. It is answered once.
    pub(super) fn is_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// From now on what there is to do has not been seen.
    pub(super) fn looks(&self) {
        self.look.store(false, Ordering::Release);
    }

    /// Parks until the future is to be polled.
    fn park(&self) {
        while !self.is_woken() {
            Patience::lasting(Duration::MAX).park();
        }
    }

    /// Parks until there is something to do; `true` if patience ended first.
    pub(super) fn park_for(&self, patience: Patience) -> bool {
        loop {
            if self.woken.load(Ordering::Acquire) || self.look.load(Ordering::Acquire) {
                return false;
            }
            if patience.park() {
                return true;
            }
        }
    }

    /// The same, and polls something as often as it is to be polled.
    pub(super) fn park_to_look_and_poll(self: &StdArc<Self>, poll: &mut Meanwhile<'_>) {
        let waker = Waker::from(self.clone());
        loop {
            poll(&mut Context::from_waker(&waker));
            while !self.is_woken() {
                if self.look.swap(false, Ordering::AcqRel) {
                    return;
                }
                Patience::lasting(Duration::MAX).park();
            }
        }
    }

    /// Parks until something has happened since this was last asked, other than that the future is
    /// to be polled.
    pub(super) fn park_to_look(&self) {
        while !self.look.swap(false, Ordering::AcqRel) {
            Patience::lasting(Duration::MAX).park();
        }
    }
}

impl Wake for Caller {
    fn wake(self: StdArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Has the thread look round, and not poll.
pub(super) struct Look(pub(super) StdArc<Caller>);

impl Wake for Look {
    fn wake(self: StdArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.0.look.store(true, Ordering::Release);
        self.0.thread.unpark();
    }
}
