//! A row for each call: when it waited, when it was made, on which thread.

use std::fmt::Write as _;

use super::axis::{Axis, Percent};
use super::markup::{Attributes, Markup};
use crate::table::seconds;
use crate::wire::Ended;

/// Up to so many calls each row has its label.
const LABELLED: usize = 60;
/// Up to so many calls each has its own bars; more of them are drawn in one stroke.
pub(super) const SINGLE: usize = 400;
/// The height of a row with a label, in pixels.
const ROW: f64 = 18.0;
/// The height of a drawing of more rows than can have one.
const DENSE: f64 = 480.0;
/// The units of a path: it is stretched over the drawing.
const WIDE: f64 = 10_000.0;
/// What took a moment only is still to be seen.
const LEAST: f64 = 20.0;

/// The calls of one round, by their number in the plan; `None` did not end.
#[derive(Debug)]
pub(super) struct Waterfall<'a> {
    calls: Vec<Option<&'a Ended>>,
    axis: Axis,
}

impl<'a> Waterfall<'a> {
    pub(super) fn new(ended: &'a [Ended], planned: usize, axis: Axis) -> Self {
        let mut calls = vec![None; planned];
        for call in ended {
            if let Some(place) = calls.get_mut(call.index) {
                *place = Some(call);
            }
        }
        Self { calls, axis }
    }

    pub(super) fn is_labelled(&self) -> bool {
        self.calls.len() <= LABELLED
    }

    fn row(&self) -> f64 {
        match self.calls.len() {
            0..=LABELLED => ROW,
            many => (DENSE / many as f64).clamp(0.0, 6.0),
        }
    }

    /// The labels of the rows: which call, which thread made it, how long that took.
    pub(super) fn draw_labels(&self, markup: &mut Markup) {
        markup.element("ol", &[("class", &"rows")], |list| {
            for (call, number) in self.calls.iter().zip(1..) {
                list.element("li", &[("data-call", &number)], |item| {
                    item.leaf("b", &[], number);
                    item.leaf("span", &[], thread(*call));
                    match call.map(|call| (call, &call.answer)) {
                        None => {}
                        Some((call, Ok(_))) => {
                            item.leaf("i", &[], seconds(call.end_s - began(call)));
                        }
                        Some((_, Err(failure))) => {
                            item.leaf("strong", &[], format_args!("\u{2717} {}", failure.kind));
                        }
                    }
                });
            }
        });
    }

