//! What a call does and does not do.

use std::{
    cell::{Cell, RefCell},
    sync::{Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

use longshore::{Bridge, Lane, bridge::Error};
use tokio::runtime::Handle;

use super::seven;
use crate::support::{
    AT_ONCE, Child, DropFlag, Flavour, PanicOnDrop, each_in_a_child, in_child, settles, threads_named, watched,
};

#[test]
fn a_call_borrows_from_its_caller_and_stays_on_its_thread() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let seen = RefCell::new(Vec::new());
        let here = thread::current().id();
        bridge
            .call(async {
                for n in 0..3 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    assert_eq!(thread::current().id(), here);
                    seen.borrow_mut().push(n);
                }
            })
            .unwrap();
        assert_eq!(seen.into_inner(), [0, 1, 2]);
        assert!(Handle::try_current().is_err(), "the runtime was left");
    });
}

/// A future that is ready again and again would use up the budget of a task, and be asked to give
/// way to others that are not there.
#[test]
fn a_call_does_not_run_out_of_budget() {
    watched(|| {
        let runtime = Flavour::MultiThread.runtime();
        // In `block_on` there is a budget, which the call must not be held to.
        runtime.block_on(async {
            let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
            for n in 0..1_000_u32 {
                send.send(n).unwrap();
            }
            drop(send);
            let sum = Bridge::current().unwrap().call(async move {
                let mut sum = 0;
                while let Some(n) = receive.recv().await {
                    sum += n;
                    if n % 100 == 0 {
                        tokio::time::sleep(Duration::from_micros(10)).await;
                    }
                }
                sum
            });
            assert_eq!(sum.unwrap(), 499_500);
        });
    });
}

#[test]
fn a_call_that_takes_too_long_is_dropped() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let flag = DropFlag::default();
        let watched = flag.watched();
        let time = Duration::from_millis(20);
        let start = Instant::now();
        let error = bridge
            .call_timeout(time, async move {
                let _watched = watched;
                std::future::pending::<()>().await;
            })
            .unwrap_err();
        assert!(matches!(error, Error::TimedOut { after, .. } if after == time));
        assert!(start.elapsed() >= time && start.elapsed() < time + AT_ONCE);
        assert_eq!(flag.dropped(), 1);
        // Zero is enough for what is ready, and a time without end is no overflow.
        assert_eq!(bridge.call_timeout(Duration::ZERO, async { 7 }).unwrap(), 7);
        assert_eq!(bridge.call_timeout(Duration::MAX, seven()).unwrap(), 7);
    });
}

#[test]
fn the_clock_has_a_thread_only_while_it_is_needed() {
    // All bridges of the process have the one.
    if !in_child() {
        return Child::new(concat!(
            module_path!(),
            "::the_clock_has_a_thread_only_while_it_is_needed"
        ))
        .passes();
    }
    watched(|| {
        let clocks = || threads_named("longshore-clock").len();
        let bridge = Bridge::start().unwrap();
        for _ in 0..2 {
            assert_eq!(bridge.call(seven()).unwrap(), 7);
            assert_eq!(clocks(), 0);
            for _ in 0..3 {
                let time = Duration::from_millis(5);
                let pending = std::future::pending::<()>();
                assert!(bridge.call_timeout(time, pending).unwrap_err().is_timeout());
                assert_eq!(clocks(), 1);
            }
            settles("the clock ends", || clocks() == 0);
        }
    });
}

#[test]
fn a_panic_is_an_error_and_can_be_resumed() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let panics: [&dyn Fn() -> Result<(), Error>; 4] = [
            &|| bridge.call(async { panic!("as planned") }),
            &|| bridge.spawn(async { panic!("as planned") }).wait(),
            &|| bridge.offload(|_| panic!("as planned")).wait(),
            // While the future is dropped, the value being there already.
            &|| {
                let bomb = PanicOnDrop("as planned");
                bridge.call(std::future::poll_fn(move |_| {
                    let _bomb = &bomb;
                    std::task::Poll::Ready(())
                }))
            },
        ];
        for panics in panics {
            let Err(Error::Panicked(panic)) = panics() else {
                unreachable!("it panicked")
            };
            assert_eq!(panic.message(), "as planned");
            assert!(panic.offloaded_at().file().ends_with("calls.rs"), "{panic}");
            let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panic.resume()));
            assert!(again.is_err());
        }
        assert_eq!(bridge.call(seven()).unwrap(), 7);
    });
}

#[test]
fn a_spawned_task_is_waited_for_asked_for_and_cancelled() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let (ring, rung) = tokio::sync::oneshot::channel::<u32>();
        let mut task = bridge.spawn(rung);
        assert!(!task.is_finished());
        assert!(
            task.wait_timeout(Duration::from_millis(2))
                .unwrap_err()
                .is_timeout()
        );
        ring.send(7).unwrap();
        settles("the task is finished", || task.is_finished());
        assert_eq!(task.wait_timeout(Duration::ZERO).unwrap(), Ok(7));
        assert!(matches!(task.wait(), Err(Error::Taken)));

        let flag = DropFlag::default();
        let held = flag.watched();
        let forever = bridge.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        forever.cancel();
        assert!(forever.wait().unwrap_err().is_cancelled());
        assert_eq!(flag.dropped(), 1, "it has really ended");
    });
}

