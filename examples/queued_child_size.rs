//! How much memory does a child of a group take while it waits in its lane?
//!
//! Offloads 100,000 closures (each captures 8 bytes) through one group to a lane whose only thread is
//! held, and compares the resident memory of the process before and after. Counted is all that
//! belongs to such a child: the job with its closure and its place in the lane, its place in the
//! group, what ties the two together, its deadline, and what the allocator adds.
//!
//! ```text
//! cargo run --release --example queued_child_size
//! ```
//!
//! Linux only: it reads `/proc/self/statm`.

use std::{error::Error, fs, sync::mpsc, time::Duration};

use longshore::{Group, Lane};

const CHILDREN: u64 = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let lane = Lane::builder("sizes").limit(1).build();
    let (open, gate) = mpsc::channel::<()>();
    let (taken, started) = tokio::sync::oneshot::channel();
    let holder = lane.offload(move || {
        let _ = taken.send(());
        let _ = gate.recv();
    });
    started.await?;

    let group = Group::builder("sizes")
        .timeout(Duration::from_secs(600))
        .build();
    let before = resident_bytes()?;
    for number in 0..CHILDREN {
        group.offload(&lane, move || number);
    }
    assert_eq!(lane.stats().waiting as u64, CHILDREN);
    let each = (resident_bytes()? - before) / CHILDREN;
    println!("{each} bytes for each child that waits in its lane");

    drop(open);
    holder.await?;
    let numbers = group.join_all_or_cancel().await?;
    assert!(
        numbers.into_iter().eq(0..CHILDREN),
        "in the order of the calls"
    );
    if each > 800 {
        return Err(format!("{each} bytes are more than the 800 that were promised").into());
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
