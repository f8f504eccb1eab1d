//! From the registers of a system call to what it is about.

use std::{
    borrow::Cow,
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    super::clock::Moment,
    BlockingCall, Registers, memory,
    sockets::{self, Peer},
    syscalls::{self, Shape},
};

/// Names calls, and remembers the tables of sockets: to read them takes long where there are many.
#[derive(Debug, Default)]
pub(in crate::stall) struct Names {
    peers: HashMap<u64, Peer>,
    /// When the tables may be read again.
    not_before: Option<Instant>,
    forgotten: Moment,
    /// Of the last call there is more to be known.
    left_out: bool,
}

/// The tables are read a quarter of the time at the most.
const REST: u32 = 4;

impl Names {
    /// The call of these registers; `None` where the thread sleeps in none.
    pub(in crate::stall) fn call(&mut self, registers: &Registers) -> Option<BlockingCall> {
        self.left_out = false;
        if registers.number < 0 {
            return None;
        }
        let Some((name, shape)) = syscalls::of(registers.number) else {
            return Some(BlockingCall {
                syscall: Cow::Owned(format!("system call {}", registers.number)),
                fd: None,
                peer: None,
                path: None,
                timeout: None,
                serves: false,
            });
        };
        let mut call = BlockingCall {
            syscall: Cow::Borrowed(name),
            fd: None,
            peer: None,
            path: None,
            timeout: None,
            serves: false,
        };
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
        if let Some(fd) = call.fd {
            self.describe(fd, &mut call);
        }
        Some(call)
    }

    /// Forgets whose sockets are whose, which may have been closed since the last look.
    pub(in crate::stall) fn forget(&mut self, now: Moment) {
        if self.forgotten != now {
            self.forgotten = now;
            self.peers = HashMap::new();
            self.not_before = None;
        }
    }

    /// Whether what the last call is about was not looked for, since that had just been done for another.
    pub(in crate::stall) fn have_left_out(&self) -> bool {
        self.left_out
    }

    /// The name of a thread, as far as the system keeps it: fifteen bytes.
    pub(in crate::stall) fn thread(thread: u32) -> Option<String> {
        let name = fs::read(format!("/proc/self/task/{thread}/comm")).ok()?;
        Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
    }

    fn describe(&mut self, fd: i32, call: &mut BlockingCall) {
        let Ok(link) = fs::read_link(format!("/proc/self/fd/{fd}")) else {
            return;
        };
        let bytes = link.as_os_str().as_bytes();
        let socket = bytes
            .strip_prefix(b"socket:[")
            .and_then(|rest| rest.strip_suffix(b"]"))
            .and_then(|inode| str::from_utf8(inode).ok()?.parse().ok());
        if let Some(inode) = socket {
            if let Some(peer) = self.peer(inode) {
                call.peer = Some(peer.name.clone());
                call.serves = peer.is_client;
            }
        } else if bytes.starts_with(b"/") {
            call.path = Some(link);
        } else {
            call.peer = kind(bytes);
        }
    }

    /// One that has none yet is looked for again.
    fn peer(&mut self, inode: u64) -> Option<&Peer> {
        if !self.peers.contains_key(&inode) {
            let now = Instant::now();
            if self.not_before.is_some_and(|then| now < then) {
                self.left_out = true;
                return None;
            }
            self.peers = sockets::peers();
            self.not_before = Some(now + now.elapsed() * REST);
        }
        self.peers.get(&inode)
    }
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
