//! Spans and events. In a binary of its own, since a subscriber is for the whole process.

#![cfg(feature = "tracing")]

use std::{
    fmt::Write,
    sync::{LazyLock, Mutex, mpsc},
    thread::ThreadId,
    time::{Duration, Instant},
};

use longshore::{CancelToken, Error, Group, Lane, lane::Threads};
use tracing::{Event, Level, Span, Subscriber, field::Visit, span};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// What was seen, of every lane.
static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// Cancelled when it is told that a job is handed in whose label says so.
static CANCELS: Mutex<Option<CancelToken>> = Mutex::new(None);

#[derive(Clone, Debug)]
enum Seen {
    Entered(&'static str, ThreadId),
    Exited(&'static str, ThreadId),
    /// With its target in front of its text, and the span that it belongs to.
    Event(Level, String, Option<&'static str>),
}

struct Collect;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        let name = context.span(id).expect("it exists").name();
        SEEN.lock()
            .unwrap()
            .push(Seen::Entered(name, std::thread::current().id()));
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        let name = context.span(id).expect("it exists").name();
        SEEN.lock()
            .unwrap()
            .push(Seen::Exited(name, std::thread::current().id()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }
        let mut text = Text(format!("target={} ", event.metadata().target()));
        event.record(&mut text);
        if text.0.contains("a job is handed in") && text.0.contains("cancelled meanwhile") {
            let token = CANCELS.lock().unwrap().take();
            token.expect("there is one").cancel();
        }
        let span = context.event_span(event).map(|span| span.name());
        SEEN.lock()
            .unwrap()
            .push(Seen::Event(*event.metadata().level(), text.0, span));
    }
}

static SUBSCRIBED: LazyLock<()> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Collect);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else has set one");
});

fn seen() -> Vec<Seen> {
    SEEN.lock().unwrap().clone()
}

/// A warning about a lane, which comes in the end, and under the target that lanes have.
fn warning(lane: &str, words: &[&str]) -> String {
    let text = warned(lane, words);
    assert!(text.starts_with("target=longshore::lane "), "{text}");
    text
}

