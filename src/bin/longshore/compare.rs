//! `longshore compare`: settles what to call, runs the strategies in turn, prints what came of it.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::mpsc;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::args::Compare;
use crate::exit::{Exit, note, print};
use crate::html::{self, Contents, Destination};
use crate::limits::Load;
use crate::proxy::{Proxies, Through};
use crate::report::{Machine, Planned, Report, Row, SCHEMA};
use crate::runner::{Message, Outcome, Run, Runner};
use crate::server::{Server, Site, planned_body, planned_path};
use crate::strategy::Strategy;
use crate::summary::{self, Summary};
use crate::target::Target;
use crate::wire::{Call, Order};
use crate::{
    answers, conclusion, consent, limits, page, plan, progress::Progress, signals, table, targets,
};

/// Calls of a comparison of the reader's own endpoints, unless there are more URLs.
const OWN_CALLS: u32 = 20;
/// Calls in flight at once to the reader's own endpoints, unless told otherwise.
const OWN_LIMIT: u32 = 8;

/// What is going to be called.
pub(crate) struct Work {
    pub(crate) calls: Vec<Call>,
    /// The URLs as they may be shown.
    pub(crate) urls: Vec<String>,
    pub(crate) limit: u32,
    /// For the embedded server: the latencies, in milliseconds.
    pub(crate) latencies: Option<Vec<u64>>,
}

/// Runs the comparison.
pub(crate) fn run(args: Compare) -> Result<(), Exit> {
    for (at, strategy) in args.strategies.iter().enumerate() {
        if args.strategies[..at].contains(strategy) {
            return Err(Exit::usage(format!(
                "--strategies: {strategy} is named twice"
            )));
        }
    }
    let destination =
        (args.html.as_deref().map(Destination::check).transpose()).map_err(Exit::usage)?;
    // Before anything is asked or sent, so that Ctrl-C is heard from the start.
    let (sender, messages) = mpsc::channel();
    let told = sender.clone();
    limits::raise_open_files();
    signals::watch(move |number| {
        let _ = told.send(Message::Signal(number));
    })
    .map_err(|error| Exit::error(format!("could not listen for signals: {error}")))?;

    let work = if args.url.is_empty() && args.urls.is_none() {
        embedded(&args)?
    } else {
        own(&args)?
    };
    let tell = !args.json && !args.quiet;
    if tell {
        note(&page::heading(&args, &work, table::width()));
    }
    let mut runner = Runner::new(sender, messages);
    let (mut runs, signal) = run_all(&args, &work, &mut runner)?;
    let differing = match work.latencies {
        // The planned answers are known, and were checked one by one.
        Some(_) => Vec::new(),
        None => answers::hold_together(&mut runs, &work.urls, args.any_size),
    };
    let rows = summary::of(runs, work.calls.len());
    let cores = available_parallelism().map_or(1, usize::from);
    let sentence = conclusion::of(
        &rows,
        work.calls.len(),
        args.runtime,
        cores,
        signal.is_some(),
    );

    let text = if args.json {
        json(&args, &work, &rows, &differing, &sentence, signal.is_some())
    } else {
        page::of(
            &args,
            &work,
            &rows,
            &differing,
            &sentence,
            tell && page::both_terminals(),
        )
    };
    // First, since a signal leaves little time, and standard output may be a pipe that nobody reads.
    let written = destination.map_or(Ok::<(), String>(()), |destination| {
        let contents = Contents {
            heading: &page::told(&args, &work),
            rows: &rows,
            calls: work.calls.len(),
            urls: &work.urls,
            remarks: &page::remarks(&args, &rows, &differing),
            sentence: &sentence,
            interrupted: signal.is_some(),
        };
        destination.write(&html::page(&contents))?;
        if tell {
            note(&format!("the page is in {destination}"));
        }
        Ok(())
    });
    print(&text)?;
    match (signal, written.map_err(Exit::error)) {
        (Some(number), written) => {
            if let Err(failed) = written {
                failed.report();
            }
            Err(Exit::Signal(number))
        }
        (None, Err(failed)) => Err(failed),
        (None, Ok(())) if rows.iter().all(Summary::is_sound) => Ok(()),
        (None, Ok(())) => Err(Exit::Failed),
    }
}

/// Starts the embedded server, with its planned endpoints as the calls.
fn embedded(args: &Compare) -> Result<Work, Exit> {
    let calls = args.calls.unwrap_or(20);
    let total_ms = match args.total {
        Some(total) => u64::try_from(total.as_millis()).unwrap_or(u64::MAX),
        None => u64::from(calls) * 900,
    };
    let latencies = plan::latencies(calls, total_ms, args.seed)
        .map_err(|error| Exit::usage(error.to_string()))?;
    let limit = args.limit.unwrap_or(calls.min(512));
    let load = Load {
        calls,
        limit,
        origins: 1,
        proxies: 1,
    };
    limits::enough_files(args, load)?;

    let failed = |error| Exit::error(format!("could not start the embedded server: {error}"));
    let site = Site::Planned {
        latencies: latencies.clone(),
        speed: args.speed,
    };
    // Each strategy has at most as many connections as calls; those of the one before may linger.
    let address = Server::start_in_background(site, 2 * calls as usize + 16).map_err(failed)?;

    let urls: Vec<String> = (0..latencies.len())
        .map(|index| format!("http://{address}{}", planned_path(index)))
        .collect();
    let calls = urls
        .iter()
        .zip(&latencies)
        .enumerate()
        .map(|(index, (url, &latency))| Call {
            url: url.clone(),
            authorization: None,
            // Nobody's proxy has any business between this server and its client.
            proxy: None,
            expected: Some(planned_body(index, latency)),
        });
    Ok(Work {
        calls: calls.collect(),
        limit,
        latencies: Some(latencies),
        urls,
    })
}

