//! An exchange up to its response, in the future.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use http::request::Parts;

use super::{
    Client, Settings,
    body::{Body, Content},
    error::Error,
    exchange::Exchange,
    hand_over::{HandOver, Head},
    hops::{Payload, Plan},
    request::{check, length_of},
    response::Response,
    stream::ResponseBody,
    upload::Feeder,
};
use crate::{job::Task, sync::Arc};

/// A [`Response`] in the future, from [`RequestBuilder::send`] and [`Client::execute`].
///
/// The exchange is in its lane before this is polled. Polling it is what feeds a
/// [streamed body](Body::stream) to it.
///
/// # Cancel safety
///
/// Dropping it cancels the exchange. *The waiter* is free at once, and the stream of a request body
/// is dropped with it. *The thread*: an exchange that waits in its lane never starts; one that runs
/// is interrupted, in whatever phase, and its connection closed, if the agent is one of
/// [`longshore::ureq`](crate::ureq). The server may have carried the request out.
///
/// # Errors
///
/// An [`Error`], of kind [`Request`] where the request is not valid, [`Lane`] where the lane did not
/// run the exchange or it panicked, else of the [kind](crate::ureq::ErrorKind) that says what happened
/// to it before the head of the response was there. A status of 400 or more is a response, until
/// [`error_for_status`](Response::error_for_status) is asked.
///
/// # Panics
///
/// Polling it again after it gave its outcome panics, as with most futures.
///
/// [`Lane`]: crate::ureq::ErrorKind::Lane
/// [`Request`]: crate::ureq::ErrorKind::Request
/// [`RequestBuilder::send`]: crate::ureq::RequestBuilder::send
#[must_use = "dropping it cancels the exchange: await it"]
pub struct ResponseFuture {
    state: State,
}

enum State {
    Runs(Box<Runs>),
    Failed(Error),
    Over,
}

struct Runs {
    exchange: Exchange,
    feeder: Option<Feeder>,
    max_body_size: Option<u64>,
}

/// An exchange that can begin.
pub(super) struct Ready {
    pub(super) plan: Plan,
    pub(super) shared: Arc<HandOver>,
    pub(super) rest: Rest,
}

/// What of it stays with the caller.
pub(super) struct Rest {
    shared: Arc<HandOver>,
    feeder: Option<Feeder>,
    max_body_size: Option<u64>,
}

/// Checks a request and divides it between the worker and the caller.
pub(super) fn prepare(settings: &Settings, mut parts: Parts, body: Body) -> Result<Ready, Error> {
    check(&mut parts, &body, settings.agent.config())?;
    let length = length_of(&parts);
    let (payload, feeder) = match body.content {
        Content::Stream(source) => {
            let (feeder, conduit) = Feeder::new(source);
            (Payload::Stream(conduit), Some(feeder))
        }
        other => (Payload::from(other), None),
    };
    let shared = Arc::new(HandOver::new(parts.uri.clone()));
    let max_body_size = parts
        .extensions
        .remove::<MaxBodySize>()
        .map(|max| max.0)
        .or(settings.max_body_size);
    Ok(Ready {
        plan: Plan {
            agent: settings.agent.clone(),
            policy: settings.policy.clone(),
            parts,
            payload,
            length,
        },
        shared: shared.clone(),
        rest: Rest {
            shared,
            feeder,
            max_body_size,
        },
    })
}

/// The limit of one request, on its way through the parts of it.
#[derive(Clone, Copy)]
pub(super) struct MaxBodySize(pub(super) u64);

impl Rest {
    #[track_caller]
    pub(super) fn begin(self, client: &Client, task: Task<()>) -> ResponseFuture {
        ResponseFuture {
            state: State::Runs(Box::new(Runs {
                exchange: Exchange::new(self.shared, client.lane.clone(), task, Location::caller()),
                feeder: self.feeder,
                max_body_size: self.max_body_size,
            })),
        }
    }
}

impl ResponseFuture {
    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed(error),
        }
    }
}

impl Runs {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<Head>, Error>> {
        // The answer first: it may come before all of the body is sent, and then nobody wants the
        // rest.
        let head = self.exchange.poll_head(cx, self.feeder.as_mut());
        if head.is_pending()
            && let Some(feeder) = &mut self.feeder
            && feeder.poll(cx).is_ready()
        {
            self.feeder = None;
        }
        head
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Runs(runs) = &mut self.state {
            let head = std::task::ready!(runs.poll(cx));
            let State::Runs(runs) = std::mem::replace(&mut self.state, State::Over) else {
                unreachable!("it was matched a moment ago");
            };
            let head = head?;
            let body = ResponseBody::new(runs.exchange, head.expected, runs.max_body_size);
            return Poll::Ready(Ok(Response::new(*head, body)));
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Runs(_) | State::Over => {
                panic!("`ResponseFuture` polled after it gave its outcome")
            }
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Runs(_) => "runs",
            State::Failed(_) => "failed",
            State::Over => "over",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
        time::Duration,
    };

    use super::*;
    use crate::{
        lane::{Lane, Threads},
        ureq::call,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Says that it waits, as the agents of this crate do: here once, before it begins.
    fn telling_agent() -> ureq::Agent {
        ureq::Agent::config_builder()
            .proxy(None)
            .middleware(
                |request: http::Request<ureq::SendBody<'_>>,
                 next: ureq::middleware::MiddlewareNext<'_>| {
                    call::waits();
                    next.handle(request)
                },
            )
            .build()
            .new_agent()
    }

    #[test]
    fn a_small_response_is_handed_over_whole_by_one_wake_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (go, gone) = std::sync::mpsc::channel();
        let peer = std::thread::spawn(move || {
            let mut peer = listener.accept().unwrap().0;
            let _ = peer.read(&mut [0; 1024]);
            gone.recv().unwrap();
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            peer.write_all(whole).unwrap();
            peer
        });
        let lane = Lane::builder("http").limit(1).own_threads(Threads::new());
        let lane = lane.build();
        let client = Client::new(lane.clone(), telling_agent());
        let count = std::sync::Arc::new(Count::default());
        let waker = count.clone().into();
        let mut cx = Context::from_waker(&waker);

        let mut call = client.get(url).send();
        // Nothing is there before there is somebody to be woken.
        assert!(Pin::new(&mut call).poll(&mut cx).is_pending());
        go.send(()).unwrap();
        let peer = peer.join().unwrap();
        while count.0.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let Poll::Ready(response) = Pin::new(&mut call).poll(&mut cx) else {
            panic!("it was woken");
        };
        let response = response.unwrap();
        let body = futures_util::FutureExt::now_or_never(response.bytes());
        assert_eq!(body.expect("all of it is there").unwrap(), "hello");
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        drop(peer);
        assert_eq!(lane.stats().completed, 1);
    }
}
