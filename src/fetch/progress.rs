//! How far a batch is.

use std::{collections::VecDeque, task::Waker, time::Duration};

use slab::Slab;

use super::events::{Event, Events, MOST};
use crate::{
    lane::wake,
    sync::{Arc, Mutex},
};

/// How far a batch is, for whoever wants to know; from [`Fetches::progress`](super::Fetches::progress).
///
/// It is cheap to clone, may be asked from any thread, and holds nothing back: the batch does not
/// wait for whoever looks on.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use longshore::fetch::Fetcher;
/// # use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// # let service = Client::new(Lane::builder("web").limit(4).build(), agent).service();
/// let fetches = Fetcher::new(service).fetch_all(["bad", "worse"]);
/// let progress = fetches.progress();
/// assert_eq!((progress.counts().done(), progress.counts().total), (0, Some(2)));
/// fetches.collect::<Vec<_>>().await;
/// assert_eq!((progress.counts().done(), progress.counts().failed), (2, 2));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Progress {
    pub(super) board: Arc<Board>,
}

/// Counts of items, all of one moment; from [`Progress::counts`].
///
/// `taken` is at every moment `held + in_flight + succeeded + failed`, until the stream is dropped:
/// what was in flight then stays counted as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How many there are in all, if the input says it. Not if it is a stream or an iterator that
    /// does not know its length.
    pub total: Option<usize>,
    /// Taken from the input.
    pub taken: usize,
    /// Held back for their host.
    pub held: usize,
    /// Begun, and not over.
    pub in_flight: usize,
    /// Over, with a value.
    pub succeeded: usize,
    /// Over, with an error.
    pub failed: usize,
    /// Attempts that were not the first of their item.
    pub retried: usize,
    /// Bytes of bodies that have come, those of attempts that failed included.
    pub bytes: u64,
}

impl Counts {
    /// How many are over, either way.
    #[must_use]
    pub fn done(&self) -> usize {
        self.succeeded + self.failed
    }
}

impl Progress {
    /// Where everything stands.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.board.state.lock().counts
    }

    /// What happens from now on, as a stream. Each call gives one of its own, see [`Events`].
    pub fn events(&self) -> Events {
        let mut state = self.board.state.lock();
        let key = state.readers.insert(Reader::default());
        Events::new(self.board.clone(), key)
    }
}

/// What is known of a batch. Nothing of the user's runs under its lock.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    counts: Counts,
    pub(super) readers: Slab<Reader>,
    pub(super) over: bool,
}

/// What one stream of events has not been asked for yet.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) events: VecDeque<Event>,
    pub(super) missed: u64,
    pub(super) waker: Option<Waker>,
}

impl Board {
    pub(super) fn new(total: Option<usize>) -> Self {
        let counts = Counts {
            total,
            ..Counts::default()
        };
        Self {
            state: Mutex::new(State {
                counts,
                ..State::default()
            }),
        }
    }

    pub(super) fn taken(&self) {
        let counts = &mut self.state.lock().counts;
        counts.taken += 1;
        counts.held += 1;
    }

    /// What was taken is also counted as held until this.
    pub(super) fn begun(&self, index: usize, url: &Arc<str>) {
        self.note(
            |counts| {
                counts.held -= 1;
                counts.in_flight += 1;
            },
            || Event::Begun {
                index,
                url: url.clone(),
            },
        );
    }

    pub(super) fn received(&self, bytes: u64) {
        self.state.lock().counts.bytes += bytes;
    }

    pub(super) fn retrying(&self, index: usize, url: &Arc<str>, attempt: u32, after: Duration) {
        self.note(
            |counts| counts.retried += 1,
            || Event::Retrying {
                index,
                url: url.clone(),
                attempt,
                after,
            },
        );
    }

    pub(super) fn finished(&self, index: usize, url: &Arc<str>, attempts: u32, ok: bool) {
        self.note(
            |counts| {
                counts.in_flight -= 1;
                *(if ok {
                    &mut counts.succeeded
                } else {
                    &mut counts.failed
                }) += 1;
            },
            || Event::Finished {
                index,
                url: url.clone(),
                attempts,
                ok,
            },
        );
    }

    /// Nothing more will happen: the stream has ended, or is gone.
    pub(super) fn over(&self) {
        let mut state = self.state.lock();
        state.over = true;
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
    }

    fn note(&self, count: impl FnOnce(&mut Counts), event: impl FnOnce() -> Event) {
        let mut state = self.state.lock();
        count(&mut state.counts);
        if state.readers.is_empty() {
            return;
        }
        let event = event();
        for (_, reader) in &mut state.readers {
            if reader.events.len() == MOST {
                reader.events.pop_front();
                reader.missed += 1;
            }
            reader.events.push_back(event.clone());
        }
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
    }
}

impl State {
    fn wakers(&mut self) -> Vec<Waker> {
        let readers = self.readers.iter_mut();
        readers
            .filter_map(|(_, reader)| reader.waker.take())
            .collect()
    }
}
