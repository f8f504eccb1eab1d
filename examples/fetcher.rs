//! A production aggregator, and the one line that takes it from a blocking client to a native one.
//!
//! The program fetches prices of a hundred articles from a server of its own that is as servers are:
//! slow now and then, busy now and then, wrong about an article or two. It does so twice, with
//!
//! ```diff
//! -    let service = offloaded();
//! +    let service = native()?;
//! ```
//!
//! between the two runs: `offloaded` is blocking ureq in a lane, `native` is reqwest. What is done
//! with the service, [`aggregate`], is the same function.
//!
//! ```text
//! cargo run --features full --example fetcher
//! ```

use std::{
    collections::HashSet,
    error::Error,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use longshore::{
    Lane,
    fetch::{Event, Fetcher, Progress, Retry},
    ureq::Client,
};
use tower_service::Service;

const ARTICLES: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = offloaded();
    let with_ureq = aggregate(service, serve()?).await;

    let service = native()?;
    let with_reqwest = aggregate(service, serve()?).await;

    println!("ureq in a lane: {with_ureq:?}");
    println!("reqwest:        {with_reqwest:?}");
    // Two articles of a hundred have no price: one is not there, one is not JSON.
    assert_eq!((with_ureq.prices, with_ureq.failed), (98, 2));
    assert_eq!(with_ureq, with_reqwest);
    Ok(())
}

/// Blocking ureq, in a lane of 20 threads.
fn offloaded() -> longshore::ureq::ClientService {
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    let lane = Lane::builder("prices").limit(20).build();
    Client::new(lane, agent).service()
}

/// reqwest, which is no service of requests of the `http` crate, but nearly.
fn native() -> Result<
    impl Service<
        Request<Bytes>,
        Response = Response<reqwest::Body>,
        Error = reqwest::Error,
        Future: Send,
    > + Clone
    + Send
    + 'static,
    Box<dyn Error>,
> {
    // This build of reqwest wants to be told whose cryptography to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(tower::service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let response = client.execute(request.try_into()?).await;
            // Its errors print the URL, with its query, which may hold keys.
            Ok(Response::from(
                response.map_err(reqwest::Error::without_url)?,
            ))
        }
    }))
}

#[derive(serde::Deserialize)]
struct Article {
    price: u64,
}

#[derive(Debug, PartialEq)]
struct Sum {
    prices: usize,
    total: u64,
    failed: usize,
}

/// Everything that a service of this kind needs, whoever makes the calls.
async fn aggregate<S, R>(service: S, server: SocketAddr) -> Sum
where
    S: Service<Request<Bytes>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    R: http_body::Body<Data: Send> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let fetcher = Fetcher::new(service)
        .concurrency(20)
        .per_host(10)
        .timeout(Duration::from_secs(5))
        .total_timeout(Duration::from_secs(30))
        .body_limit(1 << 20)
        .retry(Retry::new(3).idempotent_methods());

    let urls = (0..ARTICLES).map(|id| format!("http://{server}/articles/{id}?key=secret"));
    let mut articles = fetcher.fetch_all(urls).json::<Article>();
    let bar = tokio::spawn(show(articles.progress()));
    let mut sum = Sum {
        prices: 0,
        total: 0,
        failed: 0,
    };
    while let Some(fetched) = articles.next().await {
        match fetched.result {
            Ok(article) => {
                sum.prices += 1;
                sum.total += article.price;
            }
            Err(error) => {
                // The article's own business; no key is in it.
                assert!(!error.to_string().contains("secret"));
                eprintln!("article {}: {error}", fetched.index);
                sum.failed += 1;
            }
        }
    }
    bar.await.expect("printing does not panic");
    sum
}

/// A progress bar, for as long as there is progress.
async fn show(progress: Progress) {
    let mut events = progress.events();
    while let Some(event) = events.next().await {
        if !matches!(event, Event::Finished { .. }) {
            continue;
        }
        let counts = progress.counts();
        let total = counts.total.unwrap_or(counts.taken);
        eprint!("\r{}/{total}, {} retries ", counts.done(), counts.retried);
    }
    eprintln!();
}

// ===== The server =====

/// Serves until the process ends.
fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let turned_away = Arc::new(Mutex::new(HashSet::new()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let turned_away = turned_away.clone();
            // An error ends the connection, and the client will say so.
            thread::spawn(move || answer_all(stream, &turned_away));
        }
    });
    Ok(address)
}

fn answer_all(mut stream: TcpStream, turned_away: &Mutex<HashSet<usize>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let id = line.split(['/', '?']).nth(2);
        let Some(id) = id.and_then(|id| id.parse().ok()) else {
            return Ok(());
        };
        while !line.trim_end().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
        }
        thread::sleep(Duration::from_millis(id as u64 % 7 * 5));
        // One in ten is to come again.
        let busy = id % 10 == 3 && turned_away.lock().is_ok_and(|mut all| all.insert(id));
        let (status, body) = match id {
            _ if busy => ("503 Busy\r\nRetry-After: 0", String::new()),
            13 => ("404 Not Found", "{}".to_owned()),
            77 => ("200 OK", "<html>Please log in</html>".to_owned()),
            _ => ("200 OK", format!("{{\"price\": {}}}", id * 3)),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
}
