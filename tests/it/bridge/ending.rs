//! K17: dropping a bridge, shutting it down, and the end of a runtime under it.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use longshore::{Bridge, bridge::Error};

use super::seven;
use crate::support::{AT_ONCE, DropFlag, Flavour, Gate, settles, threads_named, watched};

const FLAVOURS: [Flavour; 2] = [Flavour::CurrentThread, Flavour::MultiThread];

/// A started bridge of either kind, whose threads bear this name.
fn started(name: &str, flavour: Flavour) -> Bridge {
    let builder = Bridge::builder().name(name);
    match flavour {
        Flavour::CurrentThread => builder.start(),
        Flavour::MultiThread => builder.workers(2).start(),
    }
    .expect("threads can be had")
}

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

#[test]
fn a_shutdown_waits_for_what_ends_and_cancels_what_does_not() {
    watched(|| {
        for flavour in FLAVOURS {
            let bridge = started("br-grace", flavour);
            let (ring, rung) = tokio::sync::oneshot::channel::<u32>();
            let ends = bridge.spawn(rung);
            let forever = bridge.spawn(std::future::pending::<()>());
            let caller = {
                let bridge = bridge.clone();
                let (begin, begun) = mpsc::channel();
                let caller = thread::spawn(move || {
                    bridge.call(async {
                        begin.send(()).unwrap();
                        std::future::pending::<()>().await;
                    })
                });
                begun.recv().unwrap();
                caller
            };
            let shutdown = bridge.shutdown(Duration::from_millis(100));
            assert!(bridge.is_shut_down());
            assert!(matches!(bridge.call(async {}), Err(Error::ShutDown)));
            assert!(matches!(
                bridge.spawn(async {}).wait(),
                Err(Error::ShutDown)
            ));
            ring.send(7).unwrap();
            let ended = shutdown.wait().unwrap();
            assert_eq!((ended.finished, ended.cancelled), (1, 2));
            assert_eq!(ends.wait().unwrap(), Ok(7));
            assert!(forever.wait().unwrap_err().is_cancelled());
            assert!(caller.join().unwrap().unwrap_err().is_shut_down());
            settles("its threads end", || threads_named("br-grace").is_empty());
        }
    });
}

/// K17. In async code it is a future, on any runtime; to block there is refused.
#[test]
fn a_shutdown_is_awaited_in_async_code() {
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let bridge = started("br-async", Flavour::CurrentThread);
            bridge.spawn(std::future::pending::<()>()).detach();
            let refused = bridge.shutdown(Duration::from_secs(60)).wait();
            assert!(refused.unwrap_err().would_block_runtime());
            let ended = bridge.shutdown(Duration::ZERO).await.unwrap();
            assert_eq!(ended.cancelled, 1);
        });
    });
}

/// R8. Twice, at the same time, and afterwards.
#[test]
fn a_shutdown_may_be_asked_for_more_than_once() {
    watched(|| {
        for flavour in FLAVOURS {
            let bridge = started("br-twice", flavour);
            bridge.spawn(std::future::pending::<()>()).detach();
            let ended: Vec<_> = thread::scope(|scope| {
                let both = [(); 2]
                    .map(|()| scope.spawn(|| bridge.shutdown(Duration::from_millis(10)).wait()));
                both.map(|one| one.join().unwrap()).into()
            });
            for ended in ended {
                assert_eq!(ended.unwrap().cancelled, 1);
            }
            bridge.shutdown(Duration::from_secs(60)).wait().unwrap();
        }
    });
}

