use std::future::poll_fn;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::*;
use crate::lane::Lane;

fn source(items: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static) -> Source {
    items.boxed()
}

fn numbered(count: u8) -> impl Iterator<Item = Result<Bytes, Failure>> {
    (0..count).map(|n| Ok(Bytes::from(vec![n; 3])))
}

#[tokio::test]
async fn everything_comes_through_in_order_up_to_the_end() {
    let lane = Lane::builder("upload").limit(1).build();
    let (mut feeder, conduit) = Feeder::new(source(stream::iter(numbered(200))));
    let read = lane.offload_with(move |job| {
        let mut read = Vec::new();
        Intake::new(conduit, job)
            .read_to_end(&mut read)
            .map(|_| read)
    });
    poll_fn(|cx| feeder.poll(cx)).await;
    let read = read.await.unwrap().unwrap();
    let expected: Vec<u8> = (0..200).flat_map(|n| [n; 3]).collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn no_more_waits_than_there_is_room_for() {
    let (mut feeder, conduit) = Feeder::new(source(stream::iter(numbered(200))));
    let polled = poll_fn(|cx| Poll::Ready(feeder.poll(cx))).await;
    assert!(polled.is_pending() && conduit.state.lock().chunks.is_empty());
    conduit.state.lock().begun = true;
    let polled = poll_fn(|cx| Poll::Ready(feeder.poll(cx))).await;
    assert!(polled.is_pending());
    assert_eq!(conduit.state.lock().chunks.len(), ROOM);
}

#[tokio::test]
async fn a_feeder_that_is_dropped_leaves_an_error_and_no_end() {
    let lane = Lane::builder("upload").limit(1).build();
    let (say, items) = mpsc::unbounded_channel::<Result<Bytes, Failure>>();
    let items = stream::unfold(items, async |mut items| {
        items.recv().await.map(|item| (item, items))
    });
    let (mut feeder, conduit) = Feeder::new(source(items));
    say.send(Ok(Bytes::from_static(b"half"))).unwrap();
    conduit.state.lock().begun = true;
    assert!(
        poll_fn(|cx| Poll::Ready(feeder.poll(cx)))
            .await
            .is_pending()
    );
    drop(feeder);
    let read = lane.offload_with(move |job| {
        let mut read = Vec::new();
        let mut intake = Intake::new(conduit, job);
        let first = intake.read_to_end(&mut read).is_err();
        (read, first, intake.read(&mut [0]).is_err())
    });
    assert_eq!(read.await.unwrap(), (b"half".to_vec(), true, true));
}

#[tokio::test]
async fn a_cancel_ends_the_wait_of_the_worker() {
    let lane = Lane::builder("upload").limit(1).build();
    let (_feeder, conduit) = Feeder::new(source(stream::pending()));
    let (say, said) = std::sync::mpsc::channel();
    let read = lane.offload_with(move |job| {
        let mut intake = Intake::new(conduit, job);
        say.send(None).unwrap();
        say.send(Some(intake.read(&mut [0]).is_err())).unwrap();
    });
    assert_eq!(said.recv(), Ok(None));
    drop(read);
    assert_eq!(said.recv(), Ok(Some(true)));
}

#[tokio::test]
async fn a_feeder_hears_that_nobody_reads_any_more() {
    let lane = Lane::builder("upload").limit(1).build();
    let (mut feeder, conduit) = Feeder::new(source(stream::iter(numbered(200))));
    let read = lane.offload_with(move |job| Intake::new(conduit, job).read(&mut [0; 3]));
    poll_fn(|cx| feeder.poll(cx)).await;
    assert_eq!(read.await.unwrap().unwrap(), 3);
}
