//! What answers for a job, and the words in which it is asked.
//!
//! A lane is on the floor above: its jobs and their tasks know of it only this.

use std::{error::Error as StdError, io, task::Waker};

use super::{cell::Work, id::JobId, look_out::Stay, post::Awaited};
use crate::sync::Arc;

/// What answers for a job: its lane.
pub(crate) trait Owner: Send + Sync {
    /// Stops the job, wherever it is. Does nothing if it is over.
    fn stop(&self, job: &dyn Work, cause: Cause);
    /// Lets the job run on without a caller.
    fn detach(&self, job: &dyn Work);
    /// Begins to look out for an outcome, if that is worth while: jobs of late took no longer than it
    /// takes to wake somebody, and were not looked out for in vain.
    ///
    /// The waker is called if it is not seen in time that there is an outcome: whether there is one has to
    /// be looked at after this.
    fn look_out(&self, job: JobId, waker: &Waker) -> Option<Looker>;
    /// Goes on with it.
    fn look_again(&self, looker: Looker, waker: &Waker);
    /// What a wait for an outcome came to.
    fn looked_out(&self, came_to: CameTo);

    /// A running job waits: its slot may be lent to a job that another job waits for. With what it
    /// waits for, if that is one job alone. `false` if it was suspended already.
    fn suspend(&self, job: &dyn Work, waits_for: Option<Awaited>) -> bool;
    /// It would go on. `false` if its slot is taken: `look` is woken when to try again.
    fn resume(&self, job: &dyn Work, look: &Waker) -> bool;
    /// For which job alone a job waits, if so: one that is suspended, or one in the queue that only
    /// a certain thread can run, which has another.
    fn waits_for(self: Arc<Self>, job: &dyn Work) -> Option<Awaited>;
    /// Says so. Returns what was so before.
    fn set_waits_for(&self, job: &dyn Work, other: Option<Awaited>) -> Option<Awaited>;
    /// Takes a job that waits in the queue, to be run for who waits for its outcome. `look` is woken
    /// when to ask again.
    fn take_here(self: Arc<Self>, job: Arc<dyn Work>, how: How<'_>, look: &Waker) -> Taken;
    /// Runs what was taken on a thread of its own; given back if none can be had.
    fn run_aside(&self, run: Run) -> Result<Aside, Run>;
}

/// Why a job is stopped.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// The task was dropped: there is nobody to tell.
    Dropped,
    /// Somebody asked for it.
    Cancelled,
    /// The deadline passed.
    TimedOut,
    /// The runtime it would have run on is gone.
    NoRuntime,
    /// No thread could be had.
    NoThread(Arc<io::Error>),
    /// No thread could be fitted out with what it needs.
    Unavailable(Arc<dyn StdError + Send + Sync>),
    /// It waits, in the end, for the job that waits for it.
    WouldDeadlock,
}

/// What its owner had seen when a look-out began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(pub(crate) u32);

/// A task that looks out, as its owner knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looker {
    pub(crate) seen: Seen,
    /// Where its waker is.
    pub(crate) number: usize,
    /// For how long it stays at its first look.
    pub(crate) stay: Stay,
}

/// What became of a task that waited for its job's outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CameTo {
    /// It looked out for it, and found it; or had to be called, as its owner knows.
    Outcome(Looker),
    /// It looked out for it for long, and has itself called now.
    Nothing(Looker),
    /// It did not get to look often, or is gone.
    Others(Looker),
    /// It was called.
    Call,
}

/// Runs a job that was taken.
pub(crate) type Run = Box<dyn FnOnce() + Send>;

/// Waits for what runs aside.
pub(crate) type Aside = Box<dyn FnOnce()>;

/// A job that is to be run by the thread that waits for it.
pub(crate) enum Taken {
    /// Here it is; to be run, not dropped.
    Job(Run, Awaited),
    /// There is a slot for it, and a thread should be on its way.
    Coming,
    /// There is no slot for it.
    Nothing,
    /// It does not wait any more.
    Gone,
}

/// Which slot a job may be given.
#[derive(Clone, Copy)]
pub(crate) enum How<'a> {
    /// That of a suspended one.
    Patient,
    /// Also one that is free, as the thread that was asked for does not come.
    Impatient,
    /// Also that of this one, which is suspended for it, of the same lane.
    InPlaceOf(&'a dyn Work),
}

impl How<'_> {
    /// How many jobs are suspended for that.
    pub(crate) fn suspends(self) -> usize {
        usize::from(matches!(self, Self::InPlaceOf(_)))
    }
}
