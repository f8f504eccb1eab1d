//! What is started in a scope does not outlive it.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::mpsc,
    thread,
    time::Duration,
};

use longshore::{Bridge, Job, bridge::Error};

use super::is_over;
use crate::support::{Door, DropFlag, Flavour, Gate, NoMoreThreads, each_in_a_child, watched};

#[test]
fn a_scope_cancels_what_is_left_and_waits_for_it() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let flag = DropFlag::default();
        let told = bridge.scope(|scope| {
            for _ in 0..3 {
                let held = flag.watched();
                scope.spawn(async move {
                    let _held = held;
                    std::future::pending::<()>().await;
                });
            }
            let held = flag.watched();
            let (begin, begun) = mpsc::channel();
            scope.offload(move |_| {
                let _held = held;
                begin.send(()).unwrap();
                let job = Job::current().expect("it is one");
                while !job.is_cancelled() {
                    thread::yield_now();
                }
            });
            begun.recv().unwrap();
            assert_eq!(flag.dropped(), 0, "no handle cancels here by being dropped");
            scope.spawn(async { 7 }).wait()
        });
        assert_eq!(told.unwrap().unwrap(), 7);
        assert_eq!(flag.dropped(), 4);
        assert_eq!(bridge.call(async { 7 }).unwrap(), 7, "the bridge goes on");
    });
}

/// G7, for a scope.
#[test]
fn a_panic_in_a_scope_goes_on_when_all_has_ended() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let flag = DropFlag::default();
        let ran = panic::catch_unwind(AssertUnwindSafe(|| {
            bridge.scope(|scope| {
                let held = flag.watched();
                scope.spawn(async move {
                    let _held = held;
                    std::future::pending::<()>().await;
                });
                panic!("as planned");
            })
        }));
        assert_eq!(ran.unwrap_err().downcast_ref(), Some(&"as planned"));
        assert_eq!(flag.dropped(), 1);
    });
}

#[test]
fn a_scope_waits_for_a_closure_that_does_not_look_up() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let gate = Gate::new();
        let (door, opener) = (gate.door(), gate.door());
        bridge
            .scope(|scope| {
                scope.offload(move |_| door.pass());
                while gate.count() == 0 {
                    thread::yield_now();
                }
                // Not before the scope has begun to wait, if the machine is kind; in any case later
                // than the closure's beginning.
                thread::spawn(move || opener.open());
            })
            .unwrap();
        assert_eq!(gate.passed(), 1);
    });
}

/// W10. What a closure waits for through the bridge is no reason to stay.
#[test]
fn a_scope_ends_the_calls_in_its_closures() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let (tell, told) = mpsc::channel();
        bridge
            .scope(|scope| {
                let (begin, begun) = mpsc::channel();
                scope.offload(move |bridge| {
                    let end = bridge.call(async {
                        begin.send(()).unwrap();
                        std::future::pending::<()>().await;
                    });
                    tell.send(end).unwrap();
                });
                begun.recv().unwrap();
            })
            .unwrap();
        assert!(told.recv().unwrap().unwrap_err().is_cancelled());
        // Wherever the cancel finds the closure, just before the call included.
        for _ in 0..200 {
            let ended = bridge.scope(|scope| {
                drop(scope.offload(|bridge| bridge.call(std::future::pending::<()>())));
            });
            ended.unwrap();
        }
    });
}

/// A value that nobody takes is the user's code once more, when it is dropped.
#[test]
fn a_scope_waits_for_the_drop_of_what_a_closure_gave() {
    struct Slow(Door);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.pass();
        }
    }
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let gate = Gate::new();
        let (slow, opener) = (Slow(gate.door()), gate.door());
        bridge
            .scope(|scope| {
                drop(scope.offload(move |_| slow));
                while gate.count() == 0 {
                    thread::yield_now();
                }
                // It is open later than a scope that does not wait is over.
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(50));
                    opener.open();
                });
            })
            .unwrap();
        assert_eq!(gate.passed(), 1);
    });
}

/// R9. A task that its runtime has never polled, and drops at its end, is there until it is dropped.
#[test]
fn a_scope_waits_for_the_drop_of_a_task_that_was_never_polled() {
    struct Slow(Door);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.pass();
        }
    }
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        let bridge = Bridge::from(runtime.handle().clone());
        let gate = Gate::new();
        let (slow, opener) = (Slow(gate.door()), gate.door());
        bridge
            .scope(|scope| {
                drop(scope.spawn(async move { drop(slow) }));
                thread::spawn(move || drop(runtime));
                while gate.count() == 0 {
                    thread::yield_now();
                }
                // It is open later than a scope that does not wait is over.
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(5));
                    opener.open();
                });
            })
            .unwrap();
        assert_eq!(gate.passed(), 1);
    });
}

#[test]
fn a_scope_of_a_bridge_that_was_shut_down_is_not_begun() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        is_over(&bridge);
        let told = bridge.scope(|_| unreachable!("it is not called"));
        assert!(matches!(told, Err::<(), _>(Error::ShutDown)));
    });
}

/// W1. A worker that has nobody to do its work meanwhile cannot wait; where nothing is left it need not.
#[test]
fn a_scope_in_which_nothing_is_left_needs_no_thread() {
    let test = concat!(
        module_path!(),
        "::a_scope_in_which_nothing_is_left_needs_no_thread"
    );
    each_in_a_child(test, &[()], |()| {
        let threads = NoMoreThreads::from_here_on();
        threads.but(10_000);
        let runtime = Flavour::MultiThread.runtime();
        let bridge = Bridge::start().unwrap();
        threads.but(0);
        let gate = Gate::new();
        let door = gate.door();
        let (nothing, something) = runtime
            .block_on(runtime.spawn(async move {
                let nothing = bridge.scope(|_| 7);
                let something = bridge.scope(|scope| {
                    let (begin, begun) = mpsc::channel();
                    drop(scope.spawn(async move {
                        begin.send(()).unwrap();
                        door.pass();
                    }));
                    begun.recv().unwrap();
                });
                (nothing, something)
            }))
            .unwrap();
        assert_eq!(nothing.unwrap(), 7);
        assert!(
            matches!(something, Err(Error::NoThread(_))),
            "{something:?}"
        );
    });
}
