//! A TCP connection whose every wait ends when the job does.
//!
//! Invariants:
//!
//! 1. The socket never blocks; a thread waits in [`wait`] only, for the socket, for its own
//!    [`Wake`](super::wake::Wake), and for the time to run out.
//! 2. The job is asked before each operation, not only before a wait: a peer that is always ready
//!    never brings a thread to wait.
//! 3. A connection on which an operation failed or was stopped is spoiled, and never open again.

use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketType, sockopt::socket_error},
};

use super::{
    call,
    send::{Sent, write_all},
    stop::{Stop, Until, time_left},
    wake,
};
use crate::job::Job;

/// The longest wait that the system is asked for; a longer one is made of several.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a thread waits at a time that nobody can wake.
const NOW_AND_THEN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Socket {
    /// Shared, so that `ureq::Agent::shutdown` finds what to shut down.
    stream: Arc<TcpStream>,
    spoiled: bool,
}

impl Socket {
    /// Connects, or says why not in time.
    pub(super) fn connect(address: SocketAddr, until: Until) -> Result<Self, Stop> {
        let job = Job::current();
        time_left(job.as_ref(), until)?;
        let stream = open(address)?;
        match rustix::net::connect(&stream, &address) {
            Ok(()) => {}
            Err(Errno::INPROGRESS | Errno::WOULDBLOCK | Errno::INTR) => {
                wait(&stream, PollFlags::OUT, until)?;
                socket_error(&stream)
                    .and_then(|outcome| outcome)
                    .map_err(io::Error::from)?;
            }
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
        Ok(Self {
            stream: Arc::new(stream),
            spoiled: false,
        })
    }

    pub(super) fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Reads what there is. `Ok(0)` is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8], until: Until) -> Result<usize, Stop> {
        loop {
            if let Some(read) = self.try_read(buffer, until)? {
                return Ok(read);
            }
            self.await_input(until)?;
        }
    }

    /// Reads what there is, if there is anything.
    pub(super) fn try_read(
        &mut self,
        buffer: &mut [u8],
        until: Until,
    ) -> Result<Option<usize>, Stop> {
        self.unless_it_fails(|stream| {
            loop {
                time_left(Job::current().as_ref(), until)?;
                match (&mut &*stream).read(buffer) {
                    Ok(read) => return Ok(Some(read)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }

    /// Waits until there is something to read. To run out of time is no failure of the connection:
    /// whoever waits for leave to send a body goes on then.
    pub(super) fn await_input(&mut self, until: Until) -> Result<(), Stop> {
        let outcome = wait(&self.stream, PollFlags::IN, until).map(drop);
        self.spoiled |= !matches!(outcome, Ok(()) | Err(Stop::Timeout));
        outcome
    }

    /// Writes all of it, unless the peer answers before it has it all. `heard` is what was read and
    /// nobody has used, which is where an answer would begin; `goes_on` if it may be one to what was
    /// written before.
    pub(super) fn write_all(
        &mut self,
        heard: &[u8],
        goes_on: bool,
        data: &[u8],
        until: Until,
    ) -> Result<Sent, Stop> {
        let sent = self.unless_it_fails(|stream| write_all(stream, heard, goes_on, data, until));
        // What was left out would be missing if anything else were sent on it.
        self.spoiled |= matches!(sent, Ok(Sent::Answered { .. }));
        sent
    }

    /// As a reader and a writer, up to a time. What stops it is kept in its errors.
    pub(super) fn until(&mut self, end: Until) -> Conversation<'_> {
        Conversation { socket: self, end }
    }

    /// Whether a request may be sent on it: nothing went wrong, the peer has not closed it, and
    /// nothing has come that nobody asked for.
    pub(super) fn is_open(&self) -> bool {
        let quiet = || match self.stream.peek(&mut [0]) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.is_sound() && quiet()
    }

    /// Whether nothing went wrong on it that we know of.
    pub(super) fn is_sound(&self) -> bool {
        !self.spoiled
    }

    fn unless_it_fails<T>(
        &mut self,
        operation: impl FnOnce(&TcpStream) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let result = operation(&self.stream);
        self.spoiled |= result.is_err();
        result
    }
}

/// What is said on a socket before the first request.
pub(super) struct Conversation<'a> {
    socket: &'a mut Socket,
    end: Until,
}

impl io::Read for Conversation<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.read(buffer, self.end)?)
    }
}

