//! Waiting for a child to get its place.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::family::Family;
use crate::{
    error::{Error, call_quietly},
    job::Waits,
    sync::{Arc, Mutex, Weak},
};

/// A child that was put into a group; from [`Group::spawn`](crate::Group::spawn) and its like.
///
/// The child is in the group whether this is awaited or not, and dropping it does nothing. Awaiting
/// it waits until the child has been started: at once, unless the group has a
/// [`limit`](super::Builder::limit) and that many are in flight. A loop that awaits it goes no faster
/// than the group.
///
/// It gives an [`Error::Stopped`] if the child will never start, since the group is over. (Its outcome
/// is the same error, as long as somebody holds the [`Group`](crate::Group) to take it.)
///
/// A child holds its place until it is over. One that spawns a sibling should therefore not wait for
/// the sibling's start: the place that it waits for may be its own.
///
/// # Cancel safety
///
/// Dropping it loses nothing; the child keeps its place in the queue.
pub struct Starting {
    state: State,
}

enum State {
    Started,
    Refused(Option<Error>),
    /// A job that waits for the start waits for those that have the places of the group.
    Queued(Arc<Ticket>, Weak<dyn Family>),
}

/// What the group resolves when a queued child is started, or will never be.
#[derive(Default)]
pub(super) struct Ticket(Mutex<Progress>);

#[derive(Default)]
enum Progress {
    #[default]
    Unwatched,
    Watched(Waker),
    Started,
    Refused(Option<Error>),
}

impl Ticket {
    pub(super) fn resolve(&self, refused: Option<Error>) {
        let next = match refused {
            None => Progress::Started,
            Some(error) => Progress::Refused(Some(error)),
        };
        let before = std::mem::replace(&mut *self.0.lock(), next);
        if let Progress::Watched(waker) = before {
            call_quietly(|| waker.wake());
        }
    }
}

impl Starting {
    pub(super) fn started() -> Self {
        Self {
            state: State::Started,
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused(Some(error)),
        }
    }

    pub(super) fn queued(ticket: Arc<Ticket>, group: Weak<dyn Family>) -> Self {
        Self {
            state: State::Queued(ticket, group),
        }
    }
}

impl Future for Starting {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let told = |error: &mut Option<Error>| {
            let error = error.take();
            Poll::Ready(Err(
                error.expect("`Starting` polled after it gave its outcome")
            ))
        };
        let (ticket, group) = match &mut self.state {
            State::Started => return Poll::Ready(Ok(())),
            State::Refused(error) => return told(error),
            State::Queued(ticket, group) => (ticket, group),
        };
        let waker = cx.waker().clone();
        let mut progress = ticket.0.lock();
        let unused = match &mut *progress {
            Progress::Started => return Poll::Ready(Ok(())),
            Progress::Refused(error) => return told(error),
            waits => std::mem::replace(waits, Progress::Watched(waker)),
        };
        drop(progress);
        drop(unused);
        if let Some(waits) = Waits::here()
            && let Some(group) = group.upgrade()
        {
            group.waits_for_a_place(waits);
        }
        Poll::Pending
    }
}

impl fmt::Debug for Starting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starting").finish_non_exhaustive()
    }
}
