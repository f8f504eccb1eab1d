//! Figures of many rounds, and what is said of them.

use std::fmt;

/// How often everybody has a turn: `LONGSHORE_ROUNDS`, or `default`.
pub(crate) fn rounds(default: usize) -> usize {
    let set = std::env::var("LONGSHORE_ROUNDS").ok();
    let rounds = set.map(|set| set.parse().expect("LONGSHORE_ROUNDS is a whole number"));
    rounds.unwrap_or(default).max(1)
}

/// Of an even number of figures the upper one of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    sorted(figures)[figures.len() / 2]
}

fn sorted(figures: &[f64]) -> Vec<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
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
        let sorted = sorted(&ratios);
        // With few rounds rather more of them than the half.
        let quarter = (sorted.len() - 1) / 4;
        Self {
            median: median(&ratios),
            middle_half: (sorted[quarter], sorted[sorted.len() - 1 - quarter]),
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
