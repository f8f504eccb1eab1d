//! The steps, all alike.

use std::{error::Error, net::SocketAddr};

use crate::{step_0, step_1, step_2, step_3, step_4, step_5};

/// Whatever went wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The program in one of its states, while it runs.
pub trait Program: Send {
    /// Where its API listens.
    fn address(&self) -> SocketAddr;

    /// Ends it in good order.
    fn stop(self: Box<Self>);
}

/// One of the states of the program.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// How many steps it is from where it was found.
    pub number: usize,
    /// What the step has changed.
    pub title: &'static str,
    /// Starts it, with a configuration in JSON.
    pub start: fn(&str) -> Result<Box<dyn Program>, Failure>,
}

/// The states, in order.
pub const STEPS: [Step; 6] = [
    step(0, "as found", |config| running(step_0::start(config))),
    step(1, "a lane for each supplier", |config| {
        running(step_1::start(config))
    }),
    step(2, "all suppliers at once", |config| {
        running(step_2::start(config))
    }),
    step(3, "readers and a writer", |config| {
        running(step_3::start(config))
    }),
    step(4, "async above the edges", |config| {
        running(step_4::start(config))
    }),
    step(5, "computing on the cores", |config| {
        running(step_5::start(config))
    }),
];

const fn step(
    number: usize,
    title: &'static str,
    start: fn(&str) -> Result<Box<dyn Program>, Failure>,
) -> Step {
    Step {
        number,
        title,
        start,
    }
}

fn running<P, E>(started: Result<P, E>) -> Result<Box<dyn Program>, Failure>
where
    P: Program + 'static,
    E: Error + Send + Sync + 'static,
{
    Ok(Box::new(started?))
}

macro_rules! programs {
    ($($step:ident),*) => {$(
        impl Program for $step::Server {
            fn address(&self) -> SocketAddr {
                self.address()
            }

            fn stop(self: Box<Self>) {
                (*self).stop();
            }
        }
    )*};
}

// In the second step and the third the API is that of the first, and a type of its own all the same.
programs!(step_0, step_1, step_2, step_3, step_4, step_5);
