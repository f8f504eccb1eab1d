//! Settings at the ends of their ranges, and calls where they are not expected.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use longshore::stall::{Cause, Stall, Watch, Watching, allow, watched};

use tokio::{
    runtime::{Handle, Runtime},
    task::JoinHandle,
};

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, assert_quiet, child, compute, in_child, in_time,
    listen, looks, settles, wait_for_looks,
};

const NANOSECOND: Duration = Duration::from_nanos(1);
const HOUR: Duration = Duration::from_secs(3600);

fn shortest() -> Watch {
    Watch::new().threshold(NANOSECOND).cpu_threshold(NANOSECOND)
}

fn longest() -> Watch {
    Watch::new()
        .threshold(Duration::MAX)
        .cpu_threshold(Duration::MAX)
}

/// The reports of calls that block, since with such a threshold whatever takes a moment is one.
fn locks(begun: &mpsc::Receiver<Stall>) -> impl Iterator<Item = Stall> {
    let next = || begun.recv_timeout(PATIENCE).ok();
    std::iter::from_fn(next).filter(|stall| stall.cause == Cause::LockWait)
}

on_both! {
    fn the_shortest_threshold_leaves_what_is_idle_alone(flavour: Flavour) {
        let watched = Watched::with(flavour, shortest());
        let (wake, woken) = tokio::sync::oneshot::channel();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched.watching, &watched.runtime);
            scope.spawn(move || watching.block_on(runtime, woken));
            // It is driven, and goes to sleep.
            wait_for_looks(&watched.watching, LOOKS);
            let before = watched.watching.stalls();
            wait_for_looks(&watched.watching, 5 * LOOKS);
            let after = watched.watching.stalls();
            wake.send(()).unwrap();
            assert_eq!(after, before);
        });
    }

    fn the_shortest_threshold_tells_a_stall_once(flavour: Flavour) {
        let watched = Watched::with(flavour, shortest());
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched.watching, &watched.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async {
                    tokio::spawn(async move { gate.wait() }).await.unwrap();
                });
            });
            let stall = locks(&watched.begun).next();
            let before = watched.watching.stalls();
            wait_for_looks(&watched.watching, 5 * LOOKS);
            let after = watched.watching.stalls();
            drop(opener);
            stall.expect("it is told");
            assert_eq!(after, before);
        });
    }

    fn a_profile_of_no_time_is_there_at_once(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let watching = watched.watching.clone();
        watched.is_quiet(async {
            let profile = watching.profile_for(Duration::ZERO).await;
            assert!(profile.rows.is_empty(), "{profile}");
        });
    }

    fn a_profile_for_ever_can_be_dropped(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let watching = watched.watching.clone();
        watched.is_quiet(async {
            let mut forever = Box::pin(watching.profile_for(Duration::MAX));
            let not_yet = tokio::time::timeout(Duration::from_millis(50), &mut forever).await;
            assert!(not_yet.is_err(), "it does not end");
            drop(forever);
            // Those that come after it are not kept waiting.
            watching.profile_for(Duration::from_millis(20)).await;
            looks(&watching, 3).await;
        });
    }

    fn a_limit_of_no_reports_leaves_the_count(flavour: Flavour) {
        for per in [HOUR, Duration::ZERO] {
            let calls = Arc::new(AtomicUsize::new(0));
            let count = || {
                let calls = calls.clone();
                move |_: &Stall| {
                    calls.fetch_add(1, SeqCst);
                }
            };
            let watch = Watch::new().report_limit(0, per).on_stall(count()).on_end(count());
            let (runtime, watching) = watch.build(&mut flavour.builder()).unwrap();
            let (gate, opener) = Gate::new();
            thread::scope(|scope| {
                let (runtime, watching) = (&runtime, &watching);
                scope.spawn(move || {
                    watching.block_on(runtime, async {
                        tokio::spawn(async move { gate.wait() }).await.unwrap();
                        looks(watching, 5).await;
                    });
                });
                settles("it is seen", || watching.stalls() == 1);
                wait_for_looks(watching, 5);
                drop(opener);
            });
            assert_eq!((watching.stalls(), calls.load(SeqCst)), (1, 0));
        }
    }

    /// Every path ends with nothing, and that is not what is meant.
    fn to_ignore_nothing_ignores_nothing(flavour: Flavour) {
        let runtime = Watched::with(flavour, Watch::new().ignore(""));
        let (stall, _) = runtime.stall_of(|gate| watched(async move { gate.wait() }));
        assert!(stall.is_at("stall/edges.rs"), "{stall}");
        assert!(!stall.is_at(""));
    }

    /// It ends with the outermost, and what comes after it is told.
    fn what_is_allowed_twice_is_allowed_until_both_are_over(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (tell, told) = mpsc::channel();
        let watching = watched_runtime.watching.clone();
        let (stall, _) = watched_runtime.stall_of(|gate| watched(async move {
            allow("a test", || {
                allow("the same", || ());
                wait_for_looks(&watching, LOOKS);
            });
            tell.send(watching.stalls()).unwrap();
            gate.wait();
        }));
        assert_eq!(told.try_recv(), Ok(0));
        assert_eq!(stall.cause, Cause::LockWait);
    }

    fn an_allowance_ends_with_a_panic(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (stall, _) = watched_runtime.stall(|gate| {
            let panics = || allow("a test", || panic::resume_unwind(Box::new("as planned")));
            let caught = panic::catch_unwind(AssertUnwindSafe(panics));
            assert!(caught.is_err());
            gate.wait();
        });
        assert_eq!(stall.cause, Cause::LockWait);
    }

    /// It is about the thread that says so, and about no other.
    fn an_allowance_elsewhere_allows_no_worker_anything(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (stall, end) = allow("a test", || watched_runtime.stall(|gate| gate.wait()));
        assert_eq!(stall.cause, Cause::LockWait);
        assert!(end.total.is_some());
    }

    /// By the callback itself, while it runs.
    fn a_watch_may_be_dropped_by_what_it_calls(flavour: Flavour) {
        let slot = Arc::new(Mutex::new(None::<Watching>));
        let (say, said) = mpsc::channel();
        let (theirs, again) = (slot.clone(), say.clone());
        let watch = Watch::new()
            .on_stall(move |_| {
                drop(theirs.lock().unwrap().take());
                say.send("begun").unwrap();
            })
            .on_end(move |_| again.send("ended").unwrap());
        // Another one looks when the first does not any more.
        let second = Watched::new(flavour);
        let runtime = flavour.builder().build().unwrap();
        let (gate, opener) = Gate::new();
        let blocked = thread::spawn(move || {
            runtime.block_on(async {
                *slot.lock().unwrap() = Some(watch.attach(&Handle::current()).unwrap());
                tokio::spawn(async move { gate.wait() }).await.unwrap();
            });
        });
        let first = said.recv_timeout(PATIENCE);
        wait_for_looks(&second.watching, LOOKS / 2);
        drop(opener);
        blocked.join().unwrap();
        assert_eq!(first, Ok("begun"));
        // Nothing more: what would say it is gone.
        let more = said.recv_timeout(PATIENCE);
        assert_eq!(more, Err(mpsc::RecvTimeoutError::Disconnected));
    }

    fn a_callback_may_have_something_watched_itself(flavour: Flavour) {
        let (say, said) = mpsc::channel();
        let watch = Watch::new().on_stall(move |_| {
            let (stall, end) = Watched::new(flavour).stall(|gate| gate.wait());
            say.send((stall.cause, end.total.is_some())).unwrap();
        });
        let (runtime, watching) = watch.build(&mut Flavour::MultiThread.builder()).unwrap();
        let (gate, opener) = Gate::new();
        runtime.spawn(async move { gate.wait() });
        let told = said.recv_timeout(PATIENCE);
        drop(opener);
        assert_eq!(told, Ok((Cause::LockWait, true)));
        assert_eq!(watching.stalls(), 1);
    }
}

