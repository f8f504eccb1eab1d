//! A million URLs: what does a list cost that nobody keeps?
//!
//! They come from an iterator, go through a fetcher to a service that answers at once, and each
//! result is counted and dropped. Resident memory has to stay where it was after the first tenth.
//!
//! ```text
//! cargo run --release --features fetch --example fetcher_million
//! ```

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body::Frame;
use longshore::fetch::Fetcher;

const URLS: usize = 1_000_000;

/// How much memory may come and go beside what the list would take, in KiB.
const SLACK: usize = 2048;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let fetcher = Fetcher::new(Prompt).concurrency(64).per_host(8);
    let urls = (0..URLS).map(|n| format!("http://host{}.example/pages/{n}", n % 1009));
    let mut pages = fetcher.fetch_all(urls);
    let begun = Instant::now();
    let (mut bytes, mut settled) = (0, None);
    for n in 1..=URLS {
        let fetched = pages.next().await.expect("there is one for each URL");
        bytes += fetched.result.expect("it always answers").body().len();
        if n % (URLS / 10) == 0 {
            let resident = resident();
            println!("{n:>9} URLs  {resident:>6} KiB  {:.1?}", begun.elapsed());
            let settled = *settled.get_or_insert(resident);
            assert!(resident <= settled + SLACK, "it grows with the list");
        }
    }
    assert!(pages.next().await.is_none());
    println!("{bytes} bytes, {:.2?} a URL", begun.elapsed() / URLS as u32);
}

/// Answers at once, with a kilobyte.
#[derive(Clone)]
struct Prompt;

impl tower_service::Service<Request<Bytes>> for Prompt {
    type Response = Response<Whole>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Whole>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(Whole(Some(Bytes::from(vec![
            b'x';
            1024
        ]))))))
    }
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|whole| Ok(Frame::data(whole))))
    }
}

/// What is resident of this process, in KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux shows the memory in use");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("the resident set is there, in kilobytes")
}
