//! Where somebody else's loop polls, or no runtime at all: nobody says when a task may go on.

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use longshore::{Group, Lane, lane::Threads};

use super::{MANY, held};
use crate::support::{
    Child, Flavour, Gate, Place, in_child, resident, settles, watch_over, watched,
};

/// More than a task may take in one turn; where nobody renews that, it has had all of its turns.
const SOME: usize = 500;

/// Runs the function in somebody else's loop, which blocks a thread that polls tasks.
fn in_a_foreign_loop(body: impl AsyncFn(Lane) + Copy + Send + 'static) {
    in_a_foreign_loop_on(&[Flavour::CurrentThread, Flavour::MultiThread], body);
}

/// The same, where that thread is not the only one that could look at the timers.
fn in_a_foreign_loop_beside_timers(body: impl AsyncFn(Lane) + Copy + Send + 'static) {
    in_a_foreign_loop_on(&[Flavour::MultiThread], body);
}

fn in_a_foreign_loop_on(
    flavours: &'static [Flavour],
    body: impl AsyncFn(Lane) + Copy + Send + 'static,
) {
    watched(move || {
        for &flavour in flavours {
            let runtime = flavour.runtime();
            let lane = watch_over(Lane::builder("foreign").limit(4).build());
            let theirs = lane.clone();
            let in_task = async move { futures::executor::block_on(body(theirs)) };
            runtime.block_on(runtime.spawn(in_task)).unwrap();
            runtime.block_on(async { futures::executor::block_on(body(lane.clone())) });
        }
    });
}

#[test]
fn in_a_foreign_loop_a_map_goes_on() {
    in_a_foreign_loop(async |lane| {
        let results: Vec<_> = lane.map(0..SOME, |n| n).collect().await;
        assert_eq!(results.len(), SOME);
        let results = lane.map(0..SOME, |n| n).ordered();
        let results: Vec<_> = results.map(Result::unwrap).collect().await;
        assert_eq!(results, Vec::from_iter(0..SOME));
    });
}

#[test]
fn in_a_foreign_loop_a_producer_goes_on() {
    in_a_foreign_loop(async |lane| {
        for _ in 0..SOME {
            drop(lane.reserve().await.unwrap());
        }
    });
}

#[test]
fn in_a_foreign_loop_who_takes_tasks_goes_on() {
    in_a_foreign_loop(async |lane| {
        let tasks = Vec::from_iter((0..SOME).map(|n| lane.offload(move || n)));
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), n);
        }
        let tasks = (0..SOME).map(|n| lane.offload(move || n));
        let taken = tasks.collect::<FuturesUnordered<_>>().count().await;
        assert_eq!(taken, SOME);
    });
}

#[test]
fn in_a_foreign_loop_a_group_goes_on() {
    in_a_foreign_loop(async |lane| {
        let mut group = Group::new();
        (0..SOME).for_each(|n| drop(group.offload(&lane, move || Ok::<_, ()>(n))));
        for _ in 0..SOME {
            assert!(group.next().await.is_some_and(|outcome| outcome.is_ok()));
        }
        (0..SOME).for_each(|n| drop(group.offload(&lane, move || Ok(n))));
        assert_eq!(group.try_join_all().await.unwrap().len(), SOME);
    });
}

#[cfg(feature = "fetch")]
#[test]
fn in_a_foreign_loop_a_fetcher_goes_on() {
    in_a_foreign_loop(async |_| {
        let service = tower::service_fn(|_: http::Request<bytes::Bytes>| async {
            Ok::<_, std::io::Error>(http::Response::new(String::new()))
        });
        let urls = (0..SOME).map(|n| format!("http://host/{n}"));
        let fetches = longshore::fetch::Fetcher::new(service).fetch_all(urls);
        assert_eq!(fetches.count().await, SOME);
    });
}

/// Uses up what a task may do in one turn.
async fn spend(lane: &Lane) {
    for _ in 0..SOME {
        drop(lane.reserve().await.unwrap());
    }
}