fn warned(lane: &str, words: &[&str]) -> String {
    let end = Instant::now() + Duration::from_secs(8);
    loop {
        for seen in seen() {
            if let Seen::Event(Level::WARN, text, _) = seen
                && text.contains(lane)
                && words.iter().all(|word| text.contains(word))
            {
                return text;
            }
        }
        assert!(
            Instant::now() < end,
            "no warning of {lane} says {words:?}: {:?}",
            seen()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn runtimes() -> [tokio::runtime::Runtime; 2] {
    LazyLock::force(&SUBSCRIBED);
    let current = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let multi = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    [current.unwrap(), multi.unwrap()]
}

/// One on each thread source.
fn lanes(name: &str) -> Vec<Lane> {
    let lane = || Lane::builder(name).limit(1);
    vec![
        lane().build(),
        lane().own_threads(Threads::new()).build(),
        #[cfg(feature = "rayon")]
        {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            lane().rayon(std::sync::Arc::new(pool.unwrap())).build()
        },
    ]
}

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
                        (name, std::thread::current().id())
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

/// K5, K12. A panic that nobody is told of is said here.
#[test]
fn a_late_panic_is_told_with_where_the_job_came_from() {
    for (i, runtime) in runtimes().into_iter().enumerate() {
        for (j, lane) in lanes("late").into_iter().enumerate() {
            runtime.block_on(async {
                let (open, gate) = mpsc::channel::<()>();
                let (say, started) = mpsc::channel();
                let label = format!("late{i}{j}");
                let line = line!() + 1;
                let task = lane.label(label.as_str()).offload(move || {
                    say.send(()).unwrap();
                    let _ = gate.recv();
                    panic!("as planned");
                });
                started.recv().unwrap();
                drop(task);
                open.send(()).unwrap();
                let text = warning("late", &[&label, "panicked after its caller"]);
                assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
            });
        }
    }
}

/// K12.
#[test]
fn a_panic_in_a_hook_is_told() {
    for (i, runtime) in runtimes().into_iter().enumerate() {
        for j in 0..lanes("").len() {
            // A name for each, or the warning of one would do for all.
            let name = format!("hook{i}{j}");
            let lane = lanes(&name).swap_remove(j);
            runtime.block_on(async {
                let (open, gate) = mpsc::channel::<()>();
                let (say, started) = mpsc::channel();
                let task = lane.offload_with(move |job| {
                    let _guard = job.on_cancel(|| panic!("as planned"));
                    say.send(()).unwrap();
                    let _ = gate.recv();
                });
                started.recv().unwrap();
                task.cancel();
                drop(open);
                warning(&name, &["panicked"]);
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

/// K9, K12.
#[test]
fn a_refused_thread_is_told() {
    LazyLock::force(&SUBSCRIBED);
    let threads = Threads::new().stack_size(1 << 46);
    let lane = Lane::builder("refused")
        .limit(1)
        .own_threads(threads)
        .build();
    let told = futures::executor::block_on(lane.offload(|| ()));
    assert!(matches!(told, Err(Error::NoThread { .. })));
    warning("refused", &["no thread"]);
}

/// A job that tells when it has started, and hears of nothing until what is given is dropped.
fn deaf() -> (
    impl FnOnce() + Send + 'static,
    mpsc::Receiver<()>,
    mpsc::Sender<()>,
) {
    let (open, gate) = mpsc::channel::<()>();
    let (say, started) = mpsc::channel();
    let job = move || {
        say.send(()).unwrap();
        let _ = gate.recv();
    };
    (job, started, open)
}

fn lane_of_one_thread(name: &str) -> Lane {
    Lane::builder(name)
        .limit(1)
        .own_threads(Threads::new())
        .build()
}

/// K10, K12.
#[test]
fn a_stuck_job_is_told_when_its_lane_is_shut_down() {
    for runtime in runtimes() {
        let lane = lane_of_one_thread("stuck");
        runtime.block_on(async {
            let (job, started, open) = deaf();
            let _task = lane.label("culprit").offload(job);
            started.recv().unwrap();
            lane.shutdown(Duration::ZERO).await.unwrap_err();
            warning("stuck", &["culprit", "stuck"]);
            drop(open);
        });
    }
}

#[test]
fn a_stuck_child_is_told_when_its_group_is_shut_down() {
    for runtime in runtimes() {
        let lane = lane_of_one_thread("nursery");
        runtime.block_on(async {
            let (job, started, open) = deaf();
            let group = Group::new();
            group.label("deaf").offload(&lane, job);
            started.recv().unwrap();
            group.shutdown(Duration::ZERO).await.unwrap_err();
            let text = warned("nursery", &["`deaf`", "a child is stuck"]);
            assert!(text.starts_with("target=longshore::group "), "{text}");
            drop(open);
        });
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
        std::thread::sleep(Duration::from_millis(1));
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
    for runtime in runtimes() {
        let lane = Lane::builder("closed-lane").build();
        lane.close();
        runtime.block_on(async { lane.offload(|| ()).await.unwrap_err() });
        let refused = |seen: &Seen| {
            matches!(seen, Seen::Event(Level::DEBUG, text, _)
                if text.contains("closed-lane") && text.contains("a job was refused"))
        };
        assert!(seen().iter().any(refused));
    }
}

/// One event when it is seen, one when it is over.
#[cfg(feature = "stall")]
#[test]
fn a_stall_is_an_event_and_its_end_another() {
    use longshore::stall::{Watch, watched};

    for (runtime, name) in runtimes().into_iter().zip(["stalls-one", "stalls-two"]) {
        let task = runtime.block_on(async {
            let watch = Watch::new().threshold(Duration::from_millis(30));
            let watching = watch.attach(&tokio::runtime::Handle::current()).unwrap();
            let before = seen().len();
            let blocks = watched(async { std::thread::sleep(Duration::from_millis(400)) });
            tokio::spawn(blocks).await.unwrap();
            // The worker may not have parked yet, and the watch ends what it has to say when it does.
            let end = Instant::now() + Duration::from_secs(8);
            while !seen()[before..].iter().any(|seen| is_about(seen, "total")) {
                assert!(Instant::now() < end, "{name}: {:?}", seen());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(watching.stalls(), 1, "{name}");
            seen()[before..].to_vec()
        });
        let begun: Vec<_> = task
            .iter()
            .filter(|seen| is_about(seen, "stalled_for"))
            .collect();
        assert_eq!(begun.len(), 1, "{name}: {task:?}");
        assert!(
            is_about(begun[0], "watched_at=tests/tracing.rs"),
            "{begun:?}"
        );
        assert!(is_about(begun[0], "longshore::offload"), "{begun:?}");
    }
}

#[cfg(feature = "stall")]
fn is_about(seen: &Seen, words: &str) -> bool {
    matches!(seen, Seen::Event(Level::WARN, text, _) if text.contains(words))
}
