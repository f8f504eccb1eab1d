//! Waiting for room in a lane, before there is a job to put there.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::Lane;
use crate::{
    error::Error,
    job::{Budget, Job, Task},
};

/// Waits for room in a lane; from [`Lane::reserve`].
///
/// No timeout, deadline or token of the lane ends the wait.
///
/// # Cancel safety
///
/// *The waiter* loses its place in the line when this is dropped. *The thread*: there is none yet.
/// A place that has been granted and not yet been taken by polling goes to the next in line.
///
/// Places are given in the order in which the futures were first polled. As with Tokio's
/// semaphore and channels, one that is kept but no longer polled holds the place that it has been
/// granted: poll it or drop it.
///
/// A place counts towards the budget of a Tokio task, so that who takes one after the other, while
/// there is room, gives way to others now and then.
#[must_use = "futures do nothing unless awaited"]
pub struct Reserve {
    lane: Lane,
    in_line: Option<u64>,
    budget: Budget,
}

impl Reserve {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            in_line: None,
            budget: Budget::default(),
        }
    }

    /// As [`poll`](Future::poll), for who has the budget counted elsewhere.
    pub(super) fn poll_uncounted(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Error>> {
        let this = self;
        let mut waker = Some(cx.waker().clone());
        let mut left = None;
        let core = this.lane.core();
        let had = core.with_state(|state| {
            if state.closed {
                if let Some(number) = this.in_line.take() {
                    left = state.leave_line(number);
                }
                return Err(core.closed());
            }
            Ok(state.reserve(&mut this.in_line, &mut waker))
        });
        // Wakers are the user's code, in their drops too: after the lock.
        drop((waker, left));
        match had {
            Ok(true) => Poll::Ready(Ok(Permit {
                lane: this.lane.clone(),
                spent: false,
            })),
            Ok(false) => Poll::Pending,
            Err(closed) => Poll::Ready(Err(closed)),
        }
    }
}

impl Future for Reserve {
    type Output = Result<Permit, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A producer that hands in one job after the other, and does not wait for them, has no
        // other await: it would keep all others of its thread waiting.
        let share = ready!(self.budget.poll_share(cx));
        let had = ready!(self.poll_uncounted(cx));
        share.was_taken();
        Poll::Ready(had)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if let Some(number) = self.in_line.take() {
            let waker = (self.lane.core()).with_state(|state| state.leave_line(number));
            drop(waker);
        }
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve")
            .field("lane", &self.lane.name())
            .field("in_line", &self.in_line.is_some())
            .finish()
    }
}

/// Room for one job in a lane; from [`Lane::reserve`].
///
/// It counts as a waiting job until it is used or dropped.
#[must_use = "dropping a permit gives the room back"]
pub struct Permit {
    lane: Lane,
    spent: bool,
}

impl Permit {
    /// Room where there may be none: for what has been let in before, left its thread to others, and
    /// comes back to go on.
    #[cfg(feature = "ureq")]
    pub(crate) fn beyond_bounds(lane: &Lane) -> Self {
        lane.core().with_state(|state| state.reserve_beyond());
        Self {
            lane: lane.clone(),
            spent: false,
        }
    }

    /// Hands a job in, as [`Lane::offload`] does. It cannot be refused for want of room; it is if the
    /// lane was closed meanwhile or there is no runtime for it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Lane::offload`].
    #[track_caller]
    pub fn offload<F, T>(self, f: F) -> Task<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(move |_| f(), Location::caller())
    }

    /// Hands a job in, as [`Lane::offload_with`] does. What may refuse it is said at
    /// [`offload`](Self::offload).
    ///
    /// # Cancel safety
    ///
    /// As for [`Lane::offload`].
    #[track_caller]
    pub fn offload_with<F, T>(self, f: F) -> Task<T>
    where
        F: FnOnce(&Job) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in(f, Location::caller())
    }

    pub(crate) fn hand_in<F, T>(self, f: F, location: &'static Location<'static>) -> Task<T>
    where
        F: FnOnce(&Job) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in_fallible(move |job| Ok(f(job)), location)
    }

    /// For a closure that may itself say why there is no outcome.
    pub(crate) fn hand_in_fallible<F, T>(
        mut self,
        f: F,
        location: &'static Location<'static>,
    ) -> Task<T>
    where
        F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        // While this still holds the room: if it panics, the room is given back.
        let meta = self.lane.meta(location);
        self.spent = true;
        (self.lane.hand_in_as(meta, f, true)).unwrap_or_else(Task::refused)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.spent {
            self.lane.core().with_state(|state| state.give_back());
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("lane", &self.lane.name())
            .finish()
    }
}
