//! What is put round connections: that no end is taken for one that is none.

use std::io;

use ureq::{
    Error,
    unversioned::transport::{Buffers, NextTimeout, Transport},
};

use super::{until, within};
use crate::ureq::{
    call,
    interim::{self, Next},
    lengths::Lengths,
};

/// A connection whose breaking is not taken for an end, whose peer has to come to its answer, and of
/// which is known what follows the head.
///
/// What a peer says before its answer (1xx) is taken out here, and held back until it is whole, but for the
/// first leave to send a body: ureq, where it waits for that, takes hints for the answer, and elsewhere
/// takes many of them, where they come fast, for one head that is too large.
#[derive(Debug)]
pub(super) struct Checked<T> {
    connection: T,
    /// Something of an answer has come.
    heard: bool,
    /// There is nothing more.
    ended: bool,
    /// There was no room for more, with so much there.
    full: Option<usize>,
    /// ureq has been told that it may send the body.
    leave: bool,
    /// What has come last is to be looked at once more before there is a wait for more.
    fresh: bool,
    /// The answer itself has begun.
    answers: bool,
    /// How much was taken out that came before it.
    interim: usize,
    /// What its head says of where it ends.
    lengths: Lengths,
}

impl<T> Checked<T> {
    pub(super) fn new(connection: T) -> Self {
        Self {
            connection,
            heard: false,
            ended: false,
            full: None,
            leave: false,
            fresh: false,
            answers: false,
            interim: 0,
            lengths: Lengths::default(),
        }
    }
}

impl<T: Transport> Checked<T> {
    /// Waits for something to come, and takes note of it.
    fn await_more(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let unused = self.connection.buffers().input().len();
        let come = match self.connection.await_input(timeout) {
            // In a body that ends with its connection ureq takes some kinds for that end, and a decoder
            // that is given one, of whatever kind, takes it for its own.
            Err(Error::Io(error)) if self.heard => return Err(io::Error::other(error).into()),
            outcome => outcome?,
        };
        if come {
            self.heard = true;
            call::heard();
        } else if self.connection.buffers().input_append_buf().is_empty() {
            self.full = Some(unused);
        } else {
            self.ended = true;
            call::end();
        }
        let more = &self.connection.buffers().input()[unused..];
        call::count_body(more.len());
        Ok(come)
    }

    /// Takes out the interim answers that have come whole, and leaves in their place what ureq has to know.
    /// Whether there is anything that it should look at: nothing is not, nor is a part of one.
    fn take_interim(&mut self) -> Result<bool, Error> {
        let buffers = self.connection.buffers();
        let come = buffers.input().len();
        if self.answers {
            self.lengths.look(buffers.input());
            return Ok(come > 0);
        }
        let found = interim::look(buffers.input());
        self.answers = matches!(found.next, Next::Answer(_) | Next::Other);
        if self.answers {
            self.lengths.look(&buffers.input()[found.whole..]);
        }
        self.interim += found.whole;
        let after = come - found.whole;
        let is_part = found.next == Next::Part;
        let all = self.interim + if is_part { after } else { 0 };
        if all > interim::MOST {
            return Err(Error::LargeResponseHeader(all, interim::MOST));
        }
        if !found.leave || std::mem::replace(&mut self.leave, true) {
            buffers.input_consume(found.whole);
            return Ok(after > 0 && !is_part);
        }
        let rest = buffers.input()[found.whole..].to_vec();
        buffers.input_consume(come);
        for piece in [interim::LEAVE, &rest] {
            // There is room for it, as it is not longer than what was there.
            buffers.input_append_buf()[..piece.len()].copy_from_slice(piece);
            buffers.input_appended(piece.len());
        }
        Ok(true)
    }

    /// Says so where there is no room for a head, which ureq takes for the end of the connection: behind TLS
    /// the room may be smaller than a head may be.
    fn unless_the_head_has_no_room(&mut self) -> Result<(), Error> {
        let Some(come) = self.full else {
            return Ok(());
        };
        // In a body it may be a line between two chunks.
        match interim::look(self.connection.buffers().input()).next {
            Next::Other => Ok(()),
            _ => Err(Error::LargeResponseHeader(come, come)),
        }
    }

    /// Says no where the answer would be the same as before. ureq goes by that by itself, unless it waits for
    /// leave to send a body: then it asks until its time is up.
    fn unless_asked_in_vain(&mut self, unused: usize) -> Result<(), Error> {
        if self.ended {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let buffers = self.connection.buffers();
        if self.full.take() == Some(unused) && buffers.input_append_buf().is_empty() {
            return Err(Error::LargeResponseHeader(unused, unused));
        }
        Ok(())
    }
}

impl<T: Transport> Transport for Checked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        let buffers = self.connection.buffers();
        call::look(buffers.input().len());
        buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if amount == 0 {
            // ureq asks a body that has ended before its length for more, again and again, without a wait
            // in which a job that is given up would be noticed.
            let short = "the body that is sent ends before the length that its head says";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, short).into());
        }
        // The answer may have come in one piece with leave to send the body.
        self.heard = !self.connection.buffers().input().is_empty();
        call::sends();
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let unused = self.buffers().input().len();
        if std::mem::take(&mut self.fresh) && unused > 0 {
            return Ok(true);
        }
        self.unless_asked_in_vain(unused)?;
        let end = until(timeout);
        loop {
            let come = self.await_more(within(timeout, end))?;
            if !come {
                self.unless_the_head_has_no_room()?;
            }
            let is_to_be_seen = self.take_interim()?;
            // Whoever waits for leave to send a body looks and says nothing: neither that it has to be more,
            // where it would be asked for the same again and again, nor that it is for who reads the answer,
            // who would wait for more than there is.
            self.connection.buffers().input_consume(0);
            if !come || is_to_be_seen {
                self.fresh = come;
                return Ok(come);
            }
        }
    }

    /// Asked between two requests: when it goes to the pool, and when it comes from there.
    fn is_open(&mut self) -> bool {
        (self.fresh, self.leave) = (false, false);
        (self.answers, self.interim) = (false, 0);
        call::leave();
        let is_told_twice = std::mem::take(&mut self.lengths).are_two();
        !is_told_twice && !self.ended && self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

impl<T> Drop for Checked<T> {
    fn drop(&mut self) {
        call::leave();
    }
}

/// A connection whose end is an error. TLS has a word for its end, after which nothing is read; who
/// reads on has not heard it. rustls sees to that by itself, and OpenSSL would, if the library between
/// it and ureq told it of the end.
#[derive(Debug)]
pub(super) struct Uncut<T>(T);

impl<T> Uncut<T> {
    pub(super) fn new(connection: T) -> Self {
        Self(connection)
    }
}

impl<T: Transport> Transport for Uncut<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        match self.0.await_input(timeout) {
            // Where there is no room, nothing can come.
            Ok(false) if !self.0.buffers().input_append_buf().is_empty() => {
                Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
            }
            outcome => outcome,
        }
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
