//! What wakes a thread that waits for a socket.
//!
//! Each thread that makes calls has one descriptor of its own for this, opened at its first call
//! and closed when it ends, and waits for it beside the socket. A job that is cancelled writes to
//! it. (The last descriptors that the process may have, one in 32, are left to sockets: a thread that
//! would take one of these does without, and asks its job every now and then.)
//!
//! Nothing is done to the socket: `shutdown(2)` from outside would not wake a read on Windows,
//! would be lost if it came before the connect, and would make a body that ends with its
//! connection look complete.

use std::{io, sync::Arc};

pub(super) use self::system::Wake;

thread_local! {
    static MINE: std::cell::OnceCell<Arc<Wake>> = const { std::cell::OnceCell::new() };
}

/// The calling thread's own.
///
/// # Errors
///
/// If it has none yet and the system has no descriptor left, or none but for sockets.
pub(super) fn mine() -> io::Result<Arc<Wake>> {
    MINE.with(|mine| {
        if let Some(wake) = mine.get() {
            return Ok(wake.clone());
        }
        let wake = Arc::new(Wake::new()?);
        Ok(mine.get_or_init(|| wake).clone())
    })
}

/// As it is, unless sockets may soon be in want of it.
#[cfg(unix)]
fn spared<T: std::os::fd::AsRawFd>(descriptor: T) -> io::Result<T> {
    use rustix::process::{Resource, getrlimit};

    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The lowest number that is free is the next to be given.
    let number = u64::try_from(descriptor.as_raw_fd()).unwrap_or_default();
    if number < most - most / 32 {
        Ok(descriptor)
    } else {
        Err(rustix::io::Errno::MFILE.into())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::{
        io,
        os::fd::{AsFd, BorrowedFd, OwnedFd},
    };

    use rustix::event::{EventfdFlags, eventfd};

    /// An `eventfd`.
    #[derive(Debug)]
    pub(crate) struct Wake(OwnedFd);

    impl Wake {
        pub(crate) fn new() -> io::Result<Self> {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            Ok(Self(super::spared(eventfd(0, flags)?)?))
        }

        /// Wakes the thread, or has its next wait end at once. Does not block.
        pub(crate) fn wake(&self) {
            // It fails only where it was written to 2^64 - 2 times and never read.
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        /// Takes back what was not waited for.
        pub(crate) fn clear(&self) {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }

    impl AsFd for Wake {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod system {
    use std::{
        io::{self, Read as _, Write as _},
        os::{
            fd::{AsFd, BorrowedFd},
            unix::net::UnixStream,
        },
    };

    /// A pair of sockets: there is no `eventfd` here.
    #[derive(Debug)]
    pub(crate) struct Wake {
        writes: UnixStream,
        reads: UnixStream,
    }

    impl Wake {
        pub(crate) fn new() -> io::Result<Self> {
            let (writes, reads) = UnixStream::pair()?;
            let (writes, reads) = (writes, super::spared(reads)?);
            writes.set_nonblocking(true)?;
            reads.set_nonblocking(true)?;
            Ok(Self { writes, reads })
        }

        /// Wakes the thread, or has its next wait end at once. Does not block.
        pub(crate) fn wake(&self) {
            // If it is full, the thread has been woken often enough.
            let _ = (&self.writes).write(&[1]);
        }

        /// Takes back what was not waited for.
        pub(crate) fn clear(&self) {
            while (&self.reads)
                .read(&mut [0; 64])
                .is_ok_and(|read| read == 64)
            {}
        }
    }

    impl AsFd for Wake {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.reads.as_fd()
        }
    }
}

#[cfg(windows)]
mod system {
    use std::{
        io,
        net::UdpSocket,
        os::windows::io::{AsSocket, BorrowedSocket},
    };

    /// A datagram socket that talks to itself: only sockets can be waited for here.
    #[derive(Debug)]
    pub(crate) struct Wake(UdpSocket);

    impl Wake {
        pub(crate) fn new() -> io::Result<Self> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(socket.local_addr()?)?;
            socket.set_nonblocking(true)?;
            Ok(Self(socket))
        }

        /// Wakes the thread, or has its next wait end at once. Does not block.
        pub(crate) fn wake(&self) {
            // If it is full, the thread has been woken often enough.
            let _ = self.0.send(&[1]);
        }

        /// Takes back what was not waited for.
        pub(crate) fn clear(&self) {
            while self.0.recv(&mut [0; 8]).is_ok() {}
        }
    }

    impl AsSocket for Wake {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.0.as_socket()
        }
    }
}
