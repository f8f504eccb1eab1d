//! The connections of an agent, for `Agent::shutdown` to find.
//!
//! ureq looks through all handles that are registered with it at every call, so this is the one
//! that is, and keeps the connections itself.

use std::{
    io,
    net::{Shutdown, TcpStream},
};

use crate::sync::{Arc, Mutex, Weak};

#[derive(Debug, Default)]
pub(super) struct Open(Mutex<Streams>);

#[derive(Debug, Default)]
struct Streams {
    shut_down: bool,
    known: bool,
    open: Vec<Weak<TcpStream>>,
    /// At how many to look which are still there.
    look_at: usize,
}

impl Open {
    /// Takes a connection in. `true` if it is the first, and this handle has to be registered.
    ///
    /// # Errors
    ///
    /// If the agent is shut down.
    pub(super) fn admit(&self, stream: &Arc<TcpStream>) -> io::Result<bool> {
        let mut streams = self.0.lock();
        if streams.shut_down {
            let why = "the agent is shut down";
            return Err(io::Error::new(io::ErrorKind::NotConnected, why));
        }
        if streams.open.len() >= streams.look_at {
            streams.open.retain(|stream| stream.strong_count() > 0);
            streams.look_at = 2 * streams.open.len().max(32);
        }
        streams.open.push(Arc::downgrade(stream));
        Ok(!std::mem::replace(&mut streams.known, true))
    }

    /// Shuts down what is open, and whatever is opened later.
    pub(super) fn shut_down(&self) {
        let mut streams = self.0.lock();
        streams.shut_down = true;
        for stream in streams.open.drain(..).filter_map(|weak| weak.upgrade()) {
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, net::TcpListener};

    use super::*;

    fn connection(listener: &TcpListener) -> io::Result<(Arc<TcpStream>, TcpStream)> {
        let ours = TcpStream::connect(listener.local_addr()?)?;
        Ok((Arc::new(ours), listener.accept()?.0))
    }

    #[test]
    fn a_shutdown_ends_what_is_open_and_lets_nothing_in() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let open = Open::default();
        let (first, mut peer) = connection(&listener)?;
        assert!(open.admit(&first)?);
        let (second, _peer) = connection(&listener)?;
        assert!(!open.admit(&second)?);
        open.shut_down();
        assert_eq!(peer.read(&mut [0])?, 0);
        let (third, _peer) = connection(&listener)?;
        assert_eq!(
            open.admit(&third).unwrap_err().kind(),
            io::ErrorKind::NotConnected
        );
        Ok(())
    }

    #[test]
    fn closed_connections_are_forgotten() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let open = Open::default();
        for _ in 0..300 {
            let (stream, _peer) = connection(&listener)?;
            open.admit(&stream)?;
        }
        assert!(open.0.lock().open.len() <= 64);
        Ok(())
    }
}
