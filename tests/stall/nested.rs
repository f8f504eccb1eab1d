//! Polls within polls.

use std::{thread, time::Duration};

use longshore::stall::{Certainty, watched};

use crate::support::{Flavour, Gate, PATIENCE, Watched};

on_both! {
    /// It is the outer poll that holds the thread, however short those in it are.
    fn many_short_polls_in_one_are_one(flavour: Flavour) {
        let watched_runtime = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&watched_runtime.watching, &watched_runtime.runtime);
            scope.spawn(move || {
                // On a multi-thread runtime this is on no worker, so that only the polls tell of it.
                watching.block_on(runtime, async {
                    while !gate.is_open() {
                        watched(async { thread::sleep(Duration::from_millis(45)) }).await;
                    }
                });
            });
            let stall = watched_runtime.begun.recv_timeout(PATIENCE);
            drop(opener);
            let stall = stall.expect("it is reported");
            assert_eq!(stall.certainty, Certainty::OnePoll, "{stall:?}");
            // Of the places that are known, the innermost.
            assert!(stall.is_at("stall/nested.rs"), "{stall}");
        });
        assert!(watched_runtime.ended.recv_timeout(PATIENCE).is_ok());
        assert_eq!(watched_runtime.watching.stalls(), 1);
    }
}
