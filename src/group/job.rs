//! A child that is a job of a lane.
//!
//! ```text
//!  lane settles the outcome ──► the waker is called ──► the outcome moves from the job to the group
//!  the thread leaves the job ─► the company is dropped ─► nothing is left: off the group's books
//! ```
//!
//! Both are the same allocation, a `Seat`: it is the waker of the job's task, and goes along with
//! the job as its company. The group hears of the outcome through the one and of the thread through
//! the other, in whichever order they come, with nobody polling anything.

use std::{
    panic::Location,
    sync::atomic::Ordering,
    task::{Context, Poll, Wake, Waker},
};

use tokio::runtime;

use super::{
    child::{Key, Offloaded, Stage},
    core::Shared,
};
use crate::{
    cancel::CancelToken,
    error::{Panic, Phase, catch},
    job::{Awaited, Job, Task},
    lane::Lane,
    sync::{Arc, AtomicBool, Mutex},
};

struct Seat<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    key: Key,
    /// Until the outcome has come.
    task: Mutex<Option<Task<T>>>,
}

/// Where a closure was put in, and by what code.
///
/// It may be handed to its lane later, by whoever gives its place back: as if it were here. (From
/// outside of a runtime it is handed in as if it were there, as no thread can step out of one.)
pub(super) struct Origin {
    location: &'static Location<'static>,
    runtime: Option<runtime::Handle>,
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Origin {
    pub(super) fn here(location: &'static Location<'static>) -> Self {
        Self {
            location,
            runtime: runtime::Handle::try_current().ok(),
            #[cfg(feature = "tracing")]
            span: crate::job::current_span(),
        }
    }

    /// Runs what is to run there. It may panic, as a subscriber may.
    fn catch<R>(&self, run: impl FnOnce() -> R) -> Result<R, Panic> {
        catch(self.location, || {
            let _runtime = self.runtime.as_ref().map(runtime::Handle::enter);
            #[cfg(feature = "tracing")]
            let _span = self.span.enter();
            run()
        })
    }
}

/// Hands the closure to its lane.
pub(super) fn start<F, T>(shared: &Arc<Shared<T>>, key: Key, f: F, lane: &Lane, origin: &Origin)
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    // Both may stop it: the group, and whatever stops the jobs of this handle.
    let token = match lane.token() {
        None => shared.token.clone(),
        Some(own) => CancelToken::under([&shared.token, own]),
    };
    let mut lane = lane.cancelled_by(&token);
    if let Some(deadline) = shared.deadline {
        lane = lane.no_later_than(deadline);
    }
    let taken = Arc::new(AtomicBool::new(false));
    let seat = Arc::new(Seat {
        shared: shared.clone(),
        key,
        task: Mutex::new(None),
    });
    let offloaded: Arc<dyn Offloaded> = seat.clone();
    shared.started(key, Stage::Job(taken.clone(), Arc::downgrade(&offloaded)));
    drop(offloaded);
    let lane = lane.in_company_of(seat.clone());
    let f = move |job: &Job| {
        taken.store(true, Ordering::Relaxed);
        Ok(f(job))
    };
    match origin.catch(|| lane.hand_in_fallible(f, origin.location)) {
        Ok(task) => seat.look(Some(task.unwrap_or_else(Task::refused))),
        // If there was a task it went with the panic, and told nobody. The seat, which is still held
        // here, takes the child off the books.
        Err(panic) => shared.record(key, Err(panic.into())),
    }
    // Whoever comes to wait from here on finds the task in its place.
    shared.note_for_who_waits(&*seat);
}

impl<T: Send + 'static> Seat<T> {
    /// Looks whether there is an outcome, and leaves the waker if not.
    fn look(self: &Arc<Self>, new: Option<Task<T>>) {
        let waker = Waker::from(self.clone());
        // Over the poll as well: the call may come before the task is in its place. Nothing of the
        // user's runs in it: the waker is the seat, and the outcome only moves.
        let mut place = self.task.lock();
        let Some(mut task) = new.or_else(|| place.take()) else {
            return;
        };
        let polled = task.poll_when_called(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            *place = Some(task);
            return;
        }
        drop(place);
        // The job with all that it holds, but for the outcome.
        drop(task);
        if let Poll::Ready(outcome) = polled {
            self.shared.record(self.key, outcome);
        }
    }
}

impl<T: Send + 'static> Offloaded for Seat<T> {
    fn awaited(&self) -> Option<Awaited> {
        self.task.lock().as_ref()?.awaited()
    }
}

impl<T: Send + 'static> Wake for Seat<T> {
    fn wake(self: Arc<Self>) {
        self.look(None);
    }
}

impl<T: Send + 'static> Drop for Seat<T> {
    fn drop(&mut self) {
        self.shared.over(self.key, Phase::Waiting);
    }
}
