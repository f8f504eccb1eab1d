//! A million children through one group, at bounded memory.
//!
//! Half of them are futures and half are jobs of a lane. The group takes 1,000 at a time: `spawn` and
//! `offload` are awaited, which waits for a place, and outcomes are taken as they come. What is
//! resident is printed on the way, and must not grow.
//!
//! ```text
//! cargo run --release --example million_children
//! ```
//!
//! Linux only: it reads `/proc/self/status`.

use std::{error::Error, fs, time::Instant};

use longshore::{Group, Lane};

const CHILDREN: u64 = 1_000_000;
const IN_FLIGHT: usize = 1_000;
/// A part of all, after which memory is looked at.
const TENTH: u64 = CHILDREN / 10;
/// What may come and go from one look to the next.
const SLACK_KIB: u64 = 4 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let lane = Lane::builder("million").limit(8).build();
    let mut group = Group::builder("million").limit(IN_FLIGHT).build();
    let begun = Instant::now();
    println!("{:>9} children  {:>7} KiB resident", 0, resident_kib()?);

    let (mut taken, mut sum, mut settled) = (0, 0, 0);
    for number in 0..CHILDREN {
        if number % 2 == 0 {
            group.spawn(async move { number }).await?;
        } else {
            group.offload(&lane, move || number).await?;
        }
        while let Some(outcome) = group.try_next() {
            sum += outcome?;
            taken += 1;
        }
        if (number + 1) % TENTH == 0 {
            let resident = resident_kib()?;
            println!("{:>9} children  {resident:>7} KiB resident", number + 1);
            if settled == 0 {
                // By now everything has been in use once: threads, queues, the allocator's arenas.
                settled = resident;
            }
            assert!(
                resident < settled + SLACK_KIB,
                "{resident} KiB, and {settled} KiB after the first tenth"
            );
        }
    }
    while let Some(outcome) = group.next().await {
        sum += outcome?;
        taken += 1;
    }
    assert_eq!((taken, sum), (CHILDREN, CHILDREN * (CHILDREN - 1) / 2));
    assert!(group.join_all().await.is_empty());
    println!("all of them after {:.1?}", begun.elapsed());
    Ok(())
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(number.ok_or("no resident set")?.trim().parse()?)
}
