//! How much memory does a job take while it waits?
//!
//! Hands 100,000 jobs to a lane whose only thread is held, keeps their tasks, and compares the
//! resident memory of the process before and after. Counted is all that belongs to a waiting job:
//! its closure (one that captures 8 bytes), its outcome, its place in the queue and on the books,
//! its alarm (there is a timeout), its [`Task`](longshore::Task), and what the allocator adds.
//!
//! ```text
//! cargo run --release --example queued_job_size
//! ```
//!
//! Linux only: it reads `/proc/self/statm`.

use std::{error::Error, fs, sync::mpsc, time::Duration};

use longshore::Lane;

const JOBS: u64 = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let lane = Lane::builder("sizes")
        .limit(1)
        .timeout(Duration::from_secs(600))
        .build();
    let (open, gate) = mpsc::channel::<()>();
    let (taken, started) = tokio::sync::oneshot::channel();
    let holder = lane.offload(move || {
        let _ = taken.send(());
        let _ = gate.recv();
    });
    started.await?;

    let mut tasks = Vec::with_capacity(JOBS as usize);
    let before = resident_bytes()?;
    for number in 0..JOBS {
        tasks.push(lane.offload(move || number));
    }
    assert_eq!(lane.stats().waiting as u64, JOBS);
    let each = (resident_bytes()? - before) / JOBS;
    println!("{each} bytes for each waiting job, its task included");

    drop(open);
    holder.await?;
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.await?, number);
    }
    if each > 600 {
        return Err(format!("{each} bytes are more than the 600 that were promised").into());
    }
    Ok(())
}

/// The second field of `/proc/self/statm` counts pages.
fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = (statm.split(' ').nth(1).ok_or("no second field")?).parse()?;
    Ok(pages * page_size()?)
}

#[cfg(unix)]
fn page_size() -> Result<u64, Box<dyn Error>> {
    Ok(rustix::param::page_size() as u64)
}

#[cfg(not(unix))]
fn page_size() -> Result<u64, Box<dyn Error>> {
    Err("only Linux tells".into())
}
