//! What Longshore promises, held from outside: one test for each promise, named after it.
//!
//! Most tests run in six places: on every thread source and on both flavours of runtime. Letters
//! with numbers in the comments (`W13`) name the fault that a test is about.

#[macro_use]
mod support;

mod aborts;
#[cfg(feature = "ureq")]
mod agent;
mod api;
mod architecture;
mod block_on;
mod bounds;
mod bridge;
mod builder;
mod cancelling;
mod current;
mod deadlines;
mod detaching;
mod dropping;
#[cfg(feature = "fetch")]
mod fetch;
mod giving_way;
mod groups;
#[cfg(feature = "ureq")]
mod http;
mod lane_limit;
mod map;
mod nesting;
mod panics;
#[cfg(feature = "rayon")]
mod rayon;
mod refused;
mod reserve;
mod resources;
mod runtimes;
mod shutdown;
mod stats;
mod threads;
mod timers;
mod tutorial;
mod waiting;
mod wakers;
