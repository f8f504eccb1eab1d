//! Room in a resource, before there is a closure to put there.

use std::{fmt, panic::Location};

use super::shared::Shared;
use crate::{
    error::Error,
    job::{Job, Task},
    lane,
};

/// Room for one call of a resource; from [`Resource::reserve`](super::Resource::reserve) and
/// [`ResourcePool::reserve`](super::ResourcePool::reserve).
///
/// It counts as a waiting call until it is used or dropped.
#[must_use = "dropping a permit gives the room back"]
pub struct Permit<T> {
    permit: lane::Permit,
    shared: Shared<T>,
}

impl<T: 'static> Permit<T> {
    pub(super) fn reserve(
        shared: Shared<T>,
    ) -> impl Future<Output = Result<Self, Error>> + Send + use<T> {
        let room = shared.lane.reserve();
        async move {
            Ok(Self {
                permit: room.await?,
                shared,
            })
        }
    }

    /// Hands a closure in, as [`Resource::with`](super::Resource::with) does. It cannot be refused
    /// for want of room.
    #[track_caller]
    pub fn with<F, R>(self, f: F) -> Task<R>
    where
        F: FnOnce(&mut T, &Job) -> R + Send + 'static,
        R: Send + 'static,
    {
        (self.shared).with_permit(self.permit, f, Location::caller())
    }
}

impl<T> fmt::Debug for Permit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.permit.fmt(f)
    }
}
