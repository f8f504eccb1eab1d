//! Where nobody keeps time: outside of a runtime, when the system has no thread for it.

use std::{
    future::{pending, ready},
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, executor};
use http::{Request, Response};
use longshore::fetch::{ErrorKind, Fetcher, Retry};

use super::service::Chunks;
use crate::support::{Child, NoMoreThreads, in_child, watched};

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3600);

/// On a thread of its own, since its rights do not come back.
fn without_threads(test: fn()) {
    watched(move || {
        thread::spawn(test).join().expect("it passes");
    });
}

/// A deadline that nobody can keep would be an empty promise: the item fails at once, with the reason.
#[test]
fn a_time_that_nobody_can_keep_is_not_taken_for_up() {
    let test = concat!(
        module_path!(),
        "::a_time_that_nobody_can_keep_is_not_taken_for_up"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    without_threads(|| {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let service = tower::service_fn(move |request: Request<Bytes>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let hangs = request.uri().path() == "/hangs";
            async move {
                if hangs {
                    return pending().await;
                }
                let response = Response::builder().status(503);
                Ok::<_, io::Error>(response.body(Chunks::default()).unwrap())
            }
        });
        let fetcher = Fetcher::new(service);
        let _none = NoMoreThreads::from_here_on();
        for fetcher in [
            fetcher.clone().attempt_timeout(HOUR),
            fetcher.clone().timeout(HOUR),
            fetcher.clone().total_timeout(HOUR),
            fetcher.clone().attempt_timeout(HOUR).retry(Retry::new(3)),
        ] {
            let items = ["http://host/hangs", "http://host/"];
            let mut all = executor::block_on_stream(fetcher.fetch_all(items).ordered());
            let error = all.next().unwrap().result.unwrap_err();
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::NoTimer, 1));
            // What takes no time needs nobody to keep it.
            assert!(all.next().unwrap().result.is_ok());
        }
        // Nor is there a pause before another attempt, which then is none.
        asked.store(0, Ordering::SeqCst);
        let retry = Retry::new(3).idempotent().backoff(HOUR, HOUR);
        let mut fetches = fetcher.clone().retry(retry).fetch_all(["http://host/"]);
        let fetched = executor::block_on(fetches.next()).unwrap();
        assert_eq!(fetched.result.unwrap().status().as_u16(), 503);
        assert_eq!((fetched.attempts, asked.load(Ordering::SeqCst)), (1, 1));
    });
}

#[test]
fn a_batch_whose_end_nobody_can_tell_goes_on_with_what_is_to_come() {
    let test = concat!(
        module_path!(),
        "::a_batch_whose_end_nobody_can_tell_goes_on_with_what_is_to_come"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    without_threads(|| {
        let service = tower::service_fn(|_: Request<Bytes>| {
            ready(Ok::<_, io::Error>(Response::new(Chunks::default())))
        });
        let _none = NoMoreThreads::from_here_on();
        let (sender, items) = futures::channel::mpsc::unbounded();
        let fetcher = Fetcher::new(service).total_timeout(HOUR);
        let mut fetches = fetcher.fetch_stream(items);
        for _ in 0..3 {
            assert!(fetches.next().now_or_never().is_none());
            sender.unbounded_send("http://host/").unwrap();
            let fetched = executor::block_on(fetches.next()).expect("there is time left");
            assert!(fetched.result.is_ok(), "{fetched:?}");
        }
        drop(sender);
        assert!(executor::block_on(fetches.next()).is_none());
    });
}
