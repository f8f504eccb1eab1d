//! Finds what still blocks the threads of a runtime: while it happens, on stable Tokio, without flags.
//!
//! A future that blocks holds its thread, and with it every other task there. A [`Watch`] tells which
//! worker is stuck, in which call, with which peer, and for how long:
//!
//! ```text
//! worker 1 blocked 110 ms in recvfrom (10.0.0.7:5432) <- shop::fetch_price at src/price.rs:41:9; move it behind longshore::offload
//! ```
//!
//! (The line is there with the feature `stall-stacks`, or for what is [`watched`](watched()).)
//!
//! The how-to is in `docs/stalls.md`, and here [below](guide).
//!
//! # Which of these for what
//!
//! | to | take |
//! |---|---|
//! | be told of stalls in production | [`Watch::build`], or [`attach`] to what is running |
//! | rank the calls that are left, although none is long | [`Watching::profile_for`] |
//! | have a test fail when something blocks | [`deny`](deny()), [`assert_no_stalls!`](crate::assert_no_stalls) |
//! | the same, however fast the call is in the test | [`Deny::strict`] |
//! | see the place and the task, and futures that run on no worker | [`watched`](watched()) |
//! | say that something may block | [`allow`](allow()), [`Watch::ignore`] |
//!
//! # How it works
//!
//! One thread of the process, `longshore-stall`, wakes every 10 ms. Tokio's own stable metrics say which
//! workers are at work and have made no progress. `/proc` says what the thread of such a worker does:
//! that it sleeps, in one and the same system call, with which arguments. No signal is sent, no thread is
//! stopped, no call is intercepted, and workers do nothing for it but to say which thread they are.
//!
//! # What is promised
//!
//! - A worker that sleeps in one call for the length of the threshold is reported within twice that
//!   time, while it still sleeps, provided that the watchdog is given a processor, and that no thread
//!   of the same name, which could be the worker by now (`block_in_place`), is at work at each look:
//!   then it is later, until that one has computed for a second, and by three seconds at the most.
//! - There is no report of a worker that is parked or busy, of closures of `spawn_blocking`,
//!   `block_in_place` or a lane, nor of a process or machine that was stopped or short of processors.
//! - A callback that panics (where panics unwind) or blocks harms nobody.
//!
//! What it does not see is listed at the end of the [guide].

mod allow;
mod clock;
mod counted;
mod deny;
mod finding;
mod listener;
mod looking;
mod place;
mod proc;
mod profile;
mod profile_for;
mod report;
mod samples;
mod slot;
#[cfg(feature = "stall-stacks")]
mod stack;
mod strict;
mod subject;
mod tell;
mod traces;
mod trail;
mod watch;
mod watchdog;
mod watched;
mod watching;
mod workers;

use std::io;

use tokio::runtime::Handle;

#[cfg(any(doc, doctest))]
#[doc = include_str!("../../docs/stalls.md")]
pub mod guide {}

#[cfg(feature = "stall-stacks")]
pub use self::stack::{Confidence, End, Frame, Stack};
pub use self::{
    allow::allow,
    deny::{Deny, deny},
    proc::BlockingCall,
    profile::{Profile, Row},
    profile_for::ProfileFor,
    report::{Cause, Certainty, Stall},
    watch::Watch,
    watched::{Watched, watched},
    watching::Watching,
};

/// Watches a runtime that is there already, with a threshold of 100 ms: [`Watch::attach`] of a
/// [`Watch`] with nothing else said.
///
/// # Errors
///
/// If the watchdog's thread cannot be started.
///
/// # Examples
///
/// ```
/// use tokio::runtime::Handle;
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     let _watching = longshore::stall::attach(&Handle::current())?;
///     // the program
///     Ok(())
/// }
/// ```
pub fn attach(handle: &Handle) -> io::Result<Watching> {
    Watch::new().attach(handle)
}
