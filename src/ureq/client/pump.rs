//! Reads a response body on a thread, for as long as there is room for it.
//!
//! ```text
//!  worker   ── head, chunks ──► full: parks the pump, its job ends     next job: goes on ──►
//!                                    ╎    no thread, no slot        ▲
//!  caller   ·········· reads ········╎······ half is read ── asks ──┘
//! ```

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use ureq::BodyReader;

use super::{
    buffers::Buffers,
    error::Error,
    failure::{Place, is_of_connection, of_body},
    hand_over::{HandOver, Progress},
    kind::ErrorKind,
};
use crate::{
    error::Cancelled,
    job::Job,
    sync::Arc,
    ureq::{
        Phase,
        call::{self, Aside, Watch},
        stop::Idle,
    },
};

/// How much is read at a time.
const BUFFER: usize = 64 << 10;

/// The end of a body in chunks may say more than `0\r\n\r\n`, but with a chunk, of at least one byte, it
/// is eleven: `1\r\n.\r\n` comes before it.
const NO_CHUNK: usize = 10;

/// A body that is being read, and what it is read with.
pub(super) struct Pump {
    reader: BodyReader<'static>,
    buffers: Buffers,
    /// How many bytes a body of none takes up, as long as this may be one.
    nothing: Option<usize>,
}

impl Pump {
    /// `expected` is how many bytes will be read, if that is known.
    pub(super) fn new(body: ureq::Body, expected: Option<u64>, is_chunked: bool) -> Self {
        Self {
            // There is a limit of ours, which can be told from other errors.
            reader: body.into_with_config().limit(u64::MAX).reader(),
            buffers: Buffers::new(BUFFER, expected),
            nothing: Some(if is_chunked { NO_CHUNK } else { 0 }),
        }
    }

    /// Reads until the end of the body, or until nobody takes what is read.
    ///
    /// The end is `Ok(0)` and nothing before it: only then does ureq keep the connection.
    pub(super) fn run(mut self, shared: &HandOver, told: &Told, job: &Job) {
        shared.begin_body();
        loop {
            if job.is_cancelled() {
                // The caller has its answer, in all likelihood.
                let stopped = if job.remaining() == Some(Duration::ZERO) {
                    Error::new(ErrorKind::TimedOut)
                } else {
                    Error::new(ErrorKind::Cancelled).source(Cancelled)
                };
                return shared.finish(Err(shared.place(stopped)));
            }
            if !told.get() {
                // The agent does not say when it waits, so this may be the last moment before.
                shared.flush(None);
            }
            match self.read() {
                Ok(Some((chunk, weight))) => shared.push(chunk, weight),
                Ok(None) => return shared.finish(Ok(())),
                // Its thread has better to do than to wait for more of what nobody reads.
                Err(error) if is_idle(&error) => return self.park(shared),
                Err(error) => {
                    let place = Place {
                        progress: Progress::BODY,
                        job,
                        head_limit: 0,
                    };
                    let error = of_body(error, &place).at(shared.url());
                    return shared.finish(Err(error));
                }
            }
            if shared.is_full() {
                return self.park(shared);
            }
        }
    }

    /// Leaves it to the next job, which knows nothing of what came in this one.
    fn park(mut self, shared: &HandOver) {
        if call::after_head() > 0 {
            self.nothing = None;
        }
        shared.park(self);
    }

    fn read(&mut self) -> io::Result<Option<(Bytes, usize)>> {
        let read = self.reader.read(self.buffers.room());
        if let Err(error) = &read
            && self.is_nothing(error)
        {
            return Ok(None);
        }
        let mut count = read?;
        if count == 0 && !call::has_left() {
            // ureq is not at the end of the body. Either its decoder is, of brotli, and says so again; or
            // all that one, of a charset, has read was the beginning of a character.
            count = self.reader.read(self.buffers.room())?;
        }
        self.nothing = None;
        Ok((count > 0).then(|| self.buffers.chunk(count)))
    }

    /// Whether ureq wanted to decompress a body of no bytes, as comes from servers that compress all
    /// they have. (What has come is counted by the job: see [`park`](Self::park).)
    fn is_nothing(&self, error: &io::Error) -> bool {
        let fits = self.nothing.is_some_and(|most| call::after_head() <= most);
        // An agent that is not ours counts nothing, and leaves nothing.
        fits && call::received() && call::has_left() && is_decompressing(error)
    }
}

/// Whether a decoder complains, and not of its connection.
fn is_decompressing(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(ureq::Error::Decompress(_, why)) if !is_of_connection(why))
}

fn is_idle(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(ureq::Error::Other(why)) if why.is::<Idle>())
}

/// Whether the agent says when it is about to wait for the peer.
#[derive(Clone, Default)]
pub(super) struct Told(Rc<Cell<bool>>);

impl Told {
    pub(super) fn get(&self) -> bool {
        self.0.get()
    }

    /// Has whoever waits for the exchange woken whenever its thread is about to wait.
    pub(super) fn watch(
        &self,
        shared: Arc<HandOver>,
        progress: impl Fn() -> Progress + 'static,
    ) -> Aside {
        call::watch(Follower {
            told: self.0.clone(),
            shared,
            progress,
        })
    }
}

struct Follower<F> {
    told: Rc<Cell<bool>>,
    shared: Arc<HandOver>,
    progress: F,
}

impl<F: Fn() -> Progress> Watch for Follower<F> {
    fn waits(&self) {
        self.told.set(true);
        self.shared.flush(Some((self.progress)()));
    }

    fn is_idle(&self) -> bool {
        self.shared.is_idle()
    }

    fn unwanted(&self) -> Duration {
        self.shared.unwanted()
    }

    fn may_send(&self) -> bool {
        self.shared.may_send()
    }
}

/// Goes on with a body whose pump was parked.
pub(super) fn go_on(shared: &Arc<HandOver>, job: &Job) {
    let Some(pump) = shared.unpark() else {
        unreachable!("a job is handed in for a pump that is parked, and there is one at a time");
    };
    let told = Told::default();
    let _watched = told.watch(shared.clone(), || Progress::BODY);
    call::enter(Phase::Body);
    // The head, if not in this job.
    call::heard();
    pump.run(shared, &told, job);
}