    /// The bars, under the name `id`.
    pub(super) fn draw(&self, markup: &mut Markup, id: &str) {
        let height = self.row() * self.calls.len() as f64;
        let (title, about) = (format!("{id}-calls"), format!("{id}-calls-about"));
        let high = format!("{height:.0}");
        let attributes: Attributes<'_> = &[
            ("class", &"calls"),
            ("height", &high),
            ("role", &"img"),
            ("aria-labelledby", &title),
            ("aria-describedby", &about),
        ];
        markup.element("svg", attributes, |svg| {
            let count = self.calls.iter().flatten().count();
            let text = format!("When each of {count} calls waited and was made");
            svg.leaf("title", &[("id", &title)], text);
            svg.leaf(
                "desc",
                &[("id", &about)],
                "A row each, in the order of the plan.",
            );
            self.axis.draw_lines(svg);
            if self.calls.len() > SINGLE {
                self.draw_strokes(svg);
            } else {
                for (row, call) in self.calls.iter().enumerate() {
                    if let Some(call) = call {
                        self.draw_call(svg, call, row);
                    }
                }
            }
        });
    }

    fn draw_call(&self, svg: &mut Markup, call: &Ended, row: usize) {
        let class = if call.answer.is_ok() {
            "call"
        } else {
            "call failed"
        };
        svg.element(
            "g",
            &[("class", &class), ("data-call", &(call.index + 1))],
            |group| {
                group.leaf("title", &[], said(call));
                let top = self.row() * row as f64;
                let began = began(call);
                if began > call.queued_s {
                    let thick = (self.row() / 4.0).max(0.5);
                    let y = top + (self.row() - thick) / 2.0;
                    self.draw_bar(group, "wait", (call.queued_s, began), (y, thick));
                }
                let gap = self.row() / 6.0;
                let place = (top + gap, self.row() - 2.0 * gap);
                self.draw_bar(group, kind(call), (began, call.end_s), place);
            },
        );
    }

    fn draw_bar(&self, svg: &mut Markup, class: &str, time: (f64, f64), place: (f64, f64)) {
        let (start, end) = (self.axis.at(time.0), self.axis.at(time.1));
        let width = Percent((end.0 - start.0).max(LEAST / WIDE * 100.0));
        svg.leaf(
            "rect",
            &[
                ("class", &class),
                ("x", &start),
                ("width", &width),
                ("y", &format_args!("{:.2}", place.0)),
                ("height", &format_args!("{:.2}", place.1)),
                ("rx", &2.0f64.min(place.1 / 3.0)),
            ],
            "",
        );
    }

    /// All bars of a kind as one path each: with thousands of them, anything else is slow to open.
    pub(super) fn draw_strokes(&self, svg: &mut Markup) {
        // Gaps between rows that are thinner than a pixel would make patterns of their own.
        let dense = !self.is_labelled();
        let class = if dense { "strokes dense" } else { "strokes" };
        let view = format!("0 0 {WIDE} {}", self.calls.len().max(1));
        let attributes: Attributes<'_> = &[
            ("class", &class),
            ("viewBox", &view),
            ("preserveAspectRatio", &"none"),
            ("width", &"100%"),
            ("height", &"100%"),
        ];
        svg.element("svg", attributes, |svg| {
            for class in ["wait", "run", "async", "broken"] {
                let path = self.stroke(class, dense);
                if !path.is_empty() {
                    svg.leaf("path", &[("class", &class), ("d", &path)], "");
                }
            }
        });
    }

    /// The bars of `class`.
    fn stroke(&self, class: &str, dense: bool) -> String {
        // What waits and what fails is thinner, so that the colour is not all that tells them apart.
        let thick = match class {
            _ if dense => 1.0,
            "wait" => 0.3,
            "broken" => 0.5,
            _ => 0.8,
        };
        let mut path = String::new();
        for (row, call) in self.calls.iter().enumerate() {
            let Some(call) = call else { continue };
            let began = began(call);
            let (from, to) = match class {
                "wait" => (call.queued_s, began),
                _ if class == kind(call) => (began, call.end_s),
                _ => continue,
            };
            if class == "wait" && to <= from {
                continue;
            }
            let x = self.axis.share(from) * WIDE;
            let width = (self.axis.share(to) * WIDE - x).max(LEAST);
            let y = row as f64 + (1.0 - thick) / 2.0;
            let _ = write!(path, "M{x:.0} {y}h{width:.0}v{thick}h-{width:.0}z");
        }
        path
    }
}

/// When it was really under way: its thread had it, or, where it needs none, its request began.
pub(super) fn began(call: &Ended) -> f64 {
    let thread = call.thread.as_ref().map(|thread| thread.since_s);
    thread.unwrap_or(call.start_s).max(call.queued_s)
}

/// The class of its bar.
fn kind(call: &Ended) -> &'static str {
    match (&call.answer, &call.thread) {
        (Err(_), _) => "broken",
        (Ok(_), Some(_)) => "run",
        (Ok(_), None) => "async",
    }
}

/// The thread that made it, in a word or two.
pub(super) fn thread(call: Option<&Ended>) -> &str {
    match call {
        None => "did not end",
        Some(call) => call
            .thread
            .as_ref()
            .map_or("no thread", |thread| thread.name.as_str()),
    }
}

/// All that is known of a call, in a line.
fn said(call: &Ended) -> String {
    let began = began(call);
    format!(
        "call {}, {}: waited {}, then took {}{}",
        call.index + 1,
        thread(Some(call)),
        seconds(began - call.queued_s),
        seconds(call.end_s - began),
        match &call.answer {
            Ok(_) => String::new(),
            Err(failure) => format!(", and failed: {}", failure.kind),
        }
    )
}
