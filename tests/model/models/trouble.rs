//! Threads that do not come, or do not stay.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::{future::block_on, thread};

use super::{
    check_both,
    lanes::{FOR_EVER, assert_settled, offload},
};
use crate::{
    error::Error,
    lane::{core::Core, source::Source},
    sync::Arc,
};

/// Two callers, so that one comes just as the other's thread is refused.
fn every_job_is_run_or_told(trouble: Source, told: fn(&Error) -> bool) {
    let source = Source {
        linger: FOR_EVER,
        ..trouble
    };
    let core = Arc::new(Core::new("model".into(), 2, None, source));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let core = core.clone();
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
                jobs.into_iter()
                    .for_each(|(n, ran, task)| match block_on(task) {
                        Ok(value) => assert_eq!((value, ran.load(Ordering::SeqCst)), (n, 1)),
                        Err(error) => {
                            assert!(told(&error), "{error}");
                            assert_eq!(
                                ran.load(Ordering::SeqCst),
                                0,
                                "it ran, and was told not to have"
                            );
                        }
                    });
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
    check_both(|| {
        let trouble = Source {
            refusals: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::NoThread { .. }));
    });
}

/// K11, R5: workers are lost before they serve, as in the queue of a runtime that shuts down.
#[test]
fn a_lost_worker_loses_no_job() {
    check_both(|| {
        let trouble = Source {
            losses: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::NoRuntime { .. }));
    });
}

/// Threads come and find that they cannot serve, as when the object of a resource cannot be made.
#[test]
fn a_thread_that_cannot_serve_loses_no_job() {
    check_both(|| {
        let trouble = Source {
            declines: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::Unavailable(_)));
    });
}

/// Threads leave between two jobs, as they have lost what they need; others come in their place.
#[test]
fn a_thread_that_has_to_leave_is_replaced() {
    check_both(|| {
        let trouble = Source {
            spends: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |_| false);
    });
    check_both(|| {
        let trouble = Source {
            declines: 0.3,
            spends: 0.3,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::Unavailable(_)));
    });
}
