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
    stop::{Stop, Until, time_left},
    wake,
};
use crate::job::Job;

/// The longest wait that the system is asked for; a longer one is made of several.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

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
                    Ok(read) => {
                        call::count_received(read);
                        return Ok(Some(read));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }

    /// Waits until there is something to read.
    pub(super) fn await_input(&mut self, until: Until) -> Result<(), Stop> {
        self.unless_it_fails(|stream| wait(stream, PollFlags::IN, until))
    }

    /// The same, but running out of time is no failure of the connection.
    pub(super) fn await_input_patiently(&mut self, until: Until) -> Result<(), Stop> {
        let outcome = wait(&self.stream, PollFlags::IN, until);
        self.spoiled |= !matches!(outcome, Ok(()) | Err(Stop::Timeout));
        outcome
    }

    /// Writes all of it.
    pub(super) fn write_all(&mut self, mut data: &[u8], until: Until) -> Result<(), Stop> {
        self.unless_it_fails(|stream| {
            while !data.is_empty() {
                time_left(Job::current().as_ref(), until)?;
                match (&mut &*stream).write(data) {
                    Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                    Ok(written) => {
                        call::count_sent(written);
                        data = &data[written..];
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        wait(stream, PollFlags::OUT, until)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
    }

    /// Whether a request may be sent on it: nothing went wrong, the peer has not closed it, and
    /// nothing has come that nobody asked for.
    pub(super) fn is_open(&self) -> bool {
        let quiet = || match self.stream.peek(&mut [0]) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        !self.spoiled && quiet()
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

/// Waits for `event`, but no longer than the job lasts and `until` allows.
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
fn wait(stream: &TcpStream, event: PollFlags, until: Until) -> Result<(), Stop> {
    call::waits();
    let Some(job) = Job::current() else {
        while !poll_once(stream, event, None, time_left(None, until)?)? {}
        return Ok(());
    };
    let wake = wake::mine()?;
    let hook = job.on_cancel({
        let wake = wake.clone();
        move || wake.wake()
    });
    let waited = (|| {
        while !poll_once(stream, event, Some(&wake), time_left(Some(&job), until)?)? {}
        // Both may have happened at once.
        time_left(Some(&job), until).map(drop)
    })();
    drop(hook);
    if job.is_cancelled() {
        wake.clear();
    }
    waited
}

/// Polls once. `true` if it was for the event, or for an error that the next operation will tell.
fn poll_once(
    stream: &TcpStream,
    event: PollFlags,
    wake: Option<&wake::Wake>,
    time: Option<Duration>,
) -> io::Result<bool> {
    let time = time.map(|time| {
        // To the next full microsecond: to wake too early would be to wake twice.
        let time = time.min(LONGEST) + Duration::from_micros(1);
        Timespec::try_from(time).expect("a day fits")
    });
    let socket = PollFd::new(stream, event);
    let polled = match wake {
        Some(wake) => {
            let mut both = [socket, PollFd::new(wake, PollFlags::IN)];
            poll(&mut both, time.as_ref()).map(|_| !both[0].revents().is_empty())
        }
        None => {
            let mut one = [socket];
            poll(&mut one, time.as_ref()).map(|_| !one[0].revents().is_empty())
        }
    };
    match polled {
        Err(Errno::INTR) => Ok(false),
        polled => Ok(polled?),
    }
}
