//! K19, C3: a cancel reaches the thread in every phase, and the connection is gone.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use longshore::{CancelToken, error::Cancelled};
use ureq::{Error, Timeout};

use super::{
    kind,
    peers::Authority,
    scene::{BEFORE, PATHS, Scene, Stuck},
};
use crate::support::{AT_ONCE, Leaving, Place, assert_books, eventually, is_as_new};

/// How many scenes are played at once.
const AT_A_TIME: usize = 4;

/// Long enough for a call to get stuck first, mostly.
const TIMEOUT: Duration = Duration::from_millis(250);

/// The ways of leaving: the same to the call, and by different roads to it.
const WAYS: [Leaving; 4] = [
    Leaving::Drops,
    Leaving::CancelsAToken,
    Leaving::HasATimeout,
    Leaving::DropsItsGroup,
];

everywhere! {
    async fn a_cancel_ends_a_call_that_has_no_connection_yet(place: Place) {
        play(place, BEFORE.to_vec()).await;
    }

    async fn a_cancel_ends_a_call_on_a_fresh_connection(place: Place) {
        play(place, at_every_path(false, false)).await;
    }

    async fn a_cancel_ends_a_call_on_a_pooled_connection(place: Place) {
        play(place, at_every_path(false, true)).await;
    }

    async fn a_cancel_ends_a_call_behind_tls(place: Place) {
        play(place, at_every_path(true, false)).await;
    }

    async fn a_cancel_ends_a_call_on_a_pooled_connection_behind_tls(place: Place) {
        play(place, at_every_path(true, true)).await;
    }

    /// H25. Nothing that is still sent reaches anybody, and its reader has no end.
    async fn a_cancel_ends_an_upload_that_the_peer_has_refused(place: Place) {
        let stuck = |pooled| Stuck::At { path: "/refuses", tls: false, pooled };
        play(place, vec![stuck(false), stuck(true)]).await;
    }

    /// C6. Nothing is sent for a job that is cancelled already.
    async fn a_call_that_begins_after_the_cancel_makes_no_connection(place: Place) {
        let lane = place.lane(1);
        let scene = Arc::new(Scene::new(
            Stuck::At { path: "/silent", tls: false, pooled: false },
            &Authority::new(),
            None,
        ));
        let (token, call) = (CancelToken::new(), scene.stuck_call());
        let (told, outcome) = std::sync::mpsc::channel();
        let (tell, begin) = std::sync::mpsc::channel();
        let theirs = token.clone();
        let task = lane.cancelled_by(&token).offload(move || {
            // From here on the lane listens to the token.
            begin.recv().unwrap();
            theirs.cancel();
            told.send(call()).unwrap();
        });
        tell.send(()).unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
        is_as_new(&lane).await;
        assert_was_cancelled(&outcome.recv().unwrap().unwrap_err());
        assert_eq!(scene.connections(), 0);
    }
}

fn at_every_path(tls: bool, pooled: bool) -> Vec<Stuck> {
    PATHS.map(|path| Stuck::At { path, tls, pooled }).to_vec()
}

/// Every scene with every way of leaving it.
async fn play(place: Place, scenes: Vec<Stuck>) {
    let authority = Arc::new(Authority::new());
    let cells = scenes
        .into_iter()
        .flat_map(|stuck| WAYS.map(|leaving| (stuck, leaving)));
    stream::iter(cells)
        .map(|(stuck, leaving)| {
            let authority = authority.clone();
            async move {
                // On a machine that is very busy the timeout may come first: not what is asked here.
                let mut timeout = TIMEOUT;
                while !cancel_once(place, stuck, leaving, timeout, authority.clone()).await {
                    timeout *= 2;
                }
            }
        })
        .buffer_unordered(AT_A_TIME)
        .collect::<()>()
        .await;
}

/// False if the call was not stuck yet when its time was up.
async fn cancel_once(
    place: Place,
    stuck: Stuck,
    leaving: Leaving,
    timeout: Duration,
    authority: Arc<Authority>,
) -> bool {
    let cell = format!("{stuck:?}, {leaving:?}, {place:?}");
    let lane = place.lane(1);
    // It takes a while to fill a backlog, in which the other cells go on.
    let scene = tokio::task::spawn_blocking(move || Scene::new(stuck, &authority, None));
    let mut scene = scene.await.unwrap();
    if let Stuck::At { pooled: true, .. } = stuck {
        let first = lane.offload(scene.good_call()).await.unwrap();
        assert_eq!(first.unwrap(), "0", "{cell}");
    }

    let outcome = Arc::new(Mutex::new(None));
    let (call, theirs) = (scene.stuck_call(), outcome.clone());
    let job = move || {
        let told = call();
        *theirs.lock().unwrap() = Some(told);
        Ok(0)
    };
    let mut is_stuck = scene.watcher();
    let mut was_stuck = false;
    let now = eventually(&cell, || {
        was_stuck = is_stuck();
        // Before it was begun, its time may be up as well.
        was_stuck || outcome.lock().unwrap().is_some() || lane.stats().timed_out > 0
    });
    let told = leaving.leave(&lane, timeout, job, now).await;

    // The thread.
    let left = Instant::now();
    eventually(&cell, || {
        let stats = lane.stats();
        stats.running + stats.draining == 0
    })
    .await;
    let free = left.elapsed();
    drop(is_stuck);
    if !was_stuck && leaving == Leaving::HasATimeout {
        return false;
    }
    assert!(free < AT_ONCE, "{cell}: {free:?}");
    // The waiter, and what the call itself came to.
    match leaving {
        Leaving::Drops | Leaving::DropsItsGroup => assert!(told.is_none()),
        Leaving::CancelsAToken => assert!(told.unwrap().unwrap_err().is_cancelled(), "{cell}"),
        // Where the runtime is late, the thread has seen for itself that its time was up.
        _ => match told.unwrap() {
            Err(error) => assert!(error.is_timeout(), "{cell}: {error:?}"),
            Ok(told) => assert_eq!(told, Ok(0), "{cell}"),
        },
    }
    let outcome = outcome.lock().unwrap().take().expect("the call is over");
    match outcome {
        Ok(body) => panic!("{cell}: a body of {} bytes", body.len()),
        Err(Error::Timeout(Timeout::Global)) if leaving == Leaving::HasATimeout => {}
        Err(error) => assert_was_cancelled(&error),
    }

    // The connection.
    scene.open();
    eventually(&cell, || scene.is_closed()).await;
    scene.relieve();
    let before = scene.connections();
    let next = lane.offload(scene.good_call()).await.unwrap();
    next.unwrap_or_else(|error| panic!("{cell}: the next call failed: {error:?}"));
    if !matches!(stuck, Stuck::Connecting) {
        assert_eq!(scene.connections(), before + 1, "{cell}");
    }
    assert_books(&lane.stats());
    true
}

/// Not an error of the connection, which somebody might try again upon.
#[track_caller]
fn assert_was_cancelled(error: &Error) {
    let ours = match error {
        Error::Other(cause) => cause.is::<Cancelled>(),
        _ => false,
    };
    assert!(ours, "expected a cancel, got {}: {error:?}", kind(error));
}
