//! The result for people: what was called, the table, what went wrong, the closing sentence.

use std::io::{self, IsTerminal as _};
use std::thread::available_parallelism;

use crate::args::{Compare, Runtime};
use crate::compare::Work;
use crate::strategy::Strategy;
use crate::summary::Summary;
use crate::table;
use crate::value::{plural, short, shown};

/// True if a reader of standard output sees standard error above it.
pub(crate) fn both_terminals() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// What is called and how, a line each.
pub(crate) fn told(args: &Compare, work: &Work) -> Vec<String> {
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
                "{} to the embedded server: {:.3} s of waiting in all, {:.3} s the longest, \
                 seed {}{speed}",
                plural(count as u64, "call"),
                total as f64 / 1_000.0,
                slowest.unwrap_or_default() as f64 / 1_000.0,
                args.seed
            )
        }
        None => format!(
            "{} to {} of your own",
            plural(count as u64, "call"),
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
        Strategy::most_at_once(args, work.limit, count),
        short(args.timeout)
    );
    vec![what, how]
}

/// The same within `width`, with the plan.
pub(crate) fn heading(args: &Compare, work: &Work, width: Option<usize>) -> String {
    let lines = told(args, work);
    let mut text: String = lines.iter().map(|line| wrapped(line, width)).collect();
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
    for line in remarks(args, rows, differing) {
        // In a file a remark is a line, to be found by who looks for a word of it.
        match width {
            Some(_) => text.push_str(&wrapped(&line, width)),
            None => text.extend([&*line, "\n"]),
        }
    }
    text.push('\n');
    text.push_str(&wrapped(sentence, width));
    text
}

/// What the table does not say, a line each.
pub(crate) fn remarks(args: &Compare, rows: &[Summary], differing: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        if row.failed > 0 {
            let kinds: Vec<String> = row
                .failures
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            let mut line = format!(
                "{}: {} failed: {}",
                row.strategy,
                row.failed,
                kinds.join(", ")
            );
            // The kind is a word or two; the cause is in the details of one of them.
            if let Some(failure) = row.first_failure() {
                line.push_str(&format!(" (the first: {})", shown(&failure.detail)));
            }
            lines.push(line);
        }
        if let Some(reason) = &row.died {
            lines.push(format!(
                "{}: could not run: {}",
                row.strategy,
                shown(reason)
            ));
        }
        if let Some(stalls) = &row.stalls
            && let Some(first) = &stalls.first
        {
            let others = match stalls.count.saturating_sub(1) {
                0 => String::new(),
                others => format!(" (and {others} more)"),
            };
            lines.push(format!(
                "{}: what longshore::stall said meanwhile: {}{others}",
                row.strategy,
                shown(first)
            ));
        }
        if let Some(wall) = row.wall.as_ref().filter(|wall| wall.rounds > 1) {
            lines.push(format!(
                "{}: {} rounds, {:.3} to {:.3} s, median {:.3}, standard deviation {:.3}",
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
        lines.push(format!("not run: {}", missing.join(", ")));
    }
    let differ = |line| format!("answers differ: {line}");
    lines.extend(differing.iter().map(differ));
    lines
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
