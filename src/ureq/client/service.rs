//! The client as a `tower::Service`.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Request;

use super::{
    Client,
    body::Body,
    error::Error,
    future::{ResponseFuture, prepare},
    response::Response,
    stream::ResponseBody,
};
use crate::lane::{Permit, Reserve};

/// A `tower::Service` from [`http::Request`]s to [`http::Response`]s, from [`Client::service`].
///
/// It is ready when the lane has room, and then holds that room for the next call: `poll_ready` is
/// [`Lane::reserve`](crate::Lane::reserve). A timeout of the lane counts from `call`, and not while
/// `poll_ready` waits. A clone waits for room of its own.
///
/// # Cancel safety
///
/// Dropping a response future cancels its exchange, see [`ServiceFuture`]. Dropping the service gives
/// its place in the line, or its room, to the next.
pub struct ClientService {
    client: Client,
    reserve: Option<Reserve>,
    permit: Option<Permit>,
}

impl Client {
    /// A `tower::Service` that makes an exchange of every request, and gives a response of the
    /// `http` crate: what layers and `Fetcher` work with. The URL that it
    /// came from is among its extensions, see [`Response::into_http`](super::Response::into_http).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # use longshore::{Lane, ureq::Client};
    /// use tower_service::Service;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let url = format!("http://{}/", listener.local_addr()?);
    /// # std::thread::spawn(move || {
    /// #     let mut peer = listener.accept().unwrap().0;
    /// #     let _ = peer.read(&mut [0; 1024]);
    /// #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    /// # });
    /// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    /// # let client = Client::new(Lane::builder("web").limit(4).build(), agent);
    /// let mut service = client.service();
    /// // The body may be of any type that converts into one, so a call without a request has to be told
    /// // which; so has `ready` of tower's: `ServiceExt::<http::Request<&str>>::ready(&mut service)`.
    /// let request = http::Request::get(url).body("")?;
    /// std::future::poll_fn(|cx| Service::<http::Request<&str>>::poll_ready(&mut service, cx)).await?;
    /// assert_eq!(service.call(request).await?.into_body().bytes().await?, "hi");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn service(&self) -> ClientService {
        ClientService {
            client: self.clone(),
            reserve: None,
            permit: None,
        }
    }
}

impl<B: Into<Body>> tower_service::Service<Request<B>> for ClientService {
    type Response = http::Response<ResponseBody>;
    type Error = Error;
    type Future = ServiceFuture;

    /// # Errors
    ///
    /// Of kind [`ErrorKind::Lane`](super::ErrorKind::Lane) if the lane was closed.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.permit.is_none() {
            let lane = &self.client.lane;
            let reserve = self.reserve.get_or_insert_with(|| lane.reserve());
            let permit = ready!(Pin::new(reserve).poll(cx));
            self.reserve = None;
            self.permit = Some(permit.map_err(Error::of_lane)?);
        }
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If `poll_ready` was not called before, as the contract of `Service` has it.
    #[track_caller]
    fn call(&mut self, request: Request<B>) -> ServiceFuture {
        let permit = self
            .permit
            .take()
            .expect("`poll_ready` must be called, and be ready, before `call`");
        let (parts, body) = request.into_parts();
        let response = match prepare(&self.client.settings, parts, body.into()) {
            Ok(ready) => {
                let (shared, plan) = (ready.shared, ready.plan);
                let task = permit.offload_with(move |job| plan.run(&shared, job));
                ready.rest.begin(&self.client, task)
            }
            Err(error) => ResponseFuture::failed(error),
        };
        ServiceFuture { response }
    }
}

/// A response in the future, from [`ClientService`]. As [`ResponseFuture`], in everything but the
/// type of the response.
///
/// # Cancel safety
///
/// As for [`ResponseFuture`]: dropping it cancels the exchange.
///
/// # Errors
///
/// As for [`ResponseFuture`].
///
/// # Panics
///
/// Polling it again after it gave its outcome panics, as with most futures.
#[must_use = "dropping it cancels the exchange: await it"]
pub struct ServiceFuture {
    response: ResponseFuture,
}

impl Future for ServiceFuture {
    type Output = Result<http::Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = Pin::new(&mut self.response).poll(cx);
        response.map(|result| result.map(Response::into_http))
    }
}

impl fmt::Debug for ServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceFuture")
            .field(&self.response)
            .finish()
    }
}

impl Clone for ClientService {
    fn clone(&self) -> Self {
        self.client.service()
    }
}

impl fmt::Debug for ClientService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService")
            .field("client", &self.client)
            .field("ready", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}
