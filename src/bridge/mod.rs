//! From synchronous code into async code, without a panic and without a deadlock.
//!
//! A synchronous function deep in a program has to wait for something asynchronous. `Handle::block_on`
//! panics if the function happens to be called from async code; `futures::executor::block_on` has no
//! timers and no I/O, and on the only thread of a runtime it never returns; a `Runtime::new` for
//! each call costs forty times what a bridge's call does, or more ("A call from synchronous code" in
//! `docs/benchmarks.md`). A [`Bridge`] finds out where it is called, and waits there in the way that
//! is right, or says why it must not.
//!
//! | where I stand | own ([`start`]) | [`current`] | [`from`] a multi-thread runtime | [`from`] a current-thread one |
//! |---|---|---|---|---|
//! | a plain thread, no runtime | waits | `NoRuntime` | waits | waits |
//! | a job of a lane, on any threads | waits | waits | waits | waits |
//! | a thread of a rayon pool | waits | `NoRuntime` | waits | waits |
//! | a closure of `spawn_blocking` | waits | waits | waits | waits |
//! | a task of a multi-thread runtime | steps aside | steps aside | steps aside | steps aside |
//! | a task of a current-thread runtime, or its `block_on` | refused | refused | refused | refused |
//! | a task of a `LocalSet` | refused | refused | refused | refused |
//! | `block_on` of a multi-thread runtime | waits | waits | waits | waits |
//! | a future that a bridge's `call` polls | waits | waits | waits | waits |
//! | a task of a started bridge (of one thread) | refused | refused | refused | refused |
//! | where a runtime is entered that has shut down | waits | `ShutDown` | waits | waits |
//!
//! - *waits*: the thread is blocked, which harms no task of a runtime.
//! - *steps aside*: the same, while another thread does this worker's work (`block_in_place`).
//! - *refused*: [`Error::WouldBlockRuntime`]. The thread drives tasks that would stop, perhaps the
//!   very ones that it would wait for. The error says where it was, and what to do instead.
//! - `NoRuntime`, `ShutDown`: the [errors](Error) of these names.
//!
//! A bridge into a runtime that has shut down gives `ShutDown` in every row where it may wait. One
//! into a current-thread runtime that nobody drives gives [`Error::NotDriven`] after six seconds,
//! unless it needed nothing of it and is done before: for such a runtime, some thread has to be in its
//! `block_on`.
//!
//! A worker that steps aside takes a thread of the runtime's blocking pool. Where as many tasks do so
//! at once as the pool has threads (512, if nobody said otherwise), none is left to drive the
//! runtime, and those that wait for it are told `NotDriven`, after six seconds as well. A bridge of
//! [one thread](Bridge::start) is driven by that, whoever waits; so is any other runtime that the
//! waiting tasks are not of. What a task does in a `block_in_place` of its own cannot be told from a
//! plain thread, and waits on.
//!
//! In a job, a wait ends with the job: when that is cancelled, or its time is up, it gives
//! [`Error::Cancelled`]. A closure that has been told once, by that or by
//! [`Job::is_cancelled`](crate::Job::is_cancelled), may still call, to clear up.
//!
//! # What cannot be told
//!
//! Some places look alike from inside, as long as Tokio is not asked in a way that it answers with a
//! panic.
//!
//! - *Waits, and the tasks of the `LocalSet` wait with it*: the future that is given to
//!   `LocalSet::run_until` inside of a multi-thread runtime's `block_on`; a task of a set that is
//!   driven there and has no budget (`unconstrained`); a task of a set that is driven by
//!   `Handle::block_on` within the `block_in_place` of a worker.
//! - *Refused, although it might wait*: a closure of `spawn_blocking` that goes back into async code by
//!   itself, with `Handle::block_on`, and calls a bridge from there; a task on a worker of a
//!   multi-thread runtime while it has a current-thread one entered (`Handle::enter`).
//! - *Refused, but Tokio's panic is called for*: a task of a current-thread runtime while it has a
//!   multi-thread one entered. It is caught, and the error is the right one; but the process's panic
//!   hook has been called, and where panics abort, so does this.
//! - As with `block_in_place`, the rest of the *same* task stands still: where one half of a `join!`
//!   waits for what the other half would do, it waits for ever.
//! - Executors other than Tokio's cannot be told from plain threads.
//!
//! [`start`]: Bridge::start
//! [`current`]: Bridge::current
//! [`from`]: Bridge#impl-From<Handle>-for-Bridge

mod books;
mod builder;
mod clock;
mod error;
mod handle;
mod limits;
mod runtime;
mod scope;
mod shared;
mod shutdown;
mod spawned;
mod stand;
mod starting;
mod threads;
mod wait;

pub use self::{
    builder::Builder,
    error::{Driving, Error},
    handle::Bridge,
    scope::Scope,
    shutdown::{Ended, Shutdown},
    spawned::Spawned,
};
