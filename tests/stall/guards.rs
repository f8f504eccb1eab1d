//! Guards for tests, as a test uses them.

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
    time::Duration,
};

use longshore::{
    assert_no_stalls,
    stall::{self, Certainty, Watch, allow, watched},
};

use crate::support::{Flavour, LOOKS, child, in_child, in_time, looks, passes};

/// Long enough to be seen in any case: twenty times the threshold.
const LONG: Duration = Duration::from_secs(2);

/// Far below every threshold, and long enough for the thread to go to sleep at all: of 50 µs, one in some
/// hundreds is over by then, if another thread has the processor just when the timer is set.
const NAP: Duration = Duration::from_millis(5);

/// Has a test run in a process of its own: while threads begin and end, a page that is read for the first
/// time may have to wait, which is a sleep.
macro_rules! alone {
    ($flavour:ident) => {
        if !in_child() {
            let test = match $flavour {
                Flavour::CurrentThread => "on_current_thread",
                Flavour::MultiThread => "on_multi_thread",
            };
            return passes(child(&format!("{}::{test}", module_path!())));
        }
    };
}

/// What a future panics with.
fn panic_of(flavour: Flavour, test: impl Future<Output = ()>) -> Option<String> {
    let runtime = flavour.builder().build().unwrap();
    let result = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(test)));
    let payload = result.err()?;
    Some(
        payload
            .downcast_ref::<String>()
            .expect("it is formatted")
            .clone(),
    )
}

on_both! {
    fn a_guard_fails_a_test_whose_task_blocks(flavour: Flavour) {
        let message = panic_of(flavour, async {
            let _guard = stall::deny();
            tokio::spawn(async { thread::sleep(LONG) }).await.unwrap();
        });
        let message = message.expect("it panics");
        assert!(message.starts_with("one call stalled the runtime:\nworker "), "{message}");
        assert!(message.contains("clock_nanosleep"), "{message}");
    }

    fn a_guard_is_content_with_a_test_that_does_not_block(flavour: Flavour) {
        let message = panic_of(flavour, async {
            let guard = stall::deny();
            let blocking = tokio::task::spawn_blocking(|| thread::sleep(LONG));
            looks(guard.watching(), LOOKS).await;
            blocking.await.unwrap();
        });
        assert_eq!(message, None);
    }

    /// The first panic is the one to be told.
    fn a_guard_does_not_panic_while_another_panic_unwinds(flavour: Flavour) {
        let message = panic_of(flavour, async {
            let _guard = stall::deny();
            tokio::spawn(async { thread::sleep(LONG) }).await.unwrap();
            panic!("{}", "the first");
        });
        assert_eq!(message.as_deref(), Some("the first"));
    }

    fn the_future_of_the_test_itself_is_covered_by_the_macro(flavour: Flavour) {
        let message = panic_of(flavour, async {
            assert_no_stalls!(async { thread::sleep(LONG) });
        });
        let message = message.expect("it panics");
        assert!(message.contains("stall/guards.rs:"), "{message}");
        let fine = panic_of(flavour, async {
            assert_eq!(assert_no_stalls!(async { 7 }, Watch::new()), 7);
        });
        assert_eq!(fine, None);
    }

    fn strict_has_no_threshold(flavour: Flavour) {
        alone!(flavour);
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let guard = stall::deny().strict();
            tokio::spawn(watched(async { thread::sleep(NAP) }))
                .await
                .unwrap();
            let reports = guard.into_reports();
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert!(matches!(reports[0].certainty, Certainty::Slept(1..)), "{reports:?}");
            assert!(reports[0].is_at("stall/guards.rs"), "{reports:?}");
        });
    }

    /// Whatever does not sleep: yielding, computing, sleeping in Tokio, and waiting for others.
    fn strict_says_nothing_of_what_does_not_sleep(flavour: Flavour) {
        alone!(flavour);
        // One worker, which has nobody to wait for: Tokio's timers have a lock.
        let runtime = flavour.builder().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let guard = stall::deny().strict();
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    tokio::spawn(watched(async {
                        for _ in 0..500 {
                            tokio::task::yield_now().await;
                        }
                        crate::support::compute(Duration::from_millis(5));
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let waits = tokio::task::spawn_blocking(|| thread::sleep(Duration::from_millis(20)));
            watched(waits).await.unwrap();
            assert!(guard.into_reports().is_empty());
        });
    }

    /// What is too long and has slept is told once.
    fn strict_does_not_repeat_what_was_told(flavour: Flavour) {
        alone!(flavour);
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let guard = stall::deny().strict();
            tokio::spawn(watched(async { thread::sleep(LONG) })).await.unwrap();
            tokio::spawn(watched(async { thread::sleep(NAP) }))
                .await
                .unwrap();
            let reports = guard.into_reports();
            let told: Vec<Certainty> = reports.iter().map(|stall| stall.certainty).collect();
            assert!(matches!(told[..], [Certainty::OneCall, Certainty::Slept(_)]), "{told:?}");
        });
    }

    fn strict_can_be_said_twice(flavour: Flavour) {
        alone!(flavour);
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let guard = stall::deny().strict().strict();
            watched(async { thread::sleep(NAP) }).await;
            assert_eq!(guard.into_reports().len(), 1);
        });
    }

    fn strict_leaves_out_what_is_to_be_ignored(flavour: Flavour) {
        alone!(flavour);
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let guard = Watch::new().ignore("stall/guards.rs").deny().strict();
            watched(async { thread::sleep(NAP) }).await;
            assert!(guard.into_reports().is_empty());
        });
    }

    /// The sleep was allowed, and is not the fault of the poll around it.
    fn what_is_allowed_may_panic(flavour: Flavour) {
        alone!(flavour);
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let guard = stall::deny().strict();
            let panicked = watched(async {
                let allowed = || {
                    allow("a test", || {
                        thread::sleep(NAP);
                        panic::resume_unwind(Box::new("as planned"));
                    })
                };
                panic::catch_unwind(AssertUnwindSafe(allowed)).is_err()
            });
            assert!(panicked.await);
            assert!(guard.into_reports().is_empty());
        });
    }
}

