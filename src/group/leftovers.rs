//! What a step on the [books](super::state) leaves to do when their lock is released: nothing of
//! the user's is dropped, woken or called under it.

use std::task::Waker;

use crate::error::Error;

/// What [`step`](super::core::Shared::step) does after the lock.
#[must_use = "somebody may be waiting for it"]
pub(super) struct Leftovers<T> {
    pub(super) wakers: Vec<Waker>,
    /// An outcome that nobody will take.
    pub(super) lost: Option<Result<T, Box<Error>>>,
    /// There was a failure, and the first one ends the group.
    pub(super) cancel: bool,
    /// The group has become quiet: those that it is in have to hear of it.
    pub(super) quiet: bool,
}

impl<T> Leftovers<T> {
    pub(super) fn none() -> Self {
        Self {
            wakers: Vec::new(),
            lost: None,
            cancel: false,
            quiet: false,
        }
    }
}
