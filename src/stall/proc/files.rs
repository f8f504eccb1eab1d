//! From the registers of a system call to what it is about.

use std::{borrow::Cow, ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::PathBuf, time::Duration};

use super::{
    super::clock::Moment,
    BlockingCall, Registers, memory,
    sockets::{self, Peers, ReadTable},
    syscalls::{self, Shape},
};

/// Names calls, and remembers whose sockets are whose.
#[derive(Debug)]
pub(in crate::stall) struct Names {
    peers: Peers,
    forgotten: Moment,
    /// Of the last call there is more to be known.
    left_out: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self::read_by(sockets::read)
    }
}

impl Names {
    pub(in crate::stall) fn read_by(read: ReadTable) -> Self {
        Self {
            peers: Peers::read_by(read),
            forgotten: Moment::default(),
            left_out: false,
        }
    }

    /// The call of these registers; `None` where the thread sleeps in none.
    ///
    /// What its arguments mean is found out first, and `still` says whether the thread has slept there all
    /// the while: if not, it may be something else by now, and is left out. Then nothing depends on the
    /// thread any more, and who is at the other end of a socket may take its time.
    pub(in crate::stall) fn call(
        &mut self,
        registers: &Registers,
        still: impl FnOnce() -> bool,
    ) -> Option<BlockingCall> {
        self.left_out = false;
        let (mut call, socket) = described(registers)?;
        if !still() {
            call.forget_what_it_is_about();
            self.left_out = true;
        } else if let Some(inode) = socket {
            let (peer, is_sure) = self.peers.of(inode);
            if let Some(peer) = peer {
                call.peer = Some(peer.name.clone());
                call.serves = peer.is_client;
            }
            self.left_out = !is_sure;
        }
        Some(call)
    }

    /// Forgets whose sockets are whose, which may have been closed since the last look.
    pub(in crate::stall) fn forget(&mut self, now: Moment) {
        if self.forgotten != now {
            self.forgotten = now;
            self.peers.forget();
        }
    }

    /// Whether there may be more to be known of what the last call is about.
    pub(in crate::stall) fn have_left_out(&self) -> bool {
        self.left_out
    }

    /// The name of a thread, as far as the system keeps it: fifteen bytes.
    pub(in crate::stall) fn thread(thread: u32) -> Option<String> {
        let name = fs::read(format!("/proc/self/task/{thread}/comm")).ok()?;
        Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
    }
}

/// The call of these registers, and the inode of the socket that it is about.
fn described(registers: &Registers) -> Option<(BlockingCall, Option<u64>)> {
    if registers.number < 0 {
        return None;
    }
    let bare = |syscall| BlockingCall {
        syscall,
        fd: None,
        peer: None,
        path: None,
        timeout: None,
        serves: false,
    };
    let Some((name, shape)) = syscalls::of(registers.number) else {
        let syscall = Cow::Owned(format!("system call {}", registers.number));
        return Some((bare(syscall), None));
    };
    let mut call = bare(Cow::Borrowed(name));
    let arguments = registers.arguments;
    match shape {
        Shape::Fd => call.fd = fd(arguments[0]),
        Shape::Path(index) => call.path = path(arguments[index]),
        Shape::Poll => {
            call.fd = first_polled(arguments);
            // A timeout of less than zero is none.
            let millis = i32::try_from(arguments[2] as i64).unwrap_or(-1);
            call.timeout = u64::try_from(millis).ok().map(Duration::from_millis);
        }
        Shape::PollSpec => {
            call.fd = first_polled(arguments);
            call.timeout = time(arguments[2]);
        }
        Shape::Sleep => call.timeout = time(arguments[0]),
        // With a flag it is a moment, not a length.
        Shape::ClockSleep if arguments[1] == 0 => call.timeout = time(arguments[2]),
        Shape::ClockSleep | Shape::Other => {}
    }
    let socket = call.fd.and_then(|fd| describe(fd, &mut call));
    Some((call, socket))
}

/// Says what a descriptor is; of a socket, which has its peer in a table, gives the inode.
fn describe(fd: i32, call: &mut BlockingCall) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let bytes = link.as_os_str().as_bytes();
    let socket = bytes
        .strip_prefix(b"socket:[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .and_then(|inode| str::from_utf8(inode).ok()?.parse().ok());
    if socket.is_some() {
        return socket;
    }
    if bytes.starts_with(b"/") {
        call.path = Some(link);
    } else {
        call.peer = kind(bytes);
    }
    None
}

/// What kind of thing a descriptor is, of `pipe:[1234]` or `anon_inode:[eventfd]`.
fn kind(link: &[u8]) -> Option<String> {
    let link = str::from_utf8(link).ok()?;
    let (kind, which) = link.split_once(':')?;
    let kind = match kind {
        "anon_inode" => which.trim_matches(['[', ']']),
        _ => kind,
    };
    let article = if kind.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    Some(format!("{article} {kind}"))
}

fn fd(argument: u64) -> Option<i32> {
    i32::try_from(argument & 0xffff_ffff).ok()
}

fn first_polled(arguments: [u64; 6]) -> Option<i32> {
    let fds = memory::polled(arguments[0], arguments[1])?;
    fds.into_iter().find(|fd| *fd >= 0)
}

fn path(address: u64) -> Option<PathBuf> {
    let bytes = memory::text(address)?;
    (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(&bytes)))
}

fn time(address: u64) -> Option<Duration> {
    let (seconds, nanoseconds) = memory::pair(address)?;
    let nanoseconds = u32::try_from(nanoseconds)
        .ok()
        .filter(|n| *n < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_is_no_file_is_named_by_its_kind() {
        assert_eq!(kind(b"pipe:[1234]").as_deref(), Some("a pipe"));
        assert_eq!(kind(b"anon_inode:[eventfd]").as_deref(), Some("an eventfd"));
        assert_eq!(kind(b"anon_inode:inotify").as_deref(), Some("an inotify"));
        assert_eq!(kind(b"what"), None);
    }
}
