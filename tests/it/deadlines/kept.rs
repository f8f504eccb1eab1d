//! K3: deadlines are kept, in the queue and on a thread, one and many, on a busy machine too, and
//! without a runtime's timer.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use futures::executor::block_on;
use longshore::error::Phase;
use tokio::time::Instant;

use super::{SHORT, at, others, timed_out};
use crate::support::{
    Door, Flavour, Gate, IN_TIME, Place, Source, assert_books, eventually, every_slot_is_free,
    is_as_new, places, settles, watch_over, watched,
};

/// How late a deadline may be on a machine that is busy with other things; the best of several may
/// be [`IN_TIME`].
const LATE: Duration = Duration::from_secs(8);

everywhere_and_on_workers! {
    /// K3.
    async fn a_deadline_that_passes_in_the_queue_says_so(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let ahead = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            let told = lane.timeout(SHORT).offload(|| panic!("it must not start")).await;
            let took = begun.elapsed();
            let (phase, waited, ran) = timed_out(told);
            assert_eq!((phase, ran), (Phase::Waiting, Duration::ZERO));
            assert!(waited >= SHORT && waited <= took, "{waited:?} of {took:?}");
            assert!(took < SHORT + LATE, "{took:?}");
            quickest = quickest.min(took);
        }
        assert!(quickest < SHORT + IN_TIME, "{quickest:?}");
        gate.open();
        ahead.await.unwrap();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().timed_out, 5);
    }

    /// K3. In a full lane whose jobs were over in no time until now, callers do not look at the books
    /// when they hand one in.
    async fn deadlines_hold_behind_a_job_that_takes_long_after_many_that_did_not(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let patient = lane.timeout(Duration::from_secs(60));
        let mut others: Vec<_> = (0..1_000).map(|_| patient.offload(|| ())).collect();
        let long = lane.offload(move || door.pass());
        others.extend((0..10).map(|_| patient.offload(|| ())));
        gate.arrived(1).await;
        let hasty = lane.timeout(SHORT);
        let behind: Vec<_> = (0..1_000)
            .map(|_| hasty.offload(|| panic!("it must not start")))
            .collect();
        let begun = Instant::now();
        for task in behind {
            assert_eq!(timed_out(task.await).0, Phase::Waiting);
        }
        let took = begun.elapsed();
        assert!(took < SHORT + LATE, "{took:?}");
        gate.open();
        long.await.unwrap();
        for task in others {
            task.await.unwrap();
        }
        is_as_new(&lane).await;
    }

    /// K3, W13. And the caller is free, although the thread is not.
    async fn a_deadline_that_passes_on_a_thread_says_so_and_frees_the_caller(place: Place) {
        let lane = place.lane(3);
        let gate = Gate::new();
        // Long enough to be on a thread by then; more if the machine is too busy.
        let mut time = Duration::from_millis(400);
        let (mut stuck, mut in_vain) = (0, 0);
        let mut quickest = Duration::MAX;
        // One more thread is stuck each time.
        while stuck < 3 {
            let door = gate.door();
            let begun = Instant::now();
            let told = lane.timeout(time).offload(move || door.pass()).await;
            let took = begun.elapsed();
            let (phase, waited, ran) = timed_out(told);
            if phase == Phase::Waiting && in_vain < 4 {
                in_vain += 1;
                time *= 2;
                continue;
            }
            stuck += 1;
            assert_eq!(phase, Phase::Running);
            assert!(ran > Duration::ZERO && waited + ran >= time, "{waited:?} {ran:?}");
            assert!(waited + ran <= took && took < time + LATE, "{took:?}");
            quickest = quickest.min(took - time);
            let stats = lane.stats();
            assert_eq!((stats.draining, stats.timed_out), (stuck, (stuck + in_vain) as u64));
        }
        assert!(quickest < IN_TIME, "{quickest:?}");
        gate.open();
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K3. One budget for both: what was spent waiting is not there for running.
    async fn time_in_the_queue_counts(place: Place) {
        let lane = place.lane(1);
        let (gate, blocked) = (Gate::new(), Gate::new());
        let (door, endless) = (gate.door(), blocked.door());
        let ahead = lane.offload(move || door.pass());
        gate.arrived(1).await;
        // Enough to be on a thread by then, on any machine.
        let time = Duration::from_secs(2);
        let begun = Instant::now();
        let task = lane.timeout(time).offload_with(move |job| {
            let left = job.remaining().expect("it has a deadline");
            assert!(left <= time - Duration::from_millis(100), "{left:?}");
            endless.pass();
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        gate.open();
        ahead.await.unwrap();
        let (phase, waited, _) = timed_out(task.await);
        assert_eq!(phase, Phase::Running);
        assert!(waited >= Duration::from_millis(100), "{waited:?}");
        assert!(begun.elapsed() >= time);
        blocked.open();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().late_panics, 0);
    }

    /// K3. From the call, not from the first poll; and nobody has to poll at all.
    async fn a_deadline_runs_although_the_task_is_not_polled(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.timeout(SHORT).offload_with(move |job| {
            let interrupt = door.clone();
            let _guard = job.on_cancel(move || interrupt.open());
            door.pass();
        });
        let waiting = lane.timeout(SHORT).offload(|| ());
        eventually("the deadlines pass", || lane.stats().timed_out >= 1).await;
        // Whoever runs first, the runner was interrupted with nobody polling its task.
        eventually("both are over", || running.is_finished() && waiting.is_finished()).await;
        is_as_new(&lane).await;
        assert!(running.await.unwrap_err().is_timeout());
        assert_books(&lane.stats());
    }

    /// K3. Many deadlines, handed in out of order: each is kept at its own time, none early, and not
    /// all of them at one time.
    async fn of_many_deadlines_each_is_kept(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let ahead = lane.offload(move || door.pass());
        gate.arrived(1).await;
        // Further apart than any but one of them would have to be late if all came with the last.
        let tasks: Vec<_> = [350_u64, 950, 50, 650]
            .into_iter()
            .map(Duration::from_millis)
            .map(|time| (time, lane.timeout(time).offload(|| ())))
            .collect();
        let mut late = Vec::new();
        for (time, task) in tasks {
            let (phase, waited, _) = timed_out(task.await);
            assert_eq!(phase, Phase::Waiting);
            assert!(waited >= time && waited < time + LATE, "{waited:?} for {time:?}");
            late.push(waited - time);
        }
        late.sort_unstable();
        assert!(late[1] < IN_TIME, "{late:?}");
        gate.open();
        ahead.await.unwrap();
        is_as_new(&lane).await;
        assert_eq!((lane.stats().timed_out, lane.stats().completed), (4, 1));
    }

    /// S6. With every core taken by something else.
    async fn deadlines_are_kept_on_a_machine_that_is_fully_loaded(place: Place) {
        let lane = place.lane(2);
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let spinners: Vec<_> = (0..cores + 2)
            .map(|_| {
                let stop = stop.clone();
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        hint::spin_loop();
                    }
                })
            })
            .collect();
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let blocked = Gate::new();
            let door = blocked.door();
            let begun = Instant::now();
            let told = lane.timeout(SHORT).offload(move || door.pass()).await;
            timed_out(told);
            let took = begun.elapsed();
            assert!(took >= SHORT && took < SHORT + LATE, "{took:?}");
            quickest = quickest.min(took);
        }
        assert!(quickest < SHORT + IN_TIME, "{quickest:?}");
        stop.store(true, Ordering::Relaxed);
        for spinner in spinners {
            spinner.join().unwrap();
        }
        is_as_new(&lane).await;
    }
}

