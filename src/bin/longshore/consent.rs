//! What is about to be sent to the reader's own endpoints, said before it is sent.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::args::Compare;
use crate::exit::{Exit, note};
use crate::proxy::Through;
use crate::strategy::Strategy;
use crate::target::Target;
use crate::value::plural;

/// Hosts shown one by one; a longer list is cut.
const SHOWN: usize = 12;

/// Says what will be sent, and asks if it goes to other machines. `ways` are those to the targets, one by
/// one.
///
/// # Errors
///
/// More than `--max-requests`, or no consent.
pub(crate) fn ask(
    args: &Compare,
    targets: &[Target],
    calls: &[&Target],
    limit: u32,
    ways: &[Option<Through>],
) -> Result<(), Exit> {
    let strategies = args.strategies.len() as u64;
    let rounds = strategies * u64::from(args.repeat);
    let requests = calls.len() as u64 * rounds;
    let remote = calls.iter().filter(|target| !target.is_local()).count() as u64 * rounds;

    if remote > args.max_requests {
        return Err(Exit::usage(format!(
            "{remote} requests to other machines ({} x {} x {}) are over --max-requests {}: lower \
             --calls, --strategies or --repeat, or raise it",
            plural(remote / rounds, "call"),
            in_ways(strategies),
            plural(args.repeat, "round"),
            args.max_requests
        )));
    }

    if !args.quiet || remote > 0 {
        let mut text = format!(
            "this sends {} ({} x {} x {}), at most {} at once:\n",
            plural(requests, "GET request"),
            plural(calls.len() as u64, "call"),
            in_ways(strategies),
            plural(args.repeat, "round"),
            Strategy::most_at_once(args, limit, calls.len()),
        );
        let mut per_target = BTreeMap::<usize, u64>::new();
        for index in 0..calls.len() {
            *per_target.entry(index % targets.len()).or_default() += rounds;
        }
        for (&index, count) in per_target.iter().take(SHOWN) {
            let target = &targets[index];
            text.push_str(&format!("  {count:>5}  {target}"));
            if let Some(proxy) = &ways[index] {
                text.push_str(&format!("  through the proxy {}", proxy.shown));
            }
            text.push('\n');
        }
        if per_target.len() > SHOWN {
            text.push_str(&format!("  and {} more URLs\n", per_target.len() - SHOWN));
        }
        note(text.trim_end());
    }

    if remote == 0 || args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Exit::usage(
            "these targets are not on this machine: nothing was sent; add --yes to send it",
        ));
    }
    let _ = write!(
        io::stderr(),
        "not all of this stays on this machine; send it? [y/N] "
    );
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if !answer.ends_with('\n') {
        // The end of the input leaves the cursor behind the question.
        note("");
    }
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Exit::usage("nothing was sent"))
    }
}
fn in_ways(strategies: u64) -> String {
    match strategies {
        1 => "1 strategy".to_owned(),
        many => format!("{many} strategies"),
    }
}
