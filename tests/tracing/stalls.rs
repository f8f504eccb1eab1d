//! What the detector says through `tracing`.

use std::{
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Watch, watched};
use tokio::runtime::Handle;
use tracing::Level;

use crate::seen::{Seen, runtimes, seen};

/// One event when it is seen, one when it is over.
#[test]
fn a_stall_is_an_event_and_its_end_another() {
    for (runtime, name) in runtimes().into_iter().zip(["stalls-one", "stalls-two"]) {
        let task = runtime.block_on(async {
            let watching = Watch::new().attach(&Handle::current()).unwrap();
            let before = seen().len();
            let end = Instant::now() + Duration::from_secs(60);
            // Until it is told.
            let blocks = watched(async move {
                let told = || {
                    seen()[before..]
                        .iter()
                        .any(|seen| is_about(seen, "stalled_for"))
                };
                while !told() && Instant::now() < end {
                    thread::sleep(Duration::from_millis(400));
                }
            });
            tokio::spawn(blocks).await.unwrap();
            // The worker may not have parked yet, and the watch ends what it has to say when it does.
            while !seen()[before..].iter().any(|seen| is_about(seen, "total")) {
                assert!(Instant::now() < end, "{name}: {:?}", seen());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(watching.stalls(), 1, "{name}");
            seen()[before..].to_vec()
        });
        let begun: Vec<_> = task
            .iter()
            .filter(|seen| is_about(seen, "stalled_for"))
            .collect();
        assert_eq!(begun.len(), 1, "{name}: {task:?}");
        assert!(
            is_about(begun[0], &format!("watched_at={}", file!())),
            "{begun:?}"
        );
        assert!(is_about(begun[0], "longshore::offload"), "{begun:?}");
    }
}

fn is_about(seen: &Seen, words: &str) -> bool {
    matches!(seen, Seen::Event(Level::WARN, text, _) if text.contains(words))
}
