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

use super::{
    child::{Key, Offloaded, Stage},
    core::Shared,
};
use crate::{
    cancel::HookGuard,
    error::Phase,
    job::{Awaited, Job, Task},
    lane::Lane,
    sync::{Arc, AtomicBool, Mutex},
};

struct Seat<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    key: Key,
    /// Until the outcome has come.
    task: Mutex<Option<Task<T>>>,
    /// To the token that the lane's handle was under by itself. In a box, as it is rare.
    #[expect(dead_code, reason = "it is there to be dropped")]
    tie: Option<Box<HookGuard>>,
}

/// Hands the closure to its lane.
pub(super) fn start<F, T>(
    shared: &Arc<Shared<T>>,
    key: Key,
    f: F,
    lane: &Lane,
    location: &'static Location<'static>,
) where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    // Both may stop it: the group, and whatever stops the jobs of this handle.
    let (token, tie) = match lane.token() {
        None => (shared.token.clone(), None),
        Some(own) => {
            let both = shared.token.child();
            let theirs = both.clone();
            (both, Some(Box::new(own.on_cancel(move || theirs.cancel()))))
        }
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
        tie,
    });
    let offloaded: Arc<dyn Offloaded> = seat.clone();
    shared.started(key, Stage::Job(taken.clone(), Arc::downgrade(&offloaded)));
    drop(offloaded);
    let task = lane.in_company_of(seat.clone()).hand_in_fallible(
        move |job| {
            taken.store(true, Ordering::Relaxed);
            Ok(f(job))
        },
        false,
        location,
    );
    seat.look(Some(task.unwrap_or_else(Task::refused)));
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
