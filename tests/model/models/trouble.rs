//! Threads that do not come, or do not stay.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::{future::block_on, thread};

use super::{
    Ends, check_both,
    lanes::{FOR_EVER, assert_settled, offload},
};
use crate::{
    error::Error,
    lane::{core::Core, source::Source},
    sync::Arc,
};

/// Runs jobs on such threads and checks that each job is run, or told. What is to be seen of both is in
/// `ends`.
fn every_job_is_run_or_told(trouble: Source, told: fn(&Error) -> bool, ends: &[&str]) {
    let source = Source {
        linger: FOR_EVER,
        ..trouble
    };
    let seen = Ends::default();
    let saw = seen.clone();
    check_both(move || two_callers(&source, told, &saw));
    seen.were(ends);
}

/// Two, so that one comes just as the other's thread is refused.
fn two_callers(source: &Source, told: fn(&Error) -> bool, ends: &Ends) {
    let core = Arc::new(Core::new("model".into(), 2, None, source.clone()));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (core, ends) = (core.clone(), ends.clone());
            thread::spawn(move || {
                let jobs: Vec<_> = (0..2)
                    .map(|n| {
                        let ran = Arc::new(AtomicUsize::new(0));
                        let task = offload(&core, {
                            let ran = ran.clone();
                            move |_| {
                                ran.fetch_add(1, Ordering::SeqCst);
                                n
                            }
                        });
                        (n, ran, task)
                    })
                    .collect();
                for (n, ran, task) in jobs {
                    match block_on(task) {
                        Ok(value) => {
                            assert_eq!((value, ran.load(Ordering::SeqCst)), (n, 1));
                            ends.saw("run");
                        }
                        Err(error) => {
                            assert!(told(&error), "{error}");
                            let ran = ran.load(Ordering::SeqCst);
                            assert_eq!(ran, 0, "it ran, and was told not to have");
                            ends.saw("told");
                        }
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("a caller");
    }
    assert_settled(&core);
    core.close();
}

/// K9, W2, W3: threads are refused at random; every job is run or told.
#[test]
fn a_refused_thread_loses_no_job() {
    let trouble = Source {
        refusals: 0.5,
        ..Source::default()
    };
    let told = |error: &Error| matches!(error, Error::NoThread { .. });
    every_job_is_run_or_told(trouble, told, &["run", "told"]);
}

/// K11, R5: workers are lost before they serve, as in the queue of a runtime that shuts down.
#[test]
fn a_lost_worker_loses_no_job() {
    let trouble = Source {
        losses: 0.5,
        ..Source::default()
    };
    let told = |error: &Error| matches!(error, Error::NoRuntime { .. });
    every_job_is_run_or_told(trouble, told, &["run", "told"]);
}

/// Threads come and find that they cannot serve, as when the object of a resource cannot be made.
#[test]
fn a_thread_that_cannot_serve_loses_no_job() {
    let trouble = Source {
        declines: 0.5,
        ..Source::default()
    };
    let told = |error: &Error| matches!(error, Error::Unavailable(_));
    every_job_is_run_or_told(trouble, told, &["run", "told"]);
}

/// Threads that come late find that others have served whom they were to serve, and turn back, just
/// as the next job counts on them.
#[test]
fn a_thread_that_turns_back_loses_no_job() {
    let trouble = Source {
        asks: 0.5,
        ..Source::default()
    };
    every_job_is_run_or_told(trouble, |_| false, &["run"]);
    let trouble = Source {
        asks: 1.0,
        declines: 0.3,
        spends: 0.3,
        ..Source::default()
    };
    let told = |error: &Error| matches!(error, Error::Unavailable(_));
    every_job_is_run_or_told(trouble, told, &["run", "told"]);
}

/// Threads leave between two jobs, as they have lost what they need; others come in their place.
#[test]
fn a_thread_that_has_to_leave_is_replaced() {
    let trouble = Source {
        spends: 0.5,
        ..Source::default()
    };
    every_job_is_run_or_told(trouble, |_| false, &["run"]);
    let trouble = Source {
        declines: 0.3,
        spends: 0.3,
        ..Source::default()
    };
    let told = |error: &Error| matches!(error, Error::Unavailable(_));
    every_job_is_run_or_told(trouble, told, &["run", "told"]);
}
