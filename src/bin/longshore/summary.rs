//! All runs of a strategy in one row of figures, and the rules of who may be compared with whom.

use std::collections::BTreeMap;

use crate::runner::{Outcome, Run};
use crate::strategy::Strategy;
use crate::wire::{Ended, Failure, Stalls};

/// What is known of a strategy after all rounds.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) strategy: Strategy,
    /// Over the rounds that came to their end; `None` if none did.
    pub(crate) wall: Option<Spread>,
    /// Serial time / own time; `None` unless every call of both was answered well.
    pub(crate) speedup: Option<f64>,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) slowest_call_s: Option<f64>,
    /// Most calls at once: what is behind the wall time.
    pub(crate) peak_in_flight: usize,
    pub(crate) peak_threads: Option<u64>,
    pub(crate) peak_rss_mib: Option<f64>,
    pub(crate) heartbeat_late_max_ms: Option<f64>,
    pub(crate) heartbeat_late_p99_ms: Option<f64>,
    /// Of the first round that had one; the number is that of all.
    pub(crate) stalls: Option<Stalls>,
    pub(crate) interrupted: bool,
    /// Why the strategy could not run, if it could not.
    pub(crate) died: Option<String>,
    pub(crate) runs: Vec<Run>,
}

/// Wall times of several rounds, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) rounds: usize,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The sample standard deviation; 0 for one round.
    pub(crate) deviation: f64,
}

/// Sums up `runs`, strategy by strategy in the order of their first run. Each strategy was to make
/// `calls` calls a round.
pub(crate) fn of(runs: Vec<Run>, calls: usize) -> Vec<Summary> {
    let mut order: Vec<Strategy> = Vec::new();
    for run in &runs {
        if !order.contains(&run.strategy) {
            order.push(run.strategy);
        }
    }
    let mut left = runs;
    let mut summaries: Vec<Summary> = order
        .into_iter()
        .map(|strategy| {
            let (own, others) = left.drain(..).partition(|run| run.strategy == strategy);
            left = others;
            one(strategy, own, calls)
        })
        .collect();

    let serial = summaries
        .iter()
        .find(|summary| summary.strategy == Strategy::Serial && summary.is_sound())
        .and_then(|serial| serial.wall.as_ref().map(|wall| wall.median));
    for summary in &mut summaries {
        if let (Some(serial), Some(wall), true) = (serial, &summary.wall, summary.is_sound()) {
            summary.speedup = Some(serial / wall.median);
        }
    }
    summaries
}

impl Summary {
    /// True if it did all it was to do. Only then does its time mean anything: to fail is often
    /// faster than to answer.
    pub(crate) fn is_sound(&self) -> bool {
        self.failed == 0 && !self.interrupted && self.died.is_none() && self.wall.is_some()
    }

    /// The failure that was the first to happen, in the first round that had one.
    pub(crate) fn first_failure(&self) -> Option<&Failure> {
        self.runs.iter().find_map(|run| {
            let failed = run.calls.iter().filter(|call| call.answer.is_err());
            let first = failed.min_by(|a, b| a.end_s.total_cmp(&b.end_s))?;
            first.answer.as_ref().err()
        })
    }
}

fn one(strategy: Strategy, runs: Vec<Run>, calls: usize) -> Summary {
    let mut failures = BTreeMap::<String, u64>::new();
    let mut ok = 0;
    let mut walls = Vec::new();
    let mut interrupted = false;
    let mut died = None;
    for run in &runs {
        for call in &run.calls {
            match &call.answer {
                Ok(_) => ok += 1,
                Err(failure) => *failures.entry(failure.kind.clone()).or_default() += 1,
            }
        }
        let missing = calls.saturating_sub(run.calls.len()) as u64;
        match &run.outcome {
            Outcome::Finished(totals) => walls.push(totals.wall_s),
            Outcome::Interrupted { .. } => interrupted = true,
            Outcome::Died(reason) => died = Some(reason.clone()),
        }
        // What was to be called and was not is no success, unless the reader ended it.
        if missing > 0 && !matches!(run.outcome, Outcome::Interrupted { .. }) {
            *failures.entry("not made".to_owned()).or_default() += missing;
        }
    }
    let totals = || {
        runs.iter().filter_map(|run| match &run.outcome {
            Outcome::Finished(totals) => Some(totals),
            _ => None,
        })
    };
    let calls = || runs.iter().flat_map(|run| &run.calls);
    Summary {
        strategy,
        wall: spread(walls),
        speedup: None,
        ok,
        failed: failures.values().sum(),
        slowest_call_s: calls()
            .map(|call| call.end_s - call.start_s)
            .reduce(f64::max),
        peak_in_flight: runs
            .iter()
            .map(|run| in_flight(&run.calls))
            .max()
            .unwrap_or(0),
        peak_threads: totals().filter_map(|totals| totals.peak_threads).max(),
        peak_rss_mib: totals()
            .filter_map(|totals| totals.peak_rss_mib)
            .reduce(f64::max),
        heartbeat_late_max_ms: totals()
            .filter_map(|totals| totals.heartbeat_late_max_ms)
            .reduce(f64::max),
        heartbeat_late_p99_ms: totals()
            .filter_map(|totals| totals.heartbeat_late_p99_ms)
            .reduce(f64::max),
        stalls: totals()
            .filter_map(|totals| totals.stalls.clone())
            .reduce(|all, next| Stalls {
                count: all.count + next.count,
                first: all.first.or(next.first),
            }),
        failures,
        interrupted,
        died,
        runs,
    }
}