/// In a process of its own, of which it is seen that nothing panics, the detector included.
#[test]
fn the_longest_threshold_is_never_reached() {
    if !in_child() {
        let name = "::the_longest_threshold_is_never_reached";
        let mut command = child(&format!("{}{name}", module_path!()));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        return;
    }
    in_time(|| {
        for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
            let watched_runtime = Watched::with(flavour, longest());
            let watching = watched_runtime.watching.clone();
            watched_runtime.is_quiet(async move {
                // Until it is seen.
                loop {
                    let profile = watching.profile_for(Duration::from_secs(1));
                    let theirs = watching.clone();
                    let blocks = watched(async move {
                        compute(Duration::from_millis(50));
                        wait_for_looks(&theirs, LOOKS / 2);
                    });
                    tokio::spawn(blocks).await.unwrap();
                    if !profile.await.rows.is_empty() {
                        break;
                    }
                }
            });
            assert_quiet(&watched_runtime.watching, &watched_runtime.begun);
        }
    });
}

/// Of a worker that was stuck before it was attached to it is not known which thread it is on. The other
/// one is looked at as if nothing was.
#[test]
fn the_longest_threshold_for_computing_hides_no_sleep() {
    in_time(|| {
        let runtime = Flavour::MultiThread.builder().build().unwrap();
        let (gate, opener) = Gate::new();
        let first = is_stuck_on_the_first(&runtime, &gate);
        let (watch, begun, _ended) = listen(Watch::new().cpu_threshold(Duration::MAX));
        let _watching = watch.attach(runtime.handle()).unwrap();
        let second = runtime.spawn(async move { gate.wait() });
        let stall = begun.recv_timeout(PATIENCE);
        drop(opener);
        let stall = stall.expect("it is told");
        assert_eq!((stall.worker, stall.cause), (Some(1), Cause::LockWait));
        runtime.block_on(async { (first.await.unwrap(), second.await.unwrap()) });
    });
}

/// Blocks the first worker: it is the one that is looked at before the others.
fn is_stuck_on_the_first(runtime: &Runtime, gate: &Gate) -> JoinHandle<()> {
    let (tell, told) = mpsc::channel();
    let (once, _opener) = Gate::new();
    loop {
        let (tell, gate, once) = (tell.clone(), gate.clone(), once.clone());
        let task = runtime.spawn(async move {
            let is_first = tokio::runtime::worker_index() == Some(0);
            tell.send(is_first).unwrap();
            if is_first { gate.wait() } else { once.wait() }
        });
        if told.recv().unwrap() {
            return task;
        }
    }
}
