//! A subscriber is the user's code, and may panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use futures::{FutureExt, executor::block_on};
use longshore::{
    Lane,
    lane::{Permit, Threads},
};
use tracing::{Event, Metadata, Subscriber, span};
use tracing_core::span::Current;

/// Wants to hear of nothing, and panics when it is first asked which span is current.
#[derive(Default)]
struct PanicsOnce(AtomicBool);

impl Subscriber for PanicsOnce {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        unreachable!("it wants no spans")
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}

    fn current_span(&self) -> Current {
        assert!(self.0.swap(true, Ordering::SeqCst), "as planned");
        Current::none()
    }
}

fn room(lane: &Lane) -> Permit {
    let had = lane.reserve().now_or_never();
    had.expect("there is room").unwrap()
}

/// The room is not lost with the job that did not get as far as the lane.
#[test]
fn a_permit_gives_its_room_back_if_a_subscriber_panics() {
    for lane in [
        Lane::builder("spent").limit(1).queue(0),
        Lane::builder("spent").limit(2).queue(1),
    ] {
        let lane = lane.own_threads(Threads::new()).build();
        let permit = room(&lane);
        let told = tracing::subscriber::with_default(PanicsOnce::default(), || {
            catch_unwind(AssertUnwindSafe(|| permit.offload(|| ())))
        });
        assert!(told.is_err(), "the subscriber was not asked");
        assert_eq!(lane.stats().submitted, 0);
        let places = lane.stats().limit;
        let permits: Vec<_> = (0..places).map(|_| room(&lane)).collect();
        drop(permits);
        let task = lane.try_offload(|| 7).expect("there is room");
        assert_eq!(block_on(task).unwrap(), 7);
    }
}
