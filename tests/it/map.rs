//! Many items through one lane.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use longshore::Error;

use crate::support::{
    DropFlag, Flavour, Gate, Meter, Place, assert_books, eventually, every_slot_is_free, is_as_new,
    watched,
};

everywhere_and_on_workers! {
    async fn a_map_gives_a_result_for_every_item(place: Place) {
        let lane = place.lane(4);
        let mut results: Vec<u32> = lane.map(0..500, |n: u32| n * 2).try_collect().await.unwrap();
        results.sort_unstable();
        assert_eq!(results, (0..1_000).step_by(2).collect::<Vec<u32>>());
        let none: Vec<u32> = lane.map(0..0, |n: u32| n).try_collect().await.unwrap();
        assert!(none.is_empty());
        is_as_new(&lane).await;
    }

    async fn an_ordered_map_gives_the_results_in_the_order_of_the_items(place: Place) {
        let lane = place.lane(4);
        let gate = Gate::new();
        let door = gate.door();
        let mut results = lane
            .map(0..200, move |n: u32| {
                if n == 0 {
                    // The first is the last to end of those that are under way.
                    door.pass();
                }
                n
            })
            .ordered();
        assert!(futures::poll!(results.next()).is_pending());
        gate.arrived(1).await;
        eventually("the others are over", || lane.stats().completed == 3).await;
        assert!(futures::poll!(results.next()).is_pending());
        assert_eq!(lane.stats().submitted, 4, "nor is more begun than the bound says");
        gate.open();
        let results: Vec<u32> = results.try_collect().await.unwrap();
        assert_eq!(results, (0..200).collect::<Vec<u32>>());
        is_as_new(&lane).await;
    }

    async fn an_unordered_map_gives_the_results_as_they_come(place: Place) {
        let lane = place.lane(2);
        let gate = Gate::new();
        let door = gate.door();
        let mut results = lane
            .map(0..10, move |n: usize| {
                if n == 0 {
                    door.pass();
                }
                n
            })
            .indexed();
        let mut seen = Vec::new();
        for _ in 0..9 {
            let (index, value) = results.next().await.unwrap();
            assert_eq!(value.unwrap(), index);
            seen.push(index);
        }
        assert!(!seen.contains(&0), "{seen:?}");
        gate.open();
        assert_eq!(results.next().await.unwrap().0, 0);
        assert!(results.next().await.is_none());
        is_as_new(&lane).await;
    }

    /// An endless input, of which no more is taken than there is room for.
    async fn a_map_is_lazy_and_bounded(place: Place) {
        let lane = place.lane(3);
        for concurrency in [1_usize, 3, 10] {
            let (taken, meter, gate) = (Arc::new(AtomicUsize::new(0)), Meter::default(), Gate::new());
            let (count, inside, door) = (taken.clone(), meter.clone(), gate.door());
            let items = std::iter::repeat_with(move || count.fetch_add(1, Ordering::SeqCst));
            let mut results = lane
                .map(items, move |n| {
                    let _inside = inside.enter();
                    door.pass();
                    n
                })
                .concurrency(concurrency);
            assert_eq!(taken.load(Ordering::SeqCst), 0, "nothing happens before it is polled");
            tokio::select! {
                biased;
                () = gate.arrived(concurrency.min(3)) => {}
                result = results.next() => panic!("{result:?} through a closed gate"),
            }
            assert!(futures::poll!(results.next()).is_pending());
            assert_eq!(taken.load(Ordering::SeqCst), concurrency);
            gate.open();
            for given in 1..=50 {
                results.next().await.unwrap().unwrap();
                assert!(taken.load(Ordering::SeqCst) <= given + concurrency);
            }
            drop(results);
            is_as_new(&lane).await;
            assert!(meter.peak() <= concurrency.min(3));
        }
    }

    /// One item's misfortune is its own.
    async fn in_a_map_a_failure_is_one_result_among_the_others(place: Place) {
        let lane = place.lane(4);
        let gate = Gate::new();
        let door = gate.door();
        let timed = lane.timeout(Duration::from_millis(300));
        let results: Vec<_> = timed
            .map(0..40, move |n: u32| match n {
                7 => panic!("as planned"),
                13 => {
                    door.pass();
                    n
                }
                _ => n,
            })
            .ordered()
            .collect()
            .await;
        assert_eq!(results.len(), 40);
        for (n, result) in results.into_iter().enumerate() {
            match (n, result) {
                // A very busy machine may need too long for any of them.
                (7, Err(error)) => assert!(error.is_panic() || error.is_timeout(), "{error:?}"),
                (13, Err(error)) => assert!(error.is_timeout()),
                (_, Ok(value)) => assert_eq!(value as usize, n),
                (_, Err(error)) => assert!(error.is_timeout(), "{n}: {error:?}"),
            }
        }
        gate.open();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// C5.
    async fn dropping_a_map_cancels_what_is_under_way_and_takes_no_more(place: Place) {
        let lane = place.lane(3);
        let (gate, taken, captured) = (Gate::new(), Meter::default(), DropFlag::default());
        let (door, count) = (gate.door(), taken.clone());
        let watched: Vec<_> = (0..100).map(|_| captured.watched()).collect();
        let items = watched.into_iter().inspect(move |_| drop(count.enter()));
        let mut results = lane.map(items, move |item| {
            door.pass();
            drop(item);
        });
        assert!(futures::poll!(results.next()).is_pending());
        gate.arrived(3).await;
        drop(results);
        let stats = lane.stats();
        assert_eq!((stats.cancelled, stats.draining, stats.waiting), (3, 3, 0));
        assert_eq!((taken.entered(), captured.dropped()), (3, 97));
        gate.open();
        is_as_new(&lane).await;
        assert_eq!(captured.dropped(), 100);
    }

    /// A full queue makes it wait.
    async fn a_map_waits_for_room_in_a_bounded_queue(place: Place) {
        for queue in [0, 1, 5] {
            let lane = place.bounded(2, queue);
            // Two at once, both with more under way than the lane has room for.
            let run = || lane.map(0..100, |n: u32| n).concurrency(20).try_collect::<Vec<_>>();
            let (first, second) = futures::join!(run(), run());
            for results in [first, second] {
                assert_eq!(results.unwrap().len(), 100);
            }
            is_as_new(&lane).await;
            let stats = lane.stats();
            assert_eq!((stats.completed, stats.refused), (200, 0));
            assert!(stats.peak_waiting <= queue + 2, "{stats:?}");
        }
    }

    /// C7. Of what it would have under way one item stands in line, and nobody waits behind more than that.
    async fn a_map_that_is_not_polled_leaves_room_for_others(place: Place) {
        let lane = place.bounded(2, 0);
        let mut map = lane.map(0..100, |n| n).concurrency(20);
        let mut all = vec![map.next().await.expect("a hundred").unwrap()];
        while let Some(result) = map.next().await {
            all.push(result.unwrap());
            let permit = lane.reserve().await.unwrap();
            assert_eq!(permit.offload(|| 7).await.unwrap(), 7);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
        is_as_new(&lane).await;
    }

    async fn a_map_over_a_stream_waits_for_its_items(place: Place) {
        let lane = place.lane(2);
        let (send, items) = futures::channel::mpsc::unbounded();
        let mut results = lane.map_stream(items, |n: u32| n + 1);
        assert!(futures::poll!(results.next()).is_pending());
        for n in 0..20 {
            send.unbounded_send(n).unwrap();
            assert_eq!(results.next().await.unwrap().unwrap(), n + 1);
            assert!(futures::poll!(results.next()).is_pending());
        }
        drop(send);
        assert!(results.next().await.is_none());
        let nothing: Vec<u32> = lane.map_stream(stream::empty(), |n: u32| n).try_collect().await.unwrap();
        assert!(nothing.is_empty());
        is_as_new(&lane).await;
    }

    /// K10.
    async fn a_map_ends_when_its_lane_is_closed(place: Place) {
        let lane = place.lane(2);
        let mut results = lane.map(0..100, |n: u32| n);
        assert!(results.next().await.unwrap().is_ok());
        lane.close();
        let rest: Vec<_> = results.collect().await;
        assert_eq!(rest.len(), 99);
        let closed = |result: &Result<u32, Error>| matches!(result, Err(Error::Closed { .. }));
        assert!(rest.iter().filter(|result| closed(result)).count() >= 97);
        is_as_new(&lane).await;
        assert_books(&lane.stats());
    }
}

#[test]
fn a_map_that_was_polled_cannot_be_put_in_order() {
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            for items in [0, 1, 3] {
                let lane = longshore::Lane::builder("polled").limit(2).build();
                let mut results = lane.map(0..items, |n: u32| n);
                let _ = results.next().await;
                let ordered = catch_unwind(AssertUnwindSafe(|| drop(results.ordered())));
                let payload = ordered.unwrap_err();
                let told = payload.downcast_ref::<&str>().unwrap();
                assert!(told.contains("polled already"), "{told}");
            }
        });
    });
}
