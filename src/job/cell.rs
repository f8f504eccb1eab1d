//! The one allocation of a job: its closure, its outcome, and whoever waits for it.
//!
//! The lane sees it as [`Work`], which knows nothing of the types; the task sees it as
//! [`Outcome<T>`], which knows nothing of the closure.
//!
//! Invariants:
//!
//! 1. The reply moves one way: `Open` → `Settled` → `Closed`, or `Open` → `Closed`. It is settled
//!    and closed only under the lane's lock (lock order: lane, then cell; never the other way),
//!    except that the task closes it by taking what was settled. So the lane always knows whether
//!    somebody still waits.
//! 2. The closure is taken out once: to be run, or to be dropped unrun.
//! 3. No code of the user's runs under the cell's lock: closures, results and wakers are moved out
//!    and dropped outside.

use std::{
    panic::Location,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use crate::{
    cancel::{Cancel, CancelToken, Cancels},
    error::{Error, catch, drop_quietly},
    job::{Job, owner::Cause},
    sync::{Arc, AtomicBool, Mutex},
};

/// What is known of a job from the moment it is handed in.
///
/// In this order: a worker reads the first of it, and the rest stays in the cache of the caller.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Meta {
    pub(crate) deadline: Option<Instant>,
    pub(crate) queued: Instant,
    /// The token that the job was handed in under.
    pub(crate) token: Option<CancelToken>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) cancel: Cancel,
    pub(crate) label: Option<Arc<str>>,
    #[cfg(feature = "tracing")]
    pub(crate) span: tracing::Span,
}

#[cfg(test)]
impl Meta {
    /// Of a job about which there is nothing to say.
    #[track_caller]
    pub(crate) fn plain() -> Self {
        Self {
            deadline: None,
            queued: Instant::now(),
            token: None,
            location: Location::caller(),
            cancel: Cancel::default(),
            label: None,
            #[cfg(feature = "tracing")]
            span: tracing::Span::none(),
        }
    }
}

/// The span that is current, as far as anybody listens to any.
///
/// # Panics
///
/// If the subscriber does.
#[cfg(feature = "tracing")]
pub(crate) fn current_span() -> tracing::Span {
    // On the way of every job, and to be asked for the current span costs as much as half of all else.
    if tracing::level_filters::LevelFilter::current() == tracing::level_filters::LevelFilter::OFF {
        tracing::Span::none()
    } else {
        tracing::Span::current()
    }
}

impl Meta {
    /// Why the job must not start any more, if so.
    pub(crate) fn in_vain(&self, now: Instant) -> Option<Cause> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            Some(Cause::TimedOut)
        } else if self.token.as_ref().is_some_and(CancelToken::is_cancelled) {
            Some(Cause::Cancelled)
        } else {
            None
        }
    }
}

/// Where the lane keeps a job, for finding it again; read and written under the lane's lock only.
#[derive(Debug, Default)]
pub(crate) struct Slot(AtomicUsize);

impl Slot {
    pub(crate) fn get(&self) -> Option<usize> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn set(&self, slot: Option<usize>) {
        self.0
            .store(slot.map_or(0, |slot| slot + 1), Ordering::Relaxed);
    }
}

/// A job as its lane and its worker see it.
pub(crate) trait Work: Cancels {
    fn meta(&self) -> &Meta;

    fn slot(&self) -> &Slot;

    /// Runs the closure and says what came of it: calls `over` once, on this thread.
    fn run(&self, job: &Job, over: &mut dyn FnMut(&mut dyn Ran));

    /// Hands the caller an error, or nothing if the caller is gone by itself, and closes the reply
    /// for what may still come. Under the lane's lock.
    fn settle(&self, error: Option<Error>) -> Option<Waker>;

    /// Drops the closure, if it was not run; `true` if that panicked. Under no lock.
    fn discard(&self) -> bool;

    /// The caller has been given an answer, or has left.
    fn is_settled(&self) -> bool;

    /// It is not in the queue any more.
    fn has_begun(&self) -> bool;

    /// Whether it is this waker that its outcome will wake.
    fn calls(&self, waker: &Waker) -> bool;
}

/// What came of a closure that has just run. It is on the stack of its thread until it is known
/// whether anybody waits for it.
pub(crate) trait Ran {
    fn panicked(&self) -> bool;

    /// Hands it to the caller. Under the lane's lock.
    fn publish(&mut self) -> Option<Waker>;

    /// Drops it; `true` if that panicked. Under no lock.
    fn discard(&mut self) -> bool;
}

/// A job as its caller sees it.
pub(crate) trait Outcome<T>: Work {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, Error>>;

    /// Drops it here if it is there: nobody will ask for it. Left to whoever drops the cell last, it would
    /// be the worker at times, which others count on.
    fn forget(&self);
}

/// In this order: what the worker writes comes first, beside the count of handles that an [`Arc`] has
/// in front of it. The fewer lines of memory go from the caller's core to the worker's and back the
/// better: that is much of what a brisk job costs.
#[repr(C)]
pub(crate) struct Cell<F, T> {
    slot: Slot,
    /// The reply is not open any more. Written under the lock, for a task to look at without.
    settled: AtomicBool,
    state: Mutex<State<F, T>>,
    meta: Meta,
}

