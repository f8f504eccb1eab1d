//! A connection with its buffers.

use std::{io, net::SocketAddr, net::TcpStream, time::Duration};

use ureq::Timeout;

use super::{
    buffers::{Sizes, Space},
    call,
    send::Sent,
    socket::Socket,
    stop::{Stop, Until, time_left},
};
use crate::{job::Job, sync::Arc};

/// A connection that waits longer than this for its peer does so without buffers.
const SHORT: Duration = Duration::from_millis(50);

/// For how long at the most it waits without asking whether anybody still wants what it waits for.
const LONG: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    space: Space,
    /// The peer has answered before it had the whole request, and takes no more of it.
    answered: bool,
    /// It has broken the connection off then: what it said ends in the middle.
    broken: bool,
    /// Why something could not be sent, or not whole. rustls keeps that to itself until it is asked for
    /// something else, and then sends the same from its beginning, of which the peer may have a part.
    failed: Option<Stop>,
    /// Something was sent or read since somebody asked whether it is open.
    used: bool,
    /// Something was sent since the last input: the next is not likely to be there already.
    asked: bool,
}

impl Wire {
    /// Tries one address after the other, in half of the time that is left each but the last.
    pub(super) fn open(
        addresses: &[SocketAddr],
        end: Until,
        no_delay: bool,
        sizes: Sizes,
    ) -> Result<Self, Stop> {
        let mut outcome = Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into());
        for (others, &address) in (0..addresses.len()).rev().zip(addresses) {
            let share = match time_left(Job::current().as_ref(), end)? {
                Some(left) if others > 0 => Until::after(Some(left / 2)),
                _ => end,
            };
            match Socket::connect(address, share) {
                Ok(socket) => return Self::new(socket, no_delay, sizes),
                // Nobody wants it any more.
                Err(stop @ (Stop::Cancelled | Stop::Deadline)) => return Err(stop),
                Err(stop) => outcome = Err(stop),
            }
        }
        outcome
    }

    fn new(socket: Socket, no_delay: bool, sizes: Sizes) -> Result<Self, Stop> {
        if no_delay {
            socket.stream().set_nodelay(true)?;
        }
        Ok(Self {
            socket,
            space: Space::new(sizes),
            answered: false,
            broken: false,
            failed: None,
            used: false,
            asked: false,
        })
    }

    pub(super) fn stream(&self) -> &Arc<TcpStream> {
        self.socket.stream()
    }

    /// The bare socket, for what is said before the first request.
    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    pub(super) fn space(&mut self) -> &mut Space {
        &mut self.space
    }

    /// Sends the beginning of the output, or nothing if the peer does not take it any more. A timeout of
    /// that is called `name`, then and whenever there is more to be done on this connection.
    pub(super) fn send(&mut self, amount: usize, end: Until, name: Timeout) -> Result<(), Stop> {
        self.used = true;
        let goes_on = std::mem::replace(&mut self.asked, true);
        call::set_answered(self.answered);
        self.unless_it_failed()?;
        if self.answered {
            // Whoever sends looks for the answer when there is no more to send; that may be never.
            return time_left(Job::current().as_ref(), end).map(drop);
        }
        let (heard, data) = (self.space.unused(), self.space.written(amount));
        match self.socket.write_all(heard, goes_on, data, end) {
            Ok(Sent::All) => {}
            Ok(Sent::Answered { broken }) => {
                (self.answered, self.broken) = (true, broken);
                call::set_answered(true);
            }
            Err(stop) => {
                let stop = stop.named(name);
                self.failed = Some(stop.again());
                return Err(stop);
            }
        }
        Ok(())
    }

    /// Reads what there is, and waits until there is something. None is the end.
    pub(super) fn fill(&mut self, end: Until) -> Result<usize, Stop> {
        self.used = true;
        self.unless_it_failed()?;
        if call::is_overdue() {
            return Err(Stop::Idle);
        }
        // A peer that sends a little now and then would begin each pause anew.
        let patience = SHORT.saturating_sub(call::unwanted());
        if patience.is_zero() {
            return Err(Stop::Idle);
        }
        if std::mem::take(&mut self.asked) && self.space.unused().is_empty() {
            self.wait(patience, end)?;
        }
        loop {
            if let Some(read) = self.socket.try_read(self.space.room(), end)? {
                if read == 0 && self.broken {
                    return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
                }
                self.space.filled(read);
                return Ok(read);
            }
            self.wait(patience, end)?;
        }
    }

    /// Whether a request may be sent on it.
    ///
    /// Asked when it goes to the pool, where it should not hold more than it must, and again when
    /// it comes from there. The second time is early enough to look at the socket.
    pub(super) fn is_open(&mut self) -> bool {
        if !self.space.unused().is_empty() {
            // Behind TLS nobody else sees that more has come than was asked for.
            return false;
        }
        self.space.shrink();
        if std::mem::take(&mut self.used) {
            self.socket.is_sound()
        } else {
            self.socket.is_open()
        }
    }

    fn unless_it_failed(&self) -> Result<(), Stop> {
        self.failed
            .as_ref()
            .map_or(Ok(()), |stop| Err(stop.again()))
    }

    /// Waits for input, and if that takes long, without holding memory, and for as long as somebody wants
    /// it. Whoever does is woken to say so: after `patience` at first, as most go away early, and then ever
    /// more rarely.
    fn wait(&mut self, patience: Duration, end: Until) -> Result<(), Stop> {
        let mut pause = patience;
        while end.left().is_none_or(|left| left > pause) {
            match self.socket.await_input(Until::after(Some(pause))) {
                Err(Stop::Timeout) => {}
                outcome => return outcome,
            }
            let is_idle = call::is_idle();
            if is_idle == Some(true) {
                return Err(Stop::Idle);
            }
            self.space.release();
            if is_idle.is_none() {
                break;
            }
            pause = LONG.min(SHORT.max(pause) * 2);
        }
        self.socket.await_input(end)
    }
}
