//! A watch that is under way.

use std::{future::Future, io, panic::Location, sync::Arc, time::Duration};

use tokio::runtime::{self, Handle, Runtime};

use super::{
    allow::allow,
    profile_for::ProfileFor,
    samples::Samples,
    slot::{Scope, Slot},
    subject::Subject,
    watchdog,
    watched::watched_at,
};
use crate::sync::Patience;

/// How long workers may take to say who they are.
const SETTLING: Duration = Duration::from_millis(250);
const BETWEEN_PROBES: Duration = Duration::from_micros(500);

/// A runtime is being watched, until this is dropped.
///
/// Dropping it does not block. What is stuck at that moment is not reported any more, nor the end of
/// what was.
#[derive(Debug)]
#[must_use = "the runtime is watched until this is dropped"]
pub struct Watching {
    subject: Arc<Subject>,
    /// It was made within the `block_on` of a current-thread runtime, on this thread.
    driver: Option<u32>,
}

impl Watching {
    pub(super) fn begin(subject: Arc<Subject>) -> io::Result<Self> {
        let here = Handle::try_current().map(|handle| Scope::of(handle.id()));
        let within =
            here.is_ok_and(|scope| scope == subject.scope()) && runtime::worker_index().is_some();
        let mut driver = None;
        if within {
            subject.workers().learn();
            if subject.is_single() {
                driver = Slot::mine(Slot::thread);
            }
        }
        if let Some(thread) = driver {
            subject.driven(thread);
        }
        let watching = Self { subject, driver };
        watchdog::watch(watching.subject.clone())?;
        // A worker would wait for probes that stand in its own queue, and be one that blocks.
        if !within {
            allow("soon over", || watching.settle());
        }
        Ok(watching)
    }

    /// Waits until it is known which thread each worker is on, if that is soon.
    fn settle(&self) {
        let patience = Patience::lasting(SETTLING);
        while !self.subject.is_single()
            && !self.subject.workers().all_known()
            && !patience.is_over()
        {
            self.subject.probe();
            std::thread::sleep(BETWEEN_PROBES);
        }
    }

    /// How often the watchdog has looked at this runtime so far.
    ///
    /// For tests of one's own: that there is no report means something only if somebody has looked.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.subject.looks()
    }

    /// How many stalls have been seen so far, those included that a
    /// [`report_limit`](super::Watch::report_limit) kept back. Those that are to be
    /// [ignored](super::Watch::ignore) are not; where it takes the stack to tell, a stall is counted
    /// when it is told, and in [`deny`](super::deny()) in any case.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.subject.stalls()
    }

    /// Looks for so long at what blocks the workers, and ranks it: also what is much shorter than the
    /// threshold. The time is real time, whatever a test does to Tokio's clock.
    ///
    /// # Cancel safety
    ///
    /// The samples begin with this call. Dropping the future ends them, and they are lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use longshore::stall;
    /// use tokio::runtime::Handle;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> std::io::Result<()> {
    /// let watching = stall::attach(&Handle::current())?;
    /// let profile = watching.profile_for(Duration::from_millis(50)).await;
    /// println!("{profile}");
    /// # assert!(profile.lasted >= Duration::from_millis(50));
    /// # Ok(())
    /// # }
    /// ```
    pub fn profile_for(&self, time: Duration) -> ProfileFor {
        let samples = Samples::new(time, self.subject.worker_count());
        self.subject.sample(samples.clone());
        ProfileFor { samples }
    }

    /// `runtime.block_on(future)`, with the future [`watched`](super::watched) and the runtime known
    /// to be driven meanwhile.
    ///
    /// # Panics
    ///
    /// Where `block_on` does, and if `runtime` is not the one that is watched.
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        struct Driven<'a>(&'a Subject, u32);
        impl Drop for Driven<'_> {
            fn drop(&mut self) {
                self.0.not_driven(self.1);
            }
        }
        let place = Location::caller();
        let scope = Scope::of(runtime.handle().id());
        assert!(scope == self.subject.scope(), "another runtime is watched");
        let thread = Slot::mine(Slot::thread).unwrap_or(0);
        let subject = &*self.subject;
        runtime.block_on(async {
            // From the first poll on: before that, somebody else may be driving it.
            subject.driven(thread);
            let _driven = Driven(subject, thread);
            watched_at(place, future).await
        })
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.subject.close();
        // Those that are under way give what they have: nobody takes samples for them any more.
        self.subject.end_samples();
        if let Some(thread) = self.driver {
            self.subject.not_driven(thread);
        }
        watchdog::let_go(&self.subject);
    }
}
