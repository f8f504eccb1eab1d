//! Making something of a response, and where.

use std::{
    io,
    sync::Arc,
    thread::{self, ThreadId},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use longshore::{
    Lane,
    fetch::{ErrorKind, Fetcher},
};
use tower_service::Service;

use super::{all_of, on_both, service::Chunks};
use crate::support::{Gate, is_as_new};

/// Answers with as many bytes as the path says.
fn bodies()
-> impl Service<Request<Bytes>, Response = Response<Chunks>, Error = io::Error, Future: Send>
+ Clone
+ Send
+ 'static {
    tower::service_fn(|request: Request<Bytes>| {
        let bytes: usize = request.uri().path()[1..].parse().unwrap();
        std::future::ready(Ok(Response::new(vec![b'1'; bytes].into())))
    })
}

fn which(_: Response<Bytes>) -> Result<ThreadId, io::Error> {
    Ok(thread::current().id())
}

const SMALL: &str = "http://h/16384";
const LARGE: &str = "http://h/16385";

#[test]
fn small_bodies_are_parsed_where_they_are_and_large_ones_in_a_lane() {
    on_both(|| async {
        let lane = Lane::builder("parse-here").limit(2).build();
        let fetcher = Fetcher::new(bodies()).parse_on(&lane);
        let fetches = fetcher.fetch_all([SMALL, LARGE, LARGE]).parse(which);
        let threads: Vec<_> = fetches
            .ordered()
            .map(|one| one.result.unwrap())
            .collect()
            .await;
        let here = thread::current().id();
        assert_eq!(threads[0], here);
        assert!(threads[1] != here && threads[2] != here);
        assert_eq!(lane.stats().completed, 2);
        let fetcher = fetcher.parse_inline(1 << 20);
        let fetched = fetcher
            .fetch_all([LARGE])
            .parse(which)
            .next()
            .await
            .unwrap();
        assert_eq!(fetched.result.unwrap(), here);
    });
}

#[cfg(feature = "rayon")]
#[test]
fn large_bodies_go_to_rayon_if_nothing_else_was_said() {
    on_both(|| async {
        let index = |_| Ok::<_, io::Error>(rayon::current_thread_index());
        let fetches = Fetcher::new(bodies())
            .fetch_all([SMALL, LARGE])
            .parse(index);
        let all: Vec<_> = fetches
            .ordered()
            .map(|one| one.result.unwrap())
            .collect()
            .await;
        assert!(all[0].is_none() && all[1].is_some(), "{all:?}");
    });
}

#[test]
fn a_lane_that_is_full_is_waited_for() {
    on_both(|| async {
        let lane = Lane::builder("narrow").limit(1).queue(0).build();
        let fetcher = Fetcher::new(bodies()).parse_on(&lane);
        let all: Vec<_> = fetcher.fetch_all([LARGE; 50]).parse(which).collect().await;
        assert!(all.iter().all(|fetched| fetched.result.is_ok()), "{all:?}");
    });
}

#[test]
fn a_parser_that_fails_or_panics_hurts_one_item() {
    on_both(|| async {
        let lane = Lane::builder("hurt").limit(2).build();
        let fetcher = Fetcher::new(bodies()).parse_on(&lane);
        let items = [
            "http://h/1",
            "http://h/2",
            "http://h/3",
            "http://h/50001",
            "http://h/50002",
        ];
        let fetches = fetcher
            .fetch_all(items)
            .parse(|response| match response.body().len() {
                1 | 50001 => panic!("as planned"),
                2 | 50002 => Err("not this one"),
                length => Ok(length),
            });
        let all: Vec<_> = fetches
            .ordered()
            .map(|fetched| fetched.result)
            .collect()
            .await;
        for panicked in [&all[0], &all[3]] {
            let error = panicked.as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Lane);
            let source = std::error::Error::source(error).unwrap();
            assert!(
                source
                    .downcast_ref::<longshore::Error>()
                    .unwrap()
                    .is_panic()
            );
            assert!(all_of(error).contains("as planned"), "{error:?}");
        }
        for refused in [&all[1], &all[4]] {
            let error = refused.as_ref().unwrap_err();
            assert!(
                error.is_parse() && all_of(error).contains("not this one"),
                "{error:?}"
            );
        }
        assert!(matches!(all[2], Ok(3)));
    });
}

