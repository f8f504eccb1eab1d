//! Whoever takes what is there already, one after the other, does not keep the other tasks of its
//! runtime from their turns, and gets on where no runtime gives it one.

use std::{
    ops::Range,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt, Stream, StreamExt, stream};
use longshore::{
    Group, Lane,
    lane::{Map, Threads},
};

use crate::support::{
    Child, Flavour, Gate, Place, eventually, in_child, is_as_new, places, resident, settles,
    watch_over, watched,
};

/// More by far than a task may do in one turn.
const MANY: usize = 2_000;

/// Runs the function in each place where one thread polls all tasks.
fn on_one_thread(body: impl AsyncFn(Lane) + Copy + Send + 'static) {
    watched(move || {
        let places = places().filter(|place| place.flavour == Flavour::CurrentThread);
        for place in places {
            let lane = place.lane(4);
            place.flavour.runtime().block_on(async {
                body(lane.clone()).await;
                is_as_new(&lane).await;
            });
        }
    });
}

/// How many turns another task has while this is polled to its end.
async fn turns_beside(busy: impl Future<Output = ()>) -> usize {
    let turns = Arc::new(AtomicUsize::new(0));
    let count = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    busy.await;
    other.abort();
    turns.load(Ordering::SeqCst)
}

type Held<F> = Map<stream::Iter<Range<usize>>, F, ()>;

/// A map of very many items, of which none is over before the gate is open.
fn held(lane: &Lane, gate: &Gate) -> Held<impl Fn(usize) + use<>> {
    let door = gate.door();
    lane.map(0..MANY, move |_| door.pass()).concurrency(MANY)
}

/// Takes all results of a stream that has them ready, and lets others have turns meanwhile.
async fn gives_way<T>(lane: &Lane, gate: &Gate, results: impl Stream<Item = T>) {
    let mut results = pin!(results);
    // Hands all of them in.
    assert!(futures::poll!(results.next()).is_pending());
    gate.open();
    eventually("all are over", || lane.stats().completed == MANY as u64).await;
    let mut taken = 0;
    let turns = turns_beside(async {
        while results.next().await.is_some() {
            taken += 1;
        }
    });
    let turns = turns.await;
    assert_eq!(taken, MANY);
    assert!(turns >= 5, "{turns} turns for others");
}

#[test]
fn a_map_with_results_ready_gives_way() {
    on_one_thread(async |lane| {
        let gate = Gate::new();
        gives_way(&lane, &gate, held(&lane, &gate)).await;
    });
}

#[test]
fn a_map_in_order_with_results_ready_gives_way() {
    on_one_thread(async |lane| {
        let gate = Gate::new();
        gives_way(&lane, &gate, held(&lane, &gate).ordered()).await;
    });
}

#[test]
fn a_map_with_numbers_with_results_ready_gives_way() {
    on_one_thread(async |lane| {
        let gate = Gate::new();
        gives_way(&lane, &gate, held(&lane, &gate).indexed()).await;
    });
}

#[test]
fn a_producer_for_whom_there_is_room_gives_way() {
    on_one_thread(async |lane| {
        let turns = turns_beside(async {
            for _ in 0..MANY {
                let permit = lane.reserve().await.unwrap();
                permit.offload(|| ()).detach();
            }
        });
        let turns = turns.await;
        assert!(turns >= 5, "{turns} turns for others");
    });
}

/// Nor from their time: the runtime looks at its timers between two turns of such a task.
#[test]
fn a_stream_with_results_ready_lets_timers_go_off() {
    async fn takes_its_time(lane: Lane) {
        let gate = Gate::new();
        let mut results = pin!(held(&lane, &gate));
        assert!(futures::poll!(results.next()).is_pending());
        gate.open();
        eventually("all are over", || lane.stats().completed == MANY as u64).await;
        let beats = Arc::new(AtomicUsize::new(0));
        let count = beats.clone();
        let heart = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        while results.next().await.is_some() {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(20) {}
        }
        // One in each turn, of which there are fifteen.
        let beats = beats.load(Ordering::SeqCst);
        assert!(beats >= 5, "{beats} beats");
        heart.abort();
    }
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let lane = watch_over(Lane::builder("timers").limit(4).build());
            tokio::spawn(takes_its_time(lane)).await.unwrap();
        });
    });
}

/// Nor does it take more than its share in a turn if whoever polls it does not heed that, as it has other
/// things to give out.
#[test]
fn a_stream_that_is_polled_again_in_the_same_turn_gives_way_all_the_same() {
    async fn in_one_turn(lane: Lane) -> usize {
        let gate = Gate::new();
        let mut results = pin!(held(&lane, &gate));
        assert!(futures::poll!(results.next()).is_pending());
        gate.open();
        eventually("all are over", || lane.stats().completed == MANY as u64).await;
        let turn = std::future::poll_fn(|cx| {
            let ready = (0..MANY).filter(|_| results.as_mut().poll_next(cx).is_ready());
            std::task::Poll::Ready(ready.count())
        });
        turn.await
    }
    watched(|| {
        let taken = Flavour::CurrentThread.runtime().block_on(async {
            let lane = watch_over(Lane::builder("turns").limit(4).build());
            tokio::spawn(in_one_turn(lane)).await.unwrap()
        });
        assert!(taken < MANY / 4, "{taken} of {MANY}");
    });
}

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

/// As of a map's results; where no lane has come to know what a task's waker is like. In a process of its
/// own, as that is known once for all.
#[test]
fn a_group_of_futures_with_outcomes_ready_lets_timers_go_off() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::a_group_of_futures_with_outcomes_ready_lets_timers_go_off"
        );
        return Child::new(test).passes();
    }
    async fn takes_its_time() {
        let mut group = Group::new();
        (0..MANY).for_each(|n| drop(group.spawn(async move { n })));
        eventually("all are over", || group.is_empty()).await;
        let beats = Arc::new(AtomicUsize::new(0));
        let count = beats.clone();
        let heart = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        while group.next().await.is_some() {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(20) {}
        }
        let beats = beats.load(Ordering::SeqCst);
        assert!(beats >= 5, "{beats} beats");
        heart.abort();
    }
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        runtime.block_on(runtime.spawn(takes_its_time())).unwrap();
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
