//! How far a batch is, for whoever looks on.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{FutureExt, Stream, StreamExt};
use longshore::fetch::{Event, Events, Fetcher, Progress};

use super::{on_both, service::Stage};

#[test]
fn the_counts_add_up_at_every_moment() {
    on_both(|| async {
        let stage = Stage::closed();
        let fetcher = Fetcher::new(stage.clone()).concurrency(5).per_host(2);
        let mut items: Vec<_> = (0..60)
            .map(|n| format!("http://host{}/12", n % 4))
            .collect();
        items[7] = "http://host/fail".to_owned();
        items[8] = "bad".to_owned();
        let mut fetches = fetcher.fetch_all(items);
        let progress = fetches.progress();
        assert_eq!(progress.counts().total, Some(60));
        loop {
            let _ = fetches.next().now_or_never();
            let counts = progress.counts();
            let sum = counts.held + counts.in_flight + counts.succeeded + counts.failed;
            assert_eq!(counts.taken, sum, "{counts:?}");
            assert!(counts.in_flight <= 5 && counts.held <= 20, "{counts:?}");
            if counts.done() == 60 {
                break;
            }
            stage.let_through(1);
        }
        assert!(fetches.next().await.is_none());
        let counts = progress.counts();
        assert_eq!(
            (counts.succeeded, counts.failed, counts.in_flight),
            (58, 2, 0)
        );
        assert_eq!((counts.bytes, counts.retried), (58 * 3, 0));
    });
}

#[test]
fn events_tell_of_each_item_and_end_with_the_batch() {
    on_both(|| async {
        let fetcher = Fetcher::new(Stage::open()).concurrency(1);
        let mut fetches = fetcher.fetch_all(["http://h/1?secret", "http://h/fail"]);
        let events = fetches.progress().events();
        while fetches.next().await.is_some() {}
        // The stream is still there: it is the end of the batch that ends them.
        let lines: Vec<_> = events
            .map(|event| match event {
                Event::Begun { index, url, .. } => format!("{index} begun {url}"),
                Event::Finished {
                    index,
                    ok,
                    attempts,
                    ..
                } => {
                    format!("{index} over {ok} {attempts}")
                }
                other => format!("{other:?}"),
            })
            .collect()
            .await;
        let expected = [
            "0 begun http://h/1",
            "0 over true 1",
            "1 begun http://h/fail",
            "1 over false 1",
        ];
        assert_eq!(lines, expected);
    });
}

#[test]
fn events_end_when_the_stream_is_dropped_and_wake_who_waits() {
    on_both(|| async {
        let mut fetches = Fetcher::new(Stage::closed()).fetch_all(["http://h/"]);
        let mut events = fetches.progress().events();
        assert!(fetches.next().now_or_never().is_none());
        assert!(matches!(events.next().await, Some(Event::Begun { .. })));
        let waits = tokio::spawn(async move { events.next().await });
        tokio::task::yield_now().await;
        drop(fetches);
        assert_eq!(waits.await.unwrap(), None);
    });
}

#[test]
fn nobody_who_looks_on_holds_a_batch_up() {
    on_both(|| async {
        let fetches = Fetcher::new(Stage::open()).fetch_all(vec!["http://h/"; 5000]);
        let progress = fetches.progress();
        let mut events = progress.events();
        assert_eq!(fetches.count().await, 5000);
        assert_eq!(events.next().await, Some(Event::Missed(2 * 5000 - 1024)));
        assert_eq!(events.count().await, 1024);
        assert_eq!(progress.counts().succeeded, 5000);
    });
}

/// Wakes nobody, and looks how far it is when it goes.
struct Curious(Progress);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Curious {
    fn drop(&mut self) {
        assert_eq!(self.0.counts().taken, 0);
    }
}

#[test]
fn a_waker_may_do_as_it_likes_when_it_is_dropped() {
    on_both(|| async {
        let fetches = Fetcher::new(Stage::closed()).fetch_all(["http://h/"]);
        let progress = fetches.progress();
        let mut events = progress.events();
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(Curious(progress.clone())));
            let polled = Pin::new(&mut events).poll_next(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        drop(events);
        drop(fetches);
    });
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("as planned");
    }
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Takes what is there, and leaves the waker for what comes next.
fn wait(events: &mut Events, waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    while let Poll::Ready(event) = events.poll_next_unpin(&mut cx) {
        event.expect("the batch is not over");
    }
}

/// R13. A waker may panic, in a `Drop` of the stream too: neither this nor who else looks on hears
/// of it.
#[test]
fn a_waker_that_panics_is_no_concern_of_the_batch_and_of_its_other_readers() {
    on_both(|| async {
        let mut fetches = Fetcher::new(Stage::closed()).fetch_all(["http://h/"]);
        let progress = fetches.progress();
        let (mut first, mut second) = (progress.events(), progress.events());
        let counts = Arc::new(Counts::default());
        let (panics, counted) = (Waker::from(Arc::new(Panics)), Waker::from(counts.clone()));
        wait(&mut first, &panics);
        wait(&mut second, &counted);
        assert!(fetches.next().now_or_never().is_none());
        assert_eq!(
            counts.0.load(Ordering::SeqCst),
            1,
            "it was told of the begin"
        );
        wait(&mut first, &panics);
        wait(&mut second, &counted);
        drop(fetches);
        assert_eq!(counts.0.load(Ordering::SeqCst), 2, "and of the end");
        assert_eq!((first.next().await, second.next().await), (None, None));
    });
}
