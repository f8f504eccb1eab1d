//! When objects go, and where.

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use longshore::{Error, Resource};

use super::{Maker, Thing, on_both_flavours};
use crate::support::{AT_ONCE, Door, Gate, PanicOnDrop, eventually};

#[test]
fn a_closed_resource_serves_who_waits_and_drops_its_object() {
    on_both_flavours(|| async {
        let (maker, gate) = (Maker::default(), Gate::new());
        let (theirs, door) = (maker.clone(), gate.door());
        let things = Resource::new("closed", move || Ok::<_, io::Error>(theirs.make()));
        let busy = things.with(move |_, _| door.pass());
        let waits = things.with(|it, _| it.used());
        gate.arrived(1).await;
        things.close();
        assert!(things.is_closed());
        assert!(matches!(
            things.with(|_, _| ()).await,
            Err(Error::Closed { .. })
        ));
        assert_eq!(maker.dropped(), 0);
        gate.open();
        busy.await.unwrap();
        assert_eq!(waits.await.unwrap(), 1);
        eventually("the object is dropped", || maker.dropped() == 1).await;
        eventually("and its place free", || things.objects() == 0).await;
    });
}

#[test]
fn work_goes_on_without_a_handle_and_then_the_object_is_dropped() {
    on_both_flavours(|| async {
        let (maker, gate) = (Maker::default(), Gate::new());
        let (theirs, door) = (maker.clone(), gate.door());
        let things = Resource::new("no-handle", move || Ok::<_, io::Error>(theirs.make()));
        let busy = things.with(move |_, _| door.pass());
        let waits = things.with(|it, _| it.used());
        gate.arrived(1).await;
        drop(things);
        gate.open();
        busy.await.unwrap();
        assert_eq!(waits.await.unwrap(), 1);
        eventually("the object is dropped", || maker.dropped() == 1).await;
    });
}

#[test]
fn a_shutdown_is_over_when_the_object_is_gone() {
    on_both_flavours(|| async {
        for _ in 0..20 {
            let maker = Maker::default();
            let theirs = maker.clone();
            let things = Resource::new("shut", move || Ok::<_, io::Error>(theirs.make()));
            things.with(|it, _| it.used()).await.unwrap();
            things.shutdown(Duration::from_secs(5)).await.unwrap();
            assert_eq!((maker.dropped(), things.objects()), (1, 0));
        }
    });
}

#[test]
fn a_shutdown_waits_for_a_slow_drop_as_long_as_its_grace() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    on_both_flavours(|| async {
        let things = Resource::new("slow-shut", || Ok::<_, io::Error>(Slow));
        things.with(|_, _| ()).await.unwrap();
        things.shutdown(Duration::from_secs(5)).await.unwrap();
        assert_eq!(things.objects(), 0);
    });
}

/// A thread may be on its way for a call that is gone.
#[test]
fn after_a_shutdown_no_object_is_made() {
    on_both_flavours(|| async {
        for _ in 0..20 {
            let maker = Maker::default();
            let theirs = maker.clone();
            let things = Resource::new("no-more", move || Ok::<_, io::Error>(theirs.make()));
            drop(things.with(|_, _| ()));
            // One that is being made is not waited for for long.
            let _ = things.shutdown(Duration::ZERO).await;
            let is_being_made = things.objects() == 1;
            let made = maker.made();
            has_no_thread(&things).await;
            assert!(maker.made() == made || is_being_made);
        }
    });
}

#[test]
fn a_shutdown_names_the_closure_that_keeps_the_object() {
    on_both_flavours(|| async {
        let gate = Gate::new();
        let door = gate.door();
        let things = Resource::new("stuck", || Ok::<_, io::Error>(()));
        let busy = things.label("never ends").with(move |(), _| door.pass());
        gate.arrived(1).await;
        let stuck = things.shutdown(Duration::ZERO).await.unwrap_err();
        assert_eq!(stuck.jobs.len(), 1);
        assert_eq!(stuck.jobs[0].label.as_deref(), Some("never ends"));
        assert!(busy.await.unwrap_err().is_cancelled());
    });
}

