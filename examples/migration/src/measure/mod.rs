//! The table.

mod child;
mod load;

use std::time::Duration;

use migration::{Failure, STEPS};

use self::{
    child::Child,
    load::{CLIENTS, Load},
};
use crate::serve::{LATENCY, Suppliers};

/// How long one step is under load in one round.
const TIME: Duration = Duration::from_secs(3);

/// All steps in turn, so often.
const ROUNDS: usize = 5;

/// What one step did in one round.
struct Measured {
    one: Duration,
    load: Load,
    threads: usize,
}

/// Measures all of them and prints what it has found, medians of the rounds.
pub fn all(brief: bool) -> Result<(), Failure> {
    let (rounds, time) = if brief { (1, TIME / 6) } else { (ROUNDS, TIME) };
    let suppliers = Suppliers::start()?;
    let mut measured: Vec<Vec<Measured>> = STEPS.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (step, measured) in STEPS.iter().zip(&mut measured) {
            eprint!("\rround {} of {rounds}, step {} ", round + 1, step.number);
            measured.push(one_step(step.number, &suppliers, time)?);
        }
    }
    eprint!("\r                         \r");
    print(&measured, rounds);
    Ok(())
}

fn one_step(step: usize, suppliers: &Suppliers, time: Duration) -> Result<Measured, Failure> {
    let child = Child::start(step, suppliers)?;
    let one = load::one_after_the_other(child.address())?;
    let (load, threads) = child.threads_during(|| load::at_once(child.address(), time))?;
    child.end()?;
    Ok(Measured {
        one,
        load: load?,
        threads,
    })
}

fn print(measured: &[Vec<Measured>], rounds: usize) {
    println!("6 suppliers, 2 calls of {LATENCY:?} to each; {CLIENTS} clients; medians of {rounds}");
    println!();
    println!(
        "{:28}{:>18}{:>18}{:>18}",
        "", "one quote", "quotes a second", "/health late"
    );
    println!(
        "{:28}{:>10}{:>8}{:>9}{:>9}{:>10}{:>8}{:>9}",
        "step", "time", "ratio", "", "ratio", "p99", "worst", "threads"
    );
    let one = |of: &[Measured]| median(of.iter().map(|it| it.one.as_secs_f64() * 1e3));
    let rate = |of: &[Measured]| median(of.iter().map(|it| it.load.rate));
    for (step, of) in STEPS.iter().zip(measured) {
        let p99 = median(of.iter().map(|it| it.load.health_p99.as_secs_f64() * 1e3));
        let worst = of.iter().map(|it| it.load.health_worst).max();
        let worst = worst.unwrap_or_default().as_secs_f64() * 1e3;
        let threads = median(of.iter().map(|it| it.threads as f64));
        println!(
            "{} {:26}{:>7.1} ms{:>6.2} x{:>9.0}{:>7.2} x{:>7.1} ms{:>5.0} ms{:>9.0}",
            step.number,
            step.title,
            one(of),
            one(&measured[0]) / one(of),
            rate(of),
            rate(of) / rate(&measured[0]),
            p99,
            worst,
            threads
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
