//! Runtimes in all their states: built, driven, left alone, dropped, many at once.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use longshore::stall::{Cause, Watch, watched};
use tokio::runtime::Handle;

use crate::support::{
    Flavour, Gate, LOOKS, PATIENCE, Watched, assert_quiet, in_child, in_time, listen, looks,
    passes, settles, threads_named, wait_for_looks,
};

on_both! {
    fn the_users_own_hooks_still_run(flavour: Flavour) {
        let counts: [Arc<AtomicUsize>; 4] = Default::default();
        let count = |index: usize| {
            let count = counts[index].clone();
            move || {
                count.fetch_add(1, SeqCst);
            }
        };
        let mut builder = flavour.builder();
        builder
            .on_thread_start(count(0))
            .on_thread_stop(count(1))
            .on_thread_unpark(count(2));
        let watch = Watch::new().on_thread_park(count(3));
        let (runtime, watching) = watch.build(&mut builder).unwrap();
        watching.block_on(&runtime, async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        });
        drop(runtime);
        for (index, count) in counts.iter().enumerate() {
            assert!(count.load(SeqCst) > 0, "hook {index}");
        }
    }

    /// The builder keeps the hook. The threads of the second runtime are no workers of the first.
    fn a_builder_may_build_another_runtime(flavour: Flavour) {
        let mut builder = flavour.builder();
        let watched_runtime = Watched::built_by(builder.worker_threads(1), Watch::new());
        let other = builder.build().unwrap();
        let (tell, told) = mpsc::channel();
        let (stall, _) = watched_runtime.stall(move |gate| {
            let (say, has_parked) = mpsc::channel();
            let theirs = gate.clone();
            let drives = thread::spawn(move || {
                let nap = || tokio::time::sleep(Duration::from_millis(5));
                other.block_on(async { tokio::spawn(nap()).await.unwrap() });
                say.send(()).unwrap();
                theirs.wait();
            });
            // The other's worker, since the one that is looked at does not.
            has_parked.recv().unwrap();
            tell.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
            gate.wait();
            drives.join().unwrap();
        });
        let stuck = told.recv().unwrap();
        let thread = stall.thread.expect("it is known").to_string();
        assert!(stuck.ends_with(&thread), "{stuck:?}, {stall:?}");
        assert_eq!(stall.cause, Cause::LockWait);
    }

    fn a_runtime_that_is_dropped_while_it_is_stalled(flavour: Flavour) {
        let Watched { runtime, watching, begun, ended } = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        let theirs = watching.clone();
        // On a current-thread runtime nobody can drop it while it is driven.
        let driver = thread::spawn(move || match flavour {
            Flavour::CurrentThread => {
                theirs.block_on(&runtime, async move { gate.wait() });
                drop(runtime);
            }
            Flavour::MultiThread => {
                runtime.spawn(async move { gate.wait() });
                settles("it is told", || theirs.stalls() == 1);
                // Returns when the worker is free.
                drop(runtime);
            }
        });
        let stall = begun.recv_timeout(PATIENCE);
        wait_for_looks(&watching, LOOKS);
        drop(opener);
        stall.expect("it is reported");
        driver.join().unwrap();
        assert!(ended.recv_timeout(PATIENCE).is_ok());
        // Of the threads that are left, nothing is said.
        wait_for_looks(&watching, LOOKS);
        assert_eq!(watching.stalls(), 1);
    }

    fn a_runtime_that_is_gone_is_not_reported(flavour: Flavour) {
        let Watched { runtime, watching, begun, .. } = Watched::new(flavour);
        watching.block_on(&runtime, async {
            tokio::spawn(async {}).await.unwrap();
        });
        runtime.shutdown_background();
        wait_for_looks(&watching, 2 * LOOKS);
        assert_quiet(&watching, &begun);
    }

    fn a_watch_leaves_nothing_behind(flavour: Flavour) {
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let before = Handle::current().metrics().num_alive_tasks();
            for _ in 0..10 {
                drop(Watch::new().attach(&Handle::current()).unwrap());
            }
            let end = std::time::Instant::now() + PATIENCE;
            while Handle::current().metrics().num_alive_tasks() > before {
                assert!(std::time::Instant::now() < end, "tasks are left");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    fn a_runtime_that_nobody_drives_is_not_reported(flavour: Flavour) {
        let Watched { runtime, watching, begun, .. } = Watched::new(flavour);
        wait_for_looks(&watching, LOOKS);
        watching.block_on(&runtime, async {
            tokio::spawn(async {}).await.unwrap();
        });
        // This thread sleeps, and no runtime waits for it.
        thread::sleep(Duration::from_millis(400));
        wait_for_looks(&watching, LOOKS);
        assert_quiet(&watching, &begun);
    }

    fn a_poll_that_panics_is_over(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        watched_runtime.is_quiet(async {
            let panics = tokio::spawn(watched(async { panic!("on purpose") }));
            assert!(panics.await.unwrap_err().is_panic());
            looks(&watched_runtime.watching, LOOKS).await;
        });
    }
}

/// A worker is left to itself, and so is what it is stuck in.
#[test]
fn a_runtime_that_is_left_behind_while_it_is_stalled() {
    in_time(|| {
        let Watched {
            runtime,
            watching,
            begun,
            ended,
        } = Watched::new(Flavour::MultiThread);
        let (gate, opener) = Gate::new();
        let (done, is_done) = mpsc::channel();
        runtime.spawn(async move {
            gate.wait();
            done.send(()).unwrap();
        });
        begun.recv_timeout(PATIENCE).expect("it is reported");
        runtime.shutdown_background();
        wait_for_looks(&watching, LOOKS);
        drop(opener);
        is_done.recv_timeout(PATIENCE).expect("it goes on");
        wait_for_looks(&watching, LOOKS / 2);
        // That it is over was told once, if at all.
        assert!(ended.try_iter().count() <= 1);
        assert_eq!((watching.stalls(), begun.try_iter().count()), (1, 0));
    });
}

#[test]
fn a_current_thread_runtime_is_watched_from_within() {
    in_time(|| {
        let runtime = Flavour::CurrentThread.builder().build().unwrap();
        let (watch, begun, _) = listen(Watch::new());
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            scope.spawn(move || {
                runtime.block_on(async {
                    let _watching = watch.attach(&Handle::current()).unwrap();
                    tokio::spawn(async move { gate.wait() }).await.unwrap();
                });
                // Not driven any more: nobody is held up.
                thread::sleep(Duration::from_millis(300));
            });
            let stall = begun.recv_timeout(PATIENCE);
            drop(opener);
            assert_eq!(stall.expect("it is reported").worker, Some(0));
        });
        assert!(begun.try_recv().is_err());
    });
}

