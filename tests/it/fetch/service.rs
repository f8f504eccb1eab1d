//! A service without a network: it answers when it is told to.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::Semaphore;
use tower_service::Service;

/// A body of chunks, in memory.
#[derive(Debug, Default)]
pub(crate) struct Chunks(pub(crate) VecDeque<Bytes>);

impl<T: Into<Bytes>> From<T> for Chunks {
    fn from(whole: T) -> Self {
        Self([whole.into()].into())
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Answers each request with its path, once it is let through.
#[derive(Clone)]
pub(crate) struct Stage {
    gate: Arc<Semaphore>,
    /// How many are asked at this moment, at most so far, and in all.
    pub(crate) inside: Arc<AtomicUsize>,
    pub(crate) peak: Arc<AtomicUsize>,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

/// Counts a request as inside until it is dropped.
struct Inside(Arc<AtomicUsize>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stage {
    /// Lets nobody through yet.
    pub(crate) fn closed() -> Self {
        Self {
            gate: Arc::new(Semaphore::new(0)),
            inside: Arc::default(),
            peak: Arc::default(),
            asked: Arc::default(),
        }
    }

    /// Answers at once.
    pub(crate) fn open() -> Self {
        let stage = Self::closed();
        stage.gate.close();
        stage
    }

    pub(crate) fn let_through(&self, requests: usize) {
        self.gate.add_permits(requests);
    }

    /// Answers whoever is there, and whoever comes.
    pub(crate) fn open_up(&self) {
        self.gate.close();
    }

    pub(crate) fn inside(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Service<Request<Bytes>> for Stage {
    type Response = Response<Chunks>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Response<Chunks>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        let inside = Inside(self.inside.clone());
        let path = request.uri().path().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let gate = self.gate.clone();
        Box::pin(async move {
            let _inside = inside;
            // An error says that everybody may go.
            if let Ok(permit) = gate.acquire().await {
                permit.forget();
            }
            if path == "/fail" {
                return Err(io::Error::other("as planned"));
            }
            Ok(Response::new(path.into()))
        })
    }
}
