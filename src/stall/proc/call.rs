//! The name of what blocks.

use std::{borrow::Cow, fmt, path::PathBuf, time::Duration};

/// A system call in which a thread sleeps, with what is known of whom it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BlockingCall {
    /// Its name as in the system's manual, `recvfrom`, or `system call 450` for one that is not
    /// known here.
    pub syscall: Cow<'static, str>,
    /// The file descriptor that it waits for; of several, the first.
    pub fd: Option<i32>,
    /// Who is at the other end of a socket: `10.0.0.7:5432`, or the path of a Unix socket.
    pub peer: Option<String>,
    /// The file that it is about.
    pub path: Option<PathBuf>,
    /// How long it waits at the most, where that is an argument: for a sleep, its length.
    pub timeout: Option<Duration>,
    /// The peer is a client, whose port means nothing.
    pub(in crate::stall) serves: bool,
}

impl BlockingCall {
    /// Whether it waits for another thread of the process: a lock, a channel, a thread to end.
    #[must_use]
    pub fn is_lock(&self) -> bool {
        self.syscall.starts_with("futex")
    }

    /// Whether it waits for time to pass, and nothing else.
    #[must_use]
    pub fn is_sleep(&self) -> bool {
        ["nanosleep", "clock_nanosleep"].contains(&&*self.syscall)
    }

    /// Leaves no more than its name: the thread has been awake since its arguments were read.
    #[cfg(target_os = "linux")]
    pub(in crate::stall) fn forget_what_it_is_about(&mut self) {
        self.fd = None;
        self.peer = None;
        self.path = None;
        self.timeout = None;
    }

    /// Leaves what it has in common with another call of that name.
    pub(in crate::stall) fn forget_what_differs(&mut self, other: &Self) {
        fn forget<T: PartialEq>(mine: &mut Option<T>, other: &Option<T>) {
            if mine != other {
                *mine = None;
            }
        }
        forget(&mut self.fd, &other.fd);
        forget(&mut self.peer, &other.peer);
        forget(&mut self.path, &other.path);
        forget(&mut self.timeout, &other.timeout);
    }

    /// What it is about, without what differs from one connection to the next: calls that say the same
    /// here are counted as one in a [`Profile`](crate::stall::Profile).
    pub(in crate::stall) fn service(&self) -> Option<String> {
        match &self.peer {
            Some(peer) if self.serves => peer.rsplit_once(':').map(|(host, _)| host.to_owned()),
            _ => self.target(),
        }
    }

    /// What it is about.
    pub(in crate::stall) fn target(&self) -> Option<String> {
        match (&self.peer, &self.path) {
            (Some(peer), _) => Some(peer.clone()),
            (None, Some(path)) => Some(path.display().to_string()),
            (None, None) => None,
        }
    }
}

/// `recvfrom (10.0.0.7:5432)`, `clock_nanosleep (300ms)`, `futex (a lock, a channel or a thread)`.
impl fmt::Display for BlockingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.syscall)?;
        if let Some(target) = self.target() {
            // A path may contain anything.
            write!(f, " ({})", target.escape_debug())
        } else if self.is_lock() {
            f.write_str(" (a lock, a channel or a thread)")
        } else if let Some(timeout) = self.timeout {
            write!(f, " ({timeout:?})")
        } else if let Some(fd) = self.fd {
            write!(f, " (fd {fd})")
        } else {
            Ok(())
        }
    }
}
