// The chapters are Markdown in `docs`, for those who read the repository, and modules here, for those
// who read the documentation. Every block of Rust in them is tested as documentation, and so is the
// program of each chapter, which is put after it; `tests/it/tutorial.rs` holds the one against the
// other. What differs between the two ways to read is where a link leads. Where a link is defined twice,
// Markdown takes the first definition: so those here, which the compiler checks, stand before a chapter,
// and its own count where it is read by itself.

//! [1]: chapter_01
//! [2]: chapter_02
//! [3]: chapter_03
//! [4]: chapter_04
//! [5]: chapter_05
//! [6]: chapter_06
//! [7]: chapter_07
//! [8]: chapter_08
//! [9]: chapter_09
//! [10]: chapter_10
//! [11]: chapter_11
//! [12]: chapter_12
//! [13]: chapter_13
//! [migrating]: migrating
//! [service]: service
//! [`Resource`]: crate::Resource
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
/// [next]: chapter_07
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

/// [`Client`]: crate::ureq::Client
/// [contents]: self
/// [error]: crate::ureq::Error
/// [next]: chapter_08
/// [previous]: chapter_06
/// [program]: #the-whole-program
///
#[doc = include_str!("../docs/07-bodies.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/07_bodies.rs")]
/// ```
pub mod chapter_07 {}

/// [contents]: self
/// [`Failed`]: crate::group::Failed
/// [`Group`]: crate::Group
/// [`join_all`]: crate::Group::join_all
/// [next]: chapter_09
/// [`next`]: crate::Group::next
/// [previous]: chapter_07
/// [program]: #the-whole-program
/// [`shutdown`]: crate::Group::shutdown
/// [`try_join_all`]: crate::Group::try_join_all
///
#[doc = include_str!("../docs/08-no-orphans.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/08_groups.rs")]
/// ```
pub mod chapter_08 {}

/// [`block_on`]: crate::Job::block_on
/// [`Bridge::start`]: crate::Bridge::start
/// [`call`]: crate::Bridge::call
/// [contents]: self
/// [`Job`]: crate::Job
/// [next]: chapter_10
/// [previous]: chapter_08
/// [program]: #the-whole-program
///
#[doc = include_str!("../docs/09-bridge.md")]
///
/// # The whole program
///
/// ```
#[doc = include_str!("../examples/09_bridge.rs")]
/// ```
pub mod chapter_09 {}

/// [contents]: self
/// [next]: chapter_11
/// [previous]: chapter_09
/// [program]: #the-whole-program
///
#[cfg_attr(feature = "rayon", doc = include_str!("../docs/10-computing.md"))]
#[cfg_attr(feature = "rayon", doc = "\n# The whole program\n\n```")]
#[cfg_attr(feature = "rayon", doc = include_str!("../examples/10_cpu.rs"))]
#[cfg_attr(feature = "rayon", doc = "```")]
#[cfg_attr(
    not(feature = "rayon"),
    doc = "# 10. Work that computes\n\nTo read this chapter here: `cargo doc --features full`."
)]
pub mod chapter_10 {}

#[cfg_attr(feature = "fetch", doc = "[contents]: self")]
#[cfg_attr(
    feature = "fetch",
    doc = "[`fetch_all`]: crate::fetch::Fetcher::fetch_all"
)]
#[cfg_attr(feature = "fetch", doc = "[`Fetcher`]: crate::fetch::Fetcher")]
#[cfg_attr(
    feature = "fetch",
    doc = "[`look_ahead`]: crate::fetch::Fetcher::look_ahead"
)]
#[cfg_attr(feature = "fetch", doc = "[next]: chapter_12")]
#[cfg_attr(feature = "fetch", doc = "[previous]: chapter_10")]
#[cfg_attr(feature = "fetch", doc = "[program]: #the-whole-program\n")]
#[cfg_attr(feature = "fetch", doc = include_str!("../docs/11-fetcher.md"))]
#[cfg_attr(feature = "fetch", doc = "\n# The whole program\n\n```")]
#[cfg_attr(feature = "fetch", doc = include_str!("../examples/11_fetcher.rs"))]
#[cfg_attr(feature = "fetch", doc = "```")]
#[cfg_attr(
    not(feature = "fetch"),
    doc = "# 11. Many calls, each with its own outcome\n\nTo read this chapter here: `cargo doc --features full`."
)]
pub mod chapter_11 {}

/// [agent]: crate::ureq::agent
/// [`Bridge`]: crate::Bridge
/// [client]: crate::ureq::Client
/// [contents]: self
/// [migrating]: migrating
/// [next]: chapter_13
/// [own]: crate::lane::Builder::own_threads
/// [previous]: chapter_11
/// [program]: #the-whole-program
/// [`Resource`]: crate::Resource
///
#[cfg_attr(feature = "cli", doc = include_str!("../docs/12-going-native.md"))]
#[cfg_attr(feature = "cli", doc = "\n# The whole program\n\n```")]
#[cfg_attr(feature = "cli", doc = include_str!("../examples/12_native.rs"))]
#[cfg_attr(feature = "cli", doc = "```")]
#[cfg_attr(
    not(feature = "cli"),
    doc = "# 12. Going native, and how to choose\n\nTo read this chapter here: `cargo doc --features full`."
)]
pub mod chapter_12 {}

#[cfg_attr(feature = "stall", doc = "[6]: chapter_06")]
#[cfg_attr(feature = "stall", doc = "[contents]: self")]
#[cfg_attr(feature = "stall", doc = "[how-to]: crate::stall::guide")]
#[cfg_attr(feature = "stall", doc = "[migrating]: migrating")]
#[cfg_attr(feature = "stall", doc = "[previous]: chapter_12")]
#[cfg_attr(feature = "stall", doc = "[program]: #the-whole-program\n")]
#[cfg_attr(feature = "stall", doc = include_str!("../docs/13-finding-what-blocks.md"))]
#[cfg_attr(feature = "stall", doc = "\n# The whole program\n\n```")]
#[cfg_attr(feature = "stall", doc = include_str!("../examples/13_stalls.rs"))]
#[cfg_attr(feature = "stall", doc = "```")]
#[cfg_attr(
    not(feature = "stall"),
    doc = "# 13. The calls that are left\n\nTo read this chapter here: `cargo doc --features full`."
)]
pub mod chapter_13 {}

#[cfg_attr(feature = "stall", doc = "[stalls]: crate::stall::guide")]
/// [2]: chapter_02
/// [4]: chapter_04
/// [6]: chapter_06
/// [8]: chapter_08
/// [9]: chapter_09
/// [10]: chapter_10
/// [12]: chapter_12
/// [`Bridge`]: crate::Bridge
/// [`Bridge::call`]: crate::Bridge::call
/// [contents]: self
/// [`Group`]: crate::Group
/// [`Job::current`]: crate::Job::current
/// [previous]: chapter_13
/// [`Resource`]: crate::Resource
/// [`ResourcePool`]: crate::ResourcePool
/// [service]: service
/// [`Task`]: crate::Task
///
#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}

#[cfg_attr(feature = "stall", doc = "[stalls]: crate::stall::guide")]
/// [contents]: self
/// [program]: #the-whole-program
///
#[doc = include_str!("../docs/service.md")]
///
/// # The whole program
///
/// ```no_run
#[doc = include_str!("../examples/service.rs")]
/// ```
pub mod service {}