#[test]
fn in_a_foreign_loop_times_pass_for_those_who_have_done_much() {
    in_a_foreign_loop_beside_timers(async |lane| {
        let gate = Gate::new();
        let door = gate.door();
        let held = Lane::builder("held").limit(1);
        let held = held.own_threads(Threads::new()).build();
        let job = held.offload(move || door.pass());
        spend(&lane).await;
        let stuck = held.shutdown(Duration::from_millis(20)).await;
        assert_eq!(stuck.unwrap_err().cancelled, 1);
        gate.open();
        assert!(job.await.unwrap_err().is_cancelled());
        let gate = Gate::new();
        let door = gate.door();
        let mut group = Group::new();
        group.offload(&lane, move || door.pass());
        settles("it is there", || gate.count() == 1);
        spend(&lane).await;
        let stuck = group.shutdown(Duration::from_millis(20)).await;
        assert_eq!(stuck.unwrap_err().cancelled, 1);
        gate.open();
        drop(group.next().await);
    });
}

#[cfg(feature = "fetch")]
#[test]
fn in_a_foreign_loop_a_fetcher_tries_again() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    in_a_foreign_loop_beside_timers(async |_| {
        let failed = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: http::Request<bytes::Bytes>| {
            let fails =
                request.uri().path() == "/400" && failed.fetch_add(1, Ordering::SeqCst) == 0;
            let response = http::Response::builder().status(if fails { 503 } else { 200 });
            std::future::ready(response.body(String::new()))
        });
        let urls = (0..SOME).map(|n| format!("http://host/{n}"));
        let pause = Duration::from_millis(1);
        let retry = longshore::fetch::Retry::new(2).idempotent();
        let fetcher = longshore::fetch::Fetcher::new(service).retry(retry.backoff(pause, pause));
        let fetches = fetcher.fetch_all(urls);
        assert_eq!(fetches.count().await, SOME);
    });
}

/// What nobody lets go on leaves nothing behind for the day that the runtime's thread comes back. In a
/// process of its own, whose memory nobody else uses.
#[test]
fn in_a_foreign_loop_a_map_takes_no_memory_for_what_it_has_done() {
    const MANY: usize = 100_000;
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::in_a_foreign_loop_a_map_takes_no_memory_for_what_it_has_done"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        let lane = Lane::builder("foreign").limit(2).build();
        let in_task = async move {
            futures::executor::block_on(async {
                assert_eq!(lane.map(0..1_000, |n| n).count().await, 1_000);
                let before = resident();
                assert_eq!(lane.map(0..MANY, |n| n).count().await, MANY);
                resident().saturating_sub(before)
            })
        };
        let runtime = Flavour::MultiThread.runtime();
        let grown = runtime.block_on(runtime.spawn(in_task)).unwrap();
        assert!(grown / MANY < 64, "{grown} bytes");
    });
}

/// Where no runtime says how much a task may do in one turn, all that is ready is had.
#[test]
fn outside_of_any_runtime_nothing_gives_way() {
    watched(|| {
        let lane = Lane::builder("outside").limit(4);
        let threads = Threads::new().keep_alive(Place::KEEP_ALIVE);
        let lane = watch_over(lane.own_threads(threads).build());
        let gate = Gate::new();
        let mut results = held(&lane, &gate);
        assert!(results.next().now_or_never().is_none());
        gate.open();
        // A job is counted before its caller is woken; the threads go after that.
        settles("all are over", || {
            let stats = lane.stats();
            stats.completed == MANY as u64 && stats.workers == 0
        });
        for _ in 0..MANY {
            let next = results.next().now_or_never();
            assert!(matches!(next, Some(Some(Ok(())))), "{next:?}");
        }
        assert!(matches!(results.next().now_or_never(), Some(None)));
        let room = || lane.reserve().now_or_never();
        assert!((0..MANY).all(|_| matches!(room(), Some(Ok(_)))));
    });
}
