//! The result as a page that needs nothing else: no network, no script, no font.
//!
//! It is HTML with drawings in SVG. What has a place in time is placed in percent, so that the
//! browser makes the drawings as wide as there is room and leaves their texts as large as they are;
//! light, dark and paper are matters of `style.css`.

mod axis;
mod calls;
mod file;
mod lateness;
mod markup;
mod overview;
mod results;
mod round;
mod waterfall;

use self::axis::Axis;
pub(crate) use self::file::Destination;
use self::lateness::Scale;
use self::markup::Markup;
use self::round::Round;
use self::waterfall::Waterfall;
use crate::report::Machine;
use crate::runner::Outcome;
use crate::strategy::Strategy;
use crate::summary::Summary;
use crate::table::{millis, time};
use crate::value::shown;

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
    let calls = crate::value::plural(contents.calls as u64, "call");
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
                draw_strategy(grid, round, contents, scale);
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

fn draw_strategy(grid: &mut Markup, round: &Round<'_>, contents: &Contents<'_>, scale: Scale) {
    let (row, run) = (round.summary, round.run);
    let name = row.strategy.name();
    let axis = Axis::up_to(round.end_s());
    let attributes: markup::Attributes<'_> = &[
        ("class", &"card"),
        ("id", &name),
        ("data-strategy", &name),
        ("data-end-s", &round.end_s()),
    ];
    grid.element("section", attributes, |section| {
        section.leaf("h3", &[], crate::table::name(row));
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
                waterfall.draw(plot, name);
                match run.beats() {
                    Some(beats) => {
                        lateness::draw_scale(plot, scale);
                        lateness::draw(plot, beats, axis, scale, name);
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
    let mut facts = vec![time(row)];
    if let (Some(factor), true) = (row.speedup, row.strategy != Strategy::Serial) {
        facts.push(format!("{factor:.2} \u{d7} serial"));
    }
    if let Some(threads) = row.peak_threads {
        facts.push(crate::value::plural(threads, "thread"));
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