/// Reads the reader's own endpoints, and asks before it goes on.
fn own(args: &Compare) -> Result<Work, Exit> {
    let targets = targets::read(&args.url, args.urls.as_deref()).map_err(Exit::usage)?;
    let proxies = if args.no_proxy {
        Proxies::default()
    } else {
        Proxies::from_env()
    };
    let ways = targets.iter().map(|target| proxies.of(target));
    let ways: Vec<Option<Through>> = ways.collect::<Result<_, _>>().map_err(Exit::usage)?;
    let at_least = u32::try_from(targets.len()).expect("few URLs are taken");
    let count = args.calls.unwrap_or(OWN_CALLS.max(at_least));
    let limit = args.limit.unwrap_or(OWN_LIMIT);

    let cycle: Vec<&Target> = targets.iter().cycle().take(count as usize).collect();
    let origins = cycle.iter().map(|target| target.url().origin());
    let proxies = ways.iter().take(cycle.len());
    let load = Load {
        calls: count,
        limit,
        origins: different(origins),
        proxies: different(proxies.map(|way| way.as_ref().map(|proxy| &proxy.url))),
    };
    limits::enough_files(args, load)?;
    consent::ask(args, &targets, &cycle, limit, &ways)?;
    let calls = cycle.iter().zip(ways.iter().cycle());
    let calls = calls.map(|(target, way)| Call {
        url: target.url().to_string(),
        authorization: target.authorization().map(str::to_owned),
        proxy: way.as_ref().map(|proxy| proxy.url.clone()),
        expected: None,
    });
    let calls = calls.collect();
    Ok(Work {
        calls,
        urls: targets.iter().map(Target::to_string).collect(),
        limit,
        latencies: None,
    })
}

fn different<T: Eq + Hash>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.collect::<HashSet<_>>().len()).expect("few URLs are taken")
}

/// Runs all strategies in all rounds, until a signal comes or a process cannot be started.
///
/// # Errors
///
/// The very first one cannot be started.
fn run_all(
    args: &Compare,
    work: &Work,
    runner: &mut Runner,
) -> Result<(Vec<Run>, Option<u8>), Exit> {
    let mut runs = Vec::new();
    for round in 1..=args.repeat {
        for &strategy in &args.strategies {
            if let Some(signal) = runner.interrupted() {
                return Ok((runs, Some(signal)));
            }
            let order = order(args, work, strategy);
            let rounds = (args.repeat > 1).then_some((round, args.repeat));
            let quiet = args.quiet || args.json;
            let mut progress = Progress::start(strategy.name(), rounds, work.calls.len(), quiet);
            let run = match runner.run(&order, &mut progress) {
                Ok(run) => run,
                Err(error) if runs.is_empty() => {
                    return Err(Exit::error(format!(
                        "could not start a process for {strategy}: {error}"
                    )));
                }
                Err(error) => {
                    // There is something to tell already, and no process to go on with.
                    let run = Run {
                        strategy,
                        calls: Vec::new(),
                        outcome: Outcome::Died(format!("no process could be started: {error}")),
                    };
                    progress.finish(&run);
                    runs.push(run);
                    return Ok((runs, None));
                }
            };
            progress.finish(&run);
            let signal = match run.outcome {
                Outcome::Interrupted { signal, .. } => Some(signal),
                _ => None,
            };
            runs.push(run);
            if signal.is_some() {
                return Ok((runs, signal));
            }
        }
    }
    Ok((runs, None))
}

fn order(args: &Compare, work: &Work, strategy: Strategy) -> Order {
    Order {
        strategy,
        runtime: args.runtime,
        limit: work.limit,
        timeout_ms: u64::try_from(args.timeout.as_millis()).expect("at most ten minutes"),
        calls: work.calls.clone(),
    }
}

fn json(
    args: &Compare,
    work: &Work,
    rows: &[Summary],
    differing: &[String],
    sentence: &str,
    interrupted: bool,
) -> String {
    let planned = work.latencies.as_ref();
    let report = Report {
        schema: SCHEMA,
        longshore: env!("CARGO_PKG_VERSION"),
        interrupted,
        target: if planned.is_some() {
            "embedded"
        } else {
            "urls"
        },
        runtime: args.runtime,
        calls: work.calls.len(),
        limit: work.limit,
        timeout_s: args.timeout.as_secs_f64(),
        repeat: args.repeat,
        seed: planned.map(|_| args.seed),
        speed: planned.map(|_| args.speed),
        total_s: planned
            .map(|latencies| Duration::from_millis(latencies.iter().sum()).as_secs_f64()),
        plan: (0..work.calls.len())
            .map(|index| Planned {
                url: &work.urls[index % work.urls.len()],
                latency_ms: planned.and_then(|latencies| latencies.get(index)).copied(),
            })
            .collect(),
        machine: Machine::this(),
        strategies: rows.iter().map(|row| Row::of(row, &work.urls)).collect(),
        differing_answers: differing,
        conclusion: sentence,
    };
    serde_json::to_string(&report).expect("the report has no keys but strings") + "\n"
}