impl io::Write for Conversation<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.write_all(&[], false, data, self.end)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that does not block, and that no child process inherits; but on Windows, where rustix has no
/// word for the latter, one does that is given handles at all.
fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    // The standard library sets Winsock up with its first socket, rustix does not.
    #[cfg(windows)]
    wake::mine()?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let socket = {
        use rustix::net::SocketFlags;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socket_with(family, SocketType::STREAM, flags, None)?
    };
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let socket = {
        let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
        #[cfg(unix)]
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        socket
    };
    // Elsewhere the standard library says with each write that it wants no signal for a closed connection.
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    let stream = TcpStream::from(socket);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Waits for one of `events`, or for an error that the next operation will tell, and says which.
/// No longer than the job lasts and `until` allows.
///
/// ```text
///  worker     hook ──► job asked ──► poll { socket, wake } ───► hook taken back ──► job asked
///                                             ▲
///  canceller                 flag ──► hook ── write
/// ```
///
/// The hook is in place before the job is asked, so a cancel either is seen there or writes; and
/// it has been taken back before the descriptor is cleared, so nothing of this job is left for the
/// next wait.
pub(super) fn wait(stream: &TcpStream, events: PollFlags, until: Until) -> Result<PollFlags, Stop> {
    call::waits();
    let Some(job) = Job::current() else {
        loop {
            let ready = poll_once(stream, events, None, time_left(None, until)?)?;
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
    };
    // With no descriptor left for it, the job is asked every now and then instead.
    let wake = wake::mine().ok();
    let hook = wake.clone().map(|wake| job.on_cancel(move || wake.wake()));
    let waited = (|| {
        loop {
            let mut left = time_left(Some(&job), until)?;
            if wake.is_none() {
                left = Some(left.map_or(NOW_AND_THEN, |left| left.min(NOW_AND_THEN)));
            }
            let ready = poll_once(stream, events, wake.as_deref(), left)?;
            if !ready.is_empty() {
                // Both may have happened at once.
                return time_left(Some(&job), until).map(|_| ready);
            }
        }
    })();
    drop(hook);
    if let Some(wake) = wake.filter(|_| job.is_cancelled()) {
        wake.clear();
    }
    waited
}

/// Polls once: for what the socket is ready, nothing if it was for another reason.
fn poll_once(
    stream: &TcpStream,
    events: PollFlags,
    wake: Option<&wake::Wake>,
    time: Option<Duration>,
) -> io::Result<PollFlags> {
    let time = time.map(|time| {
        // To the next full microsecond: to wake too early would be to wake twice.
        let time = time.min(LONGEST) + Duration::from_micros(1);
        Timespec::try_from(time).expect("a day fits")
    });
    let socket = PollFd::new(stream, events);
    let polled = match wake {
        Some(wake) => {
            let mut both = [socket, PollFd::new(wake, PollFlags::IN)];
            poll(&mut both, time.as_ref()).map(|_| both[0].revents())
        }
        None => {
            let mut one = [socket];
            poll(&mut one, time.as_ref()).map(|_| one[0].revents())
        }
    };
    match polled {
        Err(Errno::INTR) => Ok(PollFlags::empty()),
        polled => Ok(polled?),
    }
}

#[cfg(all(test, target_vendor = "apple"))]
mod tests {
    use super::*;

    #[test]
    fn a_write_to_a_closed_connection_is_no_signal() {
        let stream = open(SocketAddr::from(([127, 0, 0, 1], 0))).expect("there is a socket");
        let is_set = rustix::net::sockopt::socket_nosigpipe(&stream);
        assert!(is_set.expect("it can be asked"));
    }
}
