//! What is seen, and asked, on a terminal: rows L4, L5 and L8.

use std::time::{Duration, Instant};

use crate::peer::Peer;
use crate::pty::{END_OF_INPUT, INTERRUPT, Terminal};
use crate::run::{Serving, command};

/// What the live line shows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Live {
    done: u32,
    in_flight: u32,
    seconds: f64,
}

/// Every state of the live line of this strategy, in the order in which they were drawn.
fn drawn(text: &str, strategy: &str) -> Vec<Live> {
    let number = |text: &str| text.trim().parse().ok();
    let one = |frame: &str| {
        let (_, state) = frame.split_once("] ")?;
        let (done, rest) = state.split_once("/3 done, ")?;
        let (in_flight, rest) = rest.split_once(" in flight, ")?;
        // The last one may not be whole yet.
        let (seconds, _) = rest.split_once(" s ")?;
        Some(Live {
            done: number(done)?,
            in_flight: number(in_flight)?,
            seconds: seconds.parse().ok()?,
        })
    };
    text.split('\r')
        .map(|frame| frame.trim_start_matches("\u{1b}[2K"))
        .filter(|frame| frame.starts_with(strategy))
        .filter_map(one)
        .collect()
}

#[test]
fn a_live_line_tells_what_is_done_and_in_flight_and_for_how_long() {
    let peer = Peer::start();
    let url = peer.url();
    let arguments = [
        "compare",
        "--calls=3",
        "--limit=3",
        "--timeout=1m",
        "--strategies=serial,offloaded",
        "--url",
        &url,
    ];
    let mut terminal = Terminal::start(command(&arguments));
    terminal.wait_for("0/3 done, 1 in flight");
    peer.answer(1);
    terminal.wait_for("1/3 done, 1 in flight");
    // While nothing happens, the time goes on.
    let held = |text: &str| {
        let seen = drawn(text, "serial");
        seen.into_iter().filter(|live| live.done == 1).collect()
    };
    loop {
        let seen: Vec<Live> = held(terminal.more());
        let (first, last) = (seen[0].seconds, seen[seen.len() - 1].seconds);
        if last >= first + 0.2 {
            break;
        }
    }
    peer.answer(2);
    terminal.wait_for("offloaded");
    terminal.wait_for("0/3 done, 3 in flight");
    peer.answer(3);

    let shown = terminal.end().expect_code(0);
    for (strategy, at_once) in [("serial", 1), ("offloaded", 3)] {
        let seen = drawn(&shown.raw, strategy);
        assert_eq!(seen.iter().map(|live| live.in_flight).max(), Some(at_once));
        for pair in seen.windows(2) {
            assert!(
                pair[0].done <= pair[1].done && pair[0].seconds <= pair[1].seconds,
                "{pair:?}"
            );
        }
    }
    // At the end a line of its own says how it went, and nothing is left of the live one.
    let lines = shown.lines();
    for start in ["serial     3 ok in ", "offloaded  3 ok in "] {
        let told = lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(told, 1, "{lines:#?}");
    }
    assert!(
        !lines.iter().any(|line| line.contains("in flight,")),
        "{lines:#?}"
    );
}

#[test]
fn a_quiet_run_shows_nothing_while_it_runs() {
    for quiet in ["--quiet", "--json"] {
        let arguments = ["compare", "--speed=200", "--strategies=serial", quiet];
        let shown = Terminal::start(command(&arguments)).end().expect_code(0);
        assert!(
            !shown.raw.contains('\u{1b}') && !shown.raw.contains("in flight,"),
            "{shown:#?}"
        );
    }
}

#[test]
fn a_terminal_that_can_do_nothing_gets_plain_lines() {
    for term in [Some("dumb"), None] {
        let on = |arguments: &[&str]| {
            let command = match term {
                Some(term) => {
                    let mut command = command(arguments);
                    command.env("TERM", term);
                    command
                }
                None => crate::run::shell("unset TERM; exec", arguments),
            };
            let shown = Terminal::start(command).end();
            assert!(!shown.raw.contains('\u{1b}'), "{term:?}: {shown:#?}");
            shown
        };
        on(&["compare", "--help"]).expect_code(0);
        on(&["sail"]).expect_code(2);
        on(&[]).expect_code(2);
        let lines = on(&["compare", "--speed=200", "--strategies=serial,native"])
            .expect_code(0)
            .lines();
        for strategy in ["serial", "native"] {
            for told in [": 20 calls ...", ": 20 ok in "] {
                let start = format!("{strategy}{told}");
                let told = lines.iter().filter(|line| line.starts_with(&start)).count();
                assert_eq!(told, 1, "{start} in {lines:#?}");
            }
        }
    }
}

#[test]
fn a_reader_who_wants_no_colour_gets_none() {
    let on = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("NO_COLOR", "1");
        Terminal::start(command).end()
    };
    let help = on(&["compare", "--help"]).expect_code(0);
    assert!(!help.raw.contains('\u{1b}'), "{help:#?}");
    // Of the control sequences there is the one that clears the live line, as `lines` checks.
    let arguments = ["compare", "--speed=200", "--strategies=serial"];
    let lines = on(&arguments).expect_code(0).lines();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("serial     20 ok in ")),
        "{lines:#?}"
    );
}