/// In a process of its own, as above.
#[test]
fn guards_that_run_side_by_side_see_their_own_runtime_only() {
    if !in_child() {
        let name = "::guards_that_run_side_by_side_see_their_own_runtime_only";
        return passes(child(&format!("{}{name}", module_path!())));
    }
    in_time(|| {
        thread::scope(|scope| {
            for test in 0..8 {
                scope.spawn(move || {
                    let flavour = [Flavour::CurrentThread, Flavour::MultiThread][test / 2 % 2];
                    let blocks = test % 2 == 0;
                    let message = panic_of(flavour, async {
                        let guard = stall::deny().strict();
                        let task = watched(async move {
                            if blocks {
                                thread::sleep(LONG);
                            }
                        });
                        tokio::spawn(task).await.unwrap();
                        looks(guard.watching(), LOOKS).await;
                    });
                    assert_eq!(message.is_some(), blocks, "{test}: {message:?}");
                });
            }
        });
    });
}

#[test]
fn what_is_ignored_by_its_place_is_not_reported() {
    in_time(|| {
        let runtime = Flavour::MultiThread.builder().build().unwrap();
        for (site, expected) in [("stall/guards.rs", 0), ("stall/others.rs", 1)] {
            runtime.block_on(async {
                let guard = Watch::new().ignore(site).deny();
                tokio::spawn(watched(async { thread::sleep(LONG) }))
                    .await
                    .unwrap();
                assert_eq!(guard.into_reports().len(), expected, "{site}");
            });
        }
    });
}

/// In a process of its own, as above.
#[test]
fn strict_allows_what_is_allowed_and_counts_the_rest() {
    if !in_child() {
        let name = "::strict_allows_what_is_allowed_and_counts_the_rest";
        return passes(child(&format!("{}{name}", module_path!())));
    }
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        let runtime = flavour.builder().build().unwrap();
        runtime.block_on(async {
            let nap = || thread::sleep(NAP);
            let guard = stall::deny().strict();
            watched(async { allow("a test", nap) }).await;
            // One within another is told once, by the inner one.
            watched(async { watched(async { nap() }).await }).await;
            watched(async {
                allow("a test", nap);
                nap();
            })
            .await;
            let reports = guard.into_reports();
            assert_eq!(reports.len(), 2, "{reports:#?}");
        });
    }
}
