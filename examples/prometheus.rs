//! What a program's lanes are doing, for Prometheus to scrape.
//!
//! The feature `metrics` tells the numbers of every lane to whatever recorder the program has
//! installed. Here that is the one of `metrics-exporter-prometheus`, which renders them as text, and
//! a handler of a few lines serves the text, from a job of a lane of its own: `tiny_http` blocks.
//!
//! ```text
//! cargo run --example prometheus --features metrics                    until Ctrl-C
//! cargo run --example prometheus --features metrics -- --scrape-once   scrapes itself, and ends
//! ```

use std::{
    error::Error,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use longshore::{Lane, lane::Threads};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tiny_http::{Header, Response, Server};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Before the first lane is used: what was not there to be told is not counted.
    let seconds = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("longshore_".to_owned()), &seconds)?
        .build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    longshore::lane::describe_metrics();

    let shop = Lane::builder("shop").limit(4).queue(8).build();
    let server = Arc::new(Server::http("127.0.0.1:0")?);
    let address = server.server_addr().to_ip().ok_or("it listens on TCP")?;
    let door = Lane::builder("metrics")
        .limit(1)
        .own_threads(Threads::new())
        .build();
    let (doorman, lanes) = (server.clone(), [shop.clone(), door.clone()]);
    let served = door.offload_with(move |job| {
        let unblocked = doorman.clone();
        let _guard = job.on_cancel(move || unblocked.unblock());
        serve(&doorman, &metrics, &lanes)
    });
    println!("http://{address}/metrics");

    if std::env::args().any(|arg| arg == "--scrape-once") {
        work(&shop).await;
        let text = scrape(address).await?;
        print!("{text}");
    } else {
        loop {
            work(&shop).await;
        }
    }
    served.cancel();
    let _ = served.await;
    Ok(())
}

/// A minute's traffic in a moment: what succeeds, what is too slow, and what finds no room.
async fn work(shop: &Lane) {
    let price = || thread::sleep(Duration::from_millis(2));
    let in_time: Vec<_> = (0..8).map(|_| shop.offload(price)).collect();
    for task in in_time {
        let _ = task.await;
    }
    // The caller is told after 1 ms; the thread returns when it does, and is counted until then.
    let _ = shop
        .timeout(Duration::from_millis(1))
        .offload(price_of_everything)
        .await;
    let crowd: Vec<_> = (0..20).map(|_| shop.offload(price)).collect();
    for task in crowd {
        let _ = task.await;
    }
}

fn price_of_everything() {
    thread::sleep(Duration::from_millis(20));
}

// ===== The text =====

fn serve(server: &Server, metrics: &PrometheusHandle, lanes: &[Lane]) {
    let header = "Content-Type: text/plain; version=0.0.4; charset=utf-8";
    for request in server.incoming_requests() {
        lanes.iter().for_each(Lane::record_metrics);
        metrics.run_upkeep();
        let text = Response::from_string(metrics.render());
        let text = match header.parse::<Header>() {
            Ok(header) => text.with_header(header),
            Err(()) => text,
        };
        // Whoever asked may have gone.
        let _ = request.respond(text);
    }
}

/// Scrapes itself, as Prometheus would.
async fn scrape(address: SocketAddr) -> Result<String, Failure> {
    let body = longshore::offload(move || -> std::io::Result<String> {
        let mut socket = TcpStream::connect(address)?;
        let ask = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        socket.write_all(ask.as_bytes())?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = body.await??;
    let (head, text) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(head.to_owned().into());
    }
    Ok(text.to_owned())
}
