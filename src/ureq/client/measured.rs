//! A body that is read, held against its length.

use std::io::{self, Read};

use crate::{job::Job, ureq::call};

/// Holds what a reader of the user's gives against the length that was said, if one was.
///
/// The end of what it reads is the end of the body, so it gives that only where it is true.
///
/// What that reader calls is no part of the exchange.
pub(super) struct Measured<R> {
    /// There until it is dropped.
    reader: Option<R>,
    length: Option<u64>,
    given: u64,
    /// Called before each read, which may take its time.
    before: Box<dyn Fn()>,
}

/// Marks an error as one of the request's body, on its way through ureq.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request failed")]
pub(super) struct BodyFailed(#[source] pub(super) io::Error);

/// A body that is not as long as was said.
#[derive(Debug, thiserror::Error)]
pub(super) enum WrongLength {
    #[error("its length was given as {length} and it has more bytes")]
    More { length: u64 },
    #[error("its length was given as {length} and it ended after {given} of them")]
    Fewer { length: u64, given: u64 },
}

impl<R: Read> Measured<R> {
    pub(super) fn new(reader: R, length: Option<u64>, before: impl Fn() + 'static) -> Self {
        Self {
            reader: Some(reader),
            length,
            given: 0,
            before: Box::new(before),
        }
    }

    fn read_measured(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (self.before)();
        let read = self.read_some(buffer)?;
        self.given += read as u64;
        let Some(length) = self.length else {
            return Ok(read);
        };
        let given = self.given;
        if read == 0 && given < length {
            return Err(io::Error::other(WrongLength::Fewer { length, given }));
        }
        // Before the last byte is given away, the end has to be seen: afterwards the peer has a
        // whole body, and nobody asks for more.
        if given > length || (read > 0 && given == length && self.read_some(&mut [0])? > 0) {
            return Err(io::Error::other(WrongLength::More { length }));
        }
        Ok(read)
    }

    /// The peer has answered and takes no more, and nothing that is given from here on is sent. But
    /// ureq looks for the answer only when it has all of the body, so it is told that it has.
    fn rest_unread(&mut self, room: usize) -> usize {
        let left = self
            .length
            .map_or(0, |length| length.saturating_sub(self.given));
        let count = usize::try_from(left).map_or(room, |left| left.min(room));
        self.given += count as u64;
        count
    }

    /// A reader may be interrupted by a signal; ureq would end the exchange for it.
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _aside = call::aside();
        let reader = self.reader.as_mut().expect("it is not dropped");
        loop {
            match reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if call::is_answered() {
            // Nothing else looks at the job now, and it may be long.
            Job::current().map_or(Ok(()), |job| job.check())?;
            return Ok(self.rest_unread(buffer.len()));
        }
        self.read_measured(buffer)
            .map_err(|error| io::Error::other(BodyFailed(error)))
    }
}

impl<R> Drop for Measured<R> {
    fn drop(&mut self) {
        let _aside = call::aside();
        drop(self.reader.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(text: &str, length: Option<u64>) -> Result<String, String> {
        let mut read = String::new();
        match Measured::new(text.as_bytes(), length, || ()).read_to_string(&mut read) {
            Ok(_) => Ok(read),
            Err(error) => {
                let marked = error.into_inner().unwrap().downcast::<BodyFailed>();
                Err(format!("{read}|{}", marked.unwrap().0))
            }
        }
    }

    #[test]
    fn a_body_as_long_as_was_said_is_given_as_it_is() {
        assert_eq!(measure("hello", Some(5)).as_deref(), Ok("hello"));
        assert_eq!(measure("hello", None).as_deref(), Ok("hello"));
        assert_eq!(measure("", Some(0)).as_deref(), Ok(""));
    }

    #[test]
    fn of_a_body_that_is_too_long_the_last_byte_is_never_given() {
        let told = measure("hello!", Some(5)).unwrap_err();
        assert_eq!(told, "|its length was given as 5 and it has more bytes");
        let mut slowly = Measured::new(b"hello!".chain(&b"more"[..]), Some(6), || ());
        let mut given = Vec::new();
        while let Ok(1..) = slowly.read(&mut [0; 2]) {
            given.push(slowly.given);
        }
        assert_eq!(given, [2, 4]);
    }

    #[test]
    fn the_end_of_a_body_that_is_too_short_is_an_error() {
        let told = measure("hell", Some(5)).unwrap_err();
        assert!(told.contains("ended after 4 of them"), "{told}");
    }
}
