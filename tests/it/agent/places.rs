//! Where an agent is used: outside of any job, or in one.

use crate::support::{Flavour, Place, Source, watched};

/// Runs the test on a thread that no lane knows.
pub(crate) fn outside(test: fn()) {
    watched(test);
}

/// Runs the whole test as a job of a lane.
pub(crate) fn inside(test: fn()) {
    watched(move || {
        let place = Place {
            source: Source::Threads,
            flavour: Flavour::CurrentThread,
        };
        let told = place
            .flavour
            .runtime()
            .block_on(async { place.lane(1).offload(test).await });
        if let Err(longshore::Error::Panicked(panic)) = told {
            panic.resume();
        } else {
            told.expect("nothing stops it");
        }
    });
}

/// Makes two tests of each function: on a plain thread, and in a job.
macro_rules! in_and_out_of_a_job {
    ($( $(#[$meta:meta])* fn $name:ident() $body:block )*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            fn body() $body

            #[test]
            fn on_a_plain_thread() {
                $crate::agent::places::outside(body);
            }

            #[test]
            fn in_a_job() {
                $crate::agent::places::inside(body);
            }
        }
    )*};
}
