//! The result as JSON. `docs/compare-json.md` says what each field means; change both together,
//! and count `SCHEMA` up if a field changes its meaning or goes away.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::args::Runtime;
use crate::summary::Summary;
use crate::value::plural;
use crate::wire::{Beats, Stalls};

pub(crate) const SCHEMA: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) schema: u32,
    pub(crate) longshore: &'static str,
    pub(crate) interrupted: bool,
    pub(crate) target: &'static str,
    pub(crate) runtime: Runtime,
    pub(crate) calls: usize,
    pub(crate) limit: u32,
    pub(crate) timeout_s: f64,
    pub(crate) repeat: u32,
    pub(crate) seed: Option<u64>,
    pub(crate) speed: Option<f64>,
    pub(crate) total_s: Option<f64>,
    pub(crate) plan: Vec<Planned<'a>>,
    pub(crate) machine: Machine,
    pub(crate) strategies: Vec<Row>,
    pub(crate) differing_answers: &'a [String],
    pub(crate) conclusion: &'a str,
}

/// One call of the plan.
#[derive(Debug, Serialize)]
pub(crate) struct Planned<'a> {
    pub(crate) url: &'a str,
    /// `None` for the reader's own endpoints.
    pub(crate) latency_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    os: &'static str,
    arch: &'static str,
    cores: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    wall_s: Option<f64>,
    wall_min_s: Option<f64>,
    wall_max_s: Option<f64>,
    wall_sd_s: Option<f64>,
    speedup: Option<f64>,
    ok: u64,
    failed: u64,
    failures: BTreeMap<String, u64>,
    slowest_call_s: Option<f64>,
    peak_in_flight: usize,
    peak_threads: Option<u64>,
    peak_rss_mib: Option<f64>,
    heartbeat_late_max_ms: Option<f64>,
    heartbeat_late_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalls: Option<Stalls>,
    interrupted: bool,
    died: Option<String>,
    heartbeat: Vec<Heartbeat>,
    calls: Vec<Call>,
}

/// The course of the heartbeat in one round.
#[derive(Debug, Serialize)]
struct Heartbeat {
    round: usize,
    #[serde(flatten)]
    beats: Beats,
}

#[derive(Debug, Serialize)]
struct Call {
    round: usize,
    call: usize,
    url: String,
    queued_s: f64,
    start_s: f64,
    thread: Option<String>,
    thread_s: Option<f64>,
    end_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        Self {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            cores: std::thread::available_parallelism().ok().map(usize::from),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.os, self.arch)?;
        match self.cores {
            Some(cores) => write!(f, ", {}", plural(cores as u64, "core")),
            None => Ok(()),
        }
    }
}

impl Row {
    /// The row of a strategy; `urls` are those of its calls, as they may be shown.
    pub(crate) fn of(summary: &Summary, urls: &[String]) -> Self {
        let wall = summary.wall.as_ref();
        Self {
            name: summary.strategy.name(),
            wall_s: wall.map(|wall| wall.median),
            wall_min_s: wall.map(|wall| wall.min),
            wall_max_s: wall.map(|wall| wall.max),
            wall_sd_s: wall.map(|wall| wall.deviation),
            speedup: summary.speedup,
            ok: summary.ok,
            failed: summary.failed,
            failures: summary.failures.clone(),
            slowest_call_s: summary.slowest_call_s,
            peak_in_flight: summary.peak_in_flight,
            peak_threads: summary.peak_threads,
            peak_rss_mib: summary.peak_rss_mib,
            heartbeat_late_max_ms: summary.heartbeat_late_max_ms,
            heartbeat_late_p99_ms: summary.heartbeat_late_p99_ms,
            stalls: summary.stalls.clone(),
            interrupted: summary.interrupted,
            died: summary.died.clone(),
            heartbeat: (summary.runs.iter().zip(1..))
                .filter_map(|(run, round)| {
                    let beats = run.beats()?.clone();
                    Some(Heartbeat { round, beats })
                })
                .collect(),
            calls: summary
                .runs
                .iter()
                .enumerate()
                .flat_map(|(round, run)| calls(round, run, urls))
                .collect(),
        }
    }
}

fn calls<'a>(
    round: usize,
    run: &'a crate::runner::Run,
    urls: &'a [String],
) -> impl Iterator<Item = Call> + 'a {
    run.calls.iter().map(move |call| {
        let (status, bytes, error) = match &call.answer {
            Ok(answer) => (Some(answer.status), Some(answer.bytes), None),
            Err(failure) => (
                failure.status,
                None,
                Some(format!("{}: {}", failure.kind, failure.detail)),
            ),
        };
        let url = urls[call.index % urls.len()].clone();
        Call {
            round: round + 1,
            call: call.index + 1,
            url,
            queued_s: call.queued_s,
            start_s: call.start_s,
            thread: call.thread.as_ref().map(|thread| thread.name.clone()),
            thread_s: call.thread.as_ref().map(|thread| thread.since_s),
            end_s: call.end_s,
            status,
            bytes,
            error,
        }
    })
}
