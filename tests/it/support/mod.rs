//! What the tests share.

#[macro_use]
mod place;
mod child;
mod gate;
mod hazard;
mod leaving;
mod process;
mod watchdog;

use std::time::{Duration, Instant};

use longshore::{Lane, lane::Stats};

#[cfg(feature = "ureq")]
pub(crate) use self::process::{peak_address_space, peak_resident};
pub(crate) use self::{
    child::{Child, each_in_a_child, in_child},
    gate::{Door, Gate, Meter},
    hazard::{DropFlag, Ending, PanicOnDrop},
    leaving::Leaving,
    place::{Flavour, Place, Source, everywhere_runs, on_a_worker_runs, places, sources},
    process::{NoMoreThreads, cpu_time, resident, sleeps, thread_cpu_time, threads_named},
    watchdog::{watch_over, watched},
};

/// How long "at once" may take on a machine that is busy with other things.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(4);

/// How late something may be that is due at a time, in the best of several tries.
pub(crate) const IN_TIME: Duration = Duration::from_millis(250);

/// How long "in the end" may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked at before that is over: where the whole machine stands still for a while, one
/// look after it would be the last.
const LOOKS: usize = 1_000;

/// Waits, in async code, until something is true that becomes true by itself.
#[track_caller]
pub(crate) fn eventually<'a>(
    what: &'a str,
    mut is_so: impl FnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let (end, mut looks) = (Instant::now() + PATIENCE, 0);
        while !is_so() {
            looks += 1;
            let is_over = looks > LOOKS && Instant::now() > end;
            assert!(!is_over, "{caller}: it never came true: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// As [`eventually`], outside of async code.
#[track_caller]
pub(crate) fn settles(what: &str, mut is_so: impl FnMut() -> bool) {
    let (end, mut looks) = (Instant::now() + PATIENCE, 0);
    while !is_so() {
        looks += 1;
        let is_over = looks > LOOKS && Instant::now() > end;
        assert!(!is_over, "it never came true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every job is on the books exactly once, and the limit holds.
#[track_caller]
pub(crate) fn assert_books(stats: &Stats) {
    let accounted = (stats.waiting + stats.running + stats.suspended + stats.detached) as u64
        + stats.completed
        + stats.panicked
        + stats.cancelled
        + stats.timed_out
        + stats.no_thread
        + stats.no_runtime
        + stats.unavailable;
    assert_eq!(stats.submitted, accounted, "a job lost or twice: {stats:?}");
    assert!(
        stats.running + stats.draining + stats.suspended <= stats.limit + stats.lent,
        "more than the limit: {stats:?}"
    );
    assert!(stats.detached <= stats.draining, "{stats:?}");
    assert!(stats.peak_running <= stats.limit, "{stats:?}");
}

/// The lane is as it was before it was used: no job, no slot taken, no thread.
#[track_caller]
pub(crate) fn is_as_new(lane: &Lane) -> impl Future<Output = ()> + '_ {
    let caller = std::panic::Location::caller();
    async move {
        let (end, mut looks) = (Instant::now() + PATIENCE, 0);
        loop {
            let stats = lane.stats();
            assert_books(&stats);
            let busy = stats.waiting + stats.running + stats.draining + stats.suspended;
            let busy = busy + stats.detached + stats.lent;
            if busy + stats.workers + stats.starting == 0 {
                break;
            }
            looks += 1;
            let is_over = looks > LOOKS && Instant::now() > end;
            assert!(!is_over, "{caller}: something is left: {stats:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(lane.jobs().is_empty(), "{caller}");
    }
}

/// One job at a time gets through, as many as there are slots: all of them were given back.
pub(crate) async fn every_slot_is_free(lane: &Lane) {
    let limit = lane.stats().limit;
    let gate = Gate::new();
    let tasks: Vec<_> = (0..limit)
        .map(|_| {
            let door = gate.door();
            lane.offload(move || door.pass())
        })
        .collect();
    gate.arrived(limit).await;
    gate.open();
    for task in tasks {
        task.await.expect("nothing stops these");
    }
}
