//! A job, seen from its three sides.
//!
//! - [`Job`] is what the closure sees while it runs: is anybody still waiting, how much time is
//!   left, what to interrupt if not.
//! - [`Task`] is what the caller holds: a future of the outcome. Dropping it cancels the job.
//! - `nest` and `wait` are about jobs that wait, for other jobs among other things.
//! - `cell` is the one allocation between them, and all that the lane sees of a job.

pub(crate) mod cell;
mod current;
mod handle;
mod nest;
mod task;
mod wait;

pub(crate) use self::{
    cell::{Cell, Meta, Slot, Work},
    nest::{Awaited, serve},
    task::{Aside, Cause, Owner, Run, Taken},
    wait::{OnBehalf, block_on, on_behalf},
};
pub use self::{
    handle::Job,
    task::{Canceller, Task},
};