#[test]
fn a_paused_clock_changes_nothing() {
    in_time(|| {
        let mut builder = Flavour::CurrentThread.builder();
        let (watch, begun, ended) = listen(Watch::new());
        let (runtime, watching) = watch.build(builder.start_paused(true)).unwrap();
        let watching = Arc::new(watching);
        // Hours that pass in no time.
        watching.block_on(&runtime, async {
            let start = std::time::Instant::now();
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            assert!(start.elapsed() < PATIENCE);
            let profile = watching.profile_for(Duration::from_millis(300)).await;
            assert!(profile.rows.is_empty(), "{profile}");
        });
        assert_quiet(&watching, &begun);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watching, &runtime);
            scope.spawn(move || watching.block_on(runtime, async move { gate.wait() }));
            let stall = begun.recv_timeout(PATIENCE);
            drop(opener);
            stall.expect("it is reported");
        });
        assert!(ended.recv_timeout(PATIENCE).is_ok());
    });
}

#[test]
fn of_many_runtimes_the_one_that_is_stuck_is_reported() {
    in_time(|| {
        let all: Vec<Watched> = (0..12)
            .map(|index| Watched::new([Flavour::CurrentThread, Flavour::MultiThread][index % 2]))
            .collect();
        for stuck in [3, 8] {
            all[stuck].stall(|gate| gate.wait());
        }
        for (index, watched) in all.iter().enumerate() {
            wait_for_looks(&watched.watching, 5);
            let expected = u64::from(index == 3 || index == 8);
            assert_eq!(watched.watching.stalls(), expected, "runtime {index}");
        }
    });
}

/// In a process of its own, since other tests have watches too.
#[test]
fn there_is_one_thread_while_there_are_watches_and_none_afterwards() {
    if !in_child() {
        let name = "::there_is_one_thread_while_there_are_watches_and_none_afterwards";
        return passes(crate::support::child(&format!("{}{name}", module_path!())));
    }
    for round in 0..20 {
        assert_eq!(threads_named("longshore-stall"), 0);
        let one = Watched::new(Flavour::MultiThread);
        let other = Watched::new(Flavour::CurrentThread);
        wait_for_looks(&one.watching, 2);
        wait_for_looks(&other.watching, 2);
        assert_eq!(threads_named("longshore-stall"), 1);
        if round == 0 {
            one.stall(|gate| gate.wait());
            assert_eq!(threads_named("longshore-tell"), 1);
        }
        drop((one, other));
        settles("the threads end", || {
            threads_named("longshore-stall") + threads_named("longshore-tell") == 0
        });
    }
}

/// Attached from within a task, and from outside.
#[test]
fn a_runtime_that_is_there_already_is_watched() {
    in_time(|| {
        for from_outside in [false, true] {
            let runtime = Flavour::MultiThread.builder().build().unwrap();
            let (watch, begun, ended) = listen(Watch::new());
            let watching = if from_outside {
                watch.attach(runtime.handle()).unwrap()
            } else {
                runtime.block_on(async { watch.attach(&Handle::current()).unwrap() })
            };
            wait_for_looks(&watching, LOOKS);
            let (gate, opener) = Gate::new();
            runtime.spawn(async move { gate.wait() });
            let stall = begun.recv_timeout(PATIENCE);
            drop(opener);
            let stall = stall.expect("it is reported");
            assert_eq!(stall.cause, Cause::LockWait, "{stall}");
            assert!(ended.recv_timeout(PATIENCE).is_ok());
        }
    });
}
