//! Measures every step, in one run.
//!
//! ```text
//! cargo run --release -p migration                  two minutes, and a table
//! cargo run --release -p migration -- --brief       a few seconds, and numbers that scatter
//! cargo run --release -p migration -- serve 0       the program as found, for you to ask
//! ```
//!
//! Each step runs in a process of its own. The suppliers, of which each takes 20 ms for an answer, and
//! the clients are in this one.

mod measure;
mod serve;

use std::{env, process::ExitCode};

use migration::Failure;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        [] => measure::all(false),
        ["--brief"] => measure::all(true),
        ["serve", step] => serve::to_a_reader(step),
        // What `measure` starts.
        ["--measured", step] => serve::to_our_parent(step),
        _ => Err("nothing, `--brief` or `serve STEP`".into()),
    }
}