/// R8. From what runs through it: that is cancelled like the rest, or named as stuck.
#[test]
fn a_shutdown_from_inside_comes_to_an_end() {
    watched(|| {
        for flavour in FLAVOURS {
            let time = Duration::from_millis(10);
            let bridge = started("br-self", flavour);
            let inner = bridge.clone();
            let told = bridge.call(async move { inner.shutdown(time).await });
            assert!(told.unwrap_err().is_shut_down(), "the call was under way");

            let bridge = started("br-self", flavour);
            let inner = bridge.clone();
            let told = bridge.spawn(async move { inner.shutdown(time).await });
            assert!(told.wait().unwrap_err().is_cancelled());

            let bridge = started("br-self", flavour);
            let told = bridge.offload(move |bridge| {
                let told = bridge.shutdown(time).wait();
                assert!(
                    matches!(told, Err(Error::Stuck { left: 1, .. })),
                    "{told:?}"
                );
            });
            assert!(
                told.wait().unwrap_err().is_cancelled(),
                "as all that was left"
            );
        }
        settles("all threads end", || threads_named("br-self").is_empty());
    });
}

/// K17. Within a bound, and the end of it is told.
#[test]
fn a_shutdown_names_what_does_not_end() {
    watched(|| {
        let gate = Gate::new();
        let bridge = started("br-stuck", Flavour::CurrentThread);
        let (door, other) = (gate.door(), gate.door());
        bridge.offload(move |_| door.pass()).detach();
        // Async code that blocks, on the bridge's only thread.
        bridge.spawn(async move { other.pass() }).detach();
        settles("both block", || gate.count() == 2);
        let start = Instant::now();
        let told = bridge.shutdown(Duration::from_millis(10)).wait();
        assert!(start.elapsed() < AT_ONCE);
        assert!(
            matches!(told, Err(Error::Stuck { left: 2, .. })),
            "{told:?}"
        );
        gate.open();
        settles("its threads end", || threads_named("br-stuck").is_empty());
    });
}

/// Nor is anybody left waiting for it.
#[test]
fn a_shutdown_ends_the_waits_for_what_does_not_end() {
    watched(|| {
        let gate = Gate::new();
        let bridge = started("br-waits", Flavour::CurrentThread);
        let (begin, begun) = mpsc::channel();
        let waits = bridge.spawn(async move {
            begin.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        begun.recv().unwrap();
        let door = gate.door();
        let blocks = bridge.spawn(async move { door.pass() });
        settles("it blocks", || gate.count() == 1);
        let waiters = [waits, blocks].map(|task| thread::spawn(|| task.wait()));
        let told = bridge.shutdown(Duration::from_millis(10)).wait();
        assert!(
            matches!(told, Err(Error::Stuck { left: 2, .. })),
            "{told:?}"
        );
        for waiter in waiters {
            assert!(waiter.join().unwrap().unwrap_err().is_cancelled());
        }
        assert_eq!(gate.passed(), 0);
        gate.open();
        settles("its thread ends", || threads_named("br-waits").is_empty());
    });
}

/// A bridge into a runtime of somebody else's ends alone.
#[test]
fn a_shutdown_leaves_the_runtime_of_others() {
    watched(|| {
        for flavour in FLAVOURS {
            let runtime = flavour.runtime();
            let bridge = Bridge::from(runtime.handle().clone());
            let task = bridge.spawn(std::future::pending::<()>());
            let ended = runtime.block_on(bridge.shutdown(Duration::ZERO)).unwrap();
            assert_eq!(ended.cancelled, 1);
            drop(task);
            assert_eq!(runtime.block_on(seven()), 7);

            // And what was detached goes on when the bridge is dropped.
            let (ring, rung) = tokio::sync::oneshot::channel();
            let (tell, told) = mpsc::channel();
            Bridge::from(runtime.handle().clone())
                .spawn(async move { tell.send(rung.await) })
                .detach();
            runtime.block_on(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ring.send(7).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            });
            assert_eq!(told.recv().unwrap(), Ok(7));
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
    watched(|| {
        for round in 0..200 {
            let bridge = started("br-race", FLAVOURS[round % 2]);
            let caller = {
                let bridge = bridge.clone();
                thread::spawn(move || {
                    bridge.call(async { tokio::time::sleep(Duration::from_micros(50)).await })
                })
            };
            bridge.shutdown(Duration::ZERO).wait().unwrap();
            match caller.join().expect("it does not unwind") {
                Ok(()) | Err(Error::ShutDown) => {}
                Err(other) => panic!("{other}"),
            }
        }
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
