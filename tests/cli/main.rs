//! The command `longshore`, run as its users run it: its promises, and the fault rows L1-L10.
//!
//! Every run is watched: one that has not ended after its time is killed, and the test fails with
//! what it had printed and with what its threads waited for.

mod browser;
mod failures;
mod html;
mod html_file;
mod input;
mod limits;
mod output;
mod peer;
mod pty;
mod run;
mod serve;
mod signals;
mod story;
mod targets;
mod terminal;
