//! The page from its head to its foot.

use super::lateness::Scale;
use super::markup::Markup;
use super::round::Round;
use super::{overview, results, strategy};
use crate::report::Machine;
use crate::summary::Summary;
use crate::value::plural;

/// Nothing is loaded, nothing runs, whatever should ever get into the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// What the page is about.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    /// What was called and how, a line each.
    pub(crate) heading: &'a [String],
    pub(crate) rows: &'a [Summary],
    /// How many calls each strategy was to make.
    pub(crate) calls: usize,
    pub(crate) urls: &'a [String],
    /// What the table does not say, a line each.
    pub(crate) remarks: &'a [String],
    pub(crate) sentence: &'a str,
    pub(crate) interrupted: bool,
}

/// The whole page.
pub(crate) fn page(contents: &Contents<'_>) -> String {
    let mut document = Markup::document();
    document.element("html", &[("lang", &"en")], |html| {
        html.element("head", &[], |head| draw_head(head, contents));
        html.element("body", &[], |body| {
            body.element("main", &[], |main| draw_main(main, contents));
        });
    });
    document.into_text() + "\n"
}

fn title(contents: &Contents<'_>) -> String {
    let calls = plural(contents.calls as u64, "call");
    match contents.rows.len() {
        1 => format!("{calls}, made in one way"),
        ways => format!("{calls}, made in {ways} ways"),
    }
}

fn draw_head(head: &mut Markup, contents: &Contents<'_>) {
    head.void("meta", &[("charset", &"utf-8")]);
    head.void(
        "meta",
        &[
            ("http-equiv", &"Content-Security-Policy"),
            ("content", &POLICY),
        ],
    );
    head.void(
        "meta",
        &[
            ("name", &"viewport"),
            ("content", &"width=device-width, initial-scale=1"),
        ],
    );
    head.void(
        "meta",
        &[("name", &"color-scheme"), ("content", &"light dark")],
    );
    let partial = if contents.interrupted {
        " (partial)"
    } else {
        ""
    };
    head.leaf(
        "title",
        &[],
        format_args!("{}{partial} \u{2013} longshore compare", title(contents)),
    );
    head.style(include_str!("style.css"));
}

fn draw_main(main: &mut Markup, contents: &Contents<'_>) {
    main.element("header", &[], |header| {
        header.leaf("p", &[("class", &"kicker")], "longshore compare");
        header.leaf("h1", &[], title(contents));
        if contents.interrupted {
            header.element("p", &[("class", &"partial"), ("role", &"note")], |note| {
                note.leaf("strong", &[], "Partial.");
                note.text(" A signal ended the comparison: this is what was measured until then.");
            });
        }
        header.leaf("p", &[("class", &"lead")], contents.sentence);
        for line in contents.heading {
            header.leaf("p", &[("class", &"how")], line);
        }
    });

    let rounds: Vec<Round<'_>> = contents.rows.iter().filter_map(Round::typical).collect();
    if rounds.is_empty() {
        main.leaf("p", &[], "No strategy was run.");
    } else {
        main.leaf("h2", &[], "On one clock");
        draw_legend(main);
        overview::draw(main, &rounds, contents.calls);
        main.leaf("h2", &[], "In figures");
        results::draw(main, contents.rows);
    }
    if !contents.remarks.is_empty() {
        main.element("ul", &[("class", &"remarks")], |list| {
            for remark in contents.remarks {
                list.leaf("li", &[], remark);
            }
        });
    }
    if !rounds.is_empty() {
        main.leaf("h2", &[], "Call by call");
        main.leaf(
            "p",
            &[("class", &"how")],
            "Each strategy on a clock of its own. Above, a row for each call, with the thread that \
             made it and the time that took. Below, how late the heartbeat ran: an unrelated task of \
             the same runtime that is due every 10 ms, on a logarithmic scale that is the same for all.",
        );
        let worst = contents
            .rows
            .iter()
            .filter_map(|row| row.heartbeat_late_max_ms);
        let scale = Scale::up_to(worst.fold(0.0, f64::max));
        main.element("div", &[("class", &"strategies")], |grid| {
            for round in &rounds {
                strategy::draw(grid, round, contents, scale);
            }
        });
    }
    draw_footer(main);
}

/// What the marks mean. They differ in shape as well as in colour.
fn draw_legend(main: &mut Markup) {
    main.element("ul", &[("class", &"legend")], |list| {
        for (class, text) in [
            ("wait", "waits, handed over but not begun"),
            ("run", "runs, and has a thread to itself"),
            ("async", "runs, and needs no thread"),
            ("broken", "failed"),
            ("late", "the heartbeat is late"),
        ] {
            list.element("li", &[], |item| {
                item.element(
                    "svg",
                    &[("width", &26), ("height", &12), ("aria-hidden", &true)],
                    |svg| {
                        let (y, height) = if class == "wait" { (4, 4) } else { (1, 10) };
                        svg.leaf(
                            "rect",
                            &[
                                ("class", &class),
                                ("x", &1),
                                ("y", &y),
                                ("width", &24),
                                ("height", &height),
                                ("rx", &2),
                            ],
                            "",
                        );
                    },
                );
                item.text(text);
            });
        }
    });
}

fn draw_footer(main: &mut Markup) {
    let machine = Machine::this();
    main.element("footer", &[], |footer| {
        footer.leaf(
            "p",
            &[],
            format_args!(
                "Written by longshore {} on {machine}. The figures are those of --json; \
                 docs/compare-json.md says what each of them means.",
                env!("CARGO_PKG_VERSION")
            ),
        );
    });
}
