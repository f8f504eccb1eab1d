//! Making a group.

use std::{fmt, marker::PhantomData, time::Duration};

use tokio::time::Instant;

use super::{
    Group,
    core::Shared,
    family::{Family, Outer},
    state::State,
};
use crate::{
    cancel::CancelToken,
    error::Stop,
    sync::{Arc, Mutex, Weak},
};

/// Makes a [`Group`]; from [`Group::builder`] or [`Group::nested`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use longshore::Group;
///
/// let group = Group::<String>::builder("report")
///     .limit(16)
///     .timeout(Duration::from_secs(10))
///     .build();
/// assert_eq!(group.name(), "report");
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<T> {
    name: Arc<str>,
    limit: usize,
    time: Time,
    token: Option<CancelToken>,
    outer: Option<Arc<dyn Family>>,
    gives: PhantomData<fn() -> T>,
}

#[derive(Clone, Copy, Debug)]
enum Time {
    Unlimited,
    Timeout(Duration),
    Deadline(Instant),
}

impl Time {
    /// When it is up for a group that is made now.
    fn end(self) -> Option<Instant> {
        match self {
            Self::Unlimited => None,
            Self::Timeout(time) => Instant::now().checked_add(time),
            Self::Deadline(deadline) => Some(deadline),
        }
    }
}

impl<T> Builder<T> {
    pub(super) fn new(name: Arc<str>, outer: Option<Arc<dyn Family>>) -> Self {
        Self {
            name,
            limit: usize::MAX,
            time: Time::Unlimited,
            token: None,
            outer,
            gives: PhantomData,
        }
    }

    /// How many children may be in flight at once: started, and not over with all that belongs to
    /// them. The rest wait in the group, in the order in which they came. Children of groups within
    /// are not counted. Defaults to no limit.
    ///
    /// It bounds what runs, not what waits: a loop that awaits what
    /// [`spawn`](Group::spawn) gives goes no faster than the group.
    ///
    /// # Panics
    ///
    /// If `children` is zero.
    #[track_caller]
    pub fn limit(mut self, children: usize) -> Self {
        assert!(children > 0, "`limit` must be at least 1, not 0");
        self.limit = children;
        self
    }

    /// How long the group may take as a whole, from [`build`](Self::build) on. Defaults to no limit;
    /// so is a time too long to be represented. Replaces the timeout or deadline set before.
    ///
    /// When it is over, every child that is left is stopped, and new ones are refused. A group in
    /// another one has until the earlier of the two deadlines, and a lane's own timeout still holds
    /// where it is shorter.
    ///
    /// On a runtime without a timer a thread keeps the time; if none can be had either, it is over at once:
    /// better early than never.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.time = Time::Timeout(time);
        self
    }

    /// As [`timeout`](Self::timeout), as a moment on Tokio's clock. Replaces the timeout or deadline
    /// set before.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.time = Time::Deadline(deadline);
        self
    }

    /// Has the group cancelled when `token` is. One that is cancelled already makes a group that
    /// takes no child.
    pub fn cancelled_by(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// The group.
    pub fn build(self) -> Group<T>
    where
        T: Send + 'static,
    {
        let Self {
            name,
            limit,
            time,
            token: given,
            outer,
            gives: _,
        } = self;
        let above = outer.iter().map(|outer| outer.token());
        let token = CancelToken::under(above.chain(&given));
        let mut deadline = time.end();
        if let Some(outer) = outer.as_ref().and_then(|outer| outer.deadline()) {
            deadline = Some(deadline.map_or(outer, |own| own.min(outer)));
        }
        let shared = Arc::new_cyclic(|this: &Weak<Shared<T>>| Shared {
            name,
            limit,
            deadline,
            token: token.clone(),
            outer: outer.map(|outer| Outer::of(outer, this.clone())),
            tie: Mutex::default(),
            state: Mutex::new(State::new()),
        });
        // The first hook of its token: when jobs give their places back, the queue is empty.
        let group = Arc::downgrade(&shared);
        let tie = token.on_cancel(move || {
            if let Some(group) = group.upgrade() {
                group.end(Stop::Cancelled);
            }
        });
        *shared.tie.lock() = Some(tie);
        Group::over(shared)
    }
}

impl<T> Clone for Builder<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            limit: self.limit,
            time: self.time,
            token: self.token.clone(),
            outer: self.outer.clone(),
            gives: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("time", &self.time)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
