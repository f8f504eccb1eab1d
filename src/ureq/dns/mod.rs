//! Host names to addresses, by a few threads and no more.
//!
//! `getaddrinfo` cannot be interrupted, and may take as long as it likes. So it is called on the
//! threads of a small lane of its own, whatever happens [`THREADS`] at the most; a call that is
//! given up leaves at once and the lookup goes on without it; one that has not begun when the last
//! who wanted it leaves never begins. Lookups of one name are one lookup, and its answer is good for
//! [`FRESH`] after it came.
//!
//! Invariants:
//!
//! 1. A name that is in the book as `Asked` has a job of the lane with its [`Answering`], the drop
//!    of which tells whoever waits: also where the job was never run.
//! 2. Whoever finds a question in the book is counted as interested in it under the book's lock, and
//!    a question that nobody is interested in is taken out under the same. So nobody is left with
//!    one that was withdrawn.
//! 3. Tasks are dropped under no lock: that may drop an `Answering`.
//!
//! Lock order: the book's, then a question's.

mod question;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::LazyLock,
    time::{Duration, Instant},
};

use self::question::{Answer, Question};
use super::stop::{Stop, Until, time_left};
use crate::{
    job::Job,
    lane::{Lane, Threads},
    sync::{Arc, Mutex},
};

/// How many lookups are under way at the most, in the whole process.
const THREADS: usize = 4;

/// How many more names may wait for one of the threads.
const QUEUE: usize = 1024;

/// How long an answer is used again. Short, as nobody knows how long its author meant it to last.
const FRESH: Duration = Duration::from_secs(5);

/// How many answers are kept at the most.
const KEPT: usize = 256;

/// How long a thread stays that has nothing to look up.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What the system is asked. Another function in tests.
type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// The addresses of a host, in the order of the system's preference, and at least one. Each has port 0:
/// they are of the socket's kind as one that is valid on a single link only has to say on which.
///
/// A literal is answered here; a name by the process's resolver.
pub(super) fn addresses(host: &str, until: Until) -> Result<Arc<[SocketAddr]>, Stop> {
    static RESOLVER: LazyLock<Resolver> = LazyLock::new(|| Resolver::new(by_the_system));
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(literal) => Ok(Arc::new([SocketAddr::new(literal, 0)])),
        Err(_) => RESOLVER.addresses(bare, until),
    }
}

fn by_the_system(host: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

struct Resolver {
    look_up: LookUp,
    lane: Lane,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    names: HashMap<Arc<str>, Name>,
}

enum Name {
    /// Somebody is looking it up.
    Asked(Arc<Question>),
    Known(Arc<[SocketAddr]>, Instant),
}

impl Resolver {
    fn new(look_up: LookUp) -> Self {
        Self {
            look_up,
            lane: Lane::builder("longshore-dns")
                .limit(THREADS)
                .queue(QUEUE)
                .own_threads(Threads::new().keep_alive(KEEP_ALIVE))
                .build(),
            book: Arc::default(),
        }
    }

    fn addresses(&self, host: &str, until: Until) -> Result<Arc<[SocketAddr]>, Stop> {
        let job = Job::current();
        time_left(job.as_ref(), until)?;
        match self.ask(host) {
            Name::Known(addresses, _) => Ok(addresses),
            Name::Asked(question) => match question.wait(job.as_ref(), until) {
                Ok(Answer::Addresses(addresses)) => Ok(addresses),
                Ok(Answer::Failed(kind, reason)) => Err(io::Error::new(kind, &*reason).into()),
                Err(stop) => {
                    self.leave(host, &question);
                    Err(stop)
                }
            },
        }
    }

    /// What the book has, after it was seen to that it has something.
    fn ask(&self, host: &str) -> Name {
        let now = Instant::now();
        let mut book = self.book.lock();
        match book.names.get(host) {
            Some(Name::Asked(question)) => {
                question.state.lock().interested += 1;
                return Name::Asked(question.clone());
            }
            Some(Name::Known(addresses, until)) if now < *until => {
                return Name::Known(addresses.clone(), *until);
            }
            Some(Name::Known(..)) | None => {}
        }
        let host: Arc<str> = host.into();
        let question = Arc::<Question>::default();
        question.state.lock().interested = 1;
        let name = Name::Asked(question.clone());
        book.names.insert(host.clone(), name);
        drop(book);

        let answering = Answering {
            host,
            question: question.clone(),
            book: self.book.clone(),
            answer: Answer::Failed(
                io::ErrorKind::Other,
                "the lookup could not be made: no thread, or too many names wait".into(),
            ),
        };
        let look_up = self.look_up;
        let handed_in = self.lane.try_offload(move || answering.by(look_up));
        // Refused, it was dropped, and has said so.
        question.state.lock().task = handed_in.ok();
        Name::Asked(question)
    }

    /// Somebody does not want the answer any more. Without anybody who does, a lookup that waits for
    /// a thread is in the way of others.
    fn leave(&self, host: &str, question: &Arc<Question>) {
        let mut book = self.book.lock();
        let mut state = question.state.lock();
        state.interested -= 1;
        let withdrawn = state.interested == 0 && !state.begun;
        let task = if withdrawn { state.task.take() } else { None };
        if withdrawn {
            book.forget(host, question);
        }
        drop((state, book));
        drop(task);
    }
}

/// The duty to answer. Its drop does, whatever it has come to by then.
struct Answering {
    host: Arc<str>,
    question: Arc<Question>,
    book: Arc<Mutex<Book>>,
    answer: Answer,
}

impl Answering {
    fn by(mut self, look_up: LookUp) {
        {
            let mut state = self.question.state.lock();
            if state.interested == 0 {
                return;
            }
            state.begun = true;
        }
        self.answer = match look_up(&self.host) {
            Ok(addresses) => Answer::Addresses(addresses.into()),
            Err(error) => Answer::Failed(error.kind(), error.to_string().into()),
        };
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut book = self.book.lock();
        match &self.answer {
            // A name without an address is not worth remembering, nor is a failure.
            Answer::Addresses(addresses) if !addresses.is_empty() => {
                let until = Instant::now() + FRESH;
                book.make_room();
                let known = Name::Known(addresses.clone(), until);
                book.names.insert(self.host.clone(), known);
            }
            Answer::Addresses(_) | Answer::Failed(..) => {
                book.forget(&self.host, &self.question);
            }
        }
        drop(book);
        self.question.answer(self.answer.clone());
    }
}

impl Book {
    /// Takes a question out. Another may have been asked about the same name meanwhile.
    fn forget(&mut self, host: &str, question: &Arc<Question>) {
        let asked = self.names.get(host);
        if matches!(asked, Some(Name::Asked(other)) if Arc::ptr_eq(other, question)) {
            self.names.remove(host);
        }
    }

    /// Forgets what is stale, and if need be the oldest answer.
    fn make_room(&mut self) {
        if self.names.len() < KEPT {
            return;
        }
        let now = Instant::now();
        self.names
            .retain(|_, name| !matches!(name, Name::Known(_, until) if *until <= now));
        let ages = self.names.iter().filter_map(|(host, name)| match name {
            Name::Known(_, until) => Some((*until, host.clone())),
            Name::Asked(_) => None,
        });
        let oldest = ages.min_by_key(|(until, _)| *until);
        if let Some((_, host)) = oldest.filter(|_| self.names.len() >= KEPT) {
            self.names.remove(&host);
        }
    }
}
