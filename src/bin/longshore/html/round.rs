//! The round of a strategy that is drawn.

use crate::runner::{Outcome, Run};
use crate::summary::Summary;

/// One run of a strategy, and the figures of all.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) summary: &'a Summary,
    pub(super) run: &'a Run,
    /// From 1.
    pub(super) number: usize,
}

impl<'a> Round<'a> {
    /// The one in the middle of those that came to their end, so that it is neither luck nor bad
    /// luck; else the last there is.
    pub(super) fn typical(summary: &'a Summary) -> Option<Self> {
        let mut finished: Vec<(f64, usize)> = summary
            .runs
            .iter()
            .enumerate()
            .filter_map(|(at, run)| match &run.outcome {
                Outcome::Finished(totals) => Some((totals.wall_s, at)),
                _ => None,
            })
            .collect();
        finished.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = match finished.get(finished.len().saturating_sub(1) / 2) {
            Some((_, at)) => *at,
            None => summary.runs.len().checked_sub(1)?,
        };
        Some(Self {
            summary,
            run: summary.runs.get(at)?,
            number: at + 1,
        })
    }

    /// When it was over; when its last call was, or the signal came, if it did not come to its end.
    pub(super) fn end_s(&self) -> f64 {
        let last = self.run.calls.iter().map(|call| call.end_s);
        match &self.run.outcome {
            Outcome::Finished(totals) => totals.wall_s,
            Outcome::Interrupted { after_s, .. } => last.reduce(f64::max).unwrap_or(*after_s),
            Outcome::Died(_) => last.reduce(f64::max).unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Round;
    use crate::runner::Outcome;
    use crate::strategy::Strategy;
    use crate::summary::{self, tests::call, tests::run};

    #[test]
    fn the_round_in_the_middle_is_drawn() {
        let runs = [3.0, 1.0, 2.0].map(|wall| run(Strategy::Naive, wall, vec![]));
        let summaries = summary::of(runs.into(), 0);
        let round = Round::typical(&summaries[0]).expect("there are three");
        assert_eq!((round.number, round.end_s()), (3, 2.0));
    }

    #[test]
    fn a_strategy_that_was_interrupted_is_drawn_as_far_as_it_came() {
        let mut run = run(Strategy::Naive, 9.0, vec![call(0, 0.4, 5), call(1, 0.7, 5)]);
        run.outcome = Outcome::Interrupted {
            signal: 2,
            after_s: 1.0,
        };
        let summaries = summary::of(vec![run], 2);
        let round = Round::typical(&summaries[0]).expect("there is one");
        assert_eq!((round.number, round.end_s()), (1, 0.7));
    }
}
