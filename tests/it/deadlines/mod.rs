//! K3: a deadline runs from the call that hands the job in, and covers waiting and running.

mod kept;
mod paused;
mod times;

use std::{fmt::Debug, time::Duration};

use longshore::{Error, error::Phase};

use crate::support::{Flavour, Place, Source, sources};

const SHORT: Duration = Duration::from_millis(40);

fn timed_out<T: Debug>(told: Result<T, Error>) -> (Phase, Duration, Duration) {
    match told {
        Err(Error::TimedOut {
            phase, waited, ran, ..
        }) => (phase, waited, ran),
        other => panic!("expected a timeout, got {other:?}"),
    }
}

/// Those whose threads Tokio knows nothing of.
fn others() -> impl Iterator<Item = Source> {
    (sources().into_iter()).filter(|source| *source != Source::Tokio)
}

fn at(source: Source) -> Place {
    Place {
        source,
        flavour: Flavour::CurrentThread,
    }
}
