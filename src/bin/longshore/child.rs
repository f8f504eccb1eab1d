//! The process of one strategy: takes an order from standard input, tells events on standard
//! output.
//!
//! A process of its own makes threads and memory at peak the strategy's own, and a thread that is
//! stuck in one strategy cannot disturb the next.

use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::args::Runtime;
use crate::exit::Exit;
use crate::heartbeat::{Heartbeat, Lateness};
use crate::observer::{self, Observer};
use crate::stalls::Detector;
use crate::strategy::{Clients, Records, Strategy, Work};
use crate::wire::{Event, Order, Totals};

/// Runs the strategy that standard input names.
pub(crate) fn run() -> Result<(), Exit> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    let order: Order = read
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()))
        .map_err(|error| Exit::error(format!("this is not for people, see compare: {error}")))?;
    drop(text);

    let (events, inbox) = mpsc::channel();
    let observer = Observer::start(inbox)
        .map_err(|error| Exit::error(format!("no thread to observe with: {error}")))?;
    let last = match catch_unwind(AssertUnwindSafe(|| measure(order, events.clone()))) {
        Ok(Ok(totals)) => Event::Finished(totals),
        Ok(Err(reason)) => Event::Impossible(reason),
        // The message is on standard error, which `compare` reads.
        Err(_) => Event::Impossible("it panicked".to_owned()),
    };
    observer.finish(events, last);
    // Not by way of dropping the runtime, which waits for threads that may be stuck.
    std::process::exit(0)
}

fn measure(order: Order, events: mpsc::Sender<Event>) -> Result<Totals, String> {
    // An error means that there is one already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let records = Arc::new(Records::new(order.calls.len()));
    let clients = Clients::build(&order, &records)?;
    let strategy = order.strategy;
    let mut builder = match order.runtime {
        Runtime::Current => tokio::runtime::Builder::new_current_thread(),
        Runtime::Multi => tokio::runtime::Builder::new_multi_thread(),
    };
    // As many as are told of, and not as many as `TOKIO_WORKER_THREADS` says.
    builder.worker_threads(available_parallelism().map_or(1, usize::from));
    // Tokio gives all its threads one name, and the result is to tell which thread made a call.
    let threads = AtomicUsize::new(1);
    let runtime = builder
        .enable_all()
        .thread_name_fn(move || format!("tokio-{}", threads.fetch_add(1, Ordering::Relaxed)))
        .build()
        .map_err(|error| error.to_string())?;

    let (wall, lateness, stalls) = runtime.block_on(async {
        // The one that needs it. Of the others it would have nothing to say, and serial is no async code.
        let detector = (strategy == Strategy::Naive)
            .then(Detector::start)
            .flatten();
        let work = Arc::new(Work::new(order, clients, records, Instant::now(), events));
        let heartbeat = Heartbeat::start(work.began());
        strategy.run(&work).await;
        let end = Instant::now();
        let lateness = heartbeat.finish(end);
        (end - work.began(), lateness, detector.map(Detector::finish))
    });
    let totals = Totals {
        wall_s: wall.as_secs_f64(),
        // Known to the observer, who adds it.
        peak_threads: None,
        peak_rss_mib: observer::peak_rss_mib(),
        heartbeat_late_max_ms: lateness.as_ref().map(|Lateness { worst, .. }| ms(*worst)),
        heartbeat_late_p99_ms: lateness.as_ref().map(|Lateness { p99, .. }| ms(*p99)),
        heartbeat: lateness.map(|lateness| lateness.course),
        stalls,
    };
    // A thread that is stuck must not keep the process, see above.
    std::mem::forget(runtime);
    Ok(totals)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
