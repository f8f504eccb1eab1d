//! K8 for uploads: what a body comes from may need the lane that sends it.

use std::{error::Error as _, io, panic::AssertUnwindSafe};

use futures::{FutureExt, StreamExt, executor::block_on, stream};
use longshore::{
    Job, Lane,
    lane::Threads,
    ureq::{Body, Client, Error, ErrorKind, Response, ResponseFuture},
};
use tokio::{runtime::Handle, time::timeout};

use super::{
    agent,
    bodies::{giving, pattern},
    client,
    peer::{Peer, response},
};
use crate::{
    refused::{BIG, NoMoreThreads},
    support::{AT_ONCE, Flavour, Place, each_in_a_child, is_as_new},
};

/// More than is read ahead of anybody, in both directions.
const LARGE: usize = 1_500_000;

/// Gives back what it is sent.
fn echo() -> Peer {
    Peer::answering(|asked| response("200 OK", &asked.body))
}

/// Sends on what it gets, as it comes.
async fn relay(client: Client, from: String, to: String) -> Result<Vec<u8>, Error> {
    let body = client.get(from).send().await?.stream();
    let answer = client.put(to).body(Body::stream(body)).send().await?;
    Ok(answer.bytes().await?.to_vec())
}

/// A stream that is asked by hand, so that it is no matter how a loop polls it.
fn put(client: &Client, url: &str, items: usize) -> ResponseFuture {
    let items = stream::iter(0..items).map(|_| Ok::<_, io::Error>("x"));
    client.put(url).body(Body::stream(items)).send()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(AT_ONCE * 2, what)
        .await
        .expect("nobody waits for ever")
}

everywhere! {
    async fn a_body_can_be_relayed_over_one_lane(place: Place) {
        let (from, to) = (giving(LARGE), echo());
        for limit in [1, 2] {
            let (client, lane) = client(place, limit);
            let relays = (0..limit).map(|_| relay(client.clone(), from.url("/"), to.url("/")));
            for told in in_time(futures::future::join_all(relays)).await {
                assert!(told.unwrap() == pattern(LARGE));
            }
            is_as_new(&lane).await;
        }
    }

    async fn a_job_can_relay_a_body_over_its_own_lane(place: Place) {
        let (from, to) = (giving(LARGE), echo());
        let (client, lane) = client(place, 1);
        let relay = relay(client, from.url("/"), to.url("/"));
        let told = in_time(lane.offload_with(move |job| job.block_on(relay))).await;
        assert!(told.unwrap().unwrap().unwrap() == pattern(LARGE));
        is_as_new(&lane).await;
    }

    async fn a_stream_may_make_calls_of_its_own(place: Place) {
        let (from, to) = (giving(100), echo());
        let (client, lane) = client(place, 1);
        let (theirs, url) = (client.clone(), from.url("/"));
        let calls = stream::iter(0..20).then(move |_| {
            let call = theirs.get(url.as_str()).send();
            async { call.await?.bytes().await }
        });
        let call = client.put(to.url("/")).body(Body::stream(calls)).send();
        let told = in_time(async { call.await?.bytes().await }).await;
        assert_eq!(told.unwrap(), pattern(100).repeat(20));
        is_as_new(&lane).await;
    }

    async fn a_job_can_send_a_stream_over_its_own_lane_in_a_foreign_loop(place: Place) {
        let peer = echo();
        let (client, lane) = client(place, 1);
        for items in [0, 1, 200] {
            for foreign in [|call| block_on(call), |call| Handle::current().block_on(call)] {
                let foreign: fn(ResponseFuture) -> Result<_, Error> = foreign;
                let (client, url) = (client.clone(), peer.url("/"));
                let job = lane.offload(move || foreign(put(&client, &url, items)));
                let answer = in_time(job).await.unwrap().unwrap();
                assert_eq!(answer.bytes().await.unwrap(), "x".repeat(items));
            }
        }
        is_as_new(&lane).await;
    }

    /// The panic is that of the poll, as elsewhere, and the job goes on with its slot.
    async fn a_stream_that_panics_in_a_foreign_loop_in_a_job_does_no_harm(place: Place) {
        let peer = echo();
        let (client, lane) = client(place, 1);
        let theirs = (client, peer.url("/"), lane.clone());
        let job = lane.offload(move || {
            let (client, url, lane): (Client, String, Lane) = theirs;
            let panics = stream::iter(0..10).map(|n| match n {
                9 => panic!("as planned"),
                _ => Ok::<_, io::Error>("x"),
            });
            let call = client.put(url).body(Body::stream(panics)).send();
            let told = block_on(AssertUnwindSafe(call).catch_unwind());
            assert!(told.is_err());
            let stats = lane.stats();
            assert_eq!((stats.running, stats.suspended), (1, 0));
            block_on(lane.offload(|| 7)).unwrap()
        });
        assert_eq!(in_time(job).await.unwrap(), 7);
        is_as_new(&lane).await;
    }
}

/// K9, W2. The thread that brings what a job sends is the only one that could send it.
#[test]
fn an_upload_that_waits_for_its_own_thread_is_told() {
    type Loop = fn(&Job, ResponseFuture) -> Result<Response, Error>;
    let test = concat!(
        module_path!(),
        "::an_upload_that_waits_for_its_own_thread_is_told"
    );
    let ours: Loop = |job, call| job.block_on(call).unwrap();
    let foreign: Loop = |_, call| block_on(call);
    let cases = [(1, ours), (1, foreign), (2, ours), (2, foreign)];
    each_in_a_child(test, &cases, |(limit, waits)| {
        let peer = echo();
        let threads = Threads::new().stack_size(BIG).keep_alive(Place::KEEP_ALIVE);
        let lane = Lane::builder("big")
            .limit(limit)
            .own_threads(threads)
            .build();
        let (client, url) = (Client::new(lane.clone(), agent()), peer.url("/"));
        Flavour::CurrentThread.runtime().block_on(async {
            let job = lane.offload_with(move |job| {
                let _refusing = NoMoreThreads::now();
                waits(job, put(&client, &url, 100))
            });
            let told = in_time(job).await.unwrap().unwrap_err();
            assert_eq!(told.kind(), ErrorKind::Lane);
            let why = told.source().and_then(|why| why.downcast_ref());
            assert!(
                matches!(why, Some(longshore::Error::WouldDeadlock { .. })),
                "{told:?}"
            );
            is_as_new(&lane).await;
        });
    });
}
