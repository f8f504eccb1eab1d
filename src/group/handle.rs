//! The group, as its owner holds it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;

use super::{
    builder::Builder,
    core::{Shared, unnamed},
    info::ChildInfo,
    shutdown::{Shutdown, Stuck},
    spawner::Spawner,
    starting::Starting,
};
use crate::{
    cancel::CancelToken,
    error::Error,
    job::{Budget, Job},
    lane::Lane,
    sync::Arc,
};

/// Futures and offloaded jobs that belong together, and that nothing of outlives unlisted.
///
/// Children are put in with [`spawn`](Self::spawn) and [`offload`](Self::offload), and run whether
/// anything is polled or not. What they come to is taken one by one with [`next`](Self::next), or all
/// together with [`join_all`](Self::join_all) or [`try_join_all`](Self::try_join_all). A child that
/// fails, panics or is stopped is one `Err` among the outcomes.
///
/// Its owner holds the group; others add to it through a [`Spawner`]. See the [module](super) for a
/// comparison with others of its kind.
///
/// # Cancel safety
///
/// Dropping the group cancels everything in it, at once and without waiting: so does an early return
/// or a panic of the code that holds it, and dropping the future of one of the methods that consume
/// it. *The waiter* goes on at once. *The futures* are aborted, and dropped by their runtimes;
/// *the threads* are free when their closures return, and are listed in their lanes' books until
/// then. What was waiting never starts. To wait for the end of it all, say
/// [`shutdown`](Self::shutdown), or use [`scope`](super::scope).
///
/// # Examples
///
/// ```
/// use longshore::{Group, Lane};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let files = Lane::builder("files").limit(4).build();
/// let mut group = Group::new();
/// group.spawn(async { "from a future" });
/// group.offload(&files, || "from a thread");
///
/// let mut answers = Vec::new();
/// while let Some(answer) = group.next().await {
///     answers.push(answer.unwrap());
/// }
/// answers.sort_unstable();
/// assert_eq!(answers, ["from a future", "from a thread"]);
/// # }
/// ```
#[must_use = "dropping a group cancels what is in it"]
pub struct Group<T> {
    spawner: Spawner<T>,
    budget: Budget,
}

impl<T: Send + 'static> Group<T> {
    /// A group without a limit and a deadline. Its name in errors and reports is `unnamed`.
    pub fn new() -> Self {
        Builder::new(unnamed(), None).build()
    }
}

impl<T> Group<T> {
    /// Starts to make a group. The name appears in errors and reports.
    pub fn builder(name: impl Into<Arc<str>>) -> Builder<T> {
        Builder::new(name.into(), None)
    }

    pub(super) fn over(shared: Arc<Shared<T>>) -> Self {
        Self {
            spawner: Spawner::new(shared),
            budget: Budget::default(),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<T>> {
        &self.spawner.shared
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.spawner.name()
    }

    /// A handle for others to add children with.
    #[must_use]
    pub fn spawner(&self) -> Spawner<T> {
        self.spawner.clone()
    }

    /// A handle that adds children under this name, for reports:
    /// `group.label("invoice 7").spawn(…)`.
    #[must_use]
    pub fn label(&self, label: impl Into<Arc<str>>) -> Spawner<T> {
        self.spawner.label(label)
    }

    /// How many children are in the group: those that wait, those in flight, and those whose
    /// outcome is known and whose thread is not yet free. Outcomes that wait to be taken are not
    /// counted, and neither are children of groups [within](Self::nested), which
    /// [`children`](Self::children) lists and the joins wait for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared().state.lock().len()
    }

    /// True if nothing is left of any child of its own. There may be outcomes to take, and children of
    /// groups within.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // ===== Stopping =====

    /// Stops every child and refuses new ones. Nothing has to be polled for it. When it returns, each
    /// child has been told, but for one that another thread is putting in or starting at this moment,
    /// and if another thread is in the middle of a cancel: these are told by that thread.
    ///
    /// A future is aborted, which it notices at its next `.await`, and its runtime drops it. A job is
    /// [cancelled](crate::Task::cancel). What has not started never will. Their outcomes are errors
    /// of which [`is_cancelled`](Error::is_cancelled) is true, unless they had one before. Groups
    /// [within](Self::nested) this one are cancelled too; the one that it is in is not.
    pub fn cancel(&self) {
        self.spawner.cancel();
    }

    /// The token under which the group's jobs run: cancelled with the group, and to cancel it with.
    /// It is not cancelled when the group's deadline passes.
    #[must_use]
    pub fn token(&self) -> CancelToken {
        self.spawner.token()
    }

    /// The next outcome that is there already, as [`next`](Self::next) gives it. `None` says nothing
    /// about what is still to come.
    pub fn try_next(&mut self) -> Option<Result<T, Error>> {
        let told = self.shared().state.lock().outcomes.take()?;
        Some(told.outcome.map_err(|error| *error))
    }

    /// The next outcome, in the order in which children end; `None` if none is to come from any
    /// child that is in the group now.
    ///
    /// The outcome of a job that was cancelled or timed out comes at once, while its thread may not
    /// yet be free. After the last outcome [`join_all`](Self::join_all) waits for the threads too.
    /// The group is also a [`Stream`] of the same outcomes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing, and stops nothing.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        std::future::poll_fn(|cx| self.poll_next_outcome(cx)).await
    }