/// The same on a runtime's task as on a thread's job.
#[test]
fn dropping_the_handle_cancels_and_detaching_does_not() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let flag = DropFlag::default();
        let held = flag.watched();
        drop(bridge.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        settles("the task is dropped", || flag.dropped() == 1);

        let (ring, rung) = mpsc::channel();
        let theirs = ring.clone();
        let task = bridge.spawn(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            theirs.send("task").unwrap();
        });
        task.detach();
        assert_eq!(rung.recv().unwrap(), "task");
        bridge.offload(move |_| ring.send("job").unwrap()).detach();
        assert_eq!(rung.recv().unwrap(), "job");

        let (asked, is_asked) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let job = bridge.offload(move |_| {
            let job = longshore::Job::current().expect("it is one");
            begin.send(()).unwrap();
            while !job.is_cancelled() {
                thread::yield_now();
            }
            asked.send(()).unwrap();
        });
        begun.recv().unwrap();
        drop(job);
        is_asked.recv().unwrap();
    });
}

/// W12, for lanes that differ: one calls the other through the bridge, as deep as it goes.
#[test]
fn lanes_call_each_other_through_the_bridge() {
    fn down(lanes: &'static [Lane], bridge: &'static Bridge) -> usize {
        let Some((lane, rest)) = lanes.split_first() else {
            return 0;
        };
        let task = bridge.call(async { lane.offload(move || down(rest, bridge)).await });
        1 + task.expect("it may wait").expect("it runs")
    }
    watched(|| {
        let lanes: Vec<_> = (0..4)
            .map(|n| Lane::builder(format!("floor {n}")).limit(1).build())
            .collect();
        let bridge = Box::leak(Box::new(Bridge::start().unwrap()));
        assert_eq!(down(lanes.leak(), bridge), 4);
    });
}

/// W12, K8: for one lane, whose every slot is held by somebody who waits for it.
#[test]
fn a_lane_calls_itself_through_the_bridge() {
    fn down(lane: &'static Lane, bridge: &'static Bridge, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let task = bridge.call(async { lane.offload(move || down(lane, bridge, depth - 1)).await });
        1 + task.expect("it may wait").expect("it runs")
    }
    watched(|| {
        let lane = Box::leak(Box::new(Lane::builder("itself").limit(2).build()));
        let bridge = Box::leak(Box::new(Bridge::start().unwrap()));
        let _context = bridge.runtime().enter();
        for depth in 1..=4 {
            let (lane, bridge) = (&*lane, &*bridge);
            let both = [(); 2].map(|()| lane.offload(move || down(lane, bridge, depth)));
            for task in both {
                assert_eq!(bridge.call(task).unwrap().unwrap(), depth);
            }
        }
    });
}

#[test]
fn closures_use_the_bridge_again_all_at_once() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let together: &'static Barrier = Box::leak(Box::new(Barrier::new(8)));
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                bridge.offload(move |bridge| {
                    together.wait();
                    bridge.call(async move { seven().await + n })
                })
            })
            .collect();
        for (n, task) in (0..).zip(tasks) {
            assert_eq!(task.wait().unwrap().unwrap(), 7 + n);
        }
    });
}

/// W1. The system has no thread to give.
#[test]
fn a_thread_that_is_refused_is_an_error() {
    if !in_child() {
        return Child::new(concat!(
            module_path!(),
            "::a_thread_that_is_refused_is_an_error"
        ))
        .env("RUST_MIN_STACK", &(1_usize << 46).to_string())
        .passes();
    }
    // The test's own thread was started with a stack of its own choosing.
    watched(|| {
        let error = Bridge::start().unwrap_err();
        assert!(matches!(error, Error::NoThread(_)), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    });
}

/// A thread that ends has no runtime, nor anything else, any more. The order in which it loses them
/// is that in which it got them, backwards.
#[test]
fn a_destructor_of_a_thread_local_is_told_something() {
    struct Calls(Bridge, mpsc::Sender<Result<u32, Error>>);
    impl Drop for Calls {
        fn drop(&mut self) {
            let _ = self.1.send(self.0.call(async { 7 }));
        }
    }
    thread_local! {
        static LATE: Cell<Option<Calls>> = const { Cell::new(None) };
    }
    let test = concat!(
        module_path!(),
        "::a_destructor_of_a_thread_local_is_told_something"
    );
    // A panic in there would end the process.
    each_in_a_child(test, &[false, true], |tokio_first| {
        let bridge = Bridge::start().unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            if tokio_first {
                assert!(Handle::try_current().is_err());
            }
            LATE.set(Some(Calls(bridge.clone(), tell)));
            assert_eq!(bridge.call(async { 7 }).unwrap(), 7);
        })
        .join()
        .unwrap();
        let told = told.recv().unwrap();
        assert!(matches!(told, Ok(7) | Err(Error::ThreadEnds)), "{told:?}");
    });
}
