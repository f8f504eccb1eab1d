//! A lookup that is under way, and who waits for what comes of it.

use std::{io, net::SocketAddr};

use super::super::{
    park::wait_for,
    stop::{Stop, Until},
};
use crate::{
    job::{Job, Task},
    sync::{self, Arc, Mutex, Thread},
};

/// A lookup that is under way.
#[derive(Default)]
pub(super) struct Question {
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) answer: Option<Answer>,
    /// How many want the answer, whether they wait already or are about to.
    pub(super) interested: usize,
    pub(super) waiting: Vec<Thread>,
    /// The lookup is under way, and goes on whoever wants it.
    pub(super) begun: bool,
    /// Its job, to take it back.
    pub(super) task: Option<Task<()>>,
}

#[derive(Clone)]
pub(super) enum Answer {
    Addresses(Arc<[SocketAddr]>),
    /// Errors of the system cannot be cloned: this is what there is to know of one.
    Failed(io::ErrorKind, Arc<str>),
}

impl Question {
    /// Waits for the answer, but no longer than the job lasts and `until` allows.
    pub(super) fn wait(&self, job: Option<&Job>, until: Until) -> Result<Answer, Stop> {
        {
            let mut state = self.state.lock();
            if let Some(answer) = &state.answer {
                return Ok(answer.clone());
            }
            state.waiting.push(sync::current());
        }
        wait_for(job, until, || self.state.lock().answer.clone()).inspect_err(|_| {
            let me = sync::current().id();
            let waiting = &mut self.state.lock().waiting;
            waiting.retain(|thread| thread.id() != me);
        })
    }

    pub(super) fn answer(&self, answer: Answer) {
        let waiting = {
            let mut state = self.state.lock();
            state.answer = Some(answer);
            std::mem::take(&mut state.waiting)
        };
        waiting.iter().for_each(Thread::unpark);
    }
}
