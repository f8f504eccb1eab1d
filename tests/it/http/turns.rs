//! What a body does whose thread has left it, when it wants another and the lane is full.

use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use longshore::{
    CancelToken, Lane, Task,
    lane::JobState,
    ureq::{Client, Error, ResponseBody},
};

use super::{
    agent,
    bodies::{giving, pattern},
};
use crate::support::{AT_ONCE, Gate, Place, eventually, is_as_new};

const LENGTH: usize = 1_500_000;

/// Asks for a body, waits until its thread has left it, and has all of the lane taken up until the gate
/// is opened.
///
/// `calls` is the handle by which it is asked for.
async fn left_to_a_full_lane(
    lane: &Lane,
    calls: &Lane,
    gate: &Gate,
) -> Result<(ResponseBody, Task<()>), Error> {
    let peer = giving(LENGTH);
    let client = Client::new(calls.clone(), agent());
    let body = client.get(peer.url("/")).send().await?.stream();
    eventually("its thread has left", || lane.stats().running == 0).await;
    let door = gate.door();
    let busy = lane.offload(move || door.pass());
    gate.arrived(1).await;
    Ok((body, busy))
}

/// What is there to be read at once.
fn read_ahead(body: &mut ResponseBody) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(chunk) = body.next().now_or_never() {
        read.extend(chunk.expect("it is not whole").unwrap());
    }
    read
}

everywhere! {
    /// A body that was begun is not lost because others were quicker.
    async fn a_body_waits_for_its_turn_where_the_lane_is_full(place: Place) {
        let (lane, gate) = (place.bounded(1, 0), Gate::new());
        let (mut body, busy) = left_to_a_full_lane(&lane, &lane, &gate).await.unwrap();
        // What was read ahead can be had all the same, and then it has to wait.
        let mut read = read_ahead(&mut body);
        assert!(!read.is_empty() && read.len() < LENGTH);
        gate.open();
        busy.await.unwrap();
        while let Some(chunk) = body.next().await {
            read.extend(chunk.unwrap());
        }
        assert!(read == pattern(LENGTH));
        is_as_new(&lane).await;
    }

    /// S7. Nobody can tell whether whoever has waited for more of it still does.
    async fn a_body_that_is_left_while_it_waits_for_its_turn_holds_no_place(place: Place) {
        let (lane, gate) = (place.bounded(1, 0), Gate::new());
        let (mut body, busy) = left_to_a_full_lane(&lane, &lane, &gate).await.unwrap();
        let mut read = read_ahead(&mut body);
        gate.open();
        busy.await.unwrap();
        let mut taken = None;
        eventually("there is room", || {
            taken = lane.try_offload(|| 7).ok();
            taken.is_some()
        }).await;
        assert_eq!(taken.unwrap().await.unwrap(), 7);
        read.extend(body.bytes().await.unwrap());
        assert!(read == pattern(LENGTH));
        is_as_new(&lane).await;
    }

    async fn the_deadline_is_kept_where_the_lane_is_full(place: Place) {
        for time in [1, 4].map(Duration::from_secs) {
            let (lane, gate) = (place.bounded(1, 0), Gate::new());
            let told = left_to_a_full_lane(&lane, &lane.timeout(time), &gate).await;
            let Ok((body, busy)) = told else {
                // On a machine that is busy there may be no response by then.
                assert!(told.unwrap_err().is_timeout() && time < Duration::from_secs(4));
                continue;
            };
            let error = body.try_collect::<Vec<_>>().await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            gate.open();
            busy.await.unwrap();
            is_as_new(&lane).await;
            break;
        }
    }

    async fn a_token_ends_the_wait_for_a_turn(place: Place) {
        let (lane, gate, token) = (place.bounded(1, 0), Gate::new(), CancelToken::new());
        let under = lane.cancelled_by(&token);
        let (mut body, busy) = left_to_a_full_lane(&lane, &under, &gate).await.unwrap();
        read_ahead(&mut body);
        token.cancel();
        let told = tokio::time::timeout(AT_ONCE, body.next()).await.expect("it does not wait");
        let error = told.expect("it is not whole").unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        gate.open();
        busy.await.unwrap();
        is_as_new(&lane).await;
    }

    /// All of its jobs are handed in by whoever made the call.
    async fn every_job_of_a_body_is_known_by_the_line_of_its_call(place: Place) {
        let (lane, gate) = (place.bounded(1, 0), Gate::new());
        let (mut body, busy) = left_to_a_full_lane(&lane, &lane, &gate).await.unwrap();
        read_ahead(&mut body);
        let jobs = lane.jobs();
        let waiting = jobs.iter().find(|job| job.state == JobState::Waiting);
        let waiting = waiting.expect("it has called for a thread");
        assert!(waiting.location.file().ends_with("turns.rs"), "{waiting}");
        gate.open();
        busy.await.unwrap();
        body.bytes().await.unwrap();
        is_as_new(&lane).await;
    }
}
