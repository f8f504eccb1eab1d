//! C3, K20: what ends an exchange ends it in a later hop too, and all hops are on one clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use longshore::{
    CancelToken, Lane,
    ureq::{Client, Error, Phase},
};

use super::{
    agent, config,
    peer::{self, redirect, response},
};
use crate::{
    agent::peers::{Backlog, Peer, site},
    support::{AT_ONCE, Place, eventually, is_as_new},
};

/// Long enough for an exchange to come to its last hop first, mostly.
const TIMEOUT: Duration = Duration::from_millis(250);

/// The roads that an end of the caller's takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Drops,
    CancelsAToken,
    HasATimeout,
    ItsLaneHasATimeout,
}

use Leaving::{CancelsAToken, Drops, HasATimeout, ItsLaneHasATimeout};

const WAYS: [Leaving; 4] = [Drops, CancelsAToken, HasATimeout, ItsLaneHasATimeout];

everywhere! {
    /// The connection is that of the first hop, and silent in the second.
    async fn a_cancel_ends_an_exchange_that_waits_in_a_later_hop(place: Place) {
        for leaving in WAYS {
            loop {
                let peer = Peer::new(site);
                let asks = peer.url("/elsewhere");
                let Some(told) = leave(place, leaving, &asks, || peer.reached() > 0).await else {
                    continue;
                };
                assert_ended_in(&told, &peer.url("/silent"), Phase::Head);
                eventually("the connection is closed", || peer.record(0).end.is_some()).await;
                assert_eq!(peer.connections(), 1);
                break;
            }
        }
    }

    /// The second hop is to somebody else, who does not even accept it.
    async fn a_cancel_ends_an_exchange_that_connects_in_a_later_hop(place: Place) {
        let full = tokio::task::spawn_blocking(Backlog::new).await.unwrap();
        let last = full.url("/ok");
        let to = last.clone();
        let peer = peer::Peer::answering(move |_| redirect("302 Found", &to));
        for leaving in WAYS {
            let told = loop {
                let knocks = || full.knocking() > 0;
                if let Some(told) = leave(place, leaving, &peer.url("/"), knocks).await {
                    break told;
                }
            };
            assert_ended_in(&told, &last, Phase::Connect);
            eventually("it knocks no more", || full.knocking() == 0).await;
        }
    }

    /// Each hop by itself would be in time, and the last of them would be answered.
    async fn the_time_of_the_agent_is_for_all_hops_together(place: Place) {
        const HOPS: usize = 5;
        let (each, together) = (Duration::from_millis(150), Duration::from_millis(400));
        let peer = peer::Peer::answering(move |asked| {
            let path = asked.line.split(' ').nth(1).unwrap();
            let hop: usize = path[1..].parse().unwrap();
            // Not for an order: what is looked at is time.
            thread::sleep(each);
            if hop < HOPS {
                redirect("302 Found", &format!("/{}", hop + 1))
            } else {
                response("200 OK", "arrived")
            }
        });
        let lane = place.lane(1);
        let agent = longshore::ureq::agent(config().timeout_global(Some(together)).build());
        let begun = Instant::now();
        let error = Client::new(lane.clone(), agent).get(peer.url("/0")).send().await.unwrap_err();
        assert!(error.is_timeout() && !error.is_cancelled(), "{error:?}");
        assert!(begun.elapsed() >= together);
        assert!(error.sent() && !error.is_retryable(), "{error:?}");
        let last = error.url().unwrap();
        assert!((0..HOPS).any(|hop| last == peer.url(&format!("/{hop}"))), "{error:?}");
        is_as_new(&lane).await;
    }
}

/// What the caller was told, if it did not go without waiting for that.
struct Told(Option<Error>);

/// Leaves an exchange when it hangs. `None` if its time was up before that.
async fn leave(
    place: Place,
    leaving: Leaving,
    url: &str,
    mut hangs: impl FnMut() -> bool,
) -> Option<Told> {
    let lane = place.lane(1);
    let token = CancelToken::new();
    let client = Client::new(
        match leaving {
            CancelsAToken => lane.cancelled_by(&token),
            ItsLaneHasATimeout => lane.timeout(TIMEOUT),
            Drops | HasATimeout => lane.clone(),
        },
        agent(),
    );
    let mut call = client.get(url);
    if leaving == HasATimeout {
        call = call.timeout(TIMEOUT);
    }
    let call = call.send();
    let mut hung = false;
    eventually("it hangs, or its time is up", || {
        hung = hangs();
        hung || lane.stats().timed_out > 0
    })
    .await;
    let left = Instant::now();
    let told = match leaving {
        Drops => {
            drop(call);
            None
        }
        CancelsAToken => {
            token.cancel();
            Some(call.await.unwrap_err())
        }
        HasATimeout | ItsLaneHasATimeout => Some(call.await.unwrap_err()),
    };
    free(&lane).await;
    let took = left.elapsed();
    if !hung {
        return None;
    }
    let waits = match leaving {
        Drops | CancelsAToken => Duration::ZERO,
        HasATimeout | ItsLaneHasATimeout => TIMEOUT,
    };
    assert!(took < waits + AT_ONCE, "{leaving:?}: {took:?}");
    let stats = lane.stats();
    match leaving {
        Drops => assert_eq!(stats.cancelled, 1, "{stats:?}"),
        CancelsAToken => assert!(told.as_ref().unwrap().is_cancelled(), "{told:?}"),
        HasATimeout | ItsLaneHasATimeout => {
            assert!(told.as_ref().unwrap().is_timeout(), "{told:?}");
        }
    }
    is_as_new(&lane).await;
    Some(Told(told))
}

async fn free(lane: &Lane) {
    eventually("its thread is free", || {
        let stats = lane.stats();
        stats.running + stats.draining == 0
    })
    .await;
}

/// The error is of the hop in which it happened, and of nothing that came before but that it came.
#[track_caller]
fn assert_ended_in(told: &Told, url: &str, phase: Phase) {
    let Some(error) = &told.0 else {
        return;
    };
    assert_eq!(error.url(), Some(url), "{error:?}");
    assert_eq!(error.phase(), Some(phase), "{error:?}");
    assert!(error.sent() && error.received(), "{error:?}");
    assert!(!error.is_retryable(), "{error:?}");
}
