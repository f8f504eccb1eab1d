//! A job, seen from its three sides.
//!
//! - [`Job`] is what the closure sees while it runs: is anybody still waiting, how much time is
//!   left, what to interrupt if not.
//! - [`Task`] is what the caller holds: a future of the outcome. Dropping it cancels the job.
//! - `cell` is the one allocation between them, and all that the lane sees of a job.

pub(crate) mod cell;
mod current;
mod handle;
mod task;
mod wait;

pub(crate) use self::{
    cell::{Cell, Meta, Slot, Work},
    task::{Cause, Owner},
    wait::{OnBehalf, block_on, on_behalf},
};
pub use self::{
    handle::Job,
    task::{Canceller, Task},
};
