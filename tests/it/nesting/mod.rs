//! K8: jobs that wait for jobs, of their own lane too.

mod circles;
mod giving_up;
mod slots;
mod waiting;
mod ways;

use longshore::{Lane, Task};

use crate::support::Meter;

/// A job that waits for a job that waits for a job, and so on; how deep it was.
fn descend(lane: &Lane, inside: &Meter, depth: usize) -> Task<usize> {
    let (next, meter) = (lane.clone(), inside.clone());
    lane.offload_with(move |job| {
        drop(meter.enter());
        if depth == 0 {
            return 0;
        }
        let below = job.block_on(descend(&next, &meter, depth - 1));
        let _inside = meter.enter();
        below.expect("nobody cancels it").expect("it has a slot") + 1
    })
}
