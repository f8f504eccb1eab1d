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
    io::{self, Read as _, Write as _},
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
    interim::{self, Interim},
    stop::{Stop, Until, time_left},
    wake,
};
use crate::job::Job;

/// The longest wait that the system is asked for; a longer one is made of several.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a thread waits at a time that nobody can wake.
const NOW_AND_THEN: Duration = Duration::from_millis(10);

/// After how long to look again at what a peer has begun to say.
const AGAIN: Duration = Duration::from_millis(25);

/// How much of what it says is looked at: some hints, and the beginning of what follows them.
const LOOKED_AT: usize = 4096;

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

    /// Writes all of it, unless the peer answers before it has it all.
    pub(super) fn write_all(&mut self, data: &[u8], until: Until) -> Result<Sent, Stop> {
        let sent = self.unless_it_fails(|stream| write_all(stream, data, until));
        // What was left out would be missing if anything else were sent on it.
        self.spoiled |= matches!(sent, Ok(Sent::Answered));
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
        self.socket.write_all(data, self.end)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What became of what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The peer has answered and takes no more of it.
    Answered,
}

fn write_all(mut stream: &TcpStream, mut data: &[u8], until: Until) -> Result<Sent, Stop> {
    let mut said = Said::Nothing;
    while !data.is_empty() {
        time_left(Job::current().as_ref(), until)?;
        if !call::may_send() {
            return Err(Stop::Cancelled);
        }
        match stream.write(data) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(written) => {
                call::count_sent(written);
                data = &data[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = wait_to_write(stream, said, until)?;
                let may_have_spoken = ready.is_empty() || ready.contains(PollFlags::IN);
                if may_have_spoken && !ready.contains(PollFlags::OUT) {
                    match answer(stream) {
                        Ok(b'4' | b'5') => return Ok(Sent::Answered),
                        // It may well say something else, and still want the rest.
                        Ok(_) => said = Said::Enough,
                        Err(so_far) => said = so_far,
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It has closed the connection. Did it say why?
            Err(_) if matches!(answer(stream), Ok(b'2'..=b'5')) => return Ok(Sent::Answered),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Sent::All)
}

/// What a peer has said while something was sent to it, which may be that it wants no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// No more than a 1xx, or the beginning of an answer.
    Little,
    /// All that there is to know, or nothing that could be made sense of.
    Enough,
}

/// Waits until something can be written, or until there may be more to hear.
fn wait_to_write(stream: &TcpStream, said: Said, until: Until) -> Result<PollFlags, Stop> {
    match said {
        Said::Nothing => wait(stream, PollFlags::OUT | PollFlags::IN, until),
        // It is not taken, so to wait for it would be to wait for nothing.
        Said::Little => match wait(stream, PollFlags::OUT, until.within(AGAIN)) {
            // Whoever tries to write next sees whether it was only that.
            Err(Stop::Timeout) => Ok(PollFlags::empty()),
            ready => ready,
        },
        Said::Enough => wait(stream, PollFlags::OUT, until),
    }
}

/// The first digit of the status, if what can be read is a response that is not encrypted. That of
/// the last, where others come before it that only put it off.
fn answer(stream: &TcpStream) -> Result<u8, Said> {
    let mut buffer = [0; LOOKED_AT];
    let heard = match stream.peek(&mut buffer) {
        Ok(read) => &buffer[..read],
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Said::Nothing),
        Err(_) => return Err(Said::Enough),
    };
    let is_http = |line: &[u8]| line.iter().zip(b"HTTP/1.").all(|(is, ought)| is == ought);
    if heard.is_empty() || !is_http(heard.trim_ascii_start()) {
        return Err(Said::Enough);
    }
    let mut interim = Interim::default();
    let end = interim.heard(heard);
    if interim.is_over() {
        let line = &heard[end - interim::BEGINNING..end];
        return is_http(line).then(|| line[9]).ok_or(Said::Enough);
    }
    Err(if heard.len() < LOOKED_AT {
        Said::Little
    } else {
        Said::Enough
    })
}

/// A socket that does not block and that no child process inherits.
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
fn wait(stream: &TcpStream, events: PollFlags, until: Until) -> Result<PollFlags, Stop> {
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
