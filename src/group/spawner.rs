//! What children are put into a group with.

use std::{fmt, future::Future, panic::Location, time::Duration};

use tokio::runtime;

use super::{
    builder::Builder,
    child::Birth,
    core::Shared,
    family::Family as _,
    future,
    info::ChildInfo,
    job::{self, Origin},
    shutdown::{Shutdown, Stuck, shutdown},
    starting::Starting,
};
use crate::{
    cancel::CancelToken,
    job::{Job, on_behalf},
    lane::Lane,
    sync::Arc,
};

/// A handle on a [`Group`](crate::Group) for those who add to it: children that start siblings, and
/// other tasks. From [`Group::spawner`](crate::Group::spawner) or [`Group::label`](crate::Group::label).
///
/// Cheap to clone. It neither keeps the group going nor ends it: when the group is over, what comes
/// through here is refused.
///
/// # Examples
///
/// ```
/// use longshore::Group;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut group = Group::new();
/// let spawner = group.spawner();
/// group.spawn(async move {
///     spawner.label("sibling").spawn(async { 2 });
///     1
/// });
/// let mut sum = 0;
/// while let Some(number) = group.next().await {
///     sum += number.unwrap();
/// }
/// assert_eq!(sum, 3);
/// # }
/// ```
pub struct Spawner<T> {
    pub(super) shared: Arc<Shared<T>>,
    label: Option<Arc<str>>,
}

impl<T> Spawner<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self {
            shared,
            label: None,
        }
    }

    /// The same group, with a name in reports for the children that come through this handle. It
    /// takes precedence over the label of a lane's handle.
    #[must_use]
    pub fn label(&self, label: impl Into<Arc<str>>) -> Self {
        Self {
            shared: self.shared.clone(),
            label: Some(label.into()),
        }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// As [`Group::cancel`](crate::Group::cancel).
    pub fn cancel(&self) {
        self.shared.token.cancel();
    }

    /// As [`Group::token`](crate::Group::token).
    #[must_use]
    pub fn token(&self) -> CancelToken {
        self.shared.token.clone()
    }
}

impl<T: Send + 'static> Spawner<T> {
    /// As [`Group::spawn`](crate::Group::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Starting
    where
        F: Future<Output = T> + Send + 'static,
    {
        let location = Location::caller();
        // Here and not when it starts: what it waits for, the job that spawns it waits for.
        let future = on_behalf(future);
        let birth = Birth {
            label: self.label.clone(),
            location,
            lane: None,
        };
        let Ok(runtime) = runtime::Handle::try_current() else {
            return self.shared.take_in_vain(birth, future);
        };
        self.shared.take_in(birth, move |shared, key| {
            future::start(shared, key, future, &runtime, location);
        })
    }

    /// As [`Group::offload`](crate::Group::offload).
    #[track_caller]
    pub fn offload<F>(&self, lane: &Lane, f: F) -> Starting
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.hand_over(lane, move |_| f(), Location::caller())
    }

    /// As [`Group::offload_with`](crate::Group::offload_with).
    #[track_caller]
    pub fn offload_with<F>(&self, lane: &Lane, f: F) -> Starting
    where
        F: FnOnce(&Job) -> T + Send + 'static,
    {
        self.hand_over(lane, f, Location::caller())
    }

    fn hand_over<F>(&self, lane: &Lane, f: F, location: &'static Location<'static>) -> Starting
    where
        F: FnOnce(&Job) -> T + Send + 'static,
    {
        let lane = match &self.label {
            Some(label) => lane.label(label.clone()),
            None => lane.clone(),
        };
        let birth = Birth {
            label: lane.labelled(),
            location,
            lane: Some(lane.name_to_keep()),
        };
        let origin = Origin::here(location);
        self.shared.take_in(birth, move |shared, key| {
            job::start(shared, key, f, &lane, &origin);
        })
    }

    /// As [`Group::nested`](crate::Group::nested).
    pub fn nested<U>(&self, name: impl Into<Arc<str>>) -> Builder<U> {
        Builder::new(name.into(), Some(self.shared.clone()))
    }

    /// As [`Group::children`](crate::Group::children).
    #[must_use]
    pub fn children(&self) -> Vec<ChildInfo> {
        let mut children = Vec::new();
        self.shared.list(&mut children);
        children
    }

    /// As [`Group::shutdown`](crate::Group::shutdown). From a child that is a future, it ends that
    /// child too.
    ///
    /// # Errors
    ///
    /// [`Stuck`], which names what is left.
    pub fn shutdown(
        &self,
        grace: Duration,
    ) -> impl Future<Output = Result<Shutdown, Stuck>> + Send + use<T> {
        self.shared.close();
        shutdown(self.shared.clone(), grace)
    }
}

impl<T> Clone for Spawner<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            label: self.label.clone(),
        }
    }
}

impl<T> fmt::Debug for Spawner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner")
            .field("group", &self.name())
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