struct State<F, T> {
    /// Until it is run.
    closure: Option<F>,
    reply: Reply<T>,
}

/// The error in a box, so that the cell of a job that has none stays small.
type Kept<T> = Result<T, Box<Error>>;

enum Reply<T> {
    Open(Option<Waker>),
    Settled(Kept<T>),
    Closed,
}

impl<F, T> Cell<F, T>
where
    F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn new(meta: Meta, closure: F) -> Self {
        Self {
            slot: Slot::default(),
            meta,
            state: Mutex::new(State {
                closure: Some(closure),
                reply: Reply::Open(None),
            }),
            settled: AtomicBool::new(false),
        }
    }

    fn take_closure(&self) -> Option<F> {
        self.state.lock().closure.take()
    }

    fn reply_with(&self, next: impl FnOnce() -> Reply<T>) -> Option<Waker> {
        let mut state = self.state.lock();
        if !matches!(state.reply, Reply::Open(_)) {
            return None;
        }
        let next = next();
        self.settled.store(true, Ordering::Release);
        match std::mem::replace(&mut state.reply, next) {
            Reply::Open(waker) => waker,
            Reply::Settled(_) | Reply::Closed => None,
        }
    }
}

impl<F, T> Work for Cell<F, T>
where
    F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
    T: Send + 'static,
{
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn slot(&self) -> &Slot {
        &self.slot
    }

    fn run(&self, job: &Job, over: &mut dyn FnMut(&mut dyn Ran)) {
        let closure = self.take_closure();
        let closure = closure.expect("a job leaves the queue once, and with its closure");
        let ran = catch(self.meta.location, || {
            #[cfg(feature = "tracing")]
            let _entered = self.meta.span.enter();
            closure(job)
        });
        let panicked = ran.is_err();
        let ran = ran.unwrap_or_else(|panic| Err(panic.into()));
        over(&mut JustRan {
            cell: self,
            panicked,
            kept: Some(ran.map_err(Box::new)),
        });
    }

    fn settle(&self, error: Option<Error>) -> Option<Waker> {
        self.reply_with(|| {
            error.map_or(Reply::Closed, |error| Reply::Settled(Err(Box::new(error))))
        })
    }

    fn discard(&self) -> bool {
        drop_quietly(self.take_closure())
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    fn has_begun(&self) -> bool {
        self.is_settled() || self.state.lock().closure.is_none()
    }

    fn calls(&self, waker: &Waker) -> bool {
        match &self.state.lock().reply {
            Reply::Open(Some(mine)) => mine.will_wake(waker),
            Reply::Open(None) | Reply::Settled(_) | Reply::Closed => false,
        }
    }
}

struct JustRan<'a, F, T> {
    cell: &'a Cell<F, T>,
    panicked: bool,
    kept: Option<Kept<T>>,
}

impl<F, T> Ran for JustRan<'_, F, T>
where
    F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
    T: Send + 'static,
{
    fn panicked(&self) -> bool {
        self.panicked
    }

    fn publish(&mut self) -> Option<Waker> {
        let waker =
            (self.cell).reply_with(|| self.kept.take().map_or(Reply::Closed, Reply::Settled));
        debug_assert!(self.kept.is_none(), "the lane knows whether anybody waits");
        waker
    }

    fn discard(&mut self) -> bool {
        drop_quietly(self.kept.take())
    }
}

impl<F, T> Outcome<T> for Cell<F, T>
where
    F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
    T: Send + 'static,
{
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let mut waker = None;
        loop {
            let mut state = self.state.lock();
            match &mut state.reply {
                Reply::Open(current) => {
                    if current
                        .as_ref()
                        .is_some_and(|current| current.will_wake(cx.waker()))
                    {
                        return Poll::Pending;
                    }
                    if let Some(waker) = waker.take() {
                        let old = current.replace(waker);
                        drop(state);
                        drop_quietly(old);
                        return Poll::Pending;
                    }
                }
                Reply::Settled(_) => {
                    let settled = std::mem::replace(&mut state.reply, Reply::Closed);
                    drop(state);
                    let Reply::Settled(result) = settled else {
                        unreachable!("it was matched a moment ago, under the same lock")
                    };
                    return Poll::Ready(result.map_err(|error| *error));
                }
                Reply::Closed => {
                    drop(state);
                    panic!("`Task` polled after it gave its outcome");
                }
            }
            // Cloning a waker is the user's code: not under the lock, and only if it is needed.
            drop(state);
            waker = Some(cx.waker().clone());
        }
    }

    fn forget(&self) {
        if self.is_settled() {
            let mut state = self.state.lock();
            let settled = std::mem::replace(&mut state.reply, Reply::Closed);
            drop(state);
            drop(settled);
        }
    }
}

impl<F: Send, T: Send> Cancels for Cell<F, T> {
    fn cancels(&self) -> &Cancel {
        &self.meta.cancel
    }
}
