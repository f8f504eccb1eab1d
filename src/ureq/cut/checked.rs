//! What is put round connections: that no end is taken for one that is none.

use std::io;

use ureq::{
    Error,
    unversioned::transport::{Buffers, NextTimeout, Transport},
};

use crate::ureq::{
    call,
    interim::{self, Interim},
};

/// A connection whose breaking is not taken for an end, whose peer has to come to its answer, and of
/// which is known what follows the head.
#[derive(Debug)]
pub(super) struct Checked<T> {
    connection: T,
    /// Something of an answer has come.
    heard: bool,
    /// What has come last is to be looked at once more before there is a wait for more.
    fresh: bool,
    interim: Interim,
}

impl<T> Checked<T> {
    pub(super) fn new(connection: T) -> Self {
        Self {
            connection,
            heard: false,
            fresh: false,
            interim: Interim::default(),
        }
    }
}

impl<T: Transport> Transport for Checked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        let buffers = self.connection.buffers();
        call::look(buffers.input().len());
        buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.heard = false;
        call::sends();
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let unused = self.buffers().input().len();
        if std::mem::take(&mut self.fresh) && unused > 0 {
            return Ok(true);
        }
        match self.connection.await_input(timeout) {
            // In a body that ends with its connection ureq takes some kinds for that end, and a decoder
            // that is given one, of whatever kind, takes it for its own.
            Err(Error::Io(error)) if self.heard => Err(io::Error::other(error).into()),
            outcome => {
                match outcome {
                    Ok(true) => {
                        self.heard = true;
                        call::heard();
                    }
                    // Nor is there anything if there is no room for it.
                    Ok(false) if !self.connection.buffers().input_append_buf().is_empty() => {
                        call::end();
                    }
                    Ok(false) | Err(_) => {}
                }
                let more = &self.connection.buffers().input()[unused..];
                call::count_body(more.len());
                let interim = self.interim.heard(more);
                // Whoever waits for leave to send a body looks and says nothing: neither that it has to
                // be more, where it would be asked for the same again and again, nor that it is for who
                // reads the answer, who would wait for more than there is.
                self.connection.buffers().input_consume(0);
                self.fresh = matches!(outcome, Ok(true));
                if interim > interim::MOST {
                    return Err(Error::LargeResponseHeader(interim, interim::MOST));
                }
                outcome
            }
        }
    }

    /// Asked between two requests: when it goes to the pool, and when it comes from there.
    fn is_open(&mut self) -> bool {
        self.interim = Interim::default();
        self.fresh = false;
        !call::leave() && self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

impl<T> Drop for Checked<T> {
    fn drop(&mut self) {
        let _ = call::leave();
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
            Ok(false) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
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
