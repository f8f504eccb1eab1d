//! A job, seen from its three sides.
//!
//! - [`Job`] is what the closure sees while it runs: is anybody still waiting, how much time is
//!   left, what to interrupt if not.
//! - [`Task`] is what the caller holds: a future of the outcome. Dropping it cancels the job. `look_out` is
//!   about how it waits where jobs are short.
//! - `wait` is about a thread that waits for a future; `nest`, `post`, `help`, `behalf`,
//!   `waits` and `circle` about jobs that wait for jobs.
//! - `cell` is the one allocation between them, and all that the lane sees of a job.

mod behalf;
mod budget;
pub(crate) mod cell;
mod circle;
mod current;
mod handle;
mod help;
mod id;
mod look_out;
mod nest;
mod owner;
mod post;
mod task;
mod wait;
mod waits;

#[cfg(feature = "tracing")]
pub(crate) use self::cell::current_span;
#[cfg(feature = "ureq")]
pub(crate) use self::{behalf::Behalf, help::Meanwhile};
pub(crate) use self::{
    behalf::on_behalf,
    budget::{Budget, this_is_of_a_task},
    cell::{Cell, Meta, Ran, Work},
    id::JobId,
    look_out::{STAY, Stay},
    nest::{knows_of_its_cancel, leaves_waker_beside, serve},
    owner::{Aside, CameTo, Cause, How, Looker, Owner, Run, Seen, Taken},
    post::Awaited,
    wait::{block_on, block_on_in},
    waits::Waits,
};
pub use self::{
    handle::Job,
    task::{Canceller, Task},
};
