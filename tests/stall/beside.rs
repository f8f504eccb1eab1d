//! Stalls beside a pool that computes, whose threads might each have become the worker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use longshore::stall::{Cause, Certainty, Watch, allow};

use crate::support::{Flavour, Gate, Watched, compute, in_time};

/// What was busy for a moment is no worker that has a lot to do, once that moment is over. Of a worker that
/// is in doubt to the end it would be told with less certainty.
#[test]
fn a_stall_is_reported_although_the_pool_has_computed_meanwhile() {
    in_time(|| {
        let threshold = Duration::from_millis(500);
        let mut builder = Flavour::MultiThread.builder();
        // A name of its own, or threads of other tests that compute might be its workers.
        builder.thread_name("meanwhile");
        let watched = Watched::built_by(&mut builder, Watch::new().threshold(threshold));
        let handle = watched.runtime.handle().clone();
        let (stall, _) = watched.stall(move |gate| {
            let over = Arc::new(AtomicBool::new(false));
            let (say, computes) = mpsc::channel();
            let is_over = over.clone();
            handle.spawn_blocking(move || {
                say.send(()).unwrap();
                compute(threshold + Duration::from_millis(200));
                is_over.store(true, SeqCst);
            });
            allow("a test", || computes.recv().unwrap());
            // Until it is told.
            gate.wait();
            assert!(
                over.load(SeqCst),
                "it was told while another might be the worker"
            );
        });
        assert_eq!(stall.cause, Cause::LockWait);
        assert_eq!(stall.certainty, Certainty::OneCall, "{stall}");
    });
}

/// Each of them might be the worker for a moment, and none is for long.
#[test]
fn beside_a_pool_of_many_that_compute_a_little_a_stall_is_reported() {
    in_time(|| {
        let mut builder = Flavour::MultiThread.builder();
        builder.thread_name("a busy pool");
        let watched = Watched::built_by(&mut builder, Watch::new());
        let (gate, opener) = Gate::new();
        for _ in 0..200 {
            let gate = gate.clone();
            watched.runtime.spawn_blocking(move || {
                while !gate.is_open() {
                    compute(Duration::from_micros(300));
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let (stall, _) = watched.stall(|gate| gate.wait());
        drop(opener);
        assert_eq!(stall.cause, Cause::LockWait, "{stall}");
    });
}

/// It might be the worker by now, and is told from one by how long it computes.
#[test]
fn beside_a_thread_that_computes_a_stall_is_reported_later() {
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        let (gate, opener) = Gate::new();
        let (say, computes) = mpsc::channel();
        watched.runtime.spawn_blocking(move || {
            say.send(()).unwrap();
            while !gate.is_open() {
                std::hint::spin_loop();
            }
        });
        computes.recv().unwrap();
        let (stall, end) = watched.stall(|gate| gate.wait());
        drop(opener);
        assert_eq!(stall.cause, Cause::LockWait, "{stall}");
        // That the worker is stuck is certain by then; that it is on this thread is not.
        assert_eq!(stall.certainty, Certainty::UpToTicks(61), "{stall}");
        assert!(end.total >= Some(stall.stalled_for));
    });
}
