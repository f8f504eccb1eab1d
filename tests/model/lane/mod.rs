//! The lane's protocol, with twins for what is not part of it.

#[path = "../../../src/lane/core.rs"]
pub(crate) mod core;
#[path = "../../../src/lane/deadlines.rs"]
mod deadlines;
#[path = "../../../src/lane/doubt.rs"]
mod doubt;
#[path = "../../../src/lane/fifo.rs"]
mod fifo;
#[path = "../../../src/lane/histogram.rs"]
mod histogram;
#[path = "../../../src/lane/home.rs"]
pub(crate) mod home;
#[path = "../../../src/lane/inbox.rs"]
mod inbox;
mod keeper;
#[path = "../../../src/lane/lookers/mod.rs"]
mod lookers;
#[cfg(feature = "metrics")]
#[path = "../../../src/lane/meters.rs"]
mod meters;
#[path = "../../../src/lane/nested.rs"]
mod nested;
#[path = "../../../src/lane/observe.rs"]
mod observe;
#[path = "../../../src/lane/owner.rs"]
mod owner;
pub(crate) mod pace;
#[path = "../../../src/lane/run.rs"]
mod run;
#[path = "../../../src/lane/signal.rs"]
mod signal;
pub(crate) mod source;
#[path = "../../../src/lane/state/mod.rs"]
mod state;
#[path = "../../../src/lane/stats.rs"]
mod stats;
#[path = "../../../src/lane/stop.rs"]
mod stop;
#[path = "../../../src/lane/worker.rs"]
mod worker;
