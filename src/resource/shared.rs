//! What a resource and a pool have in common: a lane on threads that have an object each.

use std::{panic::Location, time::Duration};

use tokio::{runtime, time::Instant};

use super::stock::Stock;
use crate::{
    error::Error,
    job::{Job, Task},
    lane::{Lane, Permit, Shutdown, Stuck},
    sync::Arc,
};

/// How long objects have to be dropped, after the grace, before a shutdown is over.
const SETTLING: Duration = Duration::from_millis(50);

pub(super) struct Shared<T> {
    pub(super) lane: Lane,
    pub(super) stock: Arc<Stock<T>>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.on(self.lane.clone())
    }
}

impl<T> Shared<T> {
    /// The same, with other options for its calls.
    pub(super) fn on(&self, lane: Lane) -> Self {
        Self {
            lane,
            stock: self.stock.clone(),
        }
    }

    pub(super) fn objects(&self) -> usize {
        self.stock.places.taken()
    }
}

impl<T: 'static> Shared<T> {
    pub(super) fn with<F, R>(
        &self,
        f: F,
        location: &'static Location<'static>,
    ) -> Result<Task<R>, Error>
    where
        F: FnOnce(&mut T, &Job) -> R + Send + 'static,
        R: Send + 'static,
    {
        (self.lane).hand_in_fallible(job_of(self.stock.clone(), f), location)
    }

    pub(super) fn with_permit<F, R>(
        &self,
        permit: Permit,
        f: F,
        location: &'static Location<'static>,
    ) -> Task<R>
    where
        F: FnOnce(&mut T, &Job) -> R + Send + 'static,
        R: Send + 'static,
    {
        permit.hand_in_fallible(job_of(self.stock.clone(), f), location)
    }

    pub(super) fn shutdown(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<Shutdown, Stuck>> + Send + use<T> {
        let jobs = self.lane.shutdown(grace);
        let places = self.stock.places.clone();
        async move {
            let began = Instant::now();
            let ended = jobs.await?;
            let left = grace.saturating_sub(began.elapsed());
            places.vacant_within(left.max(SETTLING)).await;
            Ok(ended)
        }
    }
}

/// What the lane runs. The threads belong to no runtime, but a closure finds itself in that of its
/// caller.
fn job_of<T, F, R>(
    stock: Arc<Stock<T>>,
    f: F,
) -> impl FnOnce(&Job) -> Result<R, Error> + Send + 'static
where
    T: 'static,
    F: FnOnce(&mut T, &Job) -> R + Send + 'static,
    R: Send + 'static,
{
    let runtime = runtime::Handle::try_current().ok();
    move |job| stock.run(f, job, runtime.as_ref())
}
