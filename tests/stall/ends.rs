//! The end of what was told, and how long it took in all.

use std::{thread, time::Duration};

use crate::support::{Flavour, Gate, LOOKS, PATIENCE, Watched, wait_for_looks};

on_both! {
    /// Tokio gives up all other tasks at once, and waits for the one that does not go on.
    fn of_a_runtime_that_is_dropped_the_end_is_when_its_thread_goes_on(flavour: Flavour) {
        let Watched { runtime, watching, begun, ended } = Watched::new(flavour);
        let (gate, opener) = Gate::new();
        let theirs = watching.clone();
        let driver = thread::spawn(move || match flavour {
            Flavour::CurrentThread => {
                theirs.block_on(&runtime, async move { gate.wait() });
                drop(runtime);
            }
            Flavour::MultiThread => {
                runtime.spawn(async move { gate.wait() });
                wait_for_looks(&theirs, LOOKS);
                drop(runtime);
            }
        });
        let stall = begun.recv_timeout(PATIENCE).expect("it is reported");
        // Being dropped, for long.
        wait_for_looks(&watching, 3 * LOOKS);
        let early = ended.try_recv();
        drop(opener);
        driver.join().unwrap();
        assert!(early.is_err(), "it is not over: {early:?}");
        let end = ended.recv_timeout(PATIENCE).expect("it ends");
        assert!(end.total > Some(stall.stalled_for + Duration::from_millis(300)), "{end:?}");
    }
}