#[test]
fn a_lane_that_is_closed_is_said() {
    on_both(|| async {
        let lane = Lane::builder("shut").build();
        lane.close();
        let fetches = Fetcher::new(bodies()).parse_on(&lane).fetch_all([LARGE]);
        let error = fetches
            .parse(which)
            .next()
            .await
            .unwrap()
            .result
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lane, "{error:?}");
    });
}

/// K4.
#[test]
fn parsing_is_within_the_time_of_the_item_and_ends_with_the_stream() {
    on_both(|| async {
        let gate = Gate::new();
        let lane = Lane::builder("slow").limit(1).build();
        let door = Arc::new(gate.door());
        let fetcher = Fetcher::new(bodies())
            .parse_on(&lane)
            .timeout(Duration::from_millis(300));
        let fetches = fetcher.fetch_all([LARGE; 3]).parse(move |_| {
            door.pass();
            Ok::<_, io::Error>(())
        });
        let all: Vec<_> = fetches.collect().await;
        assert!(
            all.iter()
                .all(|one| one.result.as_ref().unwrap_err().is_timeout()),
            "{all:?}"
        );
        gate.open();
        is_as_new(&lane).await;
        // The other two never began, nor perhaps the first on a busy machine.
        assert!(gate.passed() <= 1);
    });
}

#[test]
#[should_panic(expected = "polled already")]
fn a_stream_that_was_polled_cannot_be_made_another() {
    futures::executor::block_on(async {
        let mut fetches = Fetcher::new(bodies()).fetch_all([SMALL, SMALL]);
        fetches.next().await;
        drop(fetches.ordered());
    });
}

#[test]
#[should_panic(expected = "polled already")]
fn nor_can_one_that_was_found_to_be_empty() {
    futures::executor::block_on(async {
        let mut fetches = Fetcher::new(bodies()).fetch_all([""; 0]);
        assert!(fetches.next().await.is_none());
        drop(fetches.ordered());
    });
}

#[cfg(feature = "json")]
mod json {
    use super::*;

    #[test]
    fn values_come_of_good_responses_and_errors_of_bad_ones() {
        on_both(|| async {
            let service = tower::service_fn(|request: Request<Bytes>| {
                let path = request.uri().path().to_owned();
                async move {
                    let (status, body) = match &*path {
                        "/good" => (200, "{\"n\": 7}".to_owned()),
                        "/large" => (200, format!("{}{{\"n\": 8}}", " ".repeat(100_000))),
                        "/missing" => (404, "{\"n\": 9}".to_owned()),
                        _ => (200, "{\"n\": \"ten\"}".to_owned()),
                    };
                    let response = Response::builder().status(status);
                    Ok::<_, io::Error>(response.body(Chunks::from(body)).unwrap())
                }
            });
            #[derive(serde::Deserialize)]
            struct Reply {
                n: u32,
            }
            let items = [
                "http://h/good",
                "http://h/large",
                "http://h/missing",
                "http://h/other",
            ];
            let fetches = Fetcher::new(service).fetch_all(items).json::<Reply>();
            let all: Vec<_> = fetches
                .ordered()
                .map(|fetched| fetched.result)
                .collect()
                .await;
            let values: Vec<_> = all.iter().flatten().map(|reply| reply.n).collect();
            assert_eq!(values, [7, 8]);
            let error = |index: usize| all[index].as_ref().err().unwrap();
            assert_eq!(error(2).status().unwrap(), 404);
            assert!(error(3).is_parse());
            let said = error(3).to_string();
            assert!(
                said.contains("is not the JSON that was asked for"),
                "{said}"
            );
            let source = std::error::Error::source(error(3)).unwrap();
            assert!(source.is::<serde_json::Error>());
        });
    }
}
