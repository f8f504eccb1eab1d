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

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs as _},
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::{
    call,
    stop::{Stop, Until, time_left},
};
use crate::{
    job::{Job, Task},
    lane::{Lane, Threads},
    sync::{self, Arc, Mutex, Patience, Thread},
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
type LookUp = fn(&str) -> io::Result<Vec<IpAddr>>;

/// The addresses of a host, in the order of the system's preference, and at least one.
///
/// A literal is answered here; a name by the process's resolver.
pub(super) fn addresses(host: &str, until: Until) -> Result<Arc<[IpAddr]>, Stop> {
    static RESOLVER: LazyLock<Resolver> = LazyLock::new(|| Resolver::new(by_the_system));
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse() {
        Ok(literal) => Ok(Arc::new([literal])),
        Err(_) => RESOLVER.addresses(bare, until),
    }
}

fn by_the_system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
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
    Known(Arc<[IpAddr]>, Instant),
}

/// A lookup that is under way.
#[derive(Default)]
struct Question {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    /// How many want the answer, whether they wait already or are about to.
    interested: usize,
    waiting: Vec<Thread>,
    /// The lookup is under way, and goes on whoever wants it.
    begun: bool,
    /// Its job, to take it back.
    task: Option<Task<()>>,
}

#[derive(Clone)]
enum Answer {
    Addresses(Arc<[IpAddr]>),
    /// Errors of the system cannot be cloned: this is what there is to know of one.
    Failed(io::ErrorKind, Arc<str>),
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

