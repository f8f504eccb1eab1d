//! Contenders that take turns, so that a machine that gets slower wrongs all of them alike.

use std::fmt;

/// How often everybody has a turn: `LONGSHORE_ROUNDS`, or `default`.
pub(crate) fn rounds(default: usize) -> usize {
    let set = std::env::var("LONGSHORE_ROUNDS").ok();
    let rounds = set.map(|set| set.parse().expect("LONGSHORE_ROUNDS is a whole number"));
    rounds.unwrap_or(default).max(1)
}

/// Lets each of `contenders` be measured once a round. The first round warms up and does not
/// count. Gives the figures of each, one for each round.
pub(crate) fn in_turn(
    contenders: usize,
    rounds: usize,
    mut measure: impl FnMut(usize) -> f64,
) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::with_capacity(rounds); contenders];
    for round in 0..=rounds {
        for (contender, figures) in figures.iter_mut().enumerate() {
            let figure = measure(contender);
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    figures
}

pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The nearest rank, from 0 for the least to 1 for the greatest.
fn quantile(figures: &[f64], rank: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * rank).round() as usize]
}

/// One contender's figures over another's, round by round.
///
/// Figures of one round were taken at almost the same time, so that what the machine did to them
/// cancels out.
pub(crate) struct Ratio {
    median: f64,
    middle_half: (f64, f64),
}

impl Ratio {
    pub(crate) fn of(figures: &[f64], others: &[f64]) -> Self {
        let ratios: Vec<f64> = figures.iter().zip(others).map(|(a, b)| a / b).collect();
        Self {
            median: median(&ratios),
            middle_half: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
        }
    }
}

/// `1.23 (1.18-1.31)`: the median, and between what the middle half of the rounds lies.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.middle_half;
        f.pad(&format!("{:.2} ({low:.2}-{high:.2})", self.median))
    }
}
