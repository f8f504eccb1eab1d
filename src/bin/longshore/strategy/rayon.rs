//! rayon: a lane on a pool of one thread a core, which is right for work that computes and wrong for
//! work that waits.

use std::sync::Arc;
use std::thread::available_parallelism;

use futures_util::future::join_all;
use longshore::Lane;

use super::Work;
use crate::wire::Failure;

/// Hands all calls to the lane and awaits them.
///
/// The calls have their own timeout, which starts with the request as it does for every other
/// strategy. A deadline of the lane would count the time in its queue as well.
pub(super) async fn run(work: &Arc<Work>) {
    let cores = available_parallelism().map_or(1, usize::from);
    let pool = match rayon::ThreadPoolBuilder::new()
        .num_threads(cores)
        .thread_name(|index| format!("rayon-{}", index + 1))
        .build()
    {
        Ok(pool) => Arc::new(pool),
        Err(error) => {
            for index in 0..work.calls.len() {
                work.end(index, Err(Failure::new("no thread", error.to_string())));
            }
            return;
        }
    };
    let limit = cores.min(work.limit);
    let lane = Lane::builder("cpu").limit(limit).rayon(pool).build();
    let calls = (0..work.calls.len()).map(|index| {
        let (job, lane) = (Arc::clone(work), &lane);
        async move {
            job.queue(index);
            if let Err(error) = lane.offload(move || job.block_on_call(index)).await {
                work.end(index, Err(Failure::lane(&error)));
            }
        }
    });
    join_all(calls).await;
}
