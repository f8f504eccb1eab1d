//! K17: a bridge is shut down, within a bound, and says what it has left.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use futures::FutureExt;
use longshore::{Bridge, bridge::Error};
use tokio::sync::oneshot;

use super::{FLAVOURS, is_over, seven, started};
use crate::support::{AT_ONCE, Flavour, Gate, eventually, settles, threads_named, watched};

#[test]
fn a_shutdown_waits_for_what_ends_and_cancels_what_does_not() {
    watched(|| {
        for flavour in FLAVOURS {
            let bridge = started("br-grace", flavour);
            let (ring, rung) = oneshot::channel::<u32>();
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
            settles("it ends", || ends.is_finished());
            // An error if a busy machine needs longer than it waits for what was cancelled.
            if let Ok(ended) = shutdown.wait() {
                assert_eq!((ended.finished, ended.cancelled), (1, 2));
            }
            is_over(&bridge);
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
            if let Ok(ended) = bridge.shutdown(Duration::ZERO).await {
                assert_eq!(ended.cancelled, 1);
            }
            eventually("it is over", || {
                let again = bridge.shutdown(Duration::ZERO);
                again.now_or_never().is_some_and(|told| told.is_ok())
            })
            .await;
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
            for ended in ended.into_iter().flatten() {
                assert_eq!(ended.cancelled, 1);
            }
            is_over(&bridge);
            bridge.shutdown(Duration::from_secs(3_600)).wait().unwrap();
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
            if let Ok(ended) = runtime.block_on(bridge.shutdown(Duration::ZERO)) {
                assert_eq!(ended.cancelled, 1);
            }
            settles("it is over", || {
                runtime.block_on(bridge.shutdown(Duration::ZERO)).is_ok()
            });
            drop(task);
            assert_eq!(runtime.block_on(seven()), 7);

            // And what was detached goes on when the bridge is dropped.
            let (begin, begun) = oneshot::channel();
            let (ring, rung) = oneshot::channel();
            let (tell, told) = oneshot::channel();
            Bridge::from(runtime.handle().clone())
                .spawn(async move {
                    begin.send(()).unwrap();
                    tell.send(rung.await).unwrap();
                })
                .detach();
            let told = runtime.block_on(async {
                begun.await.unwrap();
                ring.send(7).unwrap();
                told.await
            });
            assert_eq!(told.unwrap(), Ok(7));
        }
    });
}
