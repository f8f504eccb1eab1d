//! Naive: async functions that call ureq directly, joined.
//!
//! It reads like concurrency. But a call that blocks does not give its thread back while it waits,
//! so on one thread `join_all` comes to the second future when the first has ended, and nothing
//! else of that runtime runs meanwhile. On a runtime of more threads each call is a task of its
//! own, or they would all run on the one thread that joins them; then as many calls run at once as
//! there are workers, and each of these workers is lost to everyone else.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Work;
use crate::args::Runtime;

pub(super) async fn run(work: &Arc<Work>) {
    let calls = (0..work.calls.len()).map(|index| {
        // From here on the call could be under way, if the thread were not held up by another.
        work.queue(index);
        fetch(Arc::clone(work), index)
    });
    match work.runtime {
        Runtime::Current => {
            join_all(calls).await;
        }
        Runtime::Multi => {
            // A task that panicked has told so by itself.
            join_all(calls.map(tokio::spawn)).await;
        }
    }
}

#[expect(
    clippy::unused_async,
    reason = "an async function that blocks is the very mistake"
)]
async fn fetch(work: Arc<Work>, index: usize) {
    work.block_on_call_caught(index);
}
