//! What becomes of times where no thread can be had to keep them: outside of a runtime.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use longshore::{Error, Lane, lane::Threads};

use crate::support::{Child, NoMoreThreads, in_child, watched};

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
