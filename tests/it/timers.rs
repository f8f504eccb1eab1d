//! What becomes of times where a runtime does not keep them, outside of one for instance, and no thread can be
//! had to do so.

use std::{
    panic,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use longshore::{Error, Lane, lane::Threads};

use crate::support::{Child, Flavour, NoMoreThreads, in_child, watched};

/// What a future comes to, which takes no time: the alternative here is a minute.
#[track_caller]
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let value = block_on(future);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    value
}

/// On a thread of its own, since its rights do not come back.
fn without_threads(test: fn()) {
    watched(move || {
        thread::spawn(test).join().expect("it passes");
    });
}

fn own_threads(name: &str) -> Lane {
    Lane::builder(name)
        .limit(1)
        .own_threads(Threads::new())
        .build()
}

/// A job that is on a thread until the channel is told, or gone.
fn held(lane: &Lane) -> (longshore::Task<()>, mpsc::Sender<()>) {
    let (says, said) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let task = lane.offload(move || {
        says.send(()).unwrap();
        let _ = told.recv();
    });
    said.recv().unwrap();
    (task, tell)
}

/// K3, K9. A deadline that nobody keeps would be an empty promise: the job fails at once, with the reason.
/// The next one asks again.
#[test]
fn a_job_whose_deadline_nobody_can_keep_fails() {
    let test = concat!(
        module_path!(),
        "::a_job_whose_deadline_nobody_can_keep_fails"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    without_threads(|| {
        let lane = own_threads("late");
        let (running, go) = held(&lane);
        {
            let _none = NoMoreThreads::from_here_on();
            let patient = lane.offload(|| 7);
            let timed = lane.timeout(Duration::from_secs(60)).offload(|| 7);
            let error = at_once(timed).unwrap_err();
            assert!(matches!(error, Error::NoThread { .. }), "{error:?}");
            assert!(error.never_started());
            go.send(()).unwrap();
            block_on(running).unwrap();
            // This one has no deadline, and the thread that there is serves it.
            assert_eq!(block_on(patient).unwrap(), 7);
        }
        let (running, go) = held(&lane);
        let timed = lane.timeout(Duration::from_millis(20)).offload(|| 7);
        let error = block_on(timed).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        go.send(()).unwrap();
        block_on(running).unwrap();
    });
}

/// K10. A grace that nobody can measure is over at once, and what is left is cancelled: early rather than never.
#[test]
fn a_shutdown_whose_grace_nobody_can_measure_does_not_wait() {
    let test = concat!(
        module_path!(),
        "::a_shutdown_whose_grace_nobody_can_measure_does_not_wait"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    without_threads(|| {
        let lane = own_threads("hurried");
        let (running, go) = held(&lane);
        let waiting = lane.offload(|| 7);
        let none = NoMoreThreads::from_here_on();
        let shutdown = lane.shutdown(Duration::from_secs(60));
        let stuck = at_once(shutdown).unwrap_err();
        assert_eq!((stuck.cancelled, stuck.jobs.len()), (2, 1), "{stuck}");
        drop(none);
        go.send(()).unwrap();
        for error in [
            block_on(running).unwrap_err(),
            block_on(waiting).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
        }
        // With a thread to measure it there is a grace: time for what only ends now.
        let ended = block_on(lane.shutdown(Duration::from_secs(60)));
        assert!(ended.is_ok(), "{ended:?}");
    });
}

/// K3. What is due runs hooks and drops on the thread that keeps the time, and these may park it.
#[test]
fn what_parks_the_thread_that_keeps_the_time_delays_no_deadline() {
    struct Parks(mpsc::Sender<()>);
    impl Drop for Parks {
        fn drop(&mut self) {
            self.0.send(()).expect("the test waits for it");
            thread::park_timeout(Duration::from_secs(10));
        }
    }
    watched(|| {
        let lane = own_threads("parks");
        let (busy, end) = held(&lane);
        let (says, said) = mpsc::channel();
        let parks = Parks(says);
        let due = lane.timeout(Duration::from_millis(1));
        let due = due.offload(move || drop(parks));
        said.recv().expect("it was due");
        let later = lane.timeout(Duration::from_millis(50)).offload(|| ());
        assert!(block_on(later).unwrap_err().is_timeout());
        assert!(block_on(due).unwrap_err().is_timeout());
        drop(end);
        block_on(busy).unwrap();
    });
}

/// Counts the panics of this process from here on, those that are caught included.
fn panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        hook(info);
    }));
    &PANICS
}

/// Tokio panics where it is asked for the time of a runtime that has gone. That is caught, but the process's
/// hook would hear of it.
#[test]
fn a_grace_outlives_its_runtime_without_a_panic() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::a_grace_outlives_its_runtime_without_a_panic"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        let panics = panics();
        for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
            let lane = own_threads("outlives");
            let (running, go) = held(&lane);
            let runtime = flavour.runtime();
            let grace = Duration::from_millis(300);
            let (begun, mut shutdown) = (Instant::now(), Box::pin(lane.shutdown(grace)));
            runtime.block_on(async { assert!(futures::poll!(&mut shutdown).is_pending()) });
            drop(runtime);
            assert_eq!(block_on(shutdown).unwrap_err().cancelled, 1);
            assert!(begun.elapsed() >= grace);
            drop(go);
            assert!(block_on(running).unwrap_err().is_cancelled());
        }
        assert_eq!(panics.load(Ordering::SeqCst), 0);
    });
}

/// Nor is there a way to ask a runtime whether it keeps time. It is found out once.
#[test]
fn of_a_runtime_without_a_timer_there_is_one_panic() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::of_a_runtime_without_a_timer_there_is_one_panic"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        let panics = panics();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            for _ in 0..20 {
                let lane = own_threads("timeless");
                let (running, go) = held(&lane);
                let stuck = lane.shutdown(Duration::from_millis(1)).await;
                assert_eq!(stuck.unwrap_err().cancelled, 1);
                drop(go);
                assert!(running.await.unwrap_err().is_cancelled());
                let timed = lane_with_a_deadline().await;
                assert!(timed.unwrap_err().is_timeout());
            }
        });
        assert_eq!(panics.load(Ordering::SeqCst), 1);
    });
}

/// A job that waits for its turn until its time is up.
async fn lane_with_a_deadline() -> Result<(), Error> {
    let lane = own_threads("due");
    let (_running, _go) = held(&lane);
    lane.timeout(Duration::from_millis(1)).offload(|| ()).await
}
