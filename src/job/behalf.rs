//! Futures that are polled elsewhere in the name of a job.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    nest::{self, Here},
    post::Post,
};
use crate::sync::Arc;

pin_project_lite::pin_project! {
    /// A future that another thread polls in the name of the job that has made it; from
    /// [`on_behalf`].
    pub(crate) struct OnBehalf<F> {
        #[pin]
        future: F,
        post: Option<Arc<Post>>,
    }
}

/// Ties a future to the job that this thread runs, if any, wherever it is going to be polled: what
/// it waits for, the job waits for.
pub(crate) fn on_behalf<F: Future>(future: F) -> OnBehalf<F> {
    let post = nest::here().or_else(|| Some(nest::current_post()?.1));
    OnBehalf { future, post }
}

impl<F: Future> Future for OnBehalf<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let here = this.post.clone().map(Here::OnBehalf);
        let _polled = here.map(nest::poll_here);
        this.future.poll(cx)
    }
}

/// The name of a job, for others to poll in.
#[cfg(feature = "ureq")]
#[derive(Clone)]
pub(crate) struct Behalf(Arc<Post>);

#[cfg(feature = "ureq")]
impl Behalf {
    /// That of the job that this thread runs.
    pub(crate) fn mine() -> Option<Self> {
        nest::current_post().map(|(_, post)| Self(post))
    }

    /// What is polled here, the job waits for.
    pub(crate) fn poll<T>(&self, poll: impl FnOnce() -> T) -> T {
        let _polled = nest::poll_here(Here::OnBehalf(self.0.clone()));
        poll()
    }

    /// It has come to wait for a job: from then on only [`block_on`](super::block_on) is a wait in which
    /// that job is sure to run.
    pub(crate) fn waits_for_jobs(&self) -> bool {
        self.0.has_noted()
    }

    /// Stops the job if it runs on top of another one: for those who have seen that it waits for what only
    /// the thread that it runs on could bring.
    pub(crate) fn stop_if_on_top(&self) {
        let mine = &self.0.waits;
        if let Some(work) = mine.work.upgrade().filter(|_| nest::depth() > 0) {
            mine.owner.stop(&*work, super::Cause::WouldDeadlock);
        }
    }
}
