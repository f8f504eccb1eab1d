//! Jobs that wait for each other in a circle, and those that only seem to.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    check_both,
    lanes::{FOR_EVER, lane, offload, wait_until_settled},
    signals::Handed,
};
use crate::{error::Error, job::Task, sync::Arc};

/// K8. Each of `jobs` waits for the next, the last for the first. The first to hear of it is freed,
/// and with it the others.
fn a_circle(jobs: usize, limit: usize) {
    let core = lane(limit, None, FOR_EVER);
    let told = Arc::new(AtomicUsize::new(0));
    let handed: Vec<_> = (0..jobs).map(|_| Handed::<Task<()>>::new()).collect();
    let mut tasks: Vec<_> = handed
        .iter()
        .map(|handed| {
            let (handed, told) = (handed.clone(), told.clone());
            offload(&core, move |job| {
                let next = handed.take();
                let end = job.block_on(next);
                if let Ok(Err(Error::WouldDeadlock { .. })) = end {
                    told.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    tasks.rotate_left(1);
    for (handed, next) in handed.iter().zip(tasks) {
        handed.give(next);
    }
    wait_until_settled(&core);
    assert!(told.load(Ordering::SeqCst) >= 1);
    core.close();
}

#[test]
fn a_circle_of_jobs_that_wait_for_each_other_is_broken() {
    check_both(|| a_circle(1, 1));
    check_both(|| a_circle(2, 2));
    check_both(|| a_circle(3, 3));
}

/// K8. What looks like a circle and is none: one of the two has something else to wait for as well.
#[test]
fn there_is_no_false_alarm() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let handed = Handed::<Task<bool>>::new();
        let (theirs, event) = (handed.clone(), Handed::new());
        let other = event.clone();
        let first = offload(&core, move |_| {
            let task = handed.take();
            let released = std::future::poll_fn(move |cx| other.poll(cx));
            let either = futures::future::select(task, released);
            // The other may be over first, or not.
            match crate::job::block_on(either) {
                futures::future::Either::Left((told, _)) => told.is_ok(),
                futures::future::Either::Right(((), task)) => {
                    task.detach();
                    true
                }
            }
        });
        let second = offload(&core, move |_| {
            let first = crate::job::block_on(first);
            first.expect("it is not called a deadlock")
        });
        theirs.give(second);
        event.release();
        wait_until_settled(&core);
        assert_eq!(core.stats().completed, 2);
        core.close();
    });
}
