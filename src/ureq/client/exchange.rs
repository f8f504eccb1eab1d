//! The caller's half of an exchange: it takes what the worker leaves, and calls a worker back when
//! there is room for more.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    error::Error,
    hand_over::{Found, HandOver, Head},
    kind::ErrorKind,
    pump,
    upload::Feeder,
};
use crate::{
    job::{Budget, Job, Meanwhile, Task},
    lane::{Lane, Permit},
    sync::Arc,
};

/// Dropping it cancels the job, if one runs, and drops the reader where it is, if none does.
pub(super) struct Exchange {
    shared: Arc<HandOver>,
    lane: Lane,
    /// Where the exchange was begun: all of its jobs are handed in from there.
    location: &'static Location<'static>,
    worker: Worker,
    over: bool,
    budget: Budget,
}

/// Who reads the body at the moment.
enum Worker {
    /// Nobody. The pump is parked, or everything was read.
    None,
    /// A job, on its thread or on the way there.
    Runs(Task<()>),
    /// The lane has said no. Told when what is there has been read.
    Refused(Error),
}

impl Exchange {
    pub(super) fn new(
        shared: Arc<HandOver>,
        lane: Lane,
        task: Task<()>,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            shared,
            lane,
            location,
            worker: Worker::Runs(task),
            over: false,
            budget: Budget::default(),
        }
    }

    /// `feeder` is what the body of the request comes from, as long as there is any of it.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        feeder: Option<&mut Feeder>,
    ) -> Poll<Result<Box<Head>, Error>> {
        let mut feed = feeder.map(|feeder| {
            |cx: &mut Context<'_>| {
                let _is_over = feeder.poll(cx);
            }
        });
        loop {
            if let Poll::Ready(head) = self.shared.poll_head(cx) {
                return Poll::Ready(head.map_err(|error| {
                    let why = self.why_given_up(cx, &error);
                    self.finish();
                    why.unwrap_or(error)
                }));
            }
            let feed = feed.as_mut().map(|feed| feed as &mut Meanwhile<'_>);
            ready!(self.poll_worker(cx, feed))?;
        }
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        // Whoever takes chunk after chunk, and has no other await, should not keep all others of its
        // thread waiting.
        let share = ready!(self.budget.poll_share(cx));
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            match self.shared.poll_body(cx) {
                Poll::Ready(Found::Chunk(chunk)) => {
                    share.was_taken();
                    self.look_ahead(cx);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Found::End(end)) => {
                    self.finish();
                    return Poll::Ready(end.err().map(Err));
                }
                Poll::Pending => {
                    if let Err(error) = ready!(self.poll_worker(cx, None)) {
                        self.finish();
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    /// Adds to an error of the reader's own where it happened.
    pub(super) fn place(&self, error: Error) -> Error {
        self.shared.place(error)
    }

    /// Nothing is there to be taken: looks after whoever should bring it. Ready if that has changed
    /// something.
    fn poll_worker(
        &mut self,
        cx: &mut Context<'_>,
        feed: Option<&mut Meanwhile<'_>>,
    ) -> Poll<Result<(), Error>> {
        match &mut self.worker {
            Worker::Runs(task) => {
                let ran = ready!(match feed {
                    Some(feed) => task.poll_bringing(cx, feed),
                    None => Pin::new(task).poll(cx),
                });
                self.worker = self.after(ran);
                Poll::Ready(Ok(()))
            }
            Worker::None => {
                let Some(deadline) = self.shared.wants_worker() else {
                    unreachable!("a job that has ended has left an end, or its pump");
                };
                self.call_worker(deadline);
                Poll::Ready(Ok(()))
            }
            Worker::Refused(_) => {
                let Worker::Refused(error) = std::mem::replace(&mut self.worker, Worker::None)
                else {
                    unreachable!("it was matched a moment ago");
                };
                Poll::Ready(Err(error))
            }
        }
    }

    /// The worker has heard that its job was given up. If that was for a reason of the lane's, as it would
    /// have waited for itself, only the lane knows.
    fn why_given_up(&mut self, cx: &mut Context<'_>, error: &Error) -> Option<Error> {
        if error.kind() != ErrorKind::Cancelled {
            return None;
        }
        if let Worker::Runs(task) = &mut self.worker
            && task.is_finished()
            && let Poll::Ready(ran) = task.poll_uncounted(cx)
        {
            self.worker = self.after(ran);
        }
        match std::mem::replace(&mut self.worker, Worker::None) {
            Worker::Refused(why) if why.kind() == ErrorKind::Lane => Some(why),
            worker => {
                self.worker = worker;
                None
            }
        }
    }

    /// Who reads when a job has ended so.
    fn after(&self, ran: Result<(), crate::error::Error>) -> Worker {
        match ran {
            Ok(()) => Worker::None,
            Err(error) => Worker::Refused(self.shared.place(Error::of_lane(error))),
        }
    }

    /// There is something to be read, and soon there will not be: calls for a worker.
    fn look_ahead(&mut self, cx: &mut Context<'_>) {
        if let Worker::Runs(task) = &mut self.worker
            && task.is_finished()
            && let Poll::Ready(ran) = Pin::new(task).poll(cx)
        {
            self.worker = self.after(ran);
        }
        if let Worker::None = self.worker
            && let Some(deadline) = self.shared.wants_worker()
        {
            self.call_worker(deadline);
        }
    }

    /// Hands in a job that goes on with the body, also where the lane is full: whoever reads may go away
    /// at any time, and could not be left with a place that others want.
    fn call_worker(&mut self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            // That of the first job, however long it is since. It holds for all of the body.
            self.lane = self.lane.deadline(deadline);
        }
        let shared = self.shared.clone();
        let go_on = move |job: &Job| pump::go_on(&shared, job);
        let permit = Permit::beyond_bounds(&self.lane);
        self.worker = Worker::Runs(permit.hand_in(go_on, self.location));
    }

    fn finish(&mut self) {
        self.over = true;
        if let Worker::Runs(task) = std::mem::replace(&mut self.worker, Worker::None)
            && !task.is_finished()
        {
            // It has left all that it had, and is about to end: not a job that was cancelled.
            task.detach();
        }
    }
}
