//! What lies between the worker of an exchange and whoever awaits it.
//!
//! Invariants:
//!
//! 1. What the worker has read is here from that moment; only the wake-up waits, until the thread
//!    is about to wait for the peer. So a small response is handed over whole, by the wake-up that
//!    the end of the job is in any case.
//! 2. The pump is either on a worker or parked here. It is parked when the queue is full, or when
//!    nobody has waited for it for a while, and the job ends: a body that
//!    nobody reads holds no thread and no slot of the lane. That a waker is here does not mean that
//!    somebody waits: the future that left it may be gone. So it is called, and whoever is still there
//!    leaves another.
//! 3. A job that has ended without being cancelled has left an end, or the parked pump.
//! 4. No waker is cloned, called or dropped under the lock, nor is a chunk or the pump.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
    time::{self, Duration},
};

use bytes::Bytes;
use http::{Uri, response::Parts};
use tokio::time::Instant;

use super::{
    error::Error,
    interest::{Interest, Seen},
    pump::Pump,
    target::shown,
};
use crate::{lane::wake, sync::Mutex, ureq::Phase};

/// How much memory may be held by what waits to be read, before the worker leaves. It may have one
/// buffer more.
pub(super) const FULL: usize = 256 << 10;

/// At how many bytes left a worker is asked for again.
const LOW: usize = FULL / 2;

/// What a chunk weighs beside its bytes, so that many of one byte do not weigh nothing.
const OVERHEAD: usize = 64;

/// The head of a response.
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) uri: Uri,
    pub(super) hops: u32,
    /// How long the body will be, where that is known.
    pub(super) expected: Option<u64>,
}

/// How far an exchange has come, for errors that do not come from its worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Unknown where the agent does not tell.
    pub(super) phase: Option<Phase>,
    pub(super) sent: bool,
    pub(super) received: bool,
}

impl Progress {
    /// The head of the response is there.
    pub(super) const BODY: Self = Self {
        phase: Some(Phase::Body),
        sent: true,
        received: true,
    };
}

pub(super) struct HandOver {
    state: Mutex<State>,
}

struct State {
    head: Option<Box<Head>>,
    /// With how much memory each holds on to.
    chunks: VecDeque<(Bytes, usize)>,
    weight: usize,
    end: Option<Result<(), Error>>,
    parked: Option<Pump>,
    uri: Uri,
    progress: Progress,
    deadline: Option<Instant>,
    /// Somebody was told that nothing was sent, so nothing must be.
    given_up: bool,
    /// The body can be left and gone on with.
    begun: bool,
    interest: Interest,
    /// There is something that the waker was not called for.
    news: bool,
    waker: Option<Waker>,
}

/// What a look at the body found.
pub(super) enum Found {
    Chunk(Bytes),
    End(Result<(), Error>),
}

impl HandOver {
    pub(super) fn new(uri: Uri) -> Self {
        Self {
            state: Mutex::new(State {
                head: None,
                chunks: VecDeque::new(),
                weight: 0,
                end: None,
                parked: None,
                uri,
                progress: Progress {
                    phase: Some(Phase::Waiting),
                    ..Progress::default()
                },
                deadline: None,
                given_up: false,
                begun: false,
                interest: Interest::default(),
                news: false,
                waker: None,
            }),
        }
    }

    // ===== The worker's side =====

    /// A hop begins, unless whoever waited has been told that nothing was sent: not every agent asks again
    /// before it sends. The deadline is that of the job, for those that come after it.
    pub(super) fn begin(&self, uri: &Uri, progress: Progress, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if state.given_up {
            return false;
        }
        let old = std::mem::replace(&mut state.uri, uri.clone());
        state.progress = progress;
        state.deadline = deadline;
        drop(state);
        drop(old);
        true
    }

    pub(super) fn head(&self, head: Head) {
        let mut state = self.state.lock();
        state.head = Some(Box::new(head));
        state.progress = Progress::BODY;
        state.news = true;
    }

    pub(super) fn push(&self, chunk: Bytes, weight: usize) {
        let weight = weight + OVERHEAD;
        let mut state = self.state.lock();
        state.weight += weight;
        state.chunks.push_back((chunk, weight));
        state.news = true;
    }

    /// Nothing more comes. Wakes nobody: the end of the job does.
    pub(super) fn finish(&self, end: Result<(), Error>) {
        self.state.lock().end = Some(end);
    }

