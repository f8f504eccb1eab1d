//! C3, K20: what ends an exchange ends it in a later hop too, and all hops are on one clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use longshore::{
    CancelToken,
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

/// How long an exchange is given to come to its last hop, and its thread to say so. Where that is
/// not enough, on a machine that is busy, it is given longer.
const TIMES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    LONGEST,
];

const LONGEST: Duration = Duration::from_secs(4);

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
            for time in TIMES {
                let peer = Peer::new(site);
                let asks = peer.url("/elsewhere");
                let told = leave(place, leaving, time, &asks, || peer.reached() > 0).await;
                // Stopped very early, there may be none yet.
                let is_closed = |id| peer.record(id).end.is_some();
                eventually("the connection is closed", || (0..peer.connections()).all(is_closed)).await;
                if told.is_of(&peer.url("/silent"), Phase::Head) {
                    assert_eq!(peer.connections(), 1);
                    break;
                }
                assert!(time < LONGEST, "{leaving:?}: {told:?}");
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
            for time in TIMES {
                let knocks = || full.knocking() > 0;
                let told = leave(place, leaving, time, &peer.url("/"), knocks).await;
                eventually("it knocks no more", || full.knocking() == 0).await;
                if told.is_of(&last, Phase::Connect) {
                    break;
                }
                assert!(time < LONGEST, "{leaving:?}: {told:?}");
            }
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

/// What the caller was told.
#[derive(Debug)]
enum Told {
    /// It went without waiting for that.
    Nothing,
    /// The exchange was over before it came to its last hop.
    TooEarly,
    Error(Error),
}

impl Told {
    /// The error is of the hop in which it happened, and of those before it that they were.
    fn is_of(&self, url: &str, phase: Phase) -> bool {
        match self {
            Self::Nothing => true,
            Self::TooEarly => false,
            Self::Error(error) => {
                let of_both = error.sent() && error.received() && !error.is_retryable();
                error.url() == Some(url) && error.phase() == Some(phase) && of_both
            }
        }
    }
}

/// Leaves an exchange, by a timeout or some time after it has come to where it hangs.
async fn leave(
    place: Place,
    leaving: Leaving,
    time: Duration,
    url: &str,
    mut hangs: impl FnMut() -> bool,
) -> Told {
    let lane = place.lane(1);
    let token = CancelToken::new();
    let client = Client::new(
        match leaving {
            CancelsAToken => lane.cancelled_by(&token),
            ItsLaneHasATimeout => lane.timeout(time),
            Drops | HasATimeout => lane.clone(),
        },
        agent(),
    );
    let mut call = client.get(url);
    if leaving == HasATimeout {
        call = call.timeout(time);
    }
    let call = call.send();
    let mut hung = false;
    eventually("it hangs, or its time is up", || {
        hung = hangs();
        let stats = lane.stats();
        hung || stats.timed_out + stats.completed > 0
    })
    .await;
    if matches!(leaving, Drops | CancelsAToken) {
        tokio::time::sleep(time / 2).await;
    }
    let left = Instant::now();
    let told = match leaving {
        Drops => {
            drop(call);
            assert_eq!(lane.stats().cancelled, 1);
            Told::Nothing
        }
        CancelsAToken => {
            token.cancel();
            let error = call.await.unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
            Told::Error(error)
        }
        HasATimeout | ItsLaneHasATimeout => {
            let error = call.await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            Told::Error(error)
        }
    };
    eventually("its thread is free", || {
        let stats = lane.stats();
        stats.running + stats.draining == 0
    })
    .await;
    let took = left.elapsed();
    assert!(took < time + AT_ONCE, "{leaving:?}: {took:?}");
    is_as_new(&lane).await;
    if hung { told } else { Told::TooEarly }
}
