//! What a call does and does not do.

use std::{
    cell::{Cell, RefCell},
    sync::mpsc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use longshore::{Bridge, Lane, bridge::Error, lane::Threads};
use tokio::runtime::Handle;

use super::seven;
use crate::support::{AT_ONCE, DropFlag, Flavour, PanicOnDrop, each_in_a_child, settles, watched};

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

/// The time is counted from the call, and not from when the future first gives way.
#[test]
fn the_time_of_a_call_includes_its_first_poll() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let time = Duration::from_millis(20);
        let mut polled = false;
        let told = bridge.call_timeout(
            time,
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                let start = Instant::now();
                while start.elapsed() < time {
                    thread::yield_now();
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }),
        );
        assert!(told.unwrap_err().is_timeout());
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
                    Poll::Ready(())
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

/// The future's own guard is dropped in its own time.
#[test]
fn a_runtime_entered_in_a_call_is_left_again() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let other = Flavour::MultiThread.runtime();
        let handle = other.handle().clone();
        let held = move |bridge: &Bridge| {
            let before = Handle::try_current().map(|runtime| runtime.id()).ok();
            let told = bridge.call(async {
                let _entered = handle.enter();
                tokio::time::sleep(Duration::from_millis(2)).await;
                7
            });
            assert_eq!(told.unwrap(), 7);
            let after = Handle::try_current().map(|runtime| runtime.id()).ok();
            assert_eq!(before, after);
        };
        held(&bridge);
        let lane = Lane::builder("entered")
            .limit(1)
            .own_threads(Threads::new())
            .build();
        for lane in [&lane, &lane] {
            let (held, across) = (held.clone(), bridge.clone());
            let job = other.block_on(async { lane.offload(move || held(&across)).await });
            job.expect("the worker lives on");
        }
    });
}

/// Given out of the call, it leaves the thread where it should not be; but nothing unwinds.
#[test]
fn a_runtime_entered_in_a_call_is_not_to_be_given_out() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let other = Flavour::MultiThread.runtime();
        let told = bridge.call(async { other.enter() });
        assert!(matches!(told, Err(Error::Panicked(_))));
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
