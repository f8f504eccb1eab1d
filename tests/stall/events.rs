//! What a subscriber is told. In a process of its own, since there is one for all threads.

use std::{collections::HashMap, fmt::Debug, sync::mpsc};

use longshore::stall::Watch;
use tracing::{Event, Level, Subscriber, field};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry};

use crate::support::{Flavour, Gate, PATIENCE, child, in_child, in_time, passes};

type Fields = HashMap<&'static str, String>;

struct Heard(mpsc::Sender<(Level, Fields)>);

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Read(Fields);
        impl field::Visit for Read {
            fn record_debug(&mut self, field: &field::Field, value: &dyn Debug) {
                self.0.insert(field.name(), format!("{value:?}"));
            }
        }
        if event.metadata().target() == "longshore::stall" {
            let mut fields = Read(Fields::new());
            event.record(&mut fields);
            let _ = self.0.send((*event.metadata().level(), fields.0));
        }
    }
}

#[test]
fn a_stall_is_an_event_and_its_end_is_another() {
    if !in_child() {
        let name = "::a_stall_is_an_event_and_its_end_is_another";
        return passes(child(&format!("{}{name}", module_path!())));
    }
    in_time(|| {
        let (tell, told) = mpsc::channel();
        registry().with(Heard(tell)).init();
        let (runtime, _watching) = Watch::new()
            .build(&mut Flavour::MultiThread.builder())
            .unwrap();
        let (gate, opener) = Gate::new();
        let blocked = runtime.spawn(longshore::stall::watched(async move { gate.wait() }));
        let begun = told.recv_timeout(PATIENCE);
        drop(opener);
        let (level, begun) = begun.expect("there is an event");
        runtime.block_on(blocked).unwrap();
        let (end_level, ended) = told.recv_timeout(PATIENCE).expect("there is another");
        assert_eq!((level, end_level), (Level::WARN, Level::WARN));
        assert!(
            begun["message"].contains("move it behind longshore::offload"),
            "{begun:?}"
        );
        assert_eq!(begun["cause"], "LockWait");
        // On its way there the thread may have waited for a page of memory, too.
        assert!(
            ["OneCall", "OnePoll"].contains(&&*begun["certainty"]),
            "{begun:?}"
        );
        assert!(begun["call"].starts_with("futex"), "{begun:?}");
        for fields in [&begun, &ended] {
            assert!(
                fields["watched_at"].contains("stall/events.rs:"),
                "{fields:?}"
            );
            assert!(fields["blame"].contains("tests/stall/"), "{fields:?}");
            assert!(fields.contains_key("worker") && fields.contains_key("task"));
        }
        assert!(begun.contains_key("stalled_for") && !begun.contains_key("total"));
        assert!(ended.contains_key("total"), "{ended:?}");
    });
}
