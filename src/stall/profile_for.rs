//! Waiting for a profile.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{profile::Profile, samples::Samples};

/// The future of [`Watching::profile_for`](super::Watching::profile_for).
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct ProfileFor {
    pub(super) samples: Arc<Samples>,
}

impl Future for ProfileFor {
    type Output = Profile;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Profile> {
        self.samples.poll(cx)
    }
}

impl Drop for ProfileFor {
    /// The watchdog takes no more samples for it.
    fn drop(&mut self) {
        self.samples.abandon();
    }
}
