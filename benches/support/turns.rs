//! Contenders that take turns, so that a machine that gets slower wrongs all of them alike.

use crate::figures::{Ratio, median};

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

/// The figures of several contenders, of which the first two are others' and the rest ours.
///
/// Printed as medians, a row at a time, and in the end as ratios of each of ours to each of the
/// others'.
pub(crate) struct Table<'a> {
    names: &'a [&'a str],
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl<'a> Table<'a> {
    pub(crate) fn begin(names: &'a [&'a str]) -> Self {
        print!("{:>9}", "");
        for name in names {
            print!("  {name:>10}");
        }
        println!();
        Self {
            names,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, title: impl Into<String>, figures: Vec<Vec<f64>>) {
        let title = title.into();
        print!("{title:>9}");
        for figures in &figures {
            print!("  {:>10.0}", median(figures));
        }
        println!();
        self.rows.push((title, figures));
    }

    pub(crate) fn finish(self) {
        let others = 0..2;
        let ours = 2..self.names.len();
        let pairs: Vec<_> = others
            .flat_map(|other| ours.clone().map(move |own| (own, other)))
            .collect();
        print!("\n{:>9}", "");
        for &(own, other) in &pairs {
            print!(
                "  {:>18}",
                format!("{} / {}", self.names[own], self.names[other])
            );
        }
        println!();
        for (title, figures) in &self.rows {
            print!("{title:>9}");
            for &(own, other) in &pairs {
                print!("  {:>18}", Ratio::of(&figures[own], &figures[other]));
            }
            println!();
        }
    }
}
