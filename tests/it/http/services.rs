//! The client as a `tower::Service`: it is ready when its lane has room, and cancelled as the client.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
};

use http::Request;
use longshore::ureq::{Client, ClientService, Error, ErrorKind};
use tower_service::Service;

use super::{
    agent, client,
    peer::{Peer, response},
};
use crate::{
    agent::peers::{self, site},
    support::{Gate, Place, eventually, is_as_new},
};

fn poll_ready(service: &mut ClientService) -> Poll<Result<(), Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    Service::<Request<()>>::poll_ready(service, &mut cx)
}

async fn ready(service: &mut ClientService) -> Result<(), Error> {
    poll_fn(|cx| Service::<Request<()>>::poll_ready(service, cx)).await
}

fn get(url: &str) -> Request<()> {
    Request::get(url).body(()).unwrap()
}

everywhere! {
    async fn a_service_is_ready_when_the_lane_has_room(place: Place) {
        let peer = Peer::answering(|_| response("200 OK", "served"));
        let lane = place.bounded(1, 0);
        let mut service = Client::new(lane.clone(), agent()).service();
        let gate = Gate::new();
        let door = gate.door();
        let busy = lane.offload(move || door.pass());
        gate.arrived(1).await;
        assert!(poll_ready(&mut service).is_pending());
        gate.open();
        busy.await.unwrap();
        ready(&mut service).await.unwrap();
        let answer = service.call(get(&peer.url("/"))).await.unwrap();
        assert_eq!(answer.into_body().bytes().await.unwrap(), "served");
        is_as_new(&lane).await;
    }

    /// What one of them holds for its next call is not there for the other.
    async fn a_clone_waits_for_room_of_its_own(place: Place) {
        let peer = Peer::answering(|_| response("200 OK", "served"));
        let lane = place.bounded(1, 0);
        let mut service = Client::new(lane.clone(), agent()).service();
        ready(&mut service).await.unwrap();
        let mut clone = service.clone();
        assert!(poll_ready(&mut clone).is_pending());
        let answer = service.call(get(&peer.url("/"))).await.unwrap();
        answer.into_body().bytes().await.unwrap();
        ready(&mut clone).await.unwrap();
        let answer = clone.call(get(&peer.url("/"))).await.unwrap();
        assert_eq!(answer.into_body().bytes().await.unwrap(), "served");
        // And one that was ready and was not called gives it back.
        ready(&mut service).await.unwrap();
        drop(service);
        ready(&mut clone).await.unwrap();
        drop(clone);
        is_as_new(&lane).await;
    }

    async fn dropping_the_future_of_a_service_cancels_the_exchange(place: Place) {
        let peer = peers::Peer::new(site);
        let (client, lane) = client(place, 1);
        let mut service = client.service();
        ready(&mut service).await.unwrap();
        let call = service.call(get(&peer.url("/silent")));
        eventually("it is asked", || peer.reached() > 0).await;
        drop(call);
        assert_eq!(lane.stats().cancelled, 1);
        eventually("the connection is closed", || peer.record(0).end.is_some()).await;
        drop(service);
        is_as_new(&lane).await;
    }

    async fn a_service_of_a_closed_lane_is_never_ready(place: Place) {
        let (client, lane) = client(place, 1);
        lane.close();
        let error = ready(&mut client.service()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lane, "{error:?}");
    }

    async fn a_service_that_is_not_ready_must_not_be_called(place: Place) {
        let (client, lane) = client(place, 1);
        let mut service = client.service();
        let call = || drop(service.call(get("http://127.0.0.1:9/")));
        let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        let text = panic.downcast_ref::<String>().map_or("", |text| text);
        let text = panic.downcast_ref::<&str>().copied().unwrap_or(text);
        assert!(text.contains("poll_ready"), "{text}");
        is_as_new(&lane).await;
    }
}
