//! A program in six states, from the one it was found in to the one it was taken to: what
//! `docs/migrating.md` tells of.
//!
//! The program finds the cheapest way to buy an article: it asks several suppliers over HTTP, works
//! out how to split the order between them, keeps the answer in a database, and serves it over HTTP.
//!
//! Each step is a folder. A file that a step does not change is not in it: its `mod.rs` says where it
//! was changed last, so that this is what a reviewer of the step sees:
//!
//! ```text
//! diff -u src/step_1/suppliers.rs src/step_2/suppliers.rs
//! ```
//!
//! What is in no step is for looking at them: [`Stub`] is a supplier to ask, [`Browser`] a client,
//! and [`STEPS`] all of them alike. `cargo run --release -p migration` measures them, and
//! `tests/suite.rs` has the same tests for each.

#![expect(
    clippy::duplicate_mod,
    reason = "a step has the files of the one before, but for those that it changes"
)]

mod browser;
mod program;
mod stub;

pub mod step_0;
pub mod step_1;
pub mod step_2;
pub mod step_3;
pub mod step_4;
pub mod step_5;

pub use self::{
    browser::Browser,
    program::{Failure, Program, STEPS, Step},
    stub::{Goods, Mode, Stub},
};
