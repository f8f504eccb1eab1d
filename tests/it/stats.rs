//! K12: the accounts are always on, always of one moment, and add up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use longshore::{CancelToken, lane::JobState};

use crate::support::{Door, Gate, Place, assert_books, eventually, is_as_new};

everywhere! {
    /// K12. Under load and seen from another thread, at every moment: `submitted` is the sum of
    /// what is in the lane and what has ended, by kind.
    async fn the_accounts_add_up_at_every_moment(place: Place) {
        const JOBS: u64 = 4_000;
        let lane = place.bounded(4, 64);
        let over = Arc::new(AtomicBool::new(false));
        let sampler = std::thread::spawn({
            let (lane, over) = (lane.clone(), over.clone());
            move || {
                let (mut samples, mut before) = (0_u64, lane.stats());
                loop {
                    let stats = lane.stats();
                    assert_books(&stats);
                    assert!(stats.waiting <= 64 + 4, "{stats:?}");
                    // What has been counted is never taken back.
                    assert!(stats.submitted >= before.submitted && stats.completed >= before.completed);
                    assert!(stats.cancelled >= before.cancelled && stats.refused >= before.refused);
                    assert!(lane.jobs().len() <= 68);
                    before = stats;
                    samples += 1;
                    // Not before the first: this thread may come late.
                    if over.load(Ordering::Relaxed) {
                        break samples;
                    }
                    std::thread::yield_now();
                }
            }
        });
        let token = CancelToken::new();
        let (mut refused, mut kept) = (0, std::collections::VecDeque::new());
        for i in 0..JOBS {
            let lane = match i % 7 {
                0 => lane.timeout(Duration::from_micros(50)),
                1 => lane.cancelled_by(&token),
                _ => lane.clone(),
            };
            let work = move || {
                assert!(i % 11 != 0, "as planned");
                i
            };
            match lane.try_offload(work) {
                Err(_) => refused += 1,
                Ok(task) => match i % 5 {
                    0 => drop(task),
                    1 => task.detach(),
                    2 => task.cancel(),
                    _ => kept.push_back(task),
                },
            }
            if kept.len() > 20 {
                let _ = kept.pop_front().unwrap().await;
            }
        }
        token.cancel();
        for task in kept {
            let _ = task.await;
        }
        is_as_new(&lane).await;
        over.store(true, Ordering::Relaxed);
        assert!(sampler.join().expect("every sample added up") > 0);
        let stats = lane.stats();
        assert_eq!((stats.submitted + stats.refused, stats.refused), (JOBS, refused));
    }

    /// K12. Who has an outcome finds it in the accounts.
    async fn an_outcome_is_counted_before_its_caller_has_it(place: Place) {
        let lane = place.lane(2);
        for i in 1..=500 {
            lane.offload(|| ()).await.unwrap();
            let stats = lane.stats();
            assert_eq!((stats.completed, stats.running, stats.waiting), (i, 0, 0));
        }
        lane.offload(|| panic!("as planned")).await.unwrap_err();
        assert_eq!(lane.stats().panicked, 1);
    }

    /// K12.
    async fn jobs_are_listed_with_where_they_came_from_and_where_they_are(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let (first_door, second_door) = (gate.door(), gate.door());
        let first_line = line!() + 1;
        let running = lane.label("first").offload(move || first_door.pass());
        gate.arrived(1).await;
        let second_line = line!() + 1;
        let waiting = lane.offload(move || second_door.pass());
        let jobs = lane.jobs();
        let told: Vec<_> = jobs
            .iter()
            .map(|job| (job.label.as_deref(), job.location.line(), job.state))
            .collect();
        assert_eq!(
            told,
            [
                (Some("first"), first_line, JobState::Running),
                (None, second_line, JobState::Waiting),
            ],
        );
        for job in &jobs {
            assert_eq!((&*job.lane, job.location.file()), (lane.name(), file!()));
        }
        assert_eq!(jobs[1].ran, Duration::ZERO);
        eventually("time passes", || lane.jobs()[1].waited >= Duration::from_millis(5)).await;
        drop(running);
        assert_eq!(lane.jobs()[0].state, JobState::Draining);
        gate.open();
        waiting.await.unwrap();
        is_as_new(&lane).await;
    }

    /// K12.
    async fn waiting_and_running_are_timed(place: Place) {
        let lane = place.lane(1);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let waiting = lane.offload(|| ());
        let pause = Duration::from_millis(30);
        tokio::time::sleep(pause).await;
        gate.open();
        running.await.unwrap();
        waiting.await.unwrap();
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_eq!((stats.queue_time.count(), stats.run_time.count()), (2, 2));
        assert!(stats.queue_time.max() >= pause && stats.run_time.max() >= pause);
        assert!(stats.run_time.quantile(1.0) >= pause);
        assert!(stats.run_time.quantile(0.0) <= stats.run_time.max());
        assert!(stats.run_time.sum() >= stats.run_time.max());
        // A job that never starts has waited for nothing that could be measured.
        lane.timeout(Duration::ZERO).offload(|| ()).await.unwrap_err();
        assert_eq!(lane.stats().queue_time.count(), 2);
    }

    /// K12.
    async fn peaks_are_kept(place: Place) {
        let lane = place.lane(3);
        let gate = Gate::new();
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let door = gate.door();
                lane.offload(move || door.pass())
            })
            .collect();
        gate.arrived(3).await;
        gate.open();
        for task in tasks {
            task.await.unwrap();
        }
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_eq!(stats.peak_running, 3);
        assert!((7..=10).contains(&stats.peak_waiting), "{}", stats.peak_waiting);
    }

    /// K12. Counted and told, each refusal and each outcome, by kind.
    async fn each_kind_of_failure_has_a_count_of_its_own(place: Place) {
        let lane = place.bounded(1, 1);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let waiting = lane.offload(|| ());
        lane.offload(|| ()).await.unwrap_err();
        drop(waiting);
        lane.timeout(Duration::from_millis(1)).offload(|| ()).await.unwrap_err();
        running.cancel();
        gate.open();
        drop(running);
        eventually("it is over", || lane.jobs().is_empty()).await;
        lane.offload(|| panic!("as planned")).await.unwrap_err();
        lane.offload(|| ()).await.unwrap();
        lane.close();
        lane.offload(|| ()).await.unwrap_err();
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!(
            (stats.refused, stats.cancelled, stats.timed_out, stats.panicked, stats.completed),
            (2, 2, 1, 1, 1),
        );
        assert_eq!((stats.no_thread, stats.no_runtime, stats.late_panics), (0, 0, 0));
    }

    /// K12. A result that nobody takes any more is dropped in its job: that is the job's time, and time
    /// that the next one waits.
    async fn what_a_late_result_takes_to_drop_is_in_the_times(place: Place) {
        struct Slow(Door);
        impl Drop for Slow {
            fn drop(&mut self) {
                self.0.pass();
            }
        }
        let pause = Duration::from_millis(50);
        let lane = place.lane(1);
        let (gate, slow) = (Gate::new(), Gate::new());
        let (door, result) = (gate.door(), Slow(slow.door()));
        let late = lane.offload(move || {
            door.pass();
            result
        });
        gate.arrived(1).await;
        drop(late);
        gate.open();
        slow.arrived(1).await;
        let next = lane.offload(|| ());
        std::thread::sleep(pause);
        slow.open();
        next.await.unwrap();
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert!(stats.queue_time.max() >= pause, "{:?}", stats.queue_time.max());
        assert!(stats.run_time.max() >= pause, "{:?}", stats.run_time.max());
    }
}
