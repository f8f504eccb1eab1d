//! Chapter 8: a function returns at the first error. What has it left behind?
//!
//! ```text
//! cargo run --example 08_groups
//! ```

use std::{error::Error, sync::Arc, time::Duration};

use longshore::{Group, Lane, group::Failed};
use tutorial::{Gauge, Server, until};

type Failure = Box<dyn Error + Send + Sync>;

/// What the page is made with.
struct Services {
    lane: Lane,
    agent: ureq::Agent,
    threads: Gauge,
}

/// The call of chapter 1, and a count of the threads that are in it.
fn fetch(services: &Services, url: &str) -> Result<String, Failure> {
    let _inside = services.threads.enter();
    let mut response = services.agent.get(url).call()?;
    Ok(response.body_mut().read_to_string()?)
}

/// The part of the page that is about one customer.
async fn customer(services: Arc<Services>, url: String) -> Result<String, Failure> {
    let lane = services.lane.clone();
    lane.offload(move || fetch(&services, &url)).await?
}

/// The page: a task for each customer, and then their outcomes, in order.
async fn with_a_loop(services: &Arc<Services>, urls: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut tasks = Vec::new();
    for url in urls {
        tasks.push(tokio::spawn(customer(services.clone(), url)));
    }
    let mut page = Vec::new();
    for task in tasks {
        page.push(task.await??);
    }
    Ok(page)
}

/// The page in a group. A call is one of `fetch`.
async fn with_a_group<C>(lane: &Lane, calls: Vec<C>) -> Result<Vec<String>, Failure>
where
    C: FnOnce() -> Result<String, Failure> + Send + 'static,
{
    let group = Group::new();
    for call in calls {
        group.offload(lane, call);
    }
    group.try_join_all().await.map_err(Failed::into_error)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let server = Server::start()?;
    let (services, urls) = open(&server);
    let refused = with_a_loop(&services, urls).await.unwrap_err();
    println!("a loop: {refused}");
    // It has returned, and the last of its calls may only be on their way. They do begin.
    let orphans = until(|| services.threads.now() == 7).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!(
        "  half a second later, threads in a call: {}",
        services.threads.now()
    );
    assert!(orphans && services.threads.now() == 7);
    // Nobody has a handle on these calls any more, other than their lane. It waits for a moment only,
    // and where the machine has other things to do they need more.
    if services.lane.shutdown(Duration::ZERO).await.is_err() {
        assert!(until(|| services.threads.now() == 0).await);
    }

    let server = Server::start()?;
    let (services, urls) = open(&server);
    let calls = urls.into_iter().map(|url| {
        let services = services.clone();
        move || fetch(&services, &url)
    });
    let refused = with_a_group(&services.lane, calls.collect()).await;
    let refused = refused.unwrap_err();
    let left = services.threads.now(); // At once: it has waited for its threads.
    println!("a group: {refused}");
    println!("  threads in a call: {left}");
    assert_eq!(left, 0);
    Ok(())
}

/// Eight customers. The service refuses the first, and hangs for the others.
fn open(server: &Server) -> (Arc<Services>, Vec<String>) {
    let config = longshore::ureq::config().proxy(None).build();
    let services = Services {
        lane: Lane::builder("invoices").build(),
        agent: longshore::ureq::agent(config),
        threads: Gauge::default(),
    };
    let mut urls = vec![server.url("/status/503")];
    urls.resize(8, server.url("/hang"));
    (Arc::new(services), urls)
}
