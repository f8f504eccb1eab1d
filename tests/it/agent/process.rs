//! What concerns the whole process: what is left in it of a thousand calls, and being stopped.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use ureq::{Error, Timeout};

use super::{
    agent, config, get,
    peers::{Peer, site},
    peers_elsewhere, with_peers_elsewhere,
};
use crate::support::{Child, Flavour, Place, Source, eventually, in_child, is_as_new, watched};

/// A thousand calls that time out: no thread, no socket and no slot is left of them.
#[test]
fn a_thousand_calls_that_time_out_leave_nothing() {
    let test = concat!(
        module_path!(),
        "::a_thousand_calls_that_time_out_leave_nothing"
    );
    if !in_child() {
        return with_peers_elsewhere(test, &[]);
    }
    watched(|| {
        let url = peers_elsewhere()[0].replace("/ok", "/silent");
        let agent = agent(config().timeout_global(None).build());
        let place = Place {
            source: Source::Threads,
            flavour: Flavour::MultiThread,
        };
        let lane = place.lane(64);
        place.flavour.runtime().block_on(async {
            let count = |of: &str| {
                std::fs::read_dir(format!("/proc/self/{of}"))
                    .unwrap()
                    .count()
            };
            let before = (count("fd"), count("task"));
            let tasks: FuturesUnordered<_> = (0..1_000)
                .map(|_| {
                    let (agent, url) = (agent.clone(), url.clone());
                    lane.timeout(Duration::from_millis(500))
                        .offload(move || get(&agent, &url))
                })
                .collect();
            for told in tasks.collect::<Vec<_>>().await {
                assert_was_late(told);
            }
            is_as_new(&lane).await;
            let left = || (count("fd"), count("task")) == before;
            eventually("nothing is left", left).await;
        });
    });
}

/// C10.
#[test]
fn a_process_that_was_stopped_keeps_its_deadlines() {
    const CALLS: u64 = 8;
    let test = concat!(
        module_path!(),
        "::a_process_that_was_stopped_keeps_its_deadlines"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        let peer = Peer::new(site);
        let agent = agent(config().timeout_global(None).build());
        let lane = Place {
            source: Source::Threads,
            flavour: Flavour::MultiThread,
        }
        .lane(CALLS as usize);
        Flavour::MultiThread.runtime().block_on(async {
            // All but the last two are due while the process is stopped.
            let tasks: FuturesUnordered<_> = (0..CALLS)
                .map(|call| {
                    let time = match call {
                        0..6 => Duration::from_millis(300 + 200 * call),
                        _ => Duration::from_millis(2_300 + 100 * call),
                    };
                    let (agent, url) = (agent.clone(), peer.url("/silent"));
                    lane.timeout(time).offload(move || get(&agent, &url))
                })
                .collect();
            let stop = "kill -STOP $PPID; sleep 2; kill -CONT $PPID";
            let mut sh = Command::new("sh").args(["-c", stop]).spawn().unwrap();
            tokio::task::spawn_blocking(move || sh.wait())
                .await
                .unwrap()
                .unwrap();
            let goes_on = Instant::now();
            let told: Vec<_> = tasks.collect().await;
            // The last is due after a second and a half; two more if the time that it stood were not counted.
            assert!(goes_on.elapsed() < Duration::from_secs(3));
            for told in told {
                assert_was_late(told);
            }
            is_as_new(&lane).await;
            let stats = lane.stats();
            assert_eq!(stats.timed_out + stats.completed, CALLS, "each once");
        });
    });
}

/// Its lane says so; or its thread was on its feet before the runtime, and has seen for itself.
#[track_caller]
pub(super) fn assert_was_late(told: Result<Result<String, Error>, longshore::Error>) {
    match told {
        Err(error) => assert!(error.is_timeout(), "{error:?}"),
        Ok(told) => {
            let error = told.unwrap_err();
            assert!(
                matches!(error, Error::Timeout(Timeout::Global)),
                "{error:?}"
            );
        }
    }
}