    fn addresses(&self, host: &str, until: Until) -> Result<Arc<[IpAddr]>, Stop> {
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

impl Question {
    /// Waits for the answer, but no longer than the job lasts and `until` allows.
    fn wait(&self, job: Option<&Job>, until: Until) -> Result<Answer, Stop> {
        {
            let mut state = self.state.lock();
            if let Some(answer) = &state.answer {
                return Ok(answer.clone());
            }
            state.waiting.push(sync::current());
        }
        call::waits();
        let me = sync::current();
        let _hook = job.map(|job| job.on_cancel(move || me.unpark()));
        loop {
            if let Some(answer) = &self.state.lock().answer {
                return Ok(answer.clone());
            }
            match time_left(job, until) {
                Ok(left) => drop(Patience::lasting(left.unwrap_or(Duration::MAX)).park()),
                Err(stop) => {
                    let me = sync::current().id();
                    let waiting = &mut self.state.lock().waiting;
                    waiting.retain(|thread| thread.id() != me);
                    return Err(stop);
                }
            }
        }
    }

    fn answer(&self, answer: Answer) {
        let waiting = {
            let mut state = self.state.lock();
            state.answer = Some(answer);
            std::mem::take(&mut state.waiting)
        };
        waiting.iter().for_each(Thread::unpark);
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;

    const FOR_EVER: Until = Until::NEVER;

    #[test]
    fn a_literal_is_its_own_address() {
        for (host, address) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::1", "::1")] {
            let expected: IpAddr = address.parse().unwrap();
            assert_eq!(&*addresses(host, FOR_EVER).unwrap(), [expected]);
        }
    }

    #[test]
    fn lookups_of_one_name_are_one_lookup() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        static GATE: Barrier = Barrier::new(2);
        let resolver = Resolver::new(|_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            GATE.wait();
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        thread::scope(|scope| {
            let callers: Vec<_> = (0..10)
                .map(|_| scope.spawn(|| resolver.addresses("one.test", FOR_EVER)))
                .collect();
            let waiting = || match resolver.book.lock().names.get("one.test") {
                Some(Name::Asked(question)) => question.state.lock().waiting.len(),
                _ => 0,
            };
            while waiting() < 10 {
                thread::yield_now();
            }
            GATE.wait();
            for caller in callers {
                assert_eq!(caller.join().unwrap().unwrap().len(), 1);
            }
        });
        // And the answer is good for a while.
        assert!(resolver.addresses("one.test", FOR_EVER).is_ok());
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_answer_is_asked_for_again_after_five_seconds() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::new(|_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        let before = Instant::now();
        resolver.addresses("old.test", FOR_EVER).unwrap();
        let after = Instant::now();
        match resolver.book.lock().names.get_mut("old.test") {
            Some(Name::Known(_, until)) => {
                let five = Duration::from_secs(5);
                assert!((before + five..=after + five).contains(until));
                // As if they were over.
                *until = after;
            }
            _ => panic!("it is remembered"),
        }
        resolver.addresses("old.test", FOR_EVER).unwrap();
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    }

    /// C3. The thread of the one is free while the lookup still hangs, and the other is told.
    #[test]
    fn one_of_two_jobs_that_wait_for_an_answer_can_be_cancelled() {
        static GATE: Barrier = Barrier::new(2);
        let resolver: &Resolver = Box::leak(Box::new(Resolver::new(|_| {
            GATE.wait();
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        })));
        let lane = Lane::builder("callers")
            .limit(2)
            .own_threads(Threads::new())
            .build();
        let ask = || lane.offload(|| resolver.addresses("shared.test", FOR_EVER).is_ok());
        let (given_up, kept) = (ask(), ask());
        let waiting = || match resolver.book.lock().names.get("shared.test") {
            Some(Name::Asked(question)) => question.state.lock().waiting.len(),
            _ => 0,
        };
        let until = |is_so: &dyn Fn() -> bool| {
            while !is_so() {
                thread::yield_now();
            }
        };
        until(&|| waiting() == 2);
        drop(given_up);
        until(&|| lane.stats().draining == 0);
        assert_eq!((lane.stats().running, waiting()), (1, 1));
        GATE.wait();
        assert!(crate::job::block_on(kept).unwrap());
    }

    #[test]
    fn a_failure_is_told_to_all_and_not_remembered() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::new(|host| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Err(io::Error::new(io::ErrorKind::NotFound, host))
        });
        for _ in 0..2 {
            let stop = resolver.addresses("none.test", FOR_EVER).unwrap_err();
            assert!(matches!(stop, Stop::Io(error) if error.kind() == io::ErrorKind::NotFound));
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
        assert!(resolver.book.lock().names.is_empty());
    }

    #[test]
    fn a_lookup_that_hangs_is_left_at_the_deadline_and_holds_one_thread() {
        static GATE: Barrier = Barrier::new(2);
        let resolver = Resolver::new(|_| {
            GATE.wait();
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        for _ in 0..20 {
            let soon = Until::after(Some(Duration::from_millis(1)));
            let stop = resolver.addresses("hangs.test", soon).unwrap_err();
            assert!(matches!(stop, Stop::Timeout));
        }
        let stats = resolver.lane.stats();
        assert_eq!((stats.running + stats.draining, stats.waiting), (1, 0));
        GATE.wait();
    }

    #[test]
    fn however_many_names_hang_four_threads_do() {
        static GATE: Barrier = Barrier::new(THREADS + 1);
        static INSIDE: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::new(|host| {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            if host.starts_with("hangs") {
                GATE.wait();
            }
            Err(io::ErrorKind::NotFound.into())
        });
        let soon = || Until::after(Some(Duration::from_millis(1)));
        for n in 0..THREADS {
            assert!(
                resolver
                    .addresses(&format!("hangs{n}.test"), soon())
                    .is_err()
            );
        }
        while INSIDE.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        for n in 0..40 {
            assert!(
                resolver
                    .addresses(&format!("late{n}.test"), soon())
                    .is_err()
            );
        }
        let stats = resolver.lane.stats();
        assert_eq!(stats.running + stats.draining, THREADS);
        assert_eq!(INSIDE.load(Ordering::SeqCst), THREADS);
        GATE.wait();
        while resolver.lane.stats().waiting > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_lookup_that_nobody_wants_any_more_does_not_begin() {
        static GATE: Barrier = Barrier::new(THREADS + 1);
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::new(|host| {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            if host.starts_with("hangs") {
                GATE.wait();
            }
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        let soon = || Until::after(Some(Duration::from_millis(1)));
        for n in 0..THREADS {
            // One that was given up before its thread came has not begun, and is asked for again.
            while BEGUN.load(Ordering::SeqCst) <= n {
                let name = format!("hangs{n}.test");
                assert!(resolver.addresses(&name, soon()).is_err());
            }
        }
        for n in 0..100 {
            assert!(
                resolver
                    .addresses(&format!("given{n}.test"), soon())
                    .is_err()
            );
            assert_eq!(resolver.lane.stats().waiting, 0);
        }
        assert_eq!(resolver.book.lock().names.len(), THREADS);
        GATE.wait();
        // Asked for again, it is a new question.
        assert!(resolver.addresses("given7.test", FOR_EVER).is_ok());
        assert_eq!(BEGUN.load(Ordering::SeqCst), THREADS + 1);
    }

    #[test]
    fn the_book_does_not_grow_without_end() {
        let resolver = Resolver::new(|_| Ok(vec![IpAddr::from([127, 0, 0, 1])]));
        for n in 0..2 * KEPT {
            resolver.addresses(&format!("n{n}.test"), FOR_EVER).unwrap();
        }
        assert!(resolver.book.lock().names.len() <= KEPT);
    }
}
