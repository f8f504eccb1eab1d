//! What is put round TLS, above and below: that nothing is left in it for another call.

use ureq::{
    Error,
    unversioned::transport::{Buffers, NextTimeout, Transport},
};

/// A connection that is open only if all that has come on it was read, whoever has it.
///
/// More than was asked for is the answer to the next request as soon as there is one, and it may be in more
/// hands than the socket's and those of [`Wire`](crate::ureq::wire::Wire). TLS keeps what it has decrypted and
/// has not been asked for, which nobody can see; but it does so only if the last who asked was given as much
/// as there was room for. And TLS to a proxy has what is not decrypted yet of the TLS that is spoken over it.
///
/// What has just filled its room to the last byte is so taken for more, too, and its connection is not used
/// again. As no more is decrypted at a time than a record or two, it takes a room of little more than 16 KiB
/// for that not to happen.
#[derive(Debug)]
pub(super) struct AllRead<T> {
    connection: T,
    /// There was no room for more than what has come last.
    filled: bool,
}

impl<T> AllRead<T> {
    pub(super) fn new(connection: T) -> Self {
        Self {
            connection,
            filled: false,
        }
    }
}

impl<T: Transport> Transport for AllRead<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.connection.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.is_tls() {
            // To ask a bare connection for its room is to have it made, before there is anything for it.
            return self.connection.await_input(timeout);
        }
        let buffers = self.connection.buffers();
        let (unused, room) = (buffers.input().len(), buffers.input_append_buf().len());
        let come = self.connection.await_input(timeout)?;
        self.filled = self.connection.buffers().input().len() == unused + room;
        Ok(come)
    }

    fn is_open(&mut self) -> bool {
        let is_all_read = !self.filled && self.connection.buffers().input().is_empty();
        is_all_read && self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}
