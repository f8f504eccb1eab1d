//! The axis of time: where an instant stands, and where a label.

use std::fmt;

use super::markup::{Attributes, Markup};

/// From the beginning of a strategy to some seconds later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    end_s: f64,
}

/// A place along the axis, as SVG and CSS write it: such a drawing is as wide as there is room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}%", self.0)
    }
}

impl Axis {
    /// An axis up to `end_s`, which it always can show something of.
    pub(super) fn up_to(end_s: f64) -> Self {
        let end_s = if end_s.is_finite() { end_s } else { 0.0 };
        Self {
            end_s: end_s.max(1e-4),
        }
    }

    pub(super) fn at(self, seconds: f64) -> Percent {
        Percent((seconds / self.end_s * 100.0).clamp(0.0, 100.0))
    }

    /// From 0 to 1 along it.
    pub(super) fn share(self, seconds: f64) -> f64 {
        (seconds / self.end_s).clamp(0.0, 1.0)
    }

    /// Where a line is drawn, and what stands at it: a handful, also on a phone.
    pub(super) fn ticks(self) -> Vec<(f64, String)> {
        let rough = self.end_s / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        (0..)
            .map(|number| f64::from(number) * step)
            .take_while(|at| *at <= self.end_s)
            .map(|at| (at, self.label(at, step)))
            .collect()
    }

    fn label(self, at: f64, step: f64) -> String {
        if at == 0.0 {
            return "0".to_owned();
        }
        let (number, step, unit) = if self.end_s < 1.0 {
            (at * 1e3, step * 1e3, "ms")
        } else {
            (at, step, "s")
        };
        let decimals = usize::from(step < 0.999) + usize::from(step < 0.0999);
        format!("{number:.decimals$} {unit}")
    }

    /// The lines of the ticks, over all of a drawing.
    pub(super) fn draw_lines(self, svg: &mut Markup) {
        for (at, _) in self.ticks() {
            let x = self.at(at);
            svg.leaf(
                "line",
                &[
                    ("class", &"grid"),
                    ("x1", &x),
                    ("x2", &x),
                    ("y1", &0),
                    ("y2", &"100%"),
                ],
                "",
            );
        }
    }

    /// The labels of the ticks, as a drawing of its own.
    pub(super) fn draw_labels(self, markup: &mut Markup) {
        let attributes: Attributes<'_> =
            &[("class", &"axis"), ("height", &20), ("aria-hidden", &true)];
        markup.element("svg", attributes, |svg| {
            for (at, label) in self.ticks() {
                let anchor = match self.share(at) {
                    0.0 => "start",
                    share if share > 0.93 => "end",
                    _ => "middle",
                };
                svg.leaf(
                    "text",
                    &[("x", &self.at(at)), ("y", &14), ("text-anchor", &anchor)],
                    label,
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, Percent};

    #[test]
    fn an_instant_stands_where_its_share_of_the_time_is() {
        let axis = Axis::up_to(8.0);
        assert_eq!(axis.at(2.0), Percent(25.0));
        assert_eq!(axis.at(9.0).to_string(), "100.000%");
    }

    #[test]
    fn any_length_of_time_has_a_handful_of_labels() {
        let labels = |end_s| {
            let ticks = Axis::up_to(end_s).ticks();
            ticks.into_iter().map(|(_, label)| label)
        };
        assert!(labels(18.03).eq(["0", "5 s", "10 s", "15 s"]));
        assert!(labels(0.999).eq(["0", "200 ms", "400 ms", "600 ms", "800 ms"]));
        assert!(labels(2.0).eq(["0", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]));
        for end_s in [0.0, f64::NAN, 1e-9, 0.004, 0.07, 3.3, 59.0, 12_345.0] {
            let count = labels(end_s).count();
            assert!((2..=6).contains(&count), "{end_s}: {count}");
        }
    }
}
