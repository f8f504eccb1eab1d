//! Ending a bridge within a bounded time.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use super::{
    books::{Books, Count, Stage},
    clock::Alarm,
    error::Error,
    handle::Bridge,
    limits::Limits,
    wait,
};

/// How long what was cancelled has to end before it is called stuck: for a task that gives way, as
/// long as it takes its thread to have a turn on a busy machine.
const SETTLING: Duration = Duration::from_millis(250);

/// How long a started bridge's thread has to end after that.
const LEAVING: Duration = Duration::from_millis(250);

impl Bridge {
    /// Ends the bridge within a bounded time, when awaited or [waited](Shutdown::wait) for.
    ///
    /// From now on it takes nothing new. What is under way has `grace` to end by itself: calls,
    /// tasks and closures. Then it is cancelled: calls return [`Error::ShutDown`] to their
    /// callers. So a `grace` of zero cancels, and a long one awaits. The runtime of a started
    /// bridge ends after that, and its thread; one that belongs to somebody else goes on.
    ///
    /// It may be called more than once and from anywhere, also by what runs through the bridge,
    /// which is then cancelled like the rest.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the bridge closed, and what is under way as it is.
    pub fn shutdown(&self, grace: Duration) -> Shutdown {
        self.shared().books.advance(Stage::Closed);
        Shutdown::new(self.clone(), grace)
    }

    /// True if it takes nothing new: it was shut down, or the runtime under it has ended.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shared().books.stage() > Stage::Open
    }
}

/// What [`Bridge::shutdown`] did, when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Calls, tasks and closures that ended by themselves meanwhile.
    pub finished: u64,
    /// Those that were cancelled when the grace was over.
    pub cancelled: usize,
}

/// The end of a bridge, in the future; from [`Bridge::shutdown`].
///
/// In async code, `.await` it; in synchronous code, [`wait`](Self::wait) for it. It takes as long as
/// what is under way does, and at the most the grace and half a second.
///
/// # Errors
///
/// [`Error::Stuck`] if something has been cancelled and not ended.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::{Bridge, bridge};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bridge::Error> {
/// let bridge = Bridge::start()?;
/// let sent = bridge.spawn(async { "sent" });
/// bridge.spawn(std::future::pending::<()>()).detach();
/// let ended = bridge.shutdown(Duration::from_millis(100)).await?;
/// assert_eq!(ended.cancelled, 1);
/// assert_eq!(sent.await?, "sent");
/// # Ok(())
/// # }
/// ```
#[must_use = "the bridge is closed, but what is under way is cancelled only if this is awaited"]
pub struct Shutdown {
    ended: Pin<Box<dyn Future<Output = Result<Ended, Error>> + Send>>,
}

impl Shutdown {
    pub(super) fn new(bridge: Bridge, grace: Duration) -> Self {
        let before = bridge.shared().books.count();
        Self {
            ended: Box::pin(end(bridge, grace, before)),
        }
    }

    /// Blocks until it is over, also if it is in a job that is cancelled meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Stuck`] if something has been cancelled and not ended.
    /// [`Error::WouldBlockRuntime`] where this must not block: the bridge is closed then, and what
    /// is under way goes on. There, `.await` it.
    #[track_caller]
    pub fn wait(self) -> Result<Ended, Error> {
        wait::wait(Limits::default(), self.ended, Location::caller())?
    }
}

impl Future for Shutdown {
    type Output = Result<Ended, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.ended.as_mut().poll(cx)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").finish_non_exhaustive()
    }
}

async fn end(bridge: Bridge, grace: Duration, before: Count) -> Result<Ended, Error> {
    let books = &bridge.shared().books;
    if !within(books, grace, |count| count.live == 0).await {
        books.advance(Stage::Stopped);
        within(books, SETTLING, |count| count.live == 0).await;
    }
    let left = books.count().live;
    if left > 0 {
        books.give_up();
    }
    bridge.shared().end();
    let over = within(books, LEAVING, |count| count.stage == Stage::Over).await;
    let count = books.count();
    if left > 0 || !over {
        return Err(Error::Stuck { left });
    }
    Ok(Ended {
        finished: count.finished - before.finished,
        cancelled: count.stopped,
    })
}

/// Waits until it is so; `false` if the time was over before, or there is nobody to keep it.
async fn within(books: &Books, time: Duration, is_so: impl Fn(Count) -> bool) -> bool {
    let mut alarm = pin!(Alarm::after(time));
    std::future::poll_fn(|cx| {
        if books.poll_until(cx, &is_so).is_ready() {
            return Poll::Ready(true);
        }
        alarm.as_mut().poll(cx).map(|_| false)
    })
    .await
}
