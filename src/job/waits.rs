//! A job that waits, for those it waits for as a whole, as for a group.
//!
//! A task notes its own job when it is polled. What is waited for as a whole polls nothing in the
//! wait: it has to remember who waits, and note what it consists of, now and as it grows.

use super::{
    nest,
    post::{Awaited, Post},
};
use crate::sync::{Arc, Weak};

/// A job that waits. It keeps nothing alive, and means nothing when the job is over.
#[derive(Clone)]
pub(crate) struct Waits(Weak<Post>);

impl Waits {
    /// The job for which this thread polls: one that waits here, or in whose name it does.
    pub(crate) fn here() -> Option<Self> {
        nest::here().map(|post| Self(Arc::downgrade(&post)))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Notes a job among those that it waits for. To be called under no lock.
    pub(crate) fn note(&self, awaited: Awaited) {
        if let Some(post) = self.0.upgrade() {
            drop(post.note(awaited, true, false));
        }
    }
}
