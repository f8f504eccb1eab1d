//! One strategy: its calls, the heartbeat below them, and what the table says of it.

use super::axis::Axis;
use super::calls;
use super::document::Contents;
use super::lateness::{self, Scale};
use super::markup::{Attributes, Markup};
use super::round::Round;
use super::waterfall::Waterfall;
use crate::runner::Outcome;
use crate::strategy::Strategy;
use crate::table::{millis, name, time};
use crate::value::{plural, shown};

/// Draws `round` as a section of the page.
pub(super) fn draw(grid: &mut Markup, round: &Round<'_>, contents: &Contents<'_>, scale: Scale) {
    let (row, run) = (round.summary, round.run);
    let id = row.strategy.name();
    let axis = Axis::up_to(round.end_s());
    let attributes: Attributes<'_> = &[
        ("class", &"card"),
        ("id", &id),
        ("data-strategy", &id),
        ("data-end-s", &round.end_s()),
    ];
    grid.element("section", attributes, |section| {
        section.leaf("h3", &[], name(row));
        section.leaf("p", &[("class", &"about")], about(row.strategy));
        section.leaf("p", &[("class", &"facts")], facts(round));
        let waterfall = Waterfall::new(&run.calls, contents.calls, axis);
        section.element("figure", &[], |figure| {
            figure.element("div", &[("class", &"plot")], |plot| {
                if waterfall.is_labelled() {
                    waterfall.draw_labels(plot);
                } else {
                    plot.leaf(
                        "p",
                        &[("class", &"who")],
                        format_args!("{} calls", contents.calls),
                    );
                }
                waterfall.draw(plot, id);
                match run.beats() {
                    Some(beats) => {
                        lateness::draw_scale(plot, scale);
                        lateness::draw(plot, beats, axis, scale, id);
                    }
                    None => {
                        plot.leaf("span", &[], "");
                        plot.leaf("p", &[("class", &"none")], without_beats(&run.outcome));
                    }
                }
                plot.leaf("span", &[], "");
                axis.draw_labels(plot);
            });
        });
        calls::draw(section, &run.calls, contents.urls);
    });
}

/// The row of the table in a sentence, and which round is drawn.
fn facts(round: &Round<'_>) -> String {
    let row = round.summary;
    let mut facts = vec![match row.wall {
        Some(_) => time(row),
        None => format!("{} of its calls ended", round.run.calls.len()),
    }];
    if let (Some(factor), true) = (row.speedup, row.strategy != Strategy::Serial) {
        facts.push(format!("{factor:.2} \u{d7} serial"));
    }
    if let Some(threads) = row.peak_threads {
        facts.push(plural(threads, "thread"));
    }
    if let Some(late) = row.heartbeat_late_max_ms {
        facts.push(format!("heartbeat up to {} late", millis(late)));
    }
    if row.failed > 0 {
        facts.push(format!("{} failed", row.failed));
    }
    if let Some(reason) = &row.died {
        facts.push(format!("could not run: {}", shown(reason)));
    }
    if row.runs.len() > 1 {
        facts.push(format!(
            "drawn: round {} of {}",
            round.number,
            row.runs.len()
        ));
    }
    facts.join(" \u{b7} ")
}

fn about(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Serial => "Plain ureq in a loop: the blocking code one starts with.",
        Strategy::Naive => {
            "Async functions that call ureq directly, joined: looks concurrent, is not."
        }
        Strategy::Offloaded => "ureq through Longshore: a lane, and its async client.",
        Strategy::SpawnBlocking => "Plain ureq on Tokio\u{2019}s blocking threads, without a lane.",
        Strategy::Rayon => {
            "A lane on a rayon pool of one thread a core: the wrong place for waiting."
        }
        Strategy::Native => "reqwest, a native async client: no call has a thread to itself.",
    }
}

fn without_beats(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Finished(_) => "Over before the first beat of the heartbeat was due.",
        Outcome::Interrupted { .. } | Outcome::Died(_) => {
            "It did not come to its end, so nothing is known of the heartbeat."
        }
    }
}
