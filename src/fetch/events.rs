//! What happens in a batch, as a stream.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;

use super::progress::Board;
use crate::sync::Arc;

/// How many events wait for one reader.
pub(super) const MOST: usize = 1024;

/// Something that happened to an item. URLs are without credentials and query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Its first attempt begins.
    #[non_exhaustive]
    Begun {
        /// The number of the item in the input.
        index: usize,
        /// Its URL.
        url: Arc<str>,
    },
    /// An attempt failed, and there will be another.
    #[non_exhaustive]
    Retrying {
        /// The number of the item in the input.
        index: usize,
        /// Its URL.
        url: Arc<str>,
        /// The number of the attempt that is to come: 2 for the first retry.
        attempt: u32,
        /// The pause before it.
        after: Duration,
    },
    /// It is over.
    #[non_exhaustive]
    Finished {
        /// The number of the item in the input.
        index: usize,
        /// Its URL.
        url: Arc<str>,
        /// How often it was tried.
        attempts: u32,
        /// Whether there is a value.
        ok: bool,
    },
    /// So many events happened here that were not kept, since nobody came for them in time.
    Missed(u64),
}

/// What happens in a batch; from [`Progress::events`](super::Progress::events).
///
/// A [`Stream`] of [`Event`]s that ends with the batch. It never holds the batch up: 1,024 events
/// are kept for a reader who does not come, then the oldest go, and the next one he is given is
/// [`Event::Missed`]. What is counted stays exact, see [`Counts`](super::Counts), so that a progress
/// bar is right after a gap too.
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use longshore::fetch::{Event, Fetcher};
/// # use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// # let service = Client::new(Lane::builder("web").limit(4).build(), agent).service();
/// let fetches = Fetcher::new(service).fetch_all(["bad"]);
/// let events = fetches.progress().events();
/// let bar = tokio::spawn(async move { events.collect::<Vec<_>>().await });
/// fetches.collect::<Vec<_>>().await;
/// let events = bar.await.unwrap();
/// assert!(matches!(events[..], [Event::Begun { .. }, Event::Finished { ok: false, .. }]));
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Events {
    board: Arc<Board>,
    key: usize,
}

impl Events {
    pub(super) fn new(board: Arc<Board>, key: usize) -> Self {
        Self { board, key }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        // A waker is the user's code, which is not to run under the lock: neither where it is cloned
        // nor where the one before it is dropped.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.board.state.lock();
        let over = state.over;
        let reader = &mut state.readers[self.key];
        if reader.missed > 0 {
            return Poll::Ready(Some(Event::Missed(std::mem::take(&mut reader.missed))));
        }
        if let Some(event) = reader.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if over {
            return Poll::Ready(None);
        }
        std::mem::swap(&mut reader.waker, &mut waker);
        drop(state);
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Its waker is the user's code, too.
        let reader = self.board.state.lock().readers.remove(self.key);
        drop(reader);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn who_does_not_come_misses_the_oldest_and_is_told_how_many() {
        let board = Arc::new(Board::new(None));
        let progress = super::super::Progress {
            board: board.clone(),
        };
        let mut late = progress.events();
        let url = Arc::from("http://host/");
        for index in 0..MOST + 7 {
            board.taken();
            board.begun(index, &url);
        }
        let mut prompt = progress.events();
        board.over();
        assert_eq!(late.next().now_or_never(), Some(Some(Event::Missed(7))));
        let next = late.next().now_or_never();
        assert!(matches!(next, Some(Some(Event::Begun { index: 7, .. }))));
        assert_eq!(late.count().now_or_never(), Some(MOST - 1));
        assert_eq!(prompt.next().now_or_never(), Some(None));
        assert_eq!(progress.counts().in_flight, MOST + 7);
        drop(prompt);
        assert!(board.state.lock().readers.is_empty());
    }
}
