//! Waiting for what another thread does.

use std::time::Duration;

use super::{
    call,
    stop::{Stop, Until, time_left},
};
use crate::{
    job::Job,
    sync::{self, Patience},
};

/// Looks again and again until there is something, asleep in between, but no longer than the job lasts and
/// `until` allows. Whoever brings it unparks the thread.
pub(super) fn wait_for<T>(
    job: Option<&Job>,
    until: Until,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, Stop> {
    call::waits();
    let me = sync::current();
    // In place before the job is asked: a cancel is either seen there or unparks.
    let _hook = job.map(|job| job.on_cancel(move || me.unpark()));
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        let left = time_left(job, until)?;
        Patience::lasting(left.unwrap_or(Duration::MAX)).park();
    }
}
