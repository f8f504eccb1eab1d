//! What a subscriber has seen, and whatever makes it see something.

use std::{
    fmt::{Debug, Write},
    sync::{LazyLock, Mutex},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use longshore::{CancelToken, Lane, lane::Threads};
use tokio::runtime::{Builder, Runtime};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// What was seen, of every lane.
static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// Cancelled when it is told that a job is handed in whose label says so.
pub(crate) static CANCELS: Mutex<Option<CancelToken>> = Mutex::new(None);

#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Entered(&'static str, ThreadId),
    Exited(&'static str, ThreadId),
    /// With its target in front of its text, and the span that it belongs to.
    Event(Level, String, Option<&'static str>),
}

struct Collect;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        let name = context.span(id).expect("it exists").name();
        SEEN.lock()
            .unwrap()
            .push(Seen::Entered(name, thread::current().id()));
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        let name = context.span(id).expect("it exists").name();
        SEEN.lock()
            .unwrap()
            .push(Seen::Exited(name, thread::current().id()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }
        let mut text = Text(format!("target={} ", event.metadata().target()));
        event.record(&mut text);
        if text.0.contains("a job is handed in") && text.0.contains("cancelled meanwhile") {
            let token = CANCELS.lock().unwrap().take();
            token.expect("there is one").cancel();
        }
        let span = context.event_span(event).map(|span| span.name());
        SEEN.lock()
            .unwrap()
            .push(Seen::Event(*event.metadata().level(), text.0, span));
    }
}

pub(crate) static SUBSCRIBED: LazyLock<()> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Collect);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else has set one");
});

pub(crate) fn seen() -> Vec<Seen> {
    SEEN.lock().unwrap().clone()
}

/// A warning about a lane, which comes in the end, and under the target that lanes have.
pub(crate) fn warning(lane: &str, words: &[&str]) -> String {
    let text = warned(lane, words);
    assert!(text.starts_with("target=longshore::lane "), "{text}");
    text
}

pub(crate) fn warned(lane: &str, words: &[&str]) -> String {
    let end = Instant::now() + Duration::from_secs(8);
    loop {
        for seen in seen() {
            if let Seen::Event(Level::WARN, text, _) = seen
                && text.contains(lane)
                && words.iter().all(|word| text.contains(word))
            {
                return text;
            }
        }
        assert!(
            Instant::now() < end,
            "no warning of {lane} says {words:?}: {:?}",
            seen()
        );
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn runtimes() -> [Runtime; 2] {
    LazyLock::force(&SUBSCRIBED);
    let current = Builder::new_current_thread().enable_all().build();
    let multi = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    [current.unwrap(), multi.unwrap()]
}

/// One on each thread source.
pub(crate) fn lanes(name: &str) -> Vec<Lane> {
    let lane = || Lane::builder(name).limit(1);
    vec![
        lane().build(),
        lane().own_threads(Threads::new()).build(),
        #[cfg(feature = "rayon")]
        {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            lane().rayon(std::sync::Arc::new(pool.unwrap())).build()
        },
    ]
}
