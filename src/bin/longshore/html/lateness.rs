//! How late the heartbeat ran, over the time of its strategy.

use std::fmt::Write as _;

use super::axis::{Axis, Percent};
use super::markup::{Attributes, Markup};
use crate::table::millis;
use crate::wire::Beats;

/// The height of the drawing, in pixels.
const HEIGHT: u32 = 72;
/// The units of the curve: it is stretched over the drawing.
const WIDE: f64 = 1_000.0;
const HIGH: f64 = 100.0;

/// The scale of lateness. It is the same for all strategies, so that they can be compared, and
/// logarithmic, or nothing would be seen of milliseconds beside seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    decades: i32,
}

impl Scale {
    /// From 1 ms, which is as punctual as Tokio's timers are, to a power of ten that `worst_ms` is
    /// not over.
    pub(super) fn up_to(worst_ms: f64) -> Self {
        let decades = worst_ms.max(1.0).log10().ceil() as i32;
        Self {
            decades: decades.max(2),
        }
    }

    /// From 0 at the bottom to 1 at the top.
    fn share(self, ms: f64) -> f64 {
        (ms.max(1.0).log10() / f64::from(self.decades)).min(1.0)
    }

    /// Every other power of ten from the top down.
    fn lines(self) -> impl Iterator<Item = (Percent, String)> {
        (0..=self.decades).rev().step_by(2).map(move |decade| {
            let ms = 10f64.powi(decade);
            let label = if ms >= 1_000.0 {
                format!("{} s", ms / 1_000.0)
            } else {
                format!("{ms} ms")
            };
            (Percent((1.0 - self.share(ms)) * 100.0), label)
        })
    }
}

/// Draws the scale, which stands beside the curve.
pub(super) fn draw_scale(markup: &mut Markup, scale: Scale) {
    let attributes: Attributes<'_> = &[
        ("class", &"scale"),
        ("height", &HEIGHT),
        ("aria-hidden", &true),
    ];
    markup.element("svg", attributes, |svg| {
        for (y, label) in scale.lines() {
            // Those at the edges would be cut in half.
            let shift = match y.0 {
                y if y < 10.0 => "0.8em",
                y if y > 90.0 => "0",
                _ => "0.35em",
            };
            svg.leaf(
                "text",
                &[
                    ("x", &"100%"),
                    ("y", &y),
                    ("dy", &shift),
                    ("text-anchor", &"end"),
                ],
                label,
            );
        }
    });
}

/// Draws the curve, named `id`.
pub(super) fn draw(markup: &mut Markup, beats: &Beats, axis: Axis, scale: Scale, id: &str) {
    let worst = beats.late_ms.iter().copied().fold(0.0, f64::max);
    let (title, about) = (format!("{id}-beats"), format!("{id}-beats-about"));
    let attributes: Attributes<'_> = &[
        ("class", &"beats"),
        ("height", &HEIGHT),
        ("role", &"img"),
        ("aria-labelledby", &title),
        ("aria-describedby", &about),
    ];
    markup.element("svg", attributes, |svg| {
        let text = format!("Heartbeat over time, at most {} late", millis(worst));
        svg.leaf("title", &[("id", &title)], text);
        let every = beats.every_ms;
        let text = format!("A figure for every {every} ms, on a logarithmic scale.");
        svg.leaf("desc", &[("id", &about)], text);
        axis.draw_lines(svg);
        for (y, _) in scale.lines() {
            let ends: [(&'static str, &dyn std::fmt::Display); 5] = [
                ("class", &"grid"),
                ("x1", &0),
                ("x2", &"100%"),
                ("y1", &y),
                ("y2", &y),
            ];
            svg.leaf("line", &ends, "");
        }
        let view = format!("0 0 {WIDE} {HIGH}");
        let stretched: Attributes<'_> = &[
            ("viewBox", &view),
            ("preserveAspectRatio", &"none"),
            ("width", &"100%"),
            ("height", &"100%"),
        ];
        svg.element("svg", stretched, |svg| {
            let curve = curve(beats, axis, scale);
            let attributes: Attributes<'_> = &[
                ("class", &"late"),
                ("d", &curve),
                ("data-beats", &beats.late_ms.len()),
                ("data-worst-ms", &worst),
            ];
            svg.leaf("path", attributes, "");
        });
    });
}

/// A step for each figure, down to the bottom at both ends.
fn curve(beats: &Beats, axis: Axis, scale: Scale) -> String {
    let mut path = format!("M0 {HIGH}");
    for (late, end) in beats.late_ms.iter().zip(1u32..) {
        let y = (1.0 - scale.share(*late)) * HIGH;
        let x = axis.share(beats.every_ms * f64::from(end) / 1_000.0) * WIDE;
        let _ = write!(path, "V{y:.1}H{x:.1}");
    }
    let _ = write!(path, "V{HIGH}Z");
    path
}

#[cfg(test)]
mod tests {
    use super::{Scale, curve};
    use crate::html::axis::Axis;
    use crate::wire::Beats;

    #[test]
    fn the_scale_is_logarithmic_and_its_top_a_power_of_ten() {
        let scale = Scale::up_to(18_030.0);
        assert_eq!(scale.share(1.0), 0.0);
        assert_eq!(scale.share(0.0), 0.0);
        assert_eq!(scale.share(100.0), 0.4);
        assert_eq!(scale.share(100_000.0), 1.0);
        let labels: Vec<_> = scale.lines().map(|(_, label)| label).collect();
        assert_eq!(labels, ["100 s", "1 s", "10 ms"]);
        assert_eq!(Scale::up_to(0.2).share(100.0), 1.0);
    }

    #[test]
    fn each_figure_is_a_step_as_wide_as_its_time() {
        let beats = Beats {
            every_ms: 10.0,
            late_ms: vec![100.0, 1.0],
        };
        let path = curve(&beats, Axis::up_to(0.04), Scale::up_to(100.0));
        assert_eq!(path, "M0 100V0.0H250.0V100.0H500.0V100Z");
    }
}
