//! spawn_blocking: the same calls on Tokio's blocking threads, as they come, without a lane.
//!
//! This is what one writes first when the naive way has failed, and for calls that all end it does
//! as well: nobody here gives up on a call, and the limit is kept by handing in no more at once.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::Work;
use crate::wire::Failure;

pub(super) async fn run(work: &Arc<Work>) {
    stream::iter(0..work.calls.len())
        .for_each_concurrent(work.limit, |index| async move {
            let job = Arc::clone(work);
            work.queue(index);
            let task = tokio::task::spawn_blocking(move || job.block_on_call_caught(index));
            if let Err(error) = task.await {
                work.end(index, Err(Failure::new("no thread", error.to_string())));
            }
        })
        .await;
}
