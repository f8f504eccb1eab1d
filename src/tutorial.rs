//! The chapters of the tutorial.
//!
//! They are Markdown in `docs`, for those who read the repository, and modules here, for those who
//! read the documentation. Every block of Rust in them is tested as documentation, and so is the
//! program of each chapter, which is put after it. What differs between the two ways to read is where
//! a link leads. Where a name is defined twice, Markdown takes the first definition: so those here,
//! which the compiler checks, stand before a chapter, and its own count where it is read by itself.
//!
//! [1]: chapter_01
//! [2]: chapter_02
//! [3]: chapter_03
//! [4]: chapter_04
//! [5]: chapter_05
//! [6]: chapter_06
#![doc = include_str!("../docs/tutorial.md")]

/// [contents]: self
/// [next]: chapter_02
/// [program]: #the-whole-program
///
#[doc = include_str!("../docs/01-eighteen-seconds.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/01_serial.rs")]
/// ```
pub mod chapter_01 {}

/// [contents]: self
/// [next]: chapter_03
/// [previous]: chapter_01
/// [program]: #the-whole-program
///
#[doc = include_str!("../docs/02-async-by-name.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/02_naive.rs")]
/// ```
pub mod chapter_02 {}

/// [contents]: self
/// [error]: crate::Error
/// [next]: chapter_04
/// [`offload`]: crate::Lane::offload
/// [previous]: chapter_02
/// [program]: #the-whole-program
/// [`Task`]: crate::Task
///
#[doc = include_str!("../docs/03-off-the-thread.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/03_offload.rs")]
/// ```
pub mod chapter_03 {}

/// [contents]: self
/// [`limit`]: crate::lane::Builder::limit
/// [`map`]: crate::Lane::map
/// [next]: chapter_05
/// [previous]: chapter_03
/// [program]: #the-whole-program
/// [`reserve`]: crate::Lane::reserve
///
#[doc = include_str!("../docs/04-one-lane-each.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/04_lanes.rs")]
/// ```
pub mod chapter_04 {}

/// [contents]: self
/// [`Lane::timeout`]: crate::Lane::timeout
/// [next]: chapter_06
/// [previous]: chapter_04
/// [program]: #the-whole-program
/// [`Task`]: crate::Task
///
#[doc = include_str!("../docs/05-timeouts.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/05_timeouts.rs")]
/// ```
pub mod chapter_05 {}

/// [agent]: crate::ureq::agent
/// [`check`]: crate::Job::check
/// [contents]: self
/// [`Job`]: crate::Job
/// [`on_cancel`]: crate::Job::on_cancel
/// [previous]: chapter_05
/// [program]: #the-whole-program
/// [`remaining`]: crate::Job::remaining
///
#[doc = include_str!("../docs/06-cancel.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/06_cancel.rs")]
/// ```
pub mod chapter_06 {}
