//! An HTTP client that cannot be cut into, in a lane: what a deadline does, and what it cannot.
//!
//! `attohttpc` is a small blocking client that opens its sockets itself and gives nobody a handle
//! on them. So [`Job::on_cancel`](longshore::Job::on_cancel) has nothing to interrupt, and what is
//! left is the time that the job has: [`Job::remaining`](longshore::Job::remaining), as the
//! client's own timeout. The same goes for any other blocking client with timeouts.
//!
//! The server of this program takes a request and never answers. Twice somebody loses patience:
//!
//! ```text
//!                        0 s         0.5 s                       2 s
//! 1. the deadline   offload ───────────────────────────────────► TimedOut
//!       the thread  blocks in the client ······················► its own timeout: free
//!
//! 2. the caller     offload ───────► drops the task
//!       the thread  blocks in the client ········ draining ····► its own timeout: free
//! ```
//!
//! The second row is why a timeout matters even where all callers can be dropped: without one the
//! slot would be taken for as long as the server likes.
//!
//! ```text
//! cargo run --example adapter_http
//! ```

use std::{
    error::Error,
    io,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use longshore::{Job, Lane};

/// How long a call may take, queue and connection included.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the second caller gives up.
const EARLY: Duration = Duration::from_millis(500);

/// What a machine with other things to do may take for what is due at once.
const SLACK: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = format!("http://{}/", silent_server()?);
    let lane = Lane::builder("legacy").limit(1).timeout(PATIENCE).build();

    // 1. The deadline passes.
    let begun = Instant::now();
    let theirs = url.clone();
    let answer = lane.offload_with(move |job| fetch(job, &theirs)).await;
    let told = begun.elapsed();
    let freed = until_free(&lane, begun).await;
    // Two clocks run out at the same time, the lane's and the client's: either may be heard first.
    let error = match answer {
        Err(error) => {
            assert!(error.is_timeout());
            format!("the lane: {error}")
        }
        Ok(answer) => {
            let error = answer.expect_err("the server never answers");
            format!("the client: {error}")
        }
    };
    println!("1. the caller was told after {told:.0?}, by {error}");
    println!("   the thread was free after {freed:.0?}");
    for after in [told, freed] {
        assert!(after >= PATIENCE && after < PATIENCE + SLACK, "{after:?}");
    }

    // 2. The caller leaves before that.
    let begun = Instant::now();
    let task = lane.offload_with(move |job| fetch(job, &url));
    tokio::time::timeout(EARLY, task)
        .await
        .expect_err("the server never answers");
    let told = begun.elapsed();
    // The limit is 1, and that one is not free: the account says what the thread does.
    let left = lane.stats();
    let freed = until_free(&lane, begun).await;
    println!("2. the caller left after {told:.0?}");
    println!(
        "   running {}, draining {} of {}",
        left.running, left.draining, left.limit
    );
    println!("   the thread was free after {freed:.0?}");
    assert!(told >= EARLY && told < EARLY + SLACK, "{told:?}");
    assert_eq!((left.running, left.draining), (0, 1));
    assert!(freed >= PATIENCE && freed < PATIENCE + SLACK, "{freed:?}");

    lane.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}

/// Blocks until there is an answer, or the job's time is up.
fn fetch(job: &Job, url: &str) -> Result<String, attohttpc::Error> {
    // Asked for here and not where the job was handed in: it may have waited in the queue.
    let left = job.remaining().unwrap_or(PATIENCE);
    let request = attohttpc::get(url)
        // This client's timeout does not end an attempt to connect.
        .connect_timeout(left)
        .timeout(left);
    request.send()?.text()
}

/// How long after `begun` no thread was in a job of the lane any more.
async fn until_free(lane: &Lane, begun: Instant) -> Duration {
    loop {
        let stats = lane.stats();
        if stats.running + stats.draining == 0 {
            return begun.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A server that accepts whoever comes and says nothing, until the process ends.
fn silent_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name(String::from("server"))
        .spawn(move || {
            // Kept, since to drop a connection is an answer too.
            let _connections: Vec<_> = listener.incoming().collect();
        })?;
    Ok(address)
}
