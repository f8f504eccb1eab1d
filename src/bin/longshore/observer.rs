//! The thread that watches a strategy's process from the inside: it counts threads, and passes
//! events on, so that a strategy never waits for a pipe.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wire::Event;

/// Threads are counted this often, and whenever a call begins or ends, but not in between.
const SAMPLE: Duration = Duration::from_millis(5);
/// A sign of life at least this often.
const ALIVE: Duration = Duration::from_millis(500);

/// How many threads watch and are not counted.
static ASIDE: AtomicU64 = AtomicU64::new(1);

/// There is one more.
pub(crate) fn leave_out_one() {
    ASIDE.fetch_add(1, Ordering::Relaxed);
}

/// A running observer.
#[derive(Debug)]
pub(crate) struct Observer(JoinHandle<()>);

impl Observer {
    /// Starts it on a thread of its own, which is not counted.
    ///
    /// # Errors
    ///
    /// No thread can be had.
    pub(crate) fn start(inbox: Receiver<Event>) -> io::Result<Self> {
        std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || observe(&inbox))
            .map(Self)
    }

    /// Tells the last event, and returns when it is written.
    pub(crate) fn finish(self, events: Sender<Event>, last: Event) {
        let _ = events.send(last);
        let _ = self.0.join();
    }
}

fn observe(inbox: &Receiver<Event>) {
    let mut out = BufWriter::new(io::stdout());
    let mut peak = None;
    let mut last_sign = Instant::now();
    loop {
        let mut next = match inbox.recv_timeout(SAMPLE) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        peak = peak.max(threads());
        let alive = next.is_none() && last_sign.elapsed() >= ALIVE;
        if alive {
            next = Some(Event::Alive);
        }
        if next.is_some() {
            last_sign = Instant::now();
        }
        while let Some(mut event) = next {
            let is_last = matches!(event, Event::Finished(_) | Event::Impossible(_));
            if let Event::Finished(totals) = &mut event {
                totals.peak_threads = peak;
            }
            write(&mut out, &event);
            if is_last {
                flush(&mut out);
                return;
            }
            next = inbox.try_recv().ok();
        }
        flush(&mut out);
    }
}

fn write(out: &mut BufWriter<Stdout>, event: &Event) {
    let line = serde_json::to_string(event).expect("events have no keys but strings");
    if writeln!(out, "{line}").is_err() {
        orphaned();
    }
}

fn flush(out: &mut BufWriter<Stdout>) {
    if out.flush().is_err() {
        orphaned();
    }
}

/// Nobody reads: `compare` has been killed. To go on would be to send requests for nobody.
fn orphaned() -> ! {
    std::process::exit(1)
}

/// The threads of this process, without those that only watch.
fn threads() -> Option<u64> {
    status("Threads:").map(|count| count.saturating_sub(ASIDE.load(Ordering::Relaxed)))
}

/// The most memory that was ever resident, in MiB.
pub(crate) fn peak_rss_mib() -> Option<f64> {
    status("VmHWM:").map(|kib| kib as f64 / 1_024.0)
}

/// A number from `/proc/self/status`, where there is one.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
