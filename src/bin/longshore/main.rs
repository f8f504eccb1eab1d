//! The command `longshore`: what a lane is worth, measured (`compare`), and a slow server to try
//! it on (`serve`).
//!
//! `compare` starts the server on a thread of its own and one process for each strategy, this same
//! executable, so that threads and memory are counted for each alone:
//!
//! ```text
//! compare ── order (stdin) ──►  process of a strategy:  runtime { strategy, heartbeat } │ observer
//!    │    ◄── events (stdout) ──                            │
//!    └─ server, 127.0.0.1  ◄──────── HTTP ──────────────────┘
//! ```
//!
//! It uses the library as any other program would, through its public API.

mod answers;
mod args;
mod child;
mod compare;
mod conclusion;
mod consent;
mod direct;
mod exit;
mod failure;
mod heartbeat;
mod html;
mod limits;
mod mask;
mod observer;
mod page;
mod plan;
mod progress;
mod proxy;
mod random;
mod report;
mod runner;
mod serve;
mod server;
mod signals;
mod stalls;
mod strategy;
mod summary;
mod table;
mod target;
mod targets;
mod usage;
mod value;
mod wire;

use crate::args::Command;
use crate::exit::Exit;

fn main() {
    let result = usage::parse().and_then(|command| match command {
        Command::Compare(args) => compare::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Strategy => child::run(),
    });
    let exit = result.err().unwrap_or(Exit::Success);
    // Not by returning: the threads of the server and of the signals run on.
    std::process::exit(i32::from(exit.report()))
}
