//! Runs closures that block, on threads where they may, and no more of them at once than was said.
//!
//! A [`Lane`] is a cheap handle. Its [`Builder`] says how many jobs run and wait at once, and on
//! whose threads; [`offload`](Lane::offload) hands a job in and gives a [`Task`](crate::Task).
//! The field calls the idea a bulkhead; Kotlin has it as `limitedParallelism`, anyio as
//! `CapacityLimiter`.
//!
//! Underneath, from the bottom: `state` keeps the books, `core` puts a lock round them, `worker` is
//! the loop of a thread, `source` gets threads, `keeper` keeps deadlines.

mod builder;
pub(crate) mod core;
mod deadlines;
mod default;
mod doubt;
mod feed;
mod fifo;
mod hand_in;
mod handle;
mod histogram;
mod home;
mod inbox;
mod keeper;
mod lookers;
mod map;
#[cfg(feature = "metrics")]
mod meters;
#[cfg(feature = "metrics")]
mod metrics;
mod nested;
mod observe;
mod options;
mod owner;
mod pace;
mod reserve;
mod run;
#[cfg(feature = "tower")]
mod service;
mod shutdown;
mod signal;
mod source;
mod state;
mod stats;
mod stop;
mod threads;
mod timer;
mod worker;

#[cfg(feature = "metrics")]
pub use self::metrics::describe_metrics;
#[cfg(feature = "tower")]
pub use self::service::LaneService;
pub use self::{
    builder::Builder,
    default::{default_lane, offload},
    handle::Lane,
    histogram::Histogram,
    map::{Indexed, Map, Ordered},
    reserve::{Permit, Reserve},
    shutdown::{Shutdown, Stuck},
    stats::{JobInfo, JobState, Stats},
    threads::Threads,
};
pub(crate) use self::{core::wake, threads::Outfit, timer::Timer};
