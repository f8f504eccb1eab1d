//! From a verdict to a report.

#[cfg(feature = "stall-stacks")]
use std::panic::{self, AssertUnwindSafe};

#[cfg(feature = "stall-stacks")]
use super::stack::{self, Modules, Snapshot, Walked};
use super::{
    BlockingCall,
    place::Place,
    proc::{self, Eye, Look, Names, Sleep},
    report::Stall,
    slot::View,
    trail::{Seen, Verdict},
};

/// Who is stuck.
pub(super) struct Found<'a> {
    pub(super) worker: Option<usize>,
    pub(super) thread: Option<u32>,
    pub(super) view: Option<&'a View>,
}

impl Found<'_> {
    /// With the name of the call, if there is one.
    pub(super) fn stall(
        self,
        verdict: Verdict,
        now: Seen,
        names: &mut Names,
        eye: &Eye,
        last: Option<&Look>,
    ) -> Stall {
        let sleep = verdict.sleep.clone();
        let mut stall = self.bare(verdict, now);
        let Some(sleep) = sleep else { return stall };
        let still = || {
            let look = eye.look();
            look.zip(last)
                .is_some_and(|(look, last)| look.same_sleep(last))
        };
        // Copied before anything that takes long: the thread may be somewhere else then.
        #[cfg(feature = "stall-stacks")]
        let copied = stall
            .thread
            .and_then(|thread| copied(thread, &sleep, still));
        names.forget(now.awake);
        stall.call = call_of(names, &sleep, still);
        #[cfg(feature = "stall-stacks")]
        {
            let walked = copied.and_then(|copy| walked(&copy, &mut Modules::now().ok()?));
            stall.stack = walked.map(Walked::stack);
        }
        stall
    }

    /// Without.
    pub(super) fn bare(self, verdict: Verdict, now: Seen) -> Stall {
        let named = self
            .view
            .and_then(|view| view.name.as_deref().map(str::to_owned));
        let poll = self.view.and_then(|view| view.poll);
        Stall {
            cause: verdict.cause,
            certainty: verdict.certainty,
            stalled_for: now.at.saturating_duration_since(verdict.began),
            total: None,
            worker: self.worker,
            thread: self.thread.filter(|thread| proc::is_of_the_system(*thread)),
            thread_name: named.or_else(|| Names::thread(self.thread?)),
            task: self.view.and_then(|view| view.task),
            watched_at: poll.and_then(|poll| Place::source(poll.place)),
            call: None,
            #[cfg(feature = "stall-stacks")]
            stack: None,
        }
    }
}

/// The call that a thread sleeps in, if that can be told; and, as long as it is `still` there, what that
/// is about.
pub(super) fn call_of(
    names: &mut Names,
    sleep: &Sleep,
    still: impl FnOnce() -> bool,
) -> Option<BlockingCall> {
    match sleep {
        Sleep::Call(registers) => names.call(registers, still),
        Sleep::Somewhere { .. } => None,
    }
}

/// A copy of the stack of a thread that sleeps there, if it `still` does afterwards.
#[cfg(feature = "stall-stacks")]
pub(super) fn copied(thread: u32, sleep: &Sleep, still: impl FnOnce() -> bool) -> Option<Snapshot> {
    let Sleep::Call(at) = sleep else { return None };
    stack::capture(thread, at.stack, at.program).filter(|_| still())
}

/// What is on it.
#[cfg(feature = "stall-stacks")]
pub(super) fn walked(snapshot: &Snapshot, modules: &mut Modules) -> Option<Walked> {
    // A file that is damaged in a way that nobody has thought of must not be the end of this look.
    panic::catch_unwind(AssertUnwindSafe(|| snapshot.walk(modules))).ok()
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        fs,
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        sync::mpsc,
        thread,
        time::{Duration, Instant},
    };

    use super::{
        super::{
            clock::Moment,
            proc::{State, this_thread},
            report::{Cause, Certainty},
        },
        *,
    };

    const PATIENCE: Duration = Duration::from_secs(60);

    thread_local! {
        static FIRST: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    }

    /// A table of the system's, once something else has happened.
    fn read_late(table: &str) -> Option<String> {
        if let Some(first) = FIRST.take() {
            first();
        }
        fs::read_to_string(format!("/proc/self/net/{table}")).ok()
    }

    /// Where there are many sockets the tables take longer than most calls.
    #[test]
    fn the_peer_is_named_of_a_call_that_is_over_before_the_tables_have_been_read() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("it has one");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let (mut peer, _) = listener.accept().expect("somebody came");
        let (tell, told) = mpsc::channel();
        let (tell_end, has_read) = mpsc::channel();
        let (over, is_over) = mpsc::channel::<()>();
        let reads = thread::spawn(move || {
            tell.send(this_thread()).expect("somebody listens");
            stream.read_exact(&mut [0]).expect("there is something");
            tell_end.send(()).expect("somebody listens");
            // It stays open.
            let _ = is_over.recv();
        });
        let eye = Eye::on(told.recv().expect("it says its number"));
        let end = Instant::now() + PATIENCE;
        let mut names = Names::read_by(read_late);
        let look = loop {
            assert!(Instant::now() < end, "it never reads");
            let look = eye.look().expect("it lives");
            let State::Asleep(sleep) = &look.state else {
                continue;
            };
            if call_of(&mut names, sleep, || true).is_some_and(|call| call.syscall == "recvfrom") {
                break look;
            }
        };
        let State::Asleep(sleep) = &look.state else {
            unreachable!("it sleeps")
        };
        let now = Seen {
            at: Instant::now(),
            awake: Moment(7),
        };
        FIRST.set(Some(Box::new(move || {
            peer.write_all(b"x").expect("it is open");
            has_read.recv().expect("it goes on");
        })));
        let verdict = Verdict {
            cause: Cause::BlockingCall,
            certainty: Certainty::OneCall,
            began: now.at,
            sleep: Some(sleep.clone()),
        };
        let found = Found {
            worker: Some(0),
            thread: None,
            view: None,
        };
        let stall = found.stall(verdict, now, &mut names, &eye, Some(&look));
        assert!(FIRST.take().is_none(), "no table was read");
        let peer = stall.call.and_then(|call| call.peer);
        assert_eq!(peer, Some(address.to_string()));
        drop(over);
        reads.join().expect("it does not panic");
    }
}
