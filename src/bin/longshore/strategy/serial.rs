//! Serial: one call after the other, as a program without async would make them.

use super::Work;

pub(super) fn run(work: &Work) {
    for index in 0..work.calls.len() {
        work.block_on_call_caught(index);
    }
}
