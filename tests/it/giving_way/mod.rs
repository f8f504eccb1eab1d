//! Whoever takes what is there already, one after the other, does not keep the other tasks of its
//! runtime from their turns, and gets on where no runtime gives it one.

mod foreign;

use std::{
    collections::VecDeque,
    ops::Range,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::{
    Stream, StreamExt,
    stream::{self, FuturesUnordered},
};
use longshore::{Group, Lane, lane::Map};

use crate::support::{
    Child, Flavour, Gate, eventually, in_child, is_as_new, places, watch_over, watched,
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

/// How often a timer goes off while results that are ready are taken by somebody who takes some time for
/// each.
async fn beats_beside<T>(mut results: Pin<&mut impl Stream<Item = T>>) -> usize {
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
    heart.abort();
    beats.load(Ordering::SeqCst)
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
        // One in each turn, of which there are fifteen.
        let beats = beats_beside(results).await;
        assert!(beats >= 5, "{beats} beats");
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
        let group = Group::new();
        (0..MANY).for_each(|n| drop(group.spawn(async move { n })));
        eventually("all are over", || group.is_empty()).await;
        let beats = beats_beside(pin!(group)).await;
        assert!(beats >= 5, "{beats} beats");
    }
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        runtime.block_on(runtime.spawn(takes_its_time())).unwrap();
    });
}

#[test]
fn tasks_with_outcomes_ready_give_way() {
    on_one_thread(async |lane| {
        let tasks = Vec::from_iter((0..MANY).map(|n| lane.offload(move || n)));
        eventually("all are over", || lane.stats().completed == MANY as u64).await;
        let turns = turns_beside(async {
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), n);
            }
        });
        let turns = turns.await;
        assert!(turns >= 5, "{turns} turns for others");
    });
}

/// Also those that were waited for before.
#[test]
fn tasks_in_a_list_with_outcomes_ready_give_way() {
    on_one_thread(async |lane| {
        let gate = Gate::new();
        let tasks = (0..MANY).map(|_| {
            let door = gate.door();
            lane.offload(move || door.pass())
        });
        gives_way(&lane, &gate, tasks.collect::<FuturesUnordered<_>>()).await;
    });
}

#[test]
fn tasks_that_were_refused_give_way() {
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let lane = Lane::builder("closed").limit(1).build();
            lane.close();
            let turns = turns_beside(async {
                for _ in 0..MANY {
                    lane.offload(|| ()).await.unwrap_err();
                }
            });
            let turns = turns.await;
            assert!(turns >= 5, "{turns} turns for others");
        });
    });
}

/// Of those who hand in ahead of what they take, and take so long for each that the next is always there.
#[test]
fn tasks_that_are_handed_in_ahead_let_timers_go_off() {
    async fn takes_its_time(lane: Lane) {
        let ahead = VecDeque::from_iter((0..64).map(|_| lane.offload(|| ())));
        let mut left = MANY;
        let results = stream::unfold(ahead, |mut ahead| {
            left -= 1;
            let next = (left > 0).then(|| lane.offload(|| ()));
            async move {
                ahead.push_back(next?);
                let task = ahead.pop_front()?;
                while !task.is_finished() {
                    thread::yield_now();
                }
                Some((task.await.unwrap(), ahead))
            }
        });
        let beats = beats_beside(pin!(results)).await;
        assert!(beats >= 5, "{beats} beats");
    }
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        let lane = watch_over(Lane::builder("ahead").limit(4).build());
        runtime
            .block_on(runtime.spawn(takes_its_time(lane)))
            .unwrap();
    });
}
