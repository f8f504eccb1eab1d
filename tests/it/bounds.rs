//! S4: queues are as long as they were said to be, refusals are quick, memory is flat.

use std::time::{Duration, Instant};

use longshore::{Error, lane::Threads};

use crate::support::{
    Child, Flavour, Gate, Place, Source, assert_books, in_child, is_as_new, resident, settles,
    thread_cpu_time, watched,
};

everywhere! {
    /// S4. A burst of ten times what fits: exactly limit + bound are taken.
    async fn of_a_burst_exactly_as_many_jobs_are_taken_as_fit(place: Place) {
        for (limit, queue) in [(1_usize, 0_usize), (1, 1), (4, 0), (3, 20), (8, 500)] {
            let lane = place.bounded(limit, queue);
            let gate = Gate::new();
            // Once from a standing start, and once with quick jobs behind it.
            for quick in [0, 300] {
                for _ in 0..quick {
                    lane.offload(|| ()).await.unwrap();
                }
                let gate = Gate::new();
                let mut taken = Vec::new();
                let mut refused = 0;
                for _ in 0..10 * (limit + queue) {
                    let door = gate.door();
                    match lane.try_offload(move || door.pass()) {
                        Ok(task) => taken.push(task),
                        Err(Error::QueueFull { queue: bound, limit: slots, .. }) => {
                            assert_eq!((slots, bound), (limit, queue));
                            refused += 1;
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                assert_eq!((taken.len(), refused), (limit + queue, 9 * (limit + queue)));
                gate.arrived(limit).await;
                assert_eq!(lane.stats().waiting, queue);
                assert!(lane.try_offload(|| ()).unwrap_err().is_full());
                gate.open();
                for task in taken {
                    task.await.unwrap();
                }
            }
            drop(gate);
            is_as_new(&lane).await;
        }
    }

    /// S4. From many threads at once as well.
    async fn of_bursts_from_many_threads_exactly_as_many_jobs_are_taken_as_fit(place: Place) {
        let lane = place.bounded(3, 50);
        for _ in 0..5 {
            let gate = Gate::new();
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let (lane, door) = (lane.clone(), gate.door());
                    let runtime = tokio::runtime::Handle::current();
                    std::thread::spawn(move || {
                        let _context = runtime.enter();
                        (0..200)
                            .filter_map(|_| {
                                let door = door.clone();
                                lane.try_offload(move || door.pass()).ok()
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let taken: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
            assert_eq!(taken.len(), 53);
            gate.open();
            for task in taken {
                task.await.unwrap();
            }
        }
        is_as_new(&lane).await;
        assert_books(&lane.stats());
    }

    /// S4. Nearly all in less than a millisecond: this thread may be put off the processor now and
    /// then. And all together in two seconds of its time there, in the best of three tries.
    async fn a_hundred_thousand_refusals_are_quick(place: Place) {
        const CALLS: u32 = 100_000;
        let lane = place.bounded(1, 0);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let (mut tries, mut took) = (0, Duration::MAX);
        while tries < 3 && took > Duration::from_secs(2) {
            tries += 1;
            let before = thread_cpu_time();
            let mut slow = 0;
            for _ in 0..CALLS {
                let call = Instant::now();
                assert!(lane.try_offload(|| ()).unwrap_err().is_full());
                slow += u32::from(call.elapsed() > Duration::from_millis(1));
            }
            took = thread_cpu_time() - before;
            assert!(slow < CALLS / 100, "{slow} took more than a millisecond");
        }
        assert!(took <= Duration::from_secs(2), "{took:?}, at best");
        assert_eq!(lane.stats().refused, u64::from(tries * CALLS));
        gate.open();
        running.await.unwrap();
        is_as_new(&lane).await;
    }
}

/// S4. A bound of a million is only a number.
#[test]
fn a_bound_of_a_million_costs_nothing_until_it_is_used() {
    watched(|| {
        for queue in [1_000_000, usize::MAX] {
            let place = Place {
                source: Source::Threads,
                flavour: Flavour::CurrentThread,
            };
            let lane = place.bounded(1, queue);
            let gate = Gate::new();
            let door = gate.door();
            let running = lane.offload(move || door.pass());
            settles("it runs", || gate.count() == 1);
            let waiting: Vec<_> = (0..20_000)
                .map(|i| lane.try_offload(move || i).unwrap())
                .collect();
            gate.open();
            futures::executor::block_on(running).unwrap();
            for (i, task) in waiting.into_iter().enumerate() {
                assert_eq!(futures::executor::block_on(task).unwrap(), i);
            }
        }
    });
}

/// S4. Refusals leave nothing behind, nor do jobs that have been and gone. In a process of its own,
/// whose memory nobody else uses.
#[test]
fn memory_is_flat_however_many_jobs_come_and_are_refused() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::memory_is_flat_however_many_jobs_come_and_are_refused"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        let lane = longshore::Lane::builder("flat")
            .limit(2)
            .queue(100)
            .own_threads(Threads::new())
            .build();
        let round = || {
            let gate = Gate::new();
            let mut taken = Vec::new();
            for _ in 0..10_000 {
                let door = gate.door();
                taken.extend(lane.try_offload(move || door.pass()).ok());
            }
            assert_eq!(taken.len(), 102);
            // Half of them are left, and half are run.
            taken.truncate(51);
            gate.open();
            for task in taken {
                futures::executor::block_on(task).unwrap();
            }
            for i in 0..1_000 {
                assert_eq!(
                    futures::executor::block_on(lane.offload(move || i)).unwrap(),
                    i
                );
            }
        };
        for _ in 0..3 {
            round();
        }
        let before = resident();
        for _ in 0..15 {
            round();
        }
        let grown = resident().saturating_sub(before);
        assert!(grown <= 2 << 20, "{grown} bytes more");
    });
}
