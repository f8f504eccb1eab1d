//! K12: the way of a job, in the span of its caller.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use longshore::{CancelToken, Lane};
use tracing::{Level, Span};

use crate::seen::{CANCELS, Seen, lanes, runtimes, seen};

/// K12.
#[test]
fn the_span_of_the_caller_is_entered_in_the_job() {
    for runtime in runtimes() {
        for lane in lanes("spans") {
            runtime.block_on(async {
                let span = tracing::info_span!("caller");
                let task = span.in_scope(|| {
                    lane.offload(|| {
                        let name = Span::current().metadata().map(|metadata| metadata.name());
                        (name, thread::current().id())
                    })
                });
                let (name, thread) = task.await.unwrap();
                assert_eq!(name, Some("caller"));
                let here = |seen: &Seen| match seen {
                    Seen::Entered("caller", on) => (*on == thread).then_some(1),
                    Seen::Exited("caller", on) => (*on == thread).then_some(-1),
                    _ => None,
                };
                let steps: Vec<_> = seen().iter().filter_map(here).collect();
                assert!(
                    steps.ends_with(&[1, -1]),
                    "entered once, and left: {steps:?}"
                );
                // Nor does it stay for the next job on that thread.
                let next =
                    lane.offload(|| Span::current().metadata().map(|metadata| metadata.name()));
                assert_eq!(next.await.unwrap(), None);
            });
        }
    }
}

/// C6, K2. A token that is cancelled after the job was tied to it and before the lane has the job: the
/// cancel does not find it there. A subscriber is told of the job at this very moment.
#[test]
fn a_token_that_is_cancelled_while_its_job_is_handed_in_stops_it_at_once() {
    for runtime in runtimes() {
        for lane in lanes("race") {
            runtime.block_on(async {
                let (open, gate) = mpsc::channel::<()>();
                let (say, started) = mpsc::channel();
                let ahead = lane.offload(move || {
                    say.send(()).unwrap();
                    let _ = gate.recv();
                });
                started.recv().unwrap();

                let token = CancelToken::new();
                *CANCELS.lock().unwrap() = Some(token.clone());
                let tied = lane.cancelled_by(&token).label("cancelled meanwhile");
                let task = tied.offload(|| panic!("it must not start"));
                assert!(token.is_cancelled(), "nobody was told of the job");
                // Although no thread has come to it, nor can.
                assert!(task.is_finished());
                assert_eq!((lane.stats().waiting, lane.stats().cancelled), (0, 1));
                let error = task.await.unwrap_err();
                assert!(error.is_cancelled() && error.never_started(), "{error:?}");
                drop(open);
                ahead.await.unwrap();
            });
        }
    }
}

/// What was told of one job, by its label: the level and the message of each event, once the last of
/// them is there; and all of their text.
fn story(label: &str, last: &str) -> (Vec<(Level, String)>, String) {
    let end = Instant::now() + Duration::from_secs(8);
    loop {
        let mut told = Vec::new();
        let mut all = String::new();
        for seen in seen() {
            if let Seen::Event(level, text, span) = seen
                && text.contains(&format!("label=\"{label}\""))
            {
                assert_eq!(span, Some("request"), "it belongs to its caller: {text}");
                let (_, message) = text.split_once("message=").expect("each has one");
                let message = message.split(" lane=").next().unwrap_or_default();
                told.push((level, message.trim().to_owned()));
                all += &text;
            }
        }
        if told.iter().any(|(_, message)| message == last) {
            return (told, all);
        }
        assert!(Instant::now() < end, "{label}: no {last:?} in {told:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

const HANDED_IN: (Level, &str) = (Level::TRACE, "a job is handed in");
const STARTS: (Level, &str) = (Level::TRACE, "a job starts");
const OVER: (Level, &str) = (Level::DEBUG, "a job is over");
const ABANDONED: (Level, &str) = (Level::DEBUG, "a job is abandoned");
const RETURNED: (Level, &str) = (Level::DEBUG, "an abandoned job has returned");

fn assert_story(label: &str, events: &[(Level, &str)], words: &[&str]) {
    let (told, all) = story(label, events[events.len() - 1].1);
    let told: Vec<_> = (told.iter())
        .map(|(level, message)| (*level, message.as_str()))
        .collect();
    assert_eq!(told, events, "{label}");
    for word in words {
        assert!(all.contains(word), "{label}: no {word:?} in {all}");
    }
}

/// What every job does, from its caller's span.
#[test]
fn the_way_of_every_job_can_be_followed() {
    for (i, runtime) in runtimes().into_iter().enumerate() {
        for (j, lane) in lanes("followed").into_iter().enumerate() {
            let _entered = tracing::info_span!("request").entered();
            let label = |what: &str| format!("{what}{i}{j}");
            runtime.block_on(async {
                let task = lane.label(label("value")).offload(|| 1);
                assert_eq!(task.await.unwrap(), 1);
                let words = [
                    "lane=\"followed\"",
                    "outcome=\"completed\"",
                    file!(),
                    "waited=",
                    "ran=",
                ];
                assert_story(&label("value"), &[HANDED_IN, STARTS, OVER], &words);

                let task = lane.label(label("panic")).offload(|| panic!("as planned"));
                task.await.unwrap_err();
                let words = ["outcome=\"panicked\""];
                assert_story(&label("panic"), &[HANDED_IN, STARTS, OVER], &words);

                // One that runs, and one behind it; both are given up.
                let (open, gate) = mpsc::channel::<()>();
                let (say, started) = mpsc::channel();
                let running = lane.label(label("running")).offload(move || {
                    say.send(()).unwrap();
                    let _ = gate.recv();
                });
                started.recv().unwrap();
                let waiting = lane
                    .label(label("waiting"))
                    .timeout(Duration::from_millis(5));
                waiting.offload(|| ()).await.unwrap_err();
                assert_story(
                    &label("waiting"),
                    &[HANDED_IN, OVER],
                    &["outcome=\"timed_out\""],
                );
                drop(running);
                drop(open);
                let words = ["outcome=\"cancelled\""];
                let events = [HANDED_IN, STARTS, OVER, ABANDONED, RETURNED];
                assert_story(&label("running"), &events, &words);
            });
        }
    }
}

#[test]
fn a_call_that_is_refused_is_told() {
    for (runtime, name) in runtimes().into_iter().zip(["closed-one", "closed-two"]) {
        let lane = Lane::builder(name).build();
        lane.close();
        runtime.block_on(async { lane.offload(|| ()).await.unwrap_err() });
        let refused = |seen: &Seen| {
            matches!(seen, Seen::Event(Level::DEBUG, text, _)
                if text.contains(name) && text.contains("a job was refused"))
        };
        assert!(seen().iter().any(refused));
    }
}