/// K3. A runtime that was built without a timer: a thread keeps the time.
#[test]
fn deadlines_are_kept_on_a_runtime_without_a_timer() {
    watched(|| {
        for place in places() {
            let lane = watch_over(place.builder(1).build());
            let mut builder = match place.flavour {
                Flavour::CurrentThread => tokio::runtime::Builder::new_current_thread(),
                Flavour::MultiThread => tokio::runtime::Builder::new_multi_thread(),
            };
            let runtime = builder.worker_threads(2).build().unwrap();
            let gate = Gate::new();
            let door = gate.door();
            runtime.block_on(async {
                let told = lane.timeout(SHORT).offload(move || door.pass()).await;
                timed_out(told);
                let told = lane.timeout(Duration::from_secs(60)).offload(|| 7);
                gate.open();
                assert_eq!(told.await.unwrap(), 7);
            });
        }
    });
}

/// K3. And outside of any runtime.
#[test]
fn deadlines_are_kept_outside_of_a_runtime() {
    watched(|| {
        for source in others() {
            let lane = watch_over(at(source).builder(1).build());
            let gate = Gate::new();
            let door = gate.door();
            let running = lane
                .timeout(Duration::from_millis(300))
                .offload(move || door.pass());
            let waiting = lane.timeout(SHORT).offload(|| ());
            let (phase, ..) = timed_out(block_on(waiting));
            assert_eq!(phase, Phase::Waiting);
            timed_out(block_on(running));
            gate.open();
            settles("nothing is left", || lane.stats().workers == 0);
            assert_books(&lane.stats());
            // Once more, after the thread that kept the time has gone.
            let blocked = Gate::new();
            let door = blocked.door();
            timed_out(block_on(lane.timeout(SHORT).offload(move || door.pass())));
        }
    });
}

