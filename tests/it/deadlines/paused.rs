//! R11: deadlines on a paused clock.

use std::{sync::mpsc, time::Duration};

use longshore::error::Phase;
use tokio::time::Instant;

use super::{at, others, timed_out};
use crate::support::{Flavour, Gate, Source, settles, sources, watch_over, watched};

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

/// Lets everything that is ready on the runtime run, at this moment of its clock.
async fn run_what_is_ready() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
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
