//! A streamed request body on its way from the future that polls it to the thread that sends it.
//!
//! ```text
//!  the caller's future                    the worker
//!  ───────────────────                    ──────────
//!  Feeder::poll ── chunks, end ──► Conduit ──► Intake: Read ──► ureq ──► socket
//!        ▲                            │
//!        └──────── woken: room ───────┘
//! ```
//!
//! Invariants:
//!
//! 1. The end of the body is a mark of its own. A feeder that goes without leaving one leaves an
//!    error, since a reader that merely ended would make a whole body of half of one.
//! 2. The worker waits for a chunk, the end, the deadline or the cancel of its job.
//! 3. The stream may wait for jobs of its own, the body of another response for one, which have to come
//!    by a slot where this job and its like have them all. So it is polled in the name of this job, not
//!    before that runs, which waits as a job does that waits for others as soon as there are any.
//!    Where no thread can be had but that which polls the stream, nobody could: that job is stopped.
//! 4. No waker is cloned, called or dropped under the lock, nor is any chunk.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io::{self, Read},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};

use super::body::{Failure, Source};
use crate::{
    job::{Behalf, Job, block_on_in},
    lane::wake,
    sync::{self, Arc, Mutex, Thread, ThreadId},
    ureq::{park::wait_for, stop::Until},
};

/// How many chunks may wait for the worker.
const ROOM: usize = 4;

/// How many chunks one poll hands over before it gives way to other tasks.
const TURN: usize = 32;

#[derive(Default)]
pub(super) struct Conduit {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    end: Option<Result<(), Failure>>,
    waker: Option<Waker>,
    /// There is a worker.
    begun: bool,
    /// In whose name the stream is polled.
    behalf: Option<Behalf>,
    /// Where it was polled last.
    polled_on: Option<ThreadId>,
    /// The worker, where it is parked,
    thread: Option<Thread>,
    /// or waits for jobs meanwhile.
    reader: Option<Waker>,
    /// The worker will not read any more.
    unwanted: bool,
}

/// The end that is polled.
pub(super) struct Feeder {
    conduit: Arc<Conduit>,
    source: Source,
    over: bool,
}

/// The end that is read.
pub(super) struct Intake {
    conduit: Arc<Conduit>,
    job: Job,
    behalf: Option<Behalf>,
    chunk: Bytes,
}

/// What a worker finds when it looks for a chunk.
enum Found {
    Chunk(Bytes),
    End(io::Result<()>),
    /// Neither; but there are jobs to be waited for.
    Jobs,
}

/// What a worker finds where the end of a body should be, if its caller is gone.
#[derive(Debug, thiserror::Error)]
#[error("the future that gave it was dropped")]
struct Forsaken;

impl Feeder {
    pub(super) fn new(source: Source) -> (Self, Arc<Conduit>) {
        let conduit = Arc::new(Conduit::default());
        let feeder = Self {
            conduit: conduit.clone(),
            source,
            over: false,
        };
        (feeder, conduit)
    }