/// K3. What a thread keeps it keeps by the clock, however long the hooks take that it has to run.
#[test]
fn a_hook_that_takes_long_does_not_put_off_the_next_deadline() {
    watched(|| {
        let lane = watch_over(at(Source::Threads).builder(2).build());
        let (gate, slow) = (Gate::new(), Gate::new());
        let (door, hook) = (gate.door(), slow.door());
        // Enough for the first to begin. The hook takes the rest of the time of the second, and that is
        // more than this may be late.
        let (soon, later) = (Duration::from_secs(1), Duration::from_secs(3));
        let late = Duration::from_millis(1_500);
        let first = lane.timeout(soon).offload_with(move |job| {
            let _guard = job.on_cancel(move || hook.pass());
            door.pass();
        });
        let (begun, door) = (Instant::now(), gate.door());
        let second = lane.timeout(later).offload(move || door.pass());
        settles("the hook runs", || slow.count() == 1);
        while begun.elapsed() < later {
            thread::sleep(SHORT);
        }
        slow.open();
        let due = Instant::now();
        timed_out(block_on(second));
        assert!(due.elapsed() < late, "{:?}", due.elapsed());
        timed_out(block_on(first));
        gate.open();
        settles("nothing is left", || lane.stats().workers == 0);
    });
}

/// K3. Nobody drives the runtime, so that it is the worker who sees that the time is up.
#[test]
fn a_job_whose_time_runs_out_while_the_one_ahead_is_dropped_does_not_start() {
    struct Slow(Door);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.pass();
        }
    }
    watched(|| {
        for source in others() {
            let place = at(source);
            place.flavour.runtime().block_on(async move {
                let lane = place.lane(1);
                let (ahead, dropping) = (Gate::new(), Gate::new());
                let door = ahead.door();
                let first = lane.offload(move || door.pass());
                ahead.arrived(1).await;
                let (soon, later) = (SHORT, 10 * SHORT);
                let begun = Instant::now();
                let captured = Slow(dropping.door());
                let late = lane.timeout(soon).offload(move || drop(captured));
                let behind = lane.timeout(later).offload(|| ());
                // From here on nothing is awaited.
                thread::sleep(2 * soon);
                ahead.open();
                settles("the closure is dropped", || dropping.count() == 1);
                while begun.elapsed() < later + soon {
                    thread::sleep(SHORT);
                }
                dropping.open();
                settles("it is over", || behind.is_finished());
                assert_eq!(timed_out(behind.await).0, Phase::Waiting, "{source:?}");
                assert_eq!(timed_out(late.await).0, Phase::Waiting);
                first.await.unwrap();
            });
        }
    });
}
