//! The ways in which a caller goes away from its job.

use std::time::Duration;

use longshore::{CancelToken, Error, Lane};

/// What a job of these tests comes to.
pub(crate) type Told = Result<Result<u32, String>, Error>;

/// How a caller leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It does not.
    Awaits,
    Drops,
    Cancels,
    /// With a [`Canceller`](longshore::job::Canceller).
    CancelsFromElsewhere,
    CancelsAToken,
    Detaches,
    HasATimeout,
    /// `tokio::time::timeout`.
    IsTimedOut,
    LosesASelect,
    /// Its async task is aborted.
    IsAborted,
    /// Its async task panics.
    Unwinds,
    /// What it has handed the job in with: not one of [`ALL`](Self::ALL), as groups have tests of
    /// their own.
    #[cfg(feature = "ureq")]
    DropsItsGroup,
}

impl Leaving {
    pub(crate) const ALL: [Self; 11] = [
        Self::Awaits,
        Self::Drops,
        Self::Cancels,
        Self::CancelsFromElsewhere,
        Self::CancelsAToken,
        Self::Detaches,
        Self::HasATimeout,
        Self::IsTimedOut,
        Self::LosesASelect,
        Self::IsAborted,
        Self::Unwinds,
    ];

    /// Those that stop the job.
    pub(crate) fn stops(self) -> bool {
        !matches!(self, Self::Awaits | Self::Detaches)
    }

    /// Hands a job in, leaves it when `now` comes, and says what it was told, if anything.
    pub(crate) async fn leave<F>(
        self,
        lane: &Lane,
        timeout: Duration,
        job: F,
        now: impl Future<Output = ()>,
    ) -> Option<Told>
    where
        F: FnOnce() -> Result<u32, String> + Send + 'static,
    {
        match self {
            Self::Awaits => {
                let task = lane.offload(job);
                now.await;
                Some(task.await)
            }
            Self::Drops => {
                let task = lane.offload(job);
                now.await;
                drop(task);
                None
            }
            Self::Cancels => {
                let task = lane.offload(job);
                now.await;
                task.cancel();
                Some(task.await)
            }
            Self::CancelsFromElsewhere => {
                let task = lane.offload(job);
                let canceller = task.canceller();
                now.await;
                std::thread::spawn(move || canceller.cancel())
                    .join()
                    .expect("cancelling does not panic");
                Some(task.await)
            }
            Self::CancelsAToken => {
                let token = CancelToken::new();
                let task = lane.cancelled_by(&token).offload(job);
                now.await;
                token.cancel();
                Some(task.await)
            }
            Self::Detaches => {
                let task = lane.offload(job);
                now.await;
                task.detach();
                None
            }
            Self::HasATimeout => {
                let task = lane.timeout(timeout).offload(job);
                now.await;
                Some(task.await)
            }
            Self::IsTimedOut => {
                let task = lane.offload(job);
                now.await;
                tokio::time::timeout(Duration::ZERO, task).await.ok()
            }
            Self::LosesASelect => {
                let task = lane.offload(job);
                now.await;
                tokio::select! {
                    biased;
                    () = std::future::ready(()) => None,
                    told = task => Some(told),
                }
            }
            Self::IsAborted => {
                let task = lane.offload(job);
                let waits = tokio::spawn(task);
                now.await;
                waits.abort();
                waits.await.ok()
            }
            Self::Unwinds => {
                let task = lane.offload(job);
                let (panic, told_to) = tokio::sync::oneshot::channel::<()>();
                let waits = tokio::spawn(async move {
                    let _task = task;
                    let _ = told_to.await;
                    panic!("as planned");
                });
                now.await;
                drop(panic);
                waits.await.expect_err("it panics");
                None
            }
            #[cfg(feature = "ureq")]
            Self::DropsItsGroup => {
                let group = longshore::Group::new();
                group.offload(lane, job);
                now.await;
                drop(group);
                None
            }
        }
    }
}
