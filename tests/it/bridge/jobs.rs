//! Jobs that wait through a bridge, and the closures that a bridge offloads.

use std::{
    sync::{Barrier, mpsc},
    time::Duration,
};

use longshore::{
    Bridge, Job, Lane,
    bridge::{Error, Spawned},
    lane::Threads,
};

use super::seven;
use crate::support::watched;

/// A job that is handed in before the bridge is called has no runtime, and is told where it would.
#[test]
fn a_job_is_handed_in_inside_of_the_future() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let lane = Lane::builder("reports").build();
        let refused = bridge.call(lane.offload(|| 7)).unwrap().unwrap_err();
        assert!(
            matches!(refused, longshore::Error::NoRuntime { .. }),
            "{refused}"
        );
        let said = refused.to_string();
        assert!(
            said.contains("in the future itself") && said.contains("own_threads"),
            "{said}"
        );
        let told = bridge.call(async { lane.offload(|| 7).await });
        assert_eq!(told.unwrap().unwrap(), 7);
    });
}

/// W10. A job that waits through a bridge can be cancelled.
#[test]
fn a_wait_in_a_job_ends_with_the_job() {
    type Wait = fn(&Bridge) -> Result<(), Error>;
    let waits: [Wait; 4] = [
        |bridge| bridge.call(std::future::pending()),
        |bridge| bridge.call_timeout(Duration::from_secs(60), std::future::pending()),
        |bridge| bridge.spawn(std::future::pending()).wait(),
        |bridge| {
            let mut task = bridge.spawn(std::future::pending());
            task.wait_timeout(Duration::from_secs(60))
        },
    ];
    watched(move || {
        let bridge = Bridge::start().unwrap();
        let lane = Lane::builder("waits")
            .limit(4)
            .own_threads(Threads::new())
            .build();
        for (n, wait) in waits.into_iter().enumerate() {
            let (tell, told) = mpsc::channel();
            let across = bridge.clone();
            let lane = lane.timeout(Duration::from_millis(5 * n as u64 + 1));
            let task = lane.offload(move || tell.send(wait(&across)).unwrap());
            if n % 2 == 0 {
                task.cancel();
            }
            drop(bridge.call(task));
            // A job that has not started has nothing to tell.
            if let Ok(told) = told.recv() {
                assert!(told.unwrap_err().is_cancelled(), "{n}");
            }
        }
        let (begin, begun) = mpsc::channel();
        let across = bridge.clone();
        lane.offload(move || {
            across.call(async {
                begin.send(()).unwrap();
                std::future::pending::<()>().await;
            })
        })
        .detach();
        begun.recv().unwrap();
        // On a busy machine it takes longer than the first waits for it.
        let _ = bridge.call(lane.shutdown(Duration::ZERO)).unwrap();
        let ended = bridge.call(lane.shutdown(Duration::from_secs(8))).unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    });
}

/// A job that was cancelled may need async code to clear up. But it has to know, or a cancel that
/// comes just before a call would be lost on it.
#[test]
fn a_job_that_knows_of_its_cancel_may_still_call() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        for looks in [false, true] {
            let (begin, begun) = mpsc::channel();
            let (go, gone) = mpsc::channel();
            let (tell, told) = mpsc::channel();
            let task = bridge.offload(move |bridge| {
                begin.send(()).unwrap();
                gone.recv().unwrap();
                if looks {
                    assert!(Job::current().expect("it is one").is_cancelled());
                } else {
                    let pending = bridge.call(std::future::pending::<()>());
                    assert!(pending.unwrap_err().is_cancelled());
                }
                tell.send([bridge.call(seven()), bridge.spawn(seven()).wait()])
                    .unwrap();
            });
            begun.recv().unwrap();
            task.cancel();
            go.send(()).unwrap();
            for told in told.recv().unwrap() {
                assert_eq!(told.unwrap(), 7);
            }
        }
    });
}

/// W12, for lanes that differ: one calls the other through the bridge, as deep as it goes.
#[test]
fn lanes_call_each_other_through_the_bridge() {
    fn down(lanes: &'static [Lane], bridge: &'static Bridge) -> usize {
        let Some((lane, rest)) = lanes.split_first() else {
            return 0;
        };
        let task = bridge.call(async { lane.offload(move || down(rest, bridge)).await });
        1 + task.expect("it may wait").expect("it runs")
    }
    watched(|| {
        let lanes: Vec<_> = (0..4)
            .map(|n| Lane::builder(format!("floor {n}")).limit(1).build())
            .collect();
        let bridge = Box::leak(Box::new(Bridge::start().unwrap()));
        assert_eq!(down(lanes.leak(), bridge), 4);
    });
}

/// W12, K8: for one lane, whose every slot is held by somebody who waits for it.
#[test]
fn a_lane_calls_itself_through_the_bridge() {
    fn down(lane: &'static Lane, bridge: &'static Bridge, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let task = bridge.call(async { lane.offload(move || down(lane, bridge, depth - 1)).await });
        1 + task.expect("it may wait").expect("it runs")
    }
    watched(|| {
        let lane = Box::leak(Box::new(Lane::builder("itself").limit(2).build()));
        let bridge = Box::leak(Box::new(Bridge::start().unwrap()));
        let _context = bridge.runtime().enter();
        for depth in 1..=4 {
            let (lane, bridge) = (&*lane, &*bridge);
            let both = [(); 2].map(|()| lane.offload(move || down(lane, bridge, depth)));
            for task in both {
                assert_eq!(bridge.call(task).unwrap().unwrap(), depth);
            }
        }
    });
}

#[test]
fn closures_use_the_bridge_again_all_at_once() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let together: &'static Barrier = Box::leak(Box::new(Barrier::new(8)));
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                bridge.offload(move |bridge| {
                    together.wait();
                    bridge.call(async move { seven().await + n })
                })
            })
            .collect();
        for (n, task) in (0..).zip(tasks) {
            assert_eq!(task.wait().unwrap().unwrap(), 7 + n);
        }
    });
}

/// K8, for closures that the bridge itself has offloaded.
#[test]
fn closures_that_wait_for_each_other_in_a_circle_are_told() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        let ends: Vec<_> = (0..2).map(|_| mpsc::channel::<Spawned<()>>()).collect();
        let (give, handed): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let (tell, told) = mpsc::channel();
        let mut tasks: Vec<_> = handed
            .into_iter()
            .map(|handed| {
                let tell = tell.clone();
                bridge.offload(move |_| {
                    let end = handed.recv().expect("it is handed over").wait();
                    let _ = tell.send(matches!(end, Err(Error::WouldDeadlock(_))));
                })
            })
            .collect();
        tasks.rotate_left(1);
        for (give, task) in give.iter().zip(tasks) {
            give.send(task).unwrap();
        }
        drop(tell);
        assert!(told.iter().any(|told| told), "one of them is told");
    });
}
