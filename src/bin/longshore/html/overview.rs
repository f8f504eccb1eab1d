//! All strategies on one clock.

use super::axis::Axis;
use super::markup::{Attributes, Markup};
use super::round::Round;
use super::waterfall::Waterfall;
use crate::table::{seconds, time};

/// The height of a strategy, in pixels.
const HEIGHT: u32 = 44;

/// Draws each of `rounds` as a row, all from the same beginning.
pub(super) fn draw(markup: &mut Markup, rounds: &[Round<'_>], planned: usize) {
    let end_s = rounds.iter().map(|round| round.end_s()).fold(0.0, f64::max);
    let axis = Axis::up_to(end_s);
    markup.element("figure", &[("class", &"card overview")], |figure| {
        figure.element("div", &[("class", &"plot")], |plot| {
            for round in rounds {
                draw_row(plot, round, planned, axis);
            }
            plot.leaf("span", &[], "");
            axis.draw_labels(plot);
        });
        figure.leaf(
            "figcaption",
            &[],
            "Every call of every strategy on the same clock, a line for each call.",
        );
    });
}

fn draw_row(plot: &mut Markup, round: &Round<'_>, planned: usize, axis: Axis) {
    let name = round.summary.strategy.name();
    plot.element("p", &[("class", &"who")], |label| {
        label.leaf("a", &[("href", &format_args!("#{name}"))], name);
        label.leaf("span", &[], time(round.summary));
    });
    let title = format!("{name}-at-once");
    let attributes: Attributes<'_> = &[
        ("class", &"strip"),
        ("height", &HEIGHT),
        ("role", &"img"),
        ("aria-labelledby", &title),
    ];
    plot.element("svg", attributes, |svg| {
        let text = format!(
            "{name}: {} calls within {}",
            round.run.calls.len(),
            seconds(round.end_s())
        );
        svg.leaf("title", &[("id", &title)], text);
        axis.draw_lines(svg);
        Waterfall::new(&round.run.calls, planned, axis).draw_strokes(svg);
    });
}
