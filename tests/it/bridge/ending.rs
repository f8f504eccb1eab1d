//! K17: dropping a bridge, and the end of a runtime under it.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use longshore::{Bridge, bridge::Error};

use super::{FLAVOURS, is_over, seven, started};
use crate::support::{AT_ONCE, DropFlag, Flavour, settles, threads_named, watched};

/// R6, R9. On every flavour, from async code, a drop neither waits nor panics; threads are gone in
/// the end, and what was detached with them.
#[test]
fn the_last_handle_ends_the_runtime_wherever_it_is_dropped() {
    watched(|| {
        for (here, flavour) in FLAVOURS.into_iter().flat_map(|a| FLAVOURS.map(|b| (a, b))) {
            let flag = DropFlag::default();
            let held = flag.watched();
            here.runtime().block_on(async {
                let bridge = started("br-drop", flavour);
                bridge
                    .spawn(async move {
                        let _held = held;
                        std::future::pending::<()>().await;
                    })
                    .detach();
                // A thread gives itself its name when it begins.
                settles("it has begun", || !threads_named("br-drop").is_empty());
                let start = Instant::now();
                drop(bridge);
                assert!(start.elapsed() < AT_ONCE);
            });
            settles("its threads end", || threads_named("br-drop").is_empty());
            assert_eq!(flag.dropped(), 1, "{here:?}, {flavour:?}");
        }
    });
}

/// R9. A handle of a task is a handle of the bridge.
#[test]
fn a_task_that_is_waited_for_keeps_its_bridge() {
    watched(|| {
        let bridge = started("br-keep", Flavour::CurrentThread);
        let task = bridge.spawn(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            7
        });
        drop(bridge);
        assert_eq!(task.wait().unwrap(), 7);
        settles("its thread ends", || threads_named("br-keep").is_empty());
    });
}

/// A bridge that is dropped on its own thread, by its own last task.
#[test]
fn the_last_handle_may_be_dropped_inside() {
    watched(|| {
        for flavour in FLAVOURS {
            let bridge = started("br-inside", flavour);
            let inner = bridge.clone();
            let (tell, told) = mpsc::channel();
            let (go, gone) = tokio::sync::oneshot::channel::<()>();
            bridge
                .spawn(async move {
                    let _ = gone.await;
                    drop(inner);
                    tell.send(()).unwrap();
                })
                .detach();
            drop(bridge);
            go.send(()).unwrap();
            told.recv().unwrap();
            settles("its threads end", || threads_named("br-inside").is_empty());
        }
    });
}

/// R6. A runtime that ends under a call that waits for its timer and its socket.
#[test]
fn the_end_of_the_runtime_ends_the_calls_into_it() {
    watched(|| {
        for flavour in FLAVOURS {
            let runtime = flavour.runtime();
            let bridge = Bridge::from(runtime.handle().clone());
            let (begin, begun) = mpsc::channel();
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let (bridge, begin) = (bridge.clone(), begin.clone());
                    thread::spawn(move || {
                        bridge.call(async {
                            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                            let listener = listener.expect("loopback");
                            begin.send(()).unwrap();
                            tokio::select! {
                                () = tokio::time::sleep(Duration::from_secs(60)) => {}
                                Ok(_) = listener.accept() => {}
                            }
                        })
                    })
                })
                .collect();
            let mut task = bridge.spawn(std::future::pending::<()>());
            for _ in 0..4 {
                begun.recv().unwrap();
            }
            drop(runtime);
            for caller in callers {
                let told = caller.join().unwrap();
                assert!(told.unwrap_err().is_shut_down());
            }
            let told = task.wait_timeout(AT_ONCE).unwrap_err();
            assert!(told.is_shut_down() || told.is_cancelled(), "{told}");
            assert!(bridge.is_shut_down());
            assert!(bridge.call(seven()).unwrap_err().is_shut_down());
            assert!(bridge.offload(|_| ()).wait().unwrap_err().is_shut_down());
        }
    });
}

/// What a future makes of the end of its runtime is not its own fault, though it be its very first poll
/// that meets it: Tokio's timers panic then.
#[test]
fn a_panic_at_the_end_of_the_runtime_is_the_end() {
    watched(|| {
        for flavour in FLAVOURS {
            let runtime = flavour.runtime();
            let bridge = Bridge::from(runtime.handle().clone());
            let told = bridge.call(async move {
                drop(runtime);
                tokio::time::sleep(Duration::from_millis(1)).await;
            });
            assert!(matches!(told, Err(Error::ShutDown)), "{told:?}");

            let bridge = started("br-panic", flavour);
            let told = bridge.call(async {
                let told = thread::scope(|scope| {
                    let shutdown = bridge.shutdown(Duration::ZERO);
                    scope.spawn(|| shutdown.wait()).join().unwrap()
                });
                assert!(
                    matches!(told, Err(Error::Stuck { left: 1, .. })),
                    "{told:?}"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            });
            assert!(matches!(told, Err(Error::ShutDown)), "{told:?}");
        }
    });
}

/// The same by chance, many times: no order of the two makes a call hang or unwind.
#[test]
fn a_call_that_races_with_the_end_of_its_bridge_ends() {
    const ROUNDS: u64 = 200;
    // Until both have been seen to win, which takes no longer than that, as a rule.
    const AT_MOST: u64 = 2_000;
    watched(|| {
        let (mut served, mut cut) = (0, 0);
        let mut round = 0;
        while round < ROUNDS || ((served == 0 || cut == 0) && round < AT_MOST) {
            let bridge = started("br-race", FLAVOURS[round as usize % 2]);
            let (start, begun) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
            let caller = {
                let (bridge, start, begun) = (bridge.clone(), start.clone(), begun.clone());
                thread::spawn(move || {
                    start.wait();
                    bridge.call(async {
                        begun.store(true, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_micros(50)).await;
                    })
                })
            };
            start.wait();
            // At another point of the call each time, and after it.
            let until = Instant::now() + Duration::from_micros(30 * (round % 100));
            while Instant::now() < until {
                thread::yield_now();
            }
            is_over(&bridge);
            match caller.join().expect("it does not unwind") {
                Ok(()) => served += 1,
                Err(Error::ShutDown) => cut += usize::from(begun.load(Ordering::SeqCst)),
                Err(other) => panic!("{other}"),
            }
            round += 1;
        }
        assert!(
            served > 0 && cut > 0,
            "no race: {served} were served, {cut} were cut off"
        );
    });
}

/// What a runtime drops at its end may use a bridge, its own included: it is told, or served.
#[test]
fn a_destructor_in_a_dying_runtime_does_not_hang() {
    struct Calls {
        bridges: [Bridge; 2],
        tell: mpsc::Sender<[Result<u32, Error>; 2]>,
    }
    impl Drop for Calls {
        fn drop(&mut self) {
            let told = [0, 1].map(|n| self.bridges[n].call(seven()));
            let _ = self.tell.send(told);
        }
    }
    watched(|| {
        for flavour in FLAVOURS {
            let runtime = flavour.runtime();
            let started = Bridge::start().unwrap();
            let (tell, told) = mpsc::channel();
            let calls = Calls {
                bridges: [started, Bridge::from(runtime.handle().clone())],
                tell,
            };
            runtime.spawn(async move {
                let _calls = calls;
                std::future::pending::<()>().await;
            });
            drop(runtime);
            let [other, own] = told.recv().unwrap();
            assert_eq!(other.unwrap(), 7, "{flavour:?}");
            match own {
                Err(Error::ShutDown | Error::Panicked(_)) => {}
                other => panic!("{flavour:?}: {other:?}"),
            }
        }
    });
}