/// Whoever shuts down does not wait for ever for an object that does not want to go.
#[test]
fn a_drop_that_blocks_holds_up_neither_a_shutdown_nor_the_runtime() {
    struct Slow(mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }
    on_both_flavours(|| async {
        let (release, gate) = mpsc::channel();
        let gate = std::sync::Mutex::new(Some(gate));
        let things = Resource::new("slow-drop", move || {
            gate.lock().unwrap().take().map(Slow).ok_or("only one")
        });
        things.with(|_, _| ()).await.unwrap();
        let start = std::time::Instant::now();
        things.shutdown(Duration::from_millis(1)).await.unwrap();
        assert!(start.elapsed() < AT_ONCE);
        assert_eq!(things.objects(), 1, "it is still being dropped");
        drop(release);
        eventually("it is gone", || things.objects() == 0).await;
    });
}

#[test]
fn an_object_that_nobody_uses_goes_after_a_while_and_another_is_made() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let theirs = maker.clone();
        let things = Resource::builder("idle", move || Ok::<_, io::Error>(theirs.make()))
            .keep_alive(Duration::from_millis(10))
            .build();
        for round in 0..3 {
            assert_eq!(things.with(|it, _| it.number).await.unwrap(), round);
            eventually("the object is dropped", || maker.dropped() == round + 1).await;
            eventually("and its place free", || things.objects() == 0).await;
        }
    });
}

/// The thread has left the books of the lane by then, and a call has another one come.
#[test]
fn the_next_object_is_not_made_while_the_last_is_being_dropped() {
    struct Port {
        closed: Gate,
        _open: Arc<()>,
    }
    impl Drop for Port {
        fn drop(&mut self) {
            self.closed.door().pass();
        }
    }
    on_both_flavours(|| async {
        let gate = Gate::new();
        let door = gate.door();
        let one = Arc::new(());
        let theirs = one.clone();
        let port = Resource::builder("port", move || {
            assert_eq!(Arc::strong_count(&theirs), 2, "the port is open twice");
            let inner = Gate::new();
            let (outer, handle) = (door.clone(), inner.door());
            std::thread::spawn(move || {
                outer.pass();
                handle.open();
            });
            Ok::<_, io::Error>(Port {
                closed: inner,
                _open: theirs.clone(),
            })
        })
        .keep_alive(Duration::from_millis(1))
        .build();
        port.with(|_, _| ()).await.unwrap();
        eventually("its thread has left the lane", || port.stats().workers == 0).await;
        assert_eq!(port.objects(), 1);
        let next = port.with(|_, _| 7);
        eventually("the next thread comes", || port.stats().starting == 1).await;
        assert_eq!(port.stats().waiting, 1);
        gate.open();
        assert_eq!(next.await.unwrap(), 7);
    });
}

/// The thread that has come for it had to wait for the drop of the last object.
#[test]
fn for_a_call_that_is_gone_no_object_is_made() {
    struct Slow(
        Door,
        #[expect(dead_code, reason = "it counts its drop")] Thing,
    );
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.pass();
        }
    }
    on_both_flavours(|| async {
        for shuts_down in [false, true] {
            let (maker, gate) = (Maker::default(), Gate::new());
            let (theirs, door) = (maker.clone(), gate.door());
            let make = move || Ok::<_, io::Error>(Slow(door.clone(), theirs.make()));
            let things = Resource::builder("too-late", make)
                .keep_alive(Duration::from_millis(1))
                .build();
            things.with(|_, _| ()).await.unwrap();
            gate.arrived(1).await;
            let next = things.with(|_, _| ());
            assert_eq!(things.stats().starting, 1);
            if shuts_down {
                let ended = things.shutdown(Duration::ZERO).await.unwrap();
                assert_eq!(ended.cancelled, 1);
                assert!(next.await.unwrap_err().never_started());
            } else {
                drop(next);
            }
            gate.open();
            has_no_thread(&things).await;
            assert_eq!((maker.made(), maker.dropped()), (1, 1));
        }
    });
}

async fn has_no_thread<T>(things: &Resource<T>) {
    eventually("its threads are gone", || {
        let stats = things.stats();
        stats.starting + stats.workers + things.objects() == 0
    })
    .await;
}

#[test]
fn a_panic_in_the_drop_of_an_object_hurts_nobody() {
    on_both_flavours(|| async {
        let things =
            Resource::builder("bad-drop", || Ok::<_, io::Error>(PanicOnDrop("as planned")))
                .keep_alive(Duration::from_millis(1))
                .build();
        for _ in 0..5 {
            things.with(|_, _| ()).await.unwrap();
            eventually("the object is gone", || things.objects() == 0).await;
            // And once in the middle of the thread's service.
            let panicked = things.with(|_, _| -> () { panic!("as planned") }).await;
            assert!(panicked.unwrap_err().is_panic());
        }
    });
}
