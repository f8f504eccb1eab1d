//! K3: a deadline runs from the call that hands the job in, and covers waiting and running.

use std::{sync::mpsc, time::Duration};

use longshore::{Error, error::Phase};
use tokio::time::Instant;

use crate::support::{
    Door, Flavour, Gate, IN_TIME, Place, Source, assert_books, eventually, every_slot_is_free,
    is_as_new, places, settles, sources, watch_over, watched,
};

const SHORT: Duration = Duration::from_millis(40);
/// How late a deadline may be on a machine that is busy with other things; the best of several may
/// be [`IN_TIME`].
const LATE: Duration = Duration::from_secs(2);

fn timed_out<T: std::fmt::Debug>(told: Result<T, Error>) -> (Phase, Duration, Duration) {
    match told {
        Err(Error::TimedOut {
            phase, waited, ran, ..
        }) => (phase, waited, ran),
        other => panic!("expected a timeout, got {other:?}"),
    }
}

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
        // Long enough to be on a thread by then, on any machine.
        let time = Duration::from_millis(400);
        let mut quickest = Duration::MAX;
        // One more thread is stuck each time.
        for stuck in 1..=3 {
            let door = gate.door();
            let begun = Instant::now();
            let told = lane.timeout(time).offload(move || door.pass()).await;
            let took = begun.elapsed();
            let (phase, waited, ran) = timed_out(told);
            assert_eq!(phase, Phase::Running);
            assert!(ran > Duration::ZERO && waited + ran >= time, "{waited:?} {ran:?}");
            assert!(waited + ran <= took && took < time + LATE, "{took:?}");
            quickest = quickest.min(took);
            let stats = lane.stats();
            assert_eq!((stats.draining, stats.timed_out), (stuck, stuck as u64));
        }
        assert!(quickest < time + IN_TIME, "{quickest:?}");
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
        let time = Duration::from_millis(600);
        let begun = Instant::now();
        let task = lane.timeout(time).offload_with(move |job| {
            let left = job.remaining().expect("it has a deadline");
            assert!(left <= Duration::from_millis(500), "{left:?}");
            endless.pass();
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        gate.open();
        ahead.await.unwrap();
        let (_, waited, _) = timed_out(task.await);
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

    /// C9.
    async fn a_deadline_of_zero_or_in_the_past_lets_no_job_start(place: Place) {
        let lane = place.lane(1);
        let past = Instant::now() - Duration::from_millis(1);
        let lanes = [
            lane.timeout(Duration::ZERO),
            lane.deadline(Instant::now()),
            lane.deadline(past),
            watch_over(place.builder(1).timeout(Duration::ZERO).build()),
        ];
        for lane in &lanes {
            let told = lane.offload(|| panic!("it must not start")).await;
            let (phase, waited, ran) = timed_out(told);
            assert_eq!((phase, waited, ran), (Phase::Waiting, Duration::ZERO, Duration::ZERO));
            let told = lane.try_offload(|| panic!("it must not start")).unwrap().await;
            assert!(told.unwrap_err().never_started());
            let permit = lane.reserve().await.unwrap();
            assert!(permit.offload(|| panic!("it must not start")).await.unwrap_err().is_timeout());
        }
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!((stats.timed_out, stats.workers, stats.waiting), (9, 0, 0));
        every_slot_is_free(&lane).await;
    }

    /// C9.
    async fn a_time_too_long_to_be_represented_is_no_limit(place: Place) {
        let lane = place.lane(1);
        for time in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_secs(u64::MAX)] {
            let remaining = lane.timeout(time).offload_with(|job| job.remaining()).await.unwrap();
            // Either there is none, or it is far away.
            assert!(remaining.is_none_or(|left| left > Duration::from_secs(1 << 30)));
            assert_eq!(lane.timeout(time).offload(|| 7).await.unwrap(), 7);
        }
        let builder = place.builder(1).timeout(Duration::MAX).build();
        assert_eq!(builder.offload(|| 7).await.unwrap(), 7);
        is_as_new(&lane).await;
    }

    /// K3. The lane's own, replaced for one call.
    async fn a_timeout_for_one_call_replaces_that_of_the_lane(place: Place) {
        let lane = watch_over(place.builder(1).timeout(Duration::ZERO).build());
        assert!(lane.offload(|| 7).await.unwrap_err().is_timeout());
        assert_eq!(lane.timeout(Duration::MAX).offload(|| 7).await.unwrap(), 7);
        let far = Instant::now() + Duration::from_secs(3_600);
        let told = lane.deadline(far).offload_with(move |job| job.deadline() == Some(far));
        assert!(told.await.unwrap());
        assert!(lane.offload(|| 7).await.unwrap_err().is_timeout());
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
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let spinners: Vec<_> = (0..cores + 2)
            .map(|_| {
                let stop = stop.clone();
                std::thread::spawn(move || {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let blocked = Gate::new();
            let door: Door = blocked.door();
            let begun = Instant::now();
            let told = lane.timeout(SHORT).offload(move || door.pass()).await;
            timed_out(told);
            let took = begun.elapsed();
            assert!(took >= SHORT && took < SHORT + LATE, "{took:?}");
            quickest = quickest.min(took);
        }
        assert!(quickest < SHORT + IN_TIME, "{quickest:?}");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for spinner in spinners {
            spinner.join().unwrap();
        }
        is_as_new(&lane).await;
    }
}

/// Those whose threads Tokio knows nothing of.
fn others() -> impl Iterator<Item = Source> {
    (sources().into_iter()).filter(|source| *source != Source::Tokio)
}

/// Runs async code on a clock that stands still, or jumps from timer to timer.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    watched(move || {
        Flavour::CurrentThread
            .builder()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(test());
    });
}