/// How many of these calls were made at once, at most.
fn in_flight(calls: &[Ended]) -> usize {
    let starts = calls.iter().map(|call| (call.start_s, true));
    let mut steps: Vec<(f64, bool)> = starts
        .chain(calls.iter().map(|call| (call.end_s, false)))
        .collect();
    // At the same instant the end of one comes before the start of the next.
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut now, mut peak) = (0usize, 0);
    for (_, starts) in steps {
        // A call that failed at once ends in the instant in which it starts.
        now = if starts {
            now + 1
        } else {
            now.saturating_sub(1)
        };
        peak = peak.max(now);
    }
    peak
}

fn spread(mut walls: Vec<f64>) -> Option<Spread> {
    walls.sort_by(f64::total_cmp);
    let rounds = walls.len();
    let (min, max) = (*walls.first()?, *walls.last()?);
    let median = (walls[(rounds - 1) / 2] + walls[rounds / 2]) / 2.0;
    let mean = walls.iter().sum::<f64>() / rounds as f64;
    let squares = walls.iter().map(|wall| (wall - mean).powi(2)).sum::<f64>();
    let deviation = if rounds > 1 {
        (squares / (rounds - 1) as f64).sqrt()
    } else {
        0.0
    };
    Some(Spread {
        rounds,
        median,
        min,
        max,
        deviation,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Outcome, Run, in_flight, of, spread};
    use crate::strategy::Strategy;
    use crate::wire::{Answer, Ended, Failure, Totals};

    pub(crate) fn call(index: usize, end_s: f64, bytes: u64) -> Ended {
        Ended {
            index,
            queued_s: 0.0,
            start_s: 0.0,
            thread: None,
            end_s,
            answer: Ok(Answer { status: 200, bytes }),
        }
    }

    pub(crate) fn run(strategy: Strategy, wall_s: f64, calls: Vec<Ended>) -> Run {
        let totals = Totals {
            wall_s,
            ..Totals::default()
        };
        Run {
            strategy,
            calls,
            outcome: Outcome::Finished(totals),
        }
    }

    #[test]
    fn a_strategy_with_a_failed_call_has_no_speedup() {
        let mut bad = call(1, 0.1, 5);
        bad.answer = Err(Failure::new("reset", "connection reset"));
        let runs = vec![
            run(
                Strategy::Serial,
                2.0,
                vec![call(0, 1.0, 5), call(1, 2.0, 5)],
            ),
            run(
                Strategy::Offloaded,
                1.0,
                vec![call(0, 1.0, 5), call(1, 1.0, 5)],
            ),
            run(Strategy::Native, 0.1, vec![call(0, 0.1, 5), bad]),
        ];
        let summaries = of(runs, 2);
        assert_eq!(summaries[0].speedup, Some(1.0));
        assert_eq!(summaries[1].speedup, Some(2.0));
        assert_eq!(summaries[2].speedup, None);
        assert_eq!(summaries[2].failures["reset"], 1);
    }

    #[test]
    fn a_failed_serial_run_leaves_nothing_to_compare_with() {
        let runs = vec![
            run(Strategy::Serial, 0.1, vec![call(0, 0.1, 5)]),
            run(
                Strategy::Native,
                1.0,
                vec![call(0, 1.0, 5), call(1, 1.0, 5)],
            ),
        ];
        let summaries = of(runs, 2);
        assert_eq!(summaries[0].failures["not made"], 1);
        assert_eq!(summaries[1].speedup, None);
    }

    #[test]
    fn calls_in_flight_are_counted_where_they_overlap() {
        let between = |start_s, end_s| Ended {
            start_s,
            ..call(0, end_s, 5)
        };
        assert_eq!(in_flight(&[between(0.0, 1.0), between(1.0, 2.0)]), 1);
        assert_eq!(
            in_flight(&[between(0.0, 1.0), between(0.9, 2.0), between(0.1, 0.95)]),
            3
        );
        assert_eq!(in_flight(&[]), 0);
    }

    #[test]
    fn rounds_are_summed_up_by_their_median() {
        let three = spread(vec![3.0, 1.0, 2.0]).expect("three rounds");
        assert_eq!(
            (three.median, three.min, three.max, three.deviation),
            (2.0, 1.0, 3.0, 1.0)
        );
        assert_eq!(spread(vec![1.0, 2.0]).expect("two rounds").median, 1.5);
        assert_eq!(spread(vec![]), None);
    }
}
