//! What `compare` and the process of a strategy say to each other: an order in, events out, one
//! JSON object a line.

use serde::{Deserialize, Serialize};

use crate::args::Runtime;
use crate::strategy::Strategy;

/// What a process is to do.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) strategy: Strategy,
    pub(crate) runtime: Runtime,
    pub(crate) limit: u32,
    pub(crate) timeout_ms: u64,
    pub(crate) calls: Vec<Call>,
}

/// One request to be made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Call {
    pub(crate) url: String,
    pub(crate) authorization: Option<String>,
    pub(crate) proxy: Option<String>,
    /// The body that a good answer has, if it is known.
    pub(crate) expected: Option<String>,
}

/// What a process tells while it works.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// This call has begun.
    Begun(usize),
    Ended(Ended),
    Finished(Totals),
    /// The strategy could not run, for this reason.
    Impossible(String),
    /// Nothing happened, the process lives. Its real use is that writing it fails when `compare`
    /// has gone.
    Alive,
}

/// A call and what became of it. Times are seconds since the strategy began.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ended {
    pub(crate) index: usize,
    /// When it was handed to what made it: a future among others, a lane, a pool.
    pub(crate) queued_s: f64,
    pub(crate) start_s: f64,
    /// The thread that it had for itself; `None` if it had none, or never came to have one.
    pub(crate) thread: Option<Taken>,
    pub(crate) end_s: f64,
    pub(crate) answer: Result<Answer, Failure>,
}

/// A thread that makes a call, and since when.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) since_s: f64,
}

/// A complete answer of a status below 400.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

/// Why a call failed: a word or two to count by, and the rest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) detail: String,
    /// The status, if the answer got that far.
    pub(crate) status: Option<u16>,
}

/// What was measured over the whole of a strategy. `None` is what this system does not tell.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Totals {
    pub(crate) wall_s: f64,
    pub(crate) peak_threads: Option<u64>,
    pub(crate) peak_rss_mib: Option<f64>,
    /// `None` also if the strategy was done before the first beat was due.
    pub(crate) heartbeat_late_max_ms: Option<f64>,
    pub(crate) heartbeat_late_p99_ms: Option<f64>,
    /// How late the beats ran, in their order.
    pub(crate) heartbeat: Option<Beats>,
    /// For naive: what the stall detector has seen.
    pub(crate) stalls: Option<Stalls>,
}

/// Async threads that were held up by a call that blocks.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Stalls {
    /// How often a thread was for more than 100 ms.
    pub(crate) count: u64,
    /// What was said of the first, while it happened.
    pub(crate) first: Option<String>,
}

/// The lateness of the heartbeat over time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Beats {
    /// A figure stands for so long a time: the first for that from the start, and so on.
    pub(crate) every_ms: f64,
    /// How late the worst beat ran of those that were due in that time.
    pub(crate) late_ms: Vec<f64>,
}