    fn poll_next_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        let next = self.spawner.shared.poll_told(&mut self.budget, cx);
        next.map(|told| Some(told?.outcome.map_err(|error| *error)))
    }
}

impl<T: Send + 'static> Group<T> {
    // ===== Putting in =====

    /// Puts a future in, as a task of the runtime that this is called on.
    ///
    /// It is in the group when this returns. What comes back need not be awaited: that waits for
    /// the child's *start*, which is at once unless the group has a [`limit`](Builder::limit). With
    /// `group.spawn(…).await` a loop goes no faster than the group.
    ///
    /// Outside of a runtime, and in a group that is over, the future is dropped, and what comes back as
    /// well as its outcome are [`Error::Stopped`]. Such an outcome is kept like any other: whoever puts
    /// in for ever has to heed what comes back, or the outcomes pile up.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Starting
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.spawner.spawn(future)
    }

    /// Hands a closure to a lane, to be run on a thread where it may block, as
    /// [`Lane::offload`] does. The options of this handle on the lane hold: its token stops the job
    /// as well as the group does, its deadline counts if it is the earlier one.
    ///
    /// In a group with a [`limit`](Builder::limit) the lane has no part in a child that waits for its
    /// place. A timeout of the handle counts from when the child gets it; a token that was cancelled or
    /// a deadline that has passed meanwhile is seen then, and the closure does not run.
    ///
    /// What comes back is as for [`spawn`](Self::spawn). A refusal of the lane is the child's outcome.
    #[track_caller]
    pub fn offload<F>(&self, lane: &Lane, f: F) -> Starting
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.spawner.offload(lane, f)
    }

    /// As [`offload`](Self::offload), for a closure that wants to know about its own [`Job`].
    #[track_caller]
    pub fn offload_with<F>(&self, lane: &Lane, f: F) -> Starting
    where
        F: FnOnce(&Job) -> T + Send + 'static,
    {
        self.spawner.offload_with(lane, f)
    }

    /// Starts to make a group within this one: cancelled with it, over by its deadline at the latest,
    /// and waited for and reported on with it. Nothing goes the other way: to cancel the inner group
    /// leaves the outer one alone, and its outcomes are its own owner's.
    ///
    /// What concerns all the groups that one is in takes some of the stack for each, where a child is put
    /// in for instance: a few hundred, one in the other, are no trouble, tens of thousands overflow it.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::Group;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let request: Group<()> = Group::new();
    /// let mut parts: Group<u32> = request.nested("parts").limit(2).build();
    /// parts.spawn(std::future::pending());
    /// request.cancel();
    /// assert!(parts.next().await.unwrap().unwrap_err().is_cancelled());
    /// # }
    /// ```
    pub fn nested<U>(&self, name: impl Into<Arc<str>>) -> Builder<U> {
        self.spawner.nested(name)
    }

    // ===== Ending =====

    /// Closes the group at once and ends what is in it, within a bounded time, when awaited.
    ///
    /// Children have `grace` to end by themselves; those in the queue still start. Then all that are
    /// left are cancelled, and what has not ended 50 ms after that is reported. Groups
    /// [within](Self::nested) are closed with it and go on for as long. Outcomes stay in the group to be
    /// taken. It can be called more than once, and from anywhere. As with
    /// [`Lane::shutdown`], a runtime's clock has to be driven: in somebody else's loop that blocks the
    /// only thread of a current-thread runtime the grace does not end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the group and its children as they are; the group stays closed.
    ///
    /// # Errors
    ///
    /// [`Stuck`], which names each child that is left, those of groups within included.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use longshore::{Group, Lane};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let lane = Lane::builder("deaf").limit(1).build();
    /// let group = Group::new();
    /// group.label("sleeper").offload(&lane, || thread::sleep(Duration::from_millis(400)));
    /// # while lane.stats().running == 0 { tokio::task::yield_now().await }
    ///
    /// let stuck = group.shutdown(Duration::from_millis(10)).await.unwrap_err();
    /// assert_eq!(stuck.children[0].label.as_deref(), Some("sleeper"));
    /// # }
    /// ```
    pub fn shutdown(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<Shutdown, Stuck>> + Send + use<T> {
        self.spawner.shutdown(grace)
    }

    /// What is in the group and in those within it, in the order of its coming: what waits, what
    /// runs, and what drains.
    #[must_use]
    pub fn children(&self) -> Vec<ChildInfo> {
        self.spawner.children()
    }
}

impl<T: Send + 'static> Default for Group<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Stream for Group<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_outcome(cx)
    }
}

impl<T> Drop for Group<T> {
    fn drop(&mut self) {
        self.shared().orphan();
    }
}

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name())
            .field("children", &self.len())
            .field("cancelled", &self.shared().token.is_cancelled())
            .finish_non_exhaustive()
    }
}
