//! What the next closure gets when the last was cancelled or panicked.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use longshore::{
    Error, Resource,
    resource::{Builder, Recycle},
};

use super::{Maker, Thing, on_both_flavours};
use crate::support::{Gate, eventually};

fn things(maker: &Maker) -> Builder<Thing> {
    let maker = maker.clone();
    Resource::builder("things", move || Ok::<_, io::Error>(maker.make()))
}

/// How a closure comes to leave an object that has to be recycled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    Dropped,
    Cancelled,
    TimedOut,
    Panicking,
}

impl Leaves {
    const ALL: [Self; 4] = [
        Self::Dropped,
        Self::Cancelled,
        Self::TimedOut,
        Self::Panicking,
    ];

    /// Has a closure leave in this way. The next one is in line by the time it does.
    async fn leave(self, things: &Resource<Thing>) -> Result<usize, Error> {
        let mut time = Duration::from_millis(20);
        let (gate, first) = loop {
            let gate = Gate::new();
            let door = gate.door();
            let timed = match self {
                Self::TimedOut => things.timeout(time),
                _ => things.clone(),
            };
            let first = timed.with(move |it, _| {
                it.used();
                door.pass();
                assert!(self != Self::Panicking, "as planned");
            });
            eventually("it has begun, or never will", || {
                gate.count() == 1 || first.is_finished() && things.stats().draining == 0
            })
            .await;
            if gate.count() == 1 {
                break (gate, first);
            }
            // On a busy machine its time may be up before it begins.
            assert!(first.await.unwrap_err().never_started());
            time *= 8;
        };
        let next = things.timeout(Duration::from_secs(20)).with(|it, _| {
            it.used();
            it.number
        });
        match self {
            Self::Dropped => drop(first),
            Self::Cancelled => {
                first.cancel();
                assert!(first.await.unwrap_err().is_cancelled());
            }
            Self::TimedOut => assert!(first.await.unwrap_err().is_timeout()),
            Self::Panicking => {
                gate.open();
                assert!(first.await.unwrap_err().is_panic());
            }
        }
        if self != Self::Panicking {
            assert_eq!((things.stats().draining, things.stats().waiting), (1, 1));
        }
        gate.open();
        next.await
    }
}

#[test]
fn an_object_left_by_a_cancelled_or_panicking_closure_is_discarded() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let things = things(&maker).build();
        for (round, leaves) in Leaves::ALL.into_iter().enumerate() {
            assert_eq!(
                things.with(|it, _| it.number).await.unwrap(),
                round,
                "{leaves:?}"
            );
            assert_eq!(
                leaves.leave(&things).await.unwrap(),
                round + 1,
                "{leaves:?}"
            );
            // The old one was dropped, at home, before the new one was made.
            assert_eq!(
                (maker.alive(), maker.dropped()),
                (1, round + 1),
                "{leaves:?}"
            );
        }
    });
}

#[test]
fn recycle_sees_the_object_before_anybody_else_and_may_keep_it() {
    on_both_flavours(|| async {
        let (maker, calls) = (Maker::default(), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        let things = things(&maker)
            .recycle(move |it| {
                assert_eq!(it.home, thread::current().id());
                assert_eq!(it.uses.get(), 1, "only the closure that left it was there");
                it.uses.set(0);
                counted.fetch_add(1, Ordering::SeqCst);
                Recycle::Keep
            })
            .build();
        for (round, leaves) in Leaves::ALL.into_iter().enumerate() {
            assert_eq!(leaves.leave(&things).await.unwrap(), 0, "{leaves:?}");
            assert_eq!(calls.load(Ordering::SeqCst), round + 1, "{leaves:?}");
            things.with(|it, _| it.uses.set(0)).await.unwrap();
        }
        assert_eq!((maker.made(), maker.dropped()), (1, 0));
    });
}

#[test]
fn an_object_that_was_left_in_order_is_not_recycled() {
    on_both_flavours(|| async {
        let (maker, calls) = (Maker::default(), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        let things = things(&maker)
            .recycle(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                Recycle::Discard
            })
            .build();
        things.with(|it, _| it.used()).await.unwrap();
        // Nor after a closure that nobody waits for, by choice.
        let gate = Gate::new();
        let door = gate.door();
        let task = things.with(move |_, _| door.pass());
        gate.arrived(1).await;
        task.detach();
        gate.open();
        // Nor after one that was taken back in time.
        let hold = Gate::new();
        let door = hold.door();
        let busy = things.with(move |_, _| door.pass());
        drop(things.with(|it, _| it.used()));
        hold.open();
        busy.await.unwrap();
        assert_eq!(things.with(|it, _| it.used()).await.unwrap(), 2);
        assert_eq!((calls.load(Ordering::SeqCst), maker.made()), (0, 1));
    });
}

#[test]
fn an_object_whose_recycling_panics_is_discarded() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let things = things(&maker).recycle(|_| panic!("as planned")).build();
        for (round, leaves) in Leaves::ALL.into_iter().enumerate() {
            assert_eq!(
                leaves.leave(&things).await.unwrap(),
                round + 1,
                "{leaves:?}"
            );
            assert_eq!(maker.alive(), 1);
        }
    });
}

/// The caller hears of its own panic, not of what recycling made of it.
#[test]
fn what_a_panicking_closure_said_is_told_after_recycling() {
    on_both_flavours(|| async {
        let maker = Maker::default();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        let things = things(&maker)
            .recycle(move |_| {
                heard.lock().unwrap().push("recycled");
                panic!("another")
            })
            .build();
        let Err(Error::Panicked(panic)) = things.with(|_, _| -> () { panic!("the first") }).await
        else {
            panic!("it panics");
        };
        assert_eq!(
            (panic.message(), said.lock().unwrap().len()),
            ("the first", 1)
        );
        assert_eq!(things.stats().panicked, 1);
    });
}

/// A limit in front of futures would let the next one in as soon as the caller is gone.
#[test]
fn no_closure_gets_an_object_that_another_still_has() {
    on_both_flavours(|| async {
        let inside = Arc::new(AtomicUsize::new(0));
        let counter = Resource::builder("counter", || Ok::<_, io::Error>(0_u64))
            .recycle(|_| Recycle::Keep)
            .build();
        let mut sum = 0;
        for round in 0..2_000_u64 {
            let inside = inside.clone();
            let task = counter.with(move |it, _| {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                // Torn if another came between the two.
                let before = *it;
                thread::yield_now();
                *it = before + 1;
                inside.fetch_sub(1, Ordering::SeqCst);
            });
            if round % 3 == 0 {
                tokio::task::yield_now().await;
                drop(task);
            } else {
                task.await.unwrap();
                sum += 1;
            }
        }
        eventually("who was cancelled has left", || {
            counter.stats().draining + counter.stats().waiting == 0
        })
        .await;
        let stats = counter.stats();
        let counted = counter.with(|it, _| *it).await.unwrap();
        let started = stats.queue_time.count();
        assert_eq!(counted, started, "each that started counted once");
        assert!(counted >= sum);
    });
}
