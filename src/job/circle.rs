//! Jobs that wait for each other in a circle.

use super::{Work, post::Awaited};
use crate::sync::Arc;

/// How long a chain of jobs is looked at, each of which waits for the next.
const CHAIN: usize = 1_000;

/// Whether a job that waits for `first` alone waits for itself in the end.
///
/// Every link is certain: a job that waits for one other job and for nothing else. Where each of
/// them does so at the same moment, nothing but a cancel can set them free. And whoever closes the
/// circle sees it closed, since it has told its own lane before it looks; if two close it at once,
/// both see it.
pub(super) fn closes_a_circle(me: &Arc<dyn Work>, first: &Awaited) -> bool {
    let mut chain = vec![first.clone()];
    loop {
        let last = &chain[chain.len() - 1];
        let Some(work) = last.work.upgrade() else {
            return false;
        };
        if std::ptr::addr_eq(Arc::as_ptr(&work), Arc::as_ptr(me)) {
            break;
        }
        match last.owner.clone().waits_for(&*work) {
            Some(next) if chain.len() < CHAIN => chain.push(next),
            _ => return false,
        }
    }
    // None of them has moved on while we looked.
    let stands = |awaited: &Awaited| {
        let work = awaited.work.upgrade();
        work.is_some_and(|work| !work.is_settled() && !work.cancels().is_cancelled())
    };
    chain.iter().all(stands)
}