    /// Hands over what the stream gives, as long as it gives and there is room. Ready when all of
    /// it was, or when nobody wants it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.over {
            return Poll::Ready(());
        }
        self.conduit.state.lock().polled_on = Some(sync::current().id());
        for _ in 0..TURN {
            std::task::ready!(self.poll_room(cx));
            if self.over {
                return Poll::Ready(());
            }
            match std::task::ready!(self.poll_source(cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => self.conduit.change(|state| state.chunks.push_back(chunk)),
                Some(Err(failure)) => self.end(Err(failure)),
                None => self.end(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let behalf = self.conduit.state.lock().behalf.clone();
        let Some(behalf) = behalf else {
            return self.source.as_mut().poll_next(cx);
        };
        let polled = behalf.poll(|| self.source.as_mut().poll_next(cx));
        if polled.is_pending() && behalf.waits_for_jobs() {
            self.conduit.unpark();
        }
        polled
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let room = |state: &mut State| {
            let is_room = state.begun && state.chunks.len() < ROOM;
            (is_room || state.unwanted).then_some(state.unwanted)
        };
        self.over |= std::task::ready!(self.conduit.poll(cx, |state| &mut state.waker, room));
        Poll::Ready(())
    }

    fn end(&mut self, end: Result<(), Failure>) {
        self.over = true;
        self.conduit.change(|state| state.end = Some(end));
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        if !self.over {
            self.end(Err(Box::new(Forsaken)));
        }
    }
}

impl Conduit {
    /// What is found, or leaves a waker in `place`.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        place: fn(&mut State) -> &mut Option<Waker>,
        find: impl Fn(&mut State) -> Option<T>,
    ) -> Poll<T> {
        let mut waker = None;
        loop {
            let mut state = self.state.lock();
            if let Some(found) = find(&mut state) {
                return Poll::Ready(found);
            }
            if let Some(waker) = waker.take() {
                let old = place(&mut state).replace(waker);
                drop(state);
                drop(old);
                return Poll::Pending;
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let (thread, reader) = (state.thread.take(), state.reader.take());
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
        wake([reader]);
    }

    /// Has the worker look again, if it does nothing else.
    fn unpark(&self) {
        if let Some(thread) = self.state.lock().thread.take() {
            thread.unpark();
        }
    }
}

impl State {
    fn take(&mut self) -> Option<Found> {
        if let Some(chunk) = self.chunks.pop_front() {
            return Some(Found::Chunk(chunk));
        }
        let end = self.end.take()?;
        // Asked again, it must not seem to have ended if it has not.
        self.end = Some(match end {
            Ok(()) => Ok(()),
            Err(_) => Err(Box::new(Forsaken)),
        });
        Some(Found::End(end.map_err(io::Error::other)))
    }
}

impl Intake {
    /// For the job that this thread runs.
    pub(super) fn new(conduit: Arc<Conduit>, job: &Job) -> Self {
        let behalf = Behalf::mine();
        let mut state = conduit.state.lock();
        state.begun = true;
        state.behalf.clone_from(&behalf);
        let waker = state.waker.take();
        drop(state);
        wake([waker]);
        Self {
            conduit,
            job: job.clone(),
            behalf,
            chunk: Bytes::new(),
        }
    }

    /// The next chunk, or `None` at the marked end.
    fn next(&self) -> io::Result<Option<Bytes>> {
        let found = match self.look() {
            Some(found) => found,
            None => wait_for(Some(&self.job), Until::NEVER, || self.look())?,
        };
        let found = match found {
            Found::Jobs => {
                let conduit = &self.conduit;
                let chunk = poll_fn(|cx| conduit.poll(cx, |state| &mut state.reader, State::take));
                block_on_in(&self.job, chunk)?
            }
            found => found,
        };
        match found {
            Found::Chunk(chunk) => {
                // Woken when half of the room is free: not for each chunk.
                let mut state = self.conduit.state.lock();
                let waker = (state.chunks.len() <= ROOM / 2).then(|| state.waker.take());
                drop(state);
                wake([waker.flatten()]);
                Ok(Some(chunk))
            }
            Found::End(end) => end.map(|()| None),
            Found::Jobs => unreachable!("they were waited for"),
        }
    }

    /// Looks for a chunk, and leaves word whom to unpark when there is one.
    fn look(&self) -> Option<Found> {
        let mut state = self.conduit.state.lock();
        if let Some(found) = state.take() {
            state.thread = None;
            return Some(found);
        }
        let us = sync::current();
        let polls = state.polled_on == Some(us.id());
        let waits_for_jobs = self.behalf.as_ref().is_some_and(Behalf::waits_for_jobs);
        if !waits_for_jobs {
            state.thread = Some(us);
        }
        drop(state);
        if let Some(behalf) = self.behalf.as_ref().filter(|_| polls) {
            // The poll that would bring a chunk is beneath this on the stack.
            behalf.stop_if_on_top();
        }
        waits_for_jobs.then_some(Found::Jobs)
    }
}

impl Read for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            match self.next()? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut state = self.conduit.state.lock();
        state.unwanted = true;
        state.behalf = None;
        let (chunks, waker) = (std::mem::take(&mut state.chunks), state.waker.take());
        drop(state);
        drop(chunks);
        wake([waker]);
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").field("over", &self.over).finish()
    }
}
