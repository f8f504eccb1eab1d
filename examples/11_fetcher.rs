//! Chapter 11: many calls, each with its own outcome.
//!
//! ```text
//! cargo run --features fetch --example 11_fetcher
//! ```

use std::{
    error::Error,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::try_join_all};
use longshore::{
    Lane,
    fetch::{Fetcher, Retry},
    ureq::{Client, ClientService},
};
use tutorial::{Server, until};

/// The call of chapter 7.
async fn fetch(client: &Client, url: &str) -> Result<String, longshore::ureq::Error> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

/// What one would write: all of them at once, and `?`.
async fn by_hand(client: &Client, urls: &[String]) -> Result<Vec<String>, longshore::ureq::Error> {
    try_join_all(urls.iter().map(|url| fetch(client, url))).await
}

/// The rules for all batches, in one place.
fn fetcher(client: &Client) -> Fetcher<ClientService> {
    Fetcher::new(client.service())
        .concurrency(20)
        .per_host(20)
        .timeout(Duration::from_secs(3))
        .total_timeout(Duration::from_secs(10))
        .retry(Retry::new(3).idempotent_methods())
}

/// The page, with gaps where there is no answer. Gives how many there are of each.
async fn page(fetcher: &Fetcher<ClientService>, urls: &[String]) -> (usize, usize) {
    let (mut answers, mut gaps) = (0, 0);
    let mut results = fetcher.fetch_all(urls.to_vec());
    while let Some(fetched) = results.next().await {
        let gap = match fetched.result {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(gap) = gap {
            println!("  item {}: {gap}", fetched.index);
            gaps += 1;
        } else {
            answers += 1;
        }
    }
    (answers, gaps)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
    let lane = Lane::builder("invoices").limit(20).build();
    let client = Client::new(lane.clone(), agent);

    let server = Server::start()?;
    let lost = by_hand(&client, &wanted(&server)).await.unwrap_err();
    println!("by hand: no page, since {lost}");

    println!("a fetcher:");
    let server = Server::start()?;
    let fetcher = fetcher(&client);
    let begun = Instant::now();
    let (answers, gaps) = page(&fetcher, &wanted(&server)).await;
    let took = begun.elapsed();
    println!("  {answers} answers and {gaps} gaps after {took:.2?}");
    assert_eq!((answers, gaps), (21, 3));
    // One went nowhere, and one came twice.
    assert_eq!(server.requests(), 24);

    // To lose interest is to drop the stream.
    let mut results = fetcher.fetch_all(vec![server.url("/hang"); 20]);
    let none = tokio::time::timeout(Duration::from_millis(50), results.next()).await;
    assert!(none.is_err());
    drop(results);
    let free = || lane.stats().running + lane.stats().draining == 0;
    assert!(until(free).await, "{:?}", lane.stats());
    println!("dropped half-way: every thread is free");
    Ok(())
}

/// Twenty that answer, and four that are as URLs are.
fn wanted(server: &Server) -> Vec<String> {
    let mut urls = server.twenty();
    urls.push(server.url("/once")); // 503 the first time.
    urls.push(server.url("/status/404"));
    urls.push(server.url("/hang"));
    urls.push(String::from("http//127.0.0.1/23"));
    urls
}