#[test]
fn the_result_fits_the_terminal_and_repeats_nothing() {
    let arguments = ["compare", "--speed=200", "--strategies=serial,native"];
    for columns in [40, 100] {
        let terminal = Terminal::with_columns(command(&arguments), columns);
        let shown = terminal.end().expect_code(0);
        assert!(shown.raw.contains("/20 done, "), "{shown:#?}");
        // The live line is one line as well: to draw a longer one the cursor would have to go up.
        let lines = shown.lines();
        assert!(
            lines.iter().all(|line| line.len() <= usize::from(columns)),
            "{columns}: {lines:#?}"
        );
        // It stands above the table, where the reader still sees it.
        let plans = lines
            .iter()
            .filter(|line| line.starts_with("plan, in ms: "));
        assert_eq!(plans.count(), 1, "{lines:#?}");
        let listed = lines.iter().any(|line| line == "  ok: 20/20");
        assert_eq!(listed, columns == 40, "{lines:#?}");
    }
}

const QUESTION: &str = "send it? [y/N] ";

/// A comparison of one call each that goes to another machine, as far as it knows.
fn foreign(url: &str) -> [&str; 5] {
    [
        "compare",
        "--calls=1",
        "--strategies=serial,native",
        "--url",
        url,
    ]
}

#[test]
fn what_goes_to_other_machines_is_sent_after_a_yes() {
    for yes in ["y\n", "Y\n", "yes\n", " YES \n"] {
        let peer = Peer::start();
        peer.answer(2);
        let mut terminal = Terminal::start(command(&foreign(&peer.foreign_url())));
        terminal.wait_for("this sends 2 GET requests");
        terminal.wait_for(QUESTION);
        assert_eq!(peer.asked(), 0);
        terminal.press(yes);
        let lines = terminal.end().expect_code(0).lines();
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("native     1 ok in ")),
            "{lines:#?}"
        );
        assert_eq!(peer.asked(), 2);
    }
}

#[test]
fn what_goes_to_other_machines_is_not_sent_after_anything_else() {
    for other in ["\n", "n\n", "no\n", "yess\n", "1\n", END_OF_INPUT] {
        let peer = Peer::start();
        let mut terminal = Terminal::start(command(&foreign(&peer.foreign_url())));
        terminal.wait_for(QUESTION);
        terminal.press(other);
        // As the help says: consent is missing.
        let lines = terminal.end().expect_code(2).lines();
        assert!(
            lines
                .iter()
                .any(|line| line == "longshore: nothing was sent"),
            "{other:?}: {lines:#?}"
        );
        assert_eq!(peer.asked(), 0);
    }
    // With this nobody is asked.
    let peer = Peer::start();
    peer.answer(2);
    let url = peer.foreign_url();
    let shown = Terminal::start(command(&[&foreign(&url)[..], &["--yes"]].concat())).end();
    assert!(!shown.expect_code(0).raw.contains(QUESTION));
}

#[test]
fn urls_can_be_typed_before_the_question_is_answered() {
    let peer = Peer::start();
    peer.answer(1);
    let arguments = ["compare", "--strategies=native", "--calls=1", "--urls=-"];
    let mut terminal = Terminal::start(command(&arguments));
    terminal.press(&format!("# mine\n{}\n{END_OF_INPUT}", peer.foreign_url()));
    terminal.wait_for(QUESTION);
    terminal.press("y\n");
    terminal.end().expect_code(0);
    assert_eq!(peer.asked(), 1);
}

/// Half a second is promised; this is for a machine that has other things to do.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn ctrl_c_is_an_answer_too() {
    let peer = Peer::start();
    let url = peer.foreign_url();
    let Some(mut terminal) = Terminal::with_signals(&foreign(&url)) else {
        return;
    };
    terminal.wait_for(QUESTION);
    let pressed = Instant::now();
    terminal.press(INTERRUPT);
    terminal.end().expect_code(130);
    assert!(pressed.elapsed() < SOON, "{:?}", pressed.elapsed());
    assert_eq!(peer.asked(), 0);
}

#[test]
fn ctrl_c_takes_the_live_line_away_and_leaves_what_there_is() {
    let server = Serving::start(&[]);
    let (fast, never) = (server.url("/delay/0"), server.url("/hang"));
    let arguments = [
        "compare",
        "--calls=4",
        "--timeout=1m",
        "--strategies=native,serial",
        "--url",
        &fast,
        "--url",
        &never,
    ];
    // Where the machine has other things to do the time for its last words may be too short.
    assert!((0..3).any(|_| leaves_what_there_is(&arguments)));
}

fn leaves_what_there_is(arguments: &[&str]) -> bool {
    let Some(mut terminal) = Terminal::with_signals(arguments) else {
        return true;
    };
    terminal.wait_for("2/4 done, 2 in flight");
    // The terminal sends the signal to a group of processes. The strategy is in another, or it would
    // be gone before its last words are asked for.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, getpgid};
        let group = |id| getpgid(Pid::from_raw(id)).expect("the process runs");
        let strategy = crate::signals::strategy_of(terminal.id());
        assert_ne!(
            group(strategy.parse().expect("a number")),
            group(terminal.id().cast_signed())
        );
    }
    let pressed = Instant::now();
    terminal.press(INTERRUPT);
    let shown = terminal.end().expect_code(130);
    assert!(pressed.elapsed() < SOON, "{:?}", pressed.elapsed());
    let lines = shown.lines();
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    if !has("native (partial)") {
        return false;
    }
    assert!(has("native     interrupted after "), "{lines:#?}");
    assert!(has("not run: serial") && has("Interrupted: "), "{lines:#?}");
    assert!(
        !lines.iter().any(|line| line.contains("in flight,")),
        "{lines:#?}"
    );
    true
}
