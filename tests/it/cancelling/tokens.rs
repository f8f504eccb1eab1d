//! C6, C11: one token for many jobs.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use longshore::CancelToken;

use crate::support::{
    DropFlag, Gate, Meter, Place, eventually, every_slot_is_free, is_as_new, settles,
};

everywhere_and_on_workers! {
    /// C6.
    async fn a_job_under_a_cancelled_token_never_starts(place: Place) {
        let lane = place.lane(1);
        let token = CancelToken::new();
        let child = token.child();
        token.cancel();
        for token in [&token, &child, &child.child()] {
            assert!(token.is_cancelled());
            let error = lane
                .cancelled_by(token)
                .offload(|| panic!("it must not start"))
                .await
                .unwrap_err();
            assert!(error.is_cancelled() && error.never_started(), "{error:?}");
        }
        let stats = lane.stats();
        assert_eq!((stats.submitted, stats.cancelled, stats.workers), (3, 3, 0));
    }

    /// C6.
    async fn a_child_token_is_cancelled_with_its_parent_and_not_the_other_way_round(place: Place) {
        let lane = place.lane(3);
        let (parent, gate) = (CancelToken::new(), Gate::new());
        let (first, second) = (parent.child(), parent.child());
        let under = |token: &CancelToken| {
            let door = gate.door();
            lane.cancelled_by(token).offload(move || door.pass())
        };
        let (in_first, in_second, in_parent) = (under(&first), under(&second), under(&parent));
        gate.arrived(3).await;
        first.cancel();
        assert!(in_first.await.unwrap_err().is_cancelled());
        assert!(!parent.is_cancelled() && !second.is_cancelled());
        assert_eq!(lane.stats().running, 2);
        parent.cancel();
        assert!(in_second.await.unwrap_err().is_cancelled());
        assert!(in_parent.await.unwrap_err().is_cancelled());
        parent.cancel();
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 3);
    }

    /// C6. A token outlives its jobs without collecting anything of theirs.
    async fn a_token_forgets_the_jobs_that_are_over(place: Place) {
        let lane = place.lane(4);
        let token = CancelToken::new();
        let under = lane.cancelled_by(&token);
        for i in 0..500 {
            assert_eq!(under.offload(move || i).await.unwrap(), i);
        }
        is_as_new(&lane).await;
        token.cancel();
        let stats = lane.stats();
        assert_eq!((stats.completed, stats.cancelled), (500, 0));
    }

    /// C11. On a machine that is busy with other things it may take three, in the best of three tries.
    async fn one_token_cancels_ten_thousand_jobs_in_a_second(place: Place) {
        const JOBS: usize = 10_000;
        const LIMIT: usize = 64;
        let lane = place.lane(LIMIT);
        let (mut tries, mut took, mut quickest) = (0, Duration::MAX, Duration::MAX);
        while tries < 3 && took > Duration::from_secs(1) {
            tries += 1;
            let token = CancelToken::new();
            let (started, captured) = (Meter::default(), DropFlag::default());
            let under = lane.cancelled_by(&token);
            let tasks: FuturesUnordered<_> = (0..JOBS)
                .map(|_| {
                    let (started, watched) = (started.clone(), captured.watched());
                    under.offload_with(move |job| {
                        let (_watched, blocked) = (watched, Gate::new());
                        let (door, interrupt) = (blocked.door(), blocked.door());
                        let _guard = job.on_cancel(move || interrupt.open());
                        let _inside = started.enter();
                        door.pass();
                    })
                })
                .collect();
            eventually("every slot is taken", || started.inside() == LIMIT).await;
            assert_eq!(lane.stats().waiting, JOBS - LIMIT);
            let begun = Instant::now();
            token.cancel();
            let told: Vec<_> = tasks.collect().await;
            took = begun.elapsed();
            quickest = quickest.min(took);
            assert!(told.iter().all(|told| told.as_ref().unwrap_err().is_cancelled()));
            is_as_new(&lane).await;
            assert_eq!(started.entered(), LIMIT, "none of the others started");
            assert_eq!(captured.dropped(), JOBS);
        }
        assert!(quickest <= Duration::from_secs(3), "it took {quickest:?}, at best");
        let jobs = (tries * JOBS) as u64;
        let stats = lane.stats();
        assert_eq!((stats.cancelled, stats.submitted), (jobs, jobs));
        every_slot_is_free(&lane).await;
    }

    /// C6. In its children's jobs neither, although it comes to these one after the other.
    async fn from_a_cancel_on_no_job_below_starts(place: Place) {
        let lane = place.lane(1);
        let (parent, gate, started) = (CancelToken::new(), Gate::new(), Meter::default());
        let (door, hook) = (gate.door(), gate.door());
        let running = lane.cancelled_by(&parent.child()).offload_with(move |job| {
            let _guard = job.on_cancel(move || hook.open());
            door.pass();
        });
        gate.arrived(1).await;
        // Between the two children, when the slot of the one is free and the other is not cancelled by
        // a hook of its own.
        let second = parent.child();
        let _guard = parent.on_cancel({
            let (lane, second) = (lane.clone(), second.child());
            move || {
                assert!(second.is_cancelled());
                settles("the worker has looked", || lane.stats().waiting == 0);
            }
        });
        let third = parent.child();
        let entered = started.clone();
        let waiting = lane.cancelled_by(&third).offload(move || drop(entered.enter()));
        parent.cancel();
        assert!(running.await.unwrap_err().is_cancelled());
        let error = waiting.await.unwrap_err();
        assert!(error.is_cancelled() && error.never_started(), "{error:?}");
        assert_eq!(started.entered(), 0);
        is_as_new(&lane).await;
    }
}

/// C6. However long the line from the first to the last is.
#[test]
fn a_chain_of_tokens_is_cancelled_and_dropped_whatever_its_length() {
    const LENGTH: usize = 200_000;
    let chain = |first: &CancelToken| (0..LENGTH).fold(first.clone(), |token, _| token.child());
    let (first, seen) = (CancelToken::new(), Meter::default());
    let (last, hook) = (chain(&first), seen.clone());
    let _guard = last.on_cancel(move || drop(hook.enter()));
    assert!(!last.is_cancelled());
    first.cancel();
    assert!(last.is_cancelled());
    assert_eq!(seen.entered(), 1);
    // Not cancelled, and with the last as the only one that somebody holds.
    drop(chain(&CancelToken::new()));
}
