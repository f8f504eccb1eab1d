//! A `tower::Service` over any synchronous function.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    Lane,
    reserve::{Permit, Reserve},
};
use crate::{error::Error, job::Task, sync::Arc};

/// Runs a synchronous function for each request, in a lane; from [`Lane::service`].
///
/// It is ready when the lane has room, and then holds that room for the next call: `poll_ready`
/// is [`Lane::reserve`]. A timeout of the lane counts from `call`, and not while `poll_ready` waits.
/// A clone waits for room of its own.
///
/// # Cancel safety
///
/// A response future is a [`Task`]: dropping it cancels its job. Dropping the service gives its place
/// in the line, or its room, to the next.
pub struct LaneService<F> {
    lane: Lane,
    f: Arc<F>,
    reserve: Option<Reserve>,
    permit: Option<Permit>,
}

impl Lane {
    /// A `tower::Service` that runs `f` on every request in this lane.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::Lane;
    /// use tower_service::Service;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), longshore::Error> {
    /// let lane = Lane::builder("lengths").limit(2).queue(8).build();
    /// let mut service = lane.service(|word: String| word.len());
    /// std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    /// assert_eq!(service.call("tower".into()).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn service<F, Request, Response>(&self, f: F) -> LaneService<F>
    where
        F: Fn(Request) -> Response + Send + Sync + 'static,
        Request: Send + 'static,
        Response: Send + 'static,
    {
        LaneService {
            lane: self.clone(),
            f: Arc::new(f),
            reserve: None,
            permit: None,
        }
    }
}

impl<F, Request, Response> tower_service::Service<Request> for LaneService<F>
where
    F: Fn(Request) -> Response + Send + Sync + 'static,
    Request: Send + 'static,
    Response: Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = Task<Response>;

    /// # Errors
    ///
    /// [`Error::Closed`] if the lane was closed.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.permit.is_none() {
            let reserve = self.reserve.get_or_insert_with(|| self.lane.reserve());
            let permit = ready!(Pin::new(reserve).poll(cx));
            self.reserve = None;
            self.permit = Some(permit?);
        }
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If `poll_ready` was not called before, as the contract of `Service` has it.
    #[track_caller]
    fn call(&mut self, request: Request) -> Task<Response> {
        let permit = self
            .permit
            .take()
            .expect("`poll_ready` must be called, and be ready, before `call`");
        let f = self.f.clone();
        permit.offload(move || f(request))
    }
}

impl<F> Clone for LaneService<F> {
    fn clone(&self) -> Self {
        Self {
            lane: self.lane.clone(),
            f: self.f.clone(),
            reserve: None,
            permit: None,
        }
    }
}

impl<F> fmt::Debug for LaneService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneService")
            .field("lane", &self.lane.name())
            .field("ready", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}
