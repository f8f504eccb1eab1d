//! Ending a group within a bounded time.

use std::{fmt, future::poll_fn, pin::pin, task::Poll, time::Duration};

use super::{core::Shared, family::Family as _, info::ChildInfo, quiet::Quiet};
use crate::{
    error::counted,
    lane::{JobState, Timer},
    sync::Arc,
};

/// What the event of a stuck child is filtered by.
#[cfg(feature = "tracing")]
const TARGET: &str = "longshore::group";

/// How long a cancelled child has to end before it is called stuck.
const SETTLING: Duration = Duration::from_millis(50);

/// What [`Group::shutdown`](crate::Group::shutdown) did, when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Children that ended by themselves meanwhile; those of groups within are not counted.
    pub finished: u64,
    /// Children that were cancelled when the grace was over, those of groups within included.
    pub cancelled: usize,
}

/// What [`Group::shutdown`](crate::Group::shutdown) could not end: closures that have not returned,
/// and futures that do not come to an `.await`, although they were cancelled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stuck {
    /// Children that ended by themselves meanwhile; those of groups within are not counted.
    pub finished: u64,
    /// Children that were cancelled when the grace was over, the stuck ones among them.
    pub cancelled: usize,
    /// What is left, each group's oldest first.
    pub children: Vec<ChildInfo>,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = counted(self.children.len(), "child", "children");
        write!(f, "{children} did not end")?;
        for (i, child) in self.children.iter().enumerate() {
            write!(f, "{} {child}", if i == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Stuck {}

pub(super) async fn shutdown<T: Send + 'static>(
    shared: Arc<Shared<T>>,
    grace: Duration,
) -> Result<Shutdown, Stuck> {
    let finished_before = shared.state.lock().finished;
    let mut cancelled = 0;
    if !quiet_within(&shared, grace).await {
        let is_live = |child: &&ChildInfo| child.state != JobState::Draining;
        cancelled = children(&shared).iter().filter(is_live).count();
        shared.token.cancel();
        quiet_within(&shared, SETTLING).await;
    }
    let finished = shared.state.lock().finished - finished_before;
    let children = children(&shared);
    if children.is_empty() {
        return Ok(Shutdown {
            finished,
            cancelled,
        });
    }
    #[cfg(feature = "tracing")]
    for child in &children {
        crate::error::call_quietly(|| {
            tracing::warn!(target: TARGET, %child, "a child is stuck after its group was shut down");
        });
    }
    Err(Stuck {
        finished,
        cancelled,
        children,
    })
}

fn children<T: Send + 'static>(shared: &Shared<T>) -> Vec<ChildInfo> {
    let mut children = Vec::new();
    shared.list(&mut children);
    children
}

/// Waits until nothing is left; `false` if the time was over before.
async fn quiet_within<T>(shared: &Shared<T>, time: Duration) -> bool {
    let (mut timer, mut quiet) = (pin!(Timer::after(time)), Quiet::of(shared));
    poll_fn(|cx| {
        if quiet.poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        timer.as_mut().poll(cx).map(|()| false)
    })
    .await
}
