//! What is seen while it runs: a live line on a terminal that can draw one, a line at the start and
//! the end of each strategy elsewhere, nothing if the reader wants quiet.

use std::io;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::note;
use crate::runner::{Outcome, Run};
use crate::table::columns_of;
use crate::value::plural;

/// The progress of one strategy.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    calls: usize,
    began: Instant,
    begun: usize,
    ended: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Live(ProgressBar),
    Lines,
    None,
}

impl Progress {
    /// Begins to show a strategy. `round` is told if there are several.
    pub(crate) fn start(name: &str, round: Option<(u32, u32)>, calls: usize, quiet: bool) -> Self {
        let name = match round {
            Some((round, rounds)) => format!("{name} ({round} of {rounds})"),
            None => name.to_owned(),
        };
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let kind = if quiet {
            Kind::None
        } else if target.is_hidden() {
            // No terminal, or one that cannot clear a line (`TERM=dumb`).
            note(&format!("{name}: {} ...", plural(calls as u64, "call")));
            Kind::Lines
        } else {
            Kind::Live(bar(target, &name, calls))
        };
        let progress = Self {
            name,
            calls,
            began: Instant::now(),
            begun: 0,
            ended: 0,
            kind,
        };
        progress.draw();
        progress
    }

    /// A call has begun.
    pub(crate) fn begun(&mut self) {
        self.begun += 1;
    }

    /// A call has ended.
    pub(crate) fn ended(&mut self) {
        self.ended += 1;
    }

    /// Draws the live line.
    pub(crate) fn draw(&self) {
        if let Kind::Live(bar) = &self.kind {
            bar.set_message(format!(
                "{}/{} done, {} in flight, {:.1} s",
                self.ended,
                self.calls,
                // A call that never began has ended all the same: its job was refused.
                self.begun.saturating_sub(self.ended),
                self.began.elapsed().as_secs_f64()
            ));
            bar.set_position(self.ended as u64);
            bar.tick();
        }
    }

    /// Leaves a line that says how it ended.
    pub(crate) fn finish(self, run: &Run) {
        let failed = run.calls.iter().filter(|call| call.answer.is_err()).count();
        let ok = run.calls.len() - failed;
        let text = match &run.outcome {
            Outcome::Finished(totals) if failed == 0 => {
                format!("{ok} ok in {:.3} s", totals.wall_s)
            }
            Outcome::Finished(totals) => {
                format!("{ok} ok, {failed} failed in {:.3} s", totals.wall_s)
            }
            Outcome::Interrupted { after_s, .. } => {
                format!("interrupted after {after_s:.1} s, {ok} ok, {failed} failed")
            }
            Outcome::Died(reason) => format!("failed: {reason}"),
        };
        match self.kind {
            // A finished bar would leave the cursor at the end of its line, for the shell's prompt.
            Kind::Live(bar) => {
                bar.finish_and_clear();
                note(&format!("{:<10} {text}", self.name));
            }
            Kind::Lines => note(&format!("{}: {text}", self.name)),
            Kind::None => {}
        }
    }
}

fn bar(target: ProgressDrawTarget, name: &str, calls: usize) -> ProgressBar {
    // Room for the longest message, and for all that stands around it. Where there is less, the
    // message is worth more than a picture of it, and is cut rather than wrapped.
    const BESIDE_NAME: usize = 70;
    let narrow =
        columns_of(io::stderr()).is_some_and(|columns| columns < name.len().max(10) + BESIDE_NAME);
    let template = match narrow {
        true => "{prefix} {wide_msg}",
        false => "{prefix:<10} [{bar:20}] {msg}",
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is well-formed")
        .progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(Some(calls as u64), target);
    bar.set_style(style);
    bar.set_prefix(name.to_owned());
    bar
}
