//! The result for people: what was called, the table, what went wrong, the closing sentence.

use std::io::{self, IsTerminal as _};
use std::thread::available_parallelism;

use crate::args::{Compare, Runtime};
use crate::compare::Work;
use crate::summary::Summary;
use crate::table;
use crate::value::{short, shown};

/// True if a reader of standard output sees standard error above it.
pub(crate) fn both_terminals() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// What is called and how, in a few lines.
pub(crate) fn heading(args: &Compare, work: &Work, width: Option<usize>) -> String {
    let count = work.calls.len();
    let what = match &work.latencies {
        Some(latencies) => {
            let (total, slowest) = (
                latencies.iter().sum::<u64>(),
                latencies.iter().max().copied(),
            );
            let speed = match args.speed {
                1.0 => String::new(),
                speed => format!(", all divided by {speed} (--speed)"),
            };
            format!(
                "{count} calls to the embedded server: {:.3} s of waiting in all, {:.3} s the longest, \
                 seed {}{speed}",
                total as f64 / 1_000.0,
                slowest.unwrap_or_default() as f64 / 1_000.0,
                args.seed
            )
        }
        None => format!(
            "{count} calls to {} of your own",
            match work.urls.len().min(count) {
                1 => "1 URL".to_owned(),
                many => format!("{many} URLs"),
            }
        ),
    };
    let cores = available_parallelism().map_or(1, usize::from);
    let runtime = match args.runtime {
        Runtime::Current => "one thread".to_owned(),
        Runtime::Multi => format!("{cores} worker threads, of which a naive call blocks one"),
    };
    let how = format!(
        "runtime: {runtime}; at most {} in flight; timeout {} a call; {cores} cores",
        work.limit.min(u32::try_from(count).unwrap_or(u32::MAX)),
        short(args.timeout)
    );
    let mut text = wrapped(&what, width) + &wrapped(&how, width);
    if let Some(latencies) = &work.latencies {
        const SHOWN: usize = 40;
        let shown: Vec<String> = latencies.iter().take(SHOWN).map(u64::to_string).collect();
        let rest = if latencies.len() > SHOWN { " ..." } else { "" };
        text.push_str(&wrapped(
            &format!("plan, in ms: {}{rest}", shown.join(" ")),
            width,
        ));
    }
    text
}

/// The result for people.
pub(crate) fn of(
    args: &Compare,
    work: &Work,
    rows: &[Summary],
    differing: &[String],
    sentence: &str,
    told: bool,
) -> String {
    let width = table::width();
    // On a terminal it stands above already.
    let mut text = if told {
        String::new()
    } else {
        heading(args, work, width)
    };
    text.push('\n');
    text.push_str(&table::of(rows, width));
    for row in rows {
        if row.failed > 0 {
            let kinds: Vec<String> = row
                .failures
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            text.push_str(&format!(
                "{}: {} failed: {}",
                row.strategy,
                row.failed,
                kinds.join(", ")
            ));
            // The kind is a word or two; the cause is in the details of one of them.
            if let Some(failure) = row.first_failure() {
                text.push_str(&format!(" (the first: {})", shown(&failure.detail)));
            }
            text.push('\n');
        }
        if let Some(reason) = &row.died {
            text.push_str(&format!(
                "{}: could not run: {}\n",
                row.strategy,
                shown(reason)
            ));
        }
        if let Some(wall) = row.wall.as_ref().filter(|wall| wall.rounds > 1) {
            text.push_str(&format!(
                "{}: {} rounds, {:.3} to {:.3} s, median {:.3}, standard deviation {:.3}\n",
                row.strategy, wall.rounds, wall.min, wall.max, wall.median, wall.deviation
            ));
        }
    }
    let missing: Vec<&str> = args
        .strategies
        .iter()
        .filter(|&&strategy| rows.iter().all(|row| row.strategy != strategy))
        .map(|strategy| strategy.name())
        .collect();
    if !missing.is_empty() {
        text.push_str(&format!("not run: {}\n", missing.join(", ")));
    }
    for line in differing {
        text.push_str(&format!("answers differ: {line}\n"));
    }
    text.push('\n');
    text.push_str(&wrapped(sentence, width));
    text
}

/// `text` in lines of at most `width`, and never over 96 characters unless a word is longer.
fn wrapped(text: &str, width: Option<usize>) -> String {
    let room = width.unwrap_or(96).min(96);
    let mut wrapped = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        if used > 0 && used + 1 + word.len() > room {
            wrapped.push('\n');
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += word.len();
    }
    wrapped + "\n"
}