const PLACE: Place = Place {
    source: Source::Tokio,
    flavour: Flavour::CurrentThread,
};

/// Lets everything that is ready on the runtime run, at this moment of its clock.
async fn run_what_is_ready() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn at(source: Source) -> Place {
    Place { source, ..PLACE }
}

/// R11. Tokio does not let a paused clock run ahead while one of its blocking threads is busy, so
/// the test moves it; on other threads as well.
#[test]
fn a_deadline_follows_a_paused_clock() {
    paused(|| async {
        for source in sources() {
            let lane = watch_over(at(source).builder(1).build());
            let gate = Gate::new();
            let door = gate.door();
            let hour = Duration::from_secs(3_600);
            let begun = std::time::Instant::now();
            let running = lane.timeout(hour).offload(move || door.pass());
            settles("it runs", || gate.count() == 1);
            let waiting = lane.timeout(2 * hour).offload(|| ());
            run_what_is_ready().await;

            tokio::time::advance(hour - Duration::from_secs(1)).await;
            run_what_is_ready().await;
            assert!(!running.is_finished() && !waiting.is_finished());
            tokio::time::advance(Duration::from_secs(2)).await;
            run_what_is_ready().await;
            assert!(running.is_finished() && !waiting.is_finished());
            let (phase, _, ran) = timed_out(running.await);
            assert_eq!(phase, Phase::Running);
            assert!(
                ran >= hour && ran < hour + Duration::from_secs(2),
                "{ran:?}"
            );
            tokio::time::advance(hour).await;
            run_what_is_ready().await;
            let (phase, waited, _) = timed_out(waiting.await);
            assert_eq!(phase, Phase::Waiting);
            assert!(waited >= 2 * hour, "{waited:?}");
            gate.open();
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "no real time was spent"
            );
        }
    });
}

/// R11. On threads of which Tokio knows nothing, the clock jumps to the deadline.
#[test]
fn a_paused_clock_jumps_to_a_deadline_on_threads_that_are_not_tokios() {
    paused(|| async {
        for source in others() {
            let lane = watch_over(at(source).builder(1).build());
            let gate = Gate::new();
            let door = gate.door();
            let day = Duration::from_secs(86_400);
            let (say, said) = mpsc::channel();
            let task = lane.timeout(day).offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
                say.send(()).unwrap();
            });
            settles("it runs", || gate.count() == 1);
            let (phase, ..) = timed_out(task.await);
            assert_eq!(phase, Phase::Running);
            said.recv().expect("it was interrupted");
        }
    });
}

/// K3, R11. From deadline to deadline, so that how late they are is not a matter of the machine.
#[test]
fn on_a_paused_clock_each_of_many_deadlines_is_kept_to_the_millisecond() {
    paused(|| async {
        for source in others() {
            let lane = watch_over(at(source).builder(1).build());
            let gate = Gate::new();
            let door = gate.door();
            let ahead = lane.offload(move || door.pass());
            settles("it runs", || gate.count() == 1);
            let tasks: Vec<_> = [50_u64, 10, 90, 30, 70, 20, 80, 40, 60, 100]
                .into_iter()
                .map(Duration::from_millis)
                .map(|time| (time, lane.timeout(time).offload(|| ())))
                .collect();
            for (time, task) in tasks {
                let (phase, waited, _) = timed_out(task.await);
                assert_eq!(phase, Phase::Waiting);
                // Tokio's timers count in milliseconds.
                let late = waited.checked_sub(time).expect("not early");
                assert!(late <= Duration::from_millis(2), "{waited:?} for {time:?}");
            }
            gate.open();
            ahead.await.unwrap();
        }
    });
}

/// R11. A paused clock is a test's own affair: work without deadlines gets done, and workers that
/// linger do not keep the clock from jumping.
#[test]
fn with_a_paused_clock_jobs_run_and_timers_fire() {
    paused(|| async {
        for source in sources() {
            let lane = watch_over(at(source).builder(2).build());
            // The clock stands still for a thread of Tokio's. For others it does not: it would jump.
            let lane = match source {
                Source::Tokio => lane.timeout(Duration::from_secs(5)),
                _ => lane,
            };
            for i in 0..50 {
                assert_eq!(lane.offload(move || i).await.unwrap(), i);
            }
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            assert!(begun.elapsed() >= Duration::from_secs(3_600));
            assert_eq!((lane.stats().completed, lane.stats().timed_out), (50, 0));
        }
    });
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
            let (phase, ..) = timed_out(futures::executor::block_on(waiting));
            assert_eq!(phase, Phase::Waiting);
            timed_out(futures::executor::block_on(running));
            gate.open();
            settles("nothing is left", || lane.stats().workers == 0);
            assert_books(&lane.stats());
            // Once more, after the thread that kept the time has gone.
            let blocked = Gate::new();
            let door = blocked.door();
            timed_out(futures::executor::block_on(
                lane.timeout(SHORT).offload(move || door.pass()),
            ));
        }
    });
}
