//! K8: jobs that wait for each other in a circle, and what only looks like one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use futures::future::{Either, poll_fn, select};
use longshore::{Bridge, Error, Lane, Task, lane::Threads};
use tokio::sync::oneshot;

use crate::support::{Flavour, Place, eventually, is_as_new, watch_over, watched};

everywhere! {
    /// K8: a circle, closed by the last of them; whoever is told can go on, and then so can all.
    async fn jobs_that_wait_for_each_other_in_a_circle_are_told(place: Place) {
        for jobs in [1, 2, 4, 12] {
            for limit in [1, 2, 4] {
                circle(&place.lane(limit), jobs).await;
            }
        }
    }

    /// K8: the wait before the last left its waker with somebody who takes his time.
    async fn a_circle_is_seen_once_nobody_else_can_wake_it(place: Place) {
        let lane = place.lane(2);
        let ends: [_; 2] = std::array::from_fn(|_| mpsc::channel::<Task<()>>());
        let told = Arc::new(AtomicUsize::new(0));
        let (give, tasks): (Vec<_>, Vec<_>) = ends
            .into_iter()
            .map(|(give, handed)| {
                let (told, handed) = (told.clone(), Mutex::new(handed));
                let task = lane.offload_with(move |job| {
                    let next = handed.lock().unwrap().recv().expect("it is handed over");
                    let end = job.block_on(async {
                        is_called_by_a_slow_one().await;
                        next.await
                    });
                    if let Ok(Err(Error::WouldDeadlock { .. })) = end {
                        told.fetch_add(1, Ordering::SeqCst);
                    }
                });
                (give, task)
            })
            .unzip();
        for (give, task) in give.iter().zip(tasks.into_iter().rev()) {
            give.send(task).unwrap();
        }
        is_as_new(&lane).await;
        assert!(told.load(Ordering::SeqCst) >= 1);
    }

    /// K8: what looks like a circle, where one of them does not wait for the next alone.
    async fn what_would_have_finished_is_not_called_a_deadlock(place: Place) {
        for limit in [1, 2] {
            let lane = place.lane(limit);
            let (hand_over, handed) = mpsc::channel::<Task<bool>>();
            let (release, released) = oneshot::channel::<()>();
            let first = lane.offload_with(move |job| {
                let task = handed.recv().expect("it is handed over");
                match job.block_on(select(task, released)).expect("nobody cancels it") {
                    Either::Left(_) => false,
                    Either::Right((_, task)) => {
                        task.detach();
                        true
                    }
                }
            });
            let second = lane.offload_with(move |job| {
                job.block_on(first).expect("nobody cancels it").expect("no deadlock")
            });
            hand_over.send(second).unwrap();
            eventually("both wait", || lane.stats().suspended == 2).await;
            release.send(()).unwrap();
            eventually("both are done", || lane.stats().completed == 2).await;
            is_as_new(&lane).await;
        }
    }
}

/// Is woken by somebody who lets go of the waker only after a while.
async fn is_called_by_a_slow_one() {
    let mut called = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut called, true) {
            return Poll::Ready(());
        }
        let waker: Waker = cx.waker().clone();
        thread::spawn(move || {
            waker.wake_by_ref();
            thread::sleep(Duration::from_millis(50));
        });
        Poll::Pending
    })
    .await;
}

/// Each job waits for the next, the last for the first.
async fn circle(lane: &Lane, jobs: usize) {
    let told = Arc::new(AtomicUsize::new(0));
    let mut hand_over = Vec::new();
    let mut tasks: Vec<Task<()>> = (0..jobs)
        .map(|_| {
            let (give, handed) = mpsc::channel::<Task<()>>();
            hand_over.push(give);
            let (told, handed) = (told.clone(), Mutex::new(handed));
            lane.offload_with(move |job| {
                let next = handed.lock().unwrap().recv().expect("it is handed over");
                if let Ok(Err(Error::WouldDeadlock { .. })) = job.block_on(next) {
                    told.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    tasks.rotate_left(1);
    for (give, task) in hand_over.iter().zip(tasks) {
        give.send(task).unwrap();
    }
    is_as_new(lane).await;
    assert!(told.load(Ordering::SeqCst) >= 1);
}

/// K8: a circle through a bridge, of each kind.
#[test]
fn a_circle_through_a_bridge_is_told_too() {
    let [single, multi] = [Flavour::CurrentThread, Flavour::MultiThread].map(Flavour::runtime);
    let bridges = [
        Bridge::start().unwrap(),
        Bridge::builder().workers(1).start().unwrap(),
        Bridge::from(single.handle().clone()),
        Bridge::from(multi.handle().clone()),
    ];
    thread::spawn(move || single.block_on(std::future::pending::<()>()));
    for bridge in bridges {
        for after_another in [false, true] {
            let bridge = bridge.clone();
            watched(move || circle_through(&bridge, after_another));
        }
    }
}

/// With another wait on the way, within the one that closes it, if so desired.
fn circle_through(bridge: &Bridge, after_another: bool) {
    let lane = watch_over(
        Lane::builder("round")
            .limit(2)
            .own_threads(Threads::new())
            .build(),
    );
    let ends: Vec<_> = (0..2).map(|_| mpsc::channel::<Task<()>>()).collect();
    let (give, handed): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let (tell, told) = mpsc::channel();
    let mut tasks: Vec<Task<()>> = handed
        .into_iter()
        .map(|handed| {
            let (across, tell) = (bridge.clone(), tell.clone());
            lane.offload_with(move |job| {
                let job = job.clone();
                let end = across.call(async move {
                    if after_another {
                        // In a later poll than the first.
                        tokio::task::yield_now().await;
                        job.block_on(std::future::ready(()))
                            .expect("nobody cancels it");
                    }
                    handed.recv().expect("it is handed over").await
                });
                let _ = tell.send(matches!(end, Ok(Err(Error::WouldDeadlock { .. }))));
            })
        })
        .collect();
    tasks.rotate_left(1);
    for (give, task) in give.iter().zip(tasks) {
        give.send(task).unwrap();
    }
    drop(tell);
    assert!(
        told.iter().any(|told| told),
        "one of them is told, and all of them end"
    );
}