    /// The first byte of the request is about to be sent, unless whoever waited has been told that
    /// none was.
    pub(super) fn may_send(&self) -> bool {
        let mut state = self.state.lock();
        if !state.given_up {
            // What the thread said last, it said before it came so far.
            let phase = state.progress.phase.max(Some(Phase::Send));
            (state.progress.phase, state.progress.sent) = (phase, true);
        }
        !state.given_up
    }

    /// The body can be left to another job from here on. (Before that a decoder may be reading its own
    /// head, which it cannot do in two parts.)
    pub(super) fn begin_body(&self) {
        self.state.lock().begun = true;
    }

    /// True if the body has begun and nobody waits for more of it. Where somebody seems to, he is woken:
    /// if he is gone, the next who asks finds nobody.
    pub(super) fn is_idle(&self) -> bool {
        let mut state = self.state.lock();
        if !state.begun {
            return false;
        }
        let waker = state.waker.take();
        if waker.is_some() {
            state.interest.seems_there(time::Instant::now());
        }
        drop(state);
        let is_idle = waker.is_none();
        wake([waker]);
        is_idle
    }

    /// For how long nobody has waited for more of the body, or seemed to. Whoever seems to and has not been
    /// heard of for long is woken: if he is gone, he does not seem to any more.
    pub(super) fn unwanted(&self) -> Duration {
        let mut state = self.state.lock();
        if !state.begun {
            return Duration::ZERO;
        }
        let has_waker = state.waker.is_some();
        match state.interest.look(has_waker, time::Instant::now()) {
            Seen::Wanted => Duration::ZERO,
            Seen::Unwanted(time) => time,
            Seen::Doubted => {
                let waker = state.waker.take();
                drop(state);
                wake([waker]);
                Duration::ZERO
            }
        }
    }

    /// True if whoever reads should have a turn first.
    pub(super) fn is_full(&self) -> bool {
        self.state.lock().weight >= FULL
    }

    /// Leaves the pump here, for the next job. Wakes nobody: the end of the job does.
    pub(super) fn park(&self, pump: Pump) {
        let over = self.state.lock().parked.replace(pump);
        debug_assert!(over.is_none(), "one body has one pump");
    }

    /// The pump, for a job that goes on.
    pub(super) fn unpark(&self) -> Option<Pump> {
        self.state.lock().parked.take()
    }

    /// Says how far it has come, and wakes whoever waits if there is something to be had.
    pub(super) fn flush(&self, progress: Option<Progress>) {
        let mut state = self.state.lock();
        if let Some(progress) = progress {
            state.progress = progress;
        }
        let waker = if std::mem::take(&mut state.news) {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        wake([waker]);
    }

    // ===== The caller's side =====

    pub(super) fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<Box<Head>, Error>> {
        self.poll(cx, |state| match state.head.take() {
            Some(head) => Some(Ok(head)),
            None => match state.end.take()? {
                Err(error) => Some(Err(error)),
                Ok(()) => unreachable!("a body has no end before its head"),
            },
        })
    }

    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Found> {
        self.poll(cx, |state| match state.chunks.pop_front() {
            Some((chunk, weight)) => {
                state.weight -= weight;
                Some(Found::Chunk(chunk))
            }
            None => state.end.take().map(Found::End),
        })
    }

    /// The deadline for the next job, if the pump is here and there is room for more.
    pub(super) fn wants_worker(&self) -> Option<Option<Instant>> {
        let state = self.state.lock();
        (state.parked.is_some() && state.weight <= LOW).then_some(state.deadline)
    }

    /// The URL of the hop that is being made, for messages.
    pub(super) fn url(&self) -> String {
        let uri = self.state.lock().uri.clone();
        shown(&uri)
    }

    /// Adds to an error from elsewhere how far the exchange had come.
    pub(super) fn place(&self, error: Error) -> Error {
        let (uri, progress) = {
            let mut state = self.state.lock();
            state.given_up |= !state.progress.sent;
            (state.uri.clone(), state.progress)
        };
        error
            .during(progress.phase, progress.sent, progress.received)
            .at(shown(&uri))
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut State) -> Option<T>,
    ) -> Poll<T> {
        let mut waker = None;
        loop {
            let mut state = self.state.lock();
            state.interest.asks();
            if let Some(taken) = take(&mut state) {
                return Poll::Ready(taken);
            }
            state.news = false;
            let known = state.waker.as_ref();
            if known.is_some_and(|known| known.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(waker) = waker.take() {
                let old = state.waker.replace(waker);
                drop(state);
                drop(old);
                return Poll::Pending;
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests;
