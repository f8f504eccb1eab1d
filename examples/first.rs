//! The first program: a call that blocks, off the async thread, with a limit and a timeout.
//!
//! ```text
//! cargo run --example first
//! ```

use std::{error::Error, fs, time::Duration};

use longshore::Lane;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let files = Lane::builder("files").limit(4).queue(100).build();
    let quick = files.timeout(Duration::from_secs(2));
    let text = quick.offload(|| fs::read_to_string("Cargo.toml")).await??;
    println!("{} lines", text.lines().count());
    Ok(())
}
