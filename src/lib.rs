//! Takes blocking calls off async threads and keeps them under control.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod sync;

pub mod cancel;
pub mod error;
pub mod job;
pub mod lane;

pub use self::{
    cancel::CancelToken,
    error::{Error, Panic, locate_panics},
    job::{Job, Task},
    lane::{Lane, offload},
};

#[cfg(all(test, not(feature = "tracing")))]
mod size {
    use crate::job::{Cell, Job};

    /// A cache line more or less here is a measurable part of what a hand-off costs.
    #[test]
    fn the_cell_of_a_small_job_takes_three_cache_lines() {
        fn size_of_cell<F, T>(_: F) -> usize
        where
            F: FnOnce(&Job) -> T + Send + 'static,
            T: Send + 'static,
        {
            size_of::<Cell<F, T>>() + 2 * size_of::<usize>()
        }
        let number = 7_u64;
        let size = size_of_cell(move |_: &Job| number);
        assert!(size <= 192, "{size} bytes with the counts of its Arc");
    }
}
