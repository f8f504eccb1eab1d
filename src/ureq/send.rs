//! Sending to a peer that may answer before it has it all.
//!
//! One that refuses a request may say so and stop reading, with most of a body still to come. So
//! whoever waits to write listens as well, without taking anything of what is said: that is for who
//! reads the answer.

use std::{
    io::{self, Write as _},
    net::TcpStream,
    time::Duration,
};

use rustix::event::PollFlags;

use super::{
    call,
    interim::{self, Next},
    socket::wait,
    stop::{Stop, Until, time_left},
};
use crate::job::Job;

/// How much of what it says is looked at: some hints, and the beginning of what follows them.
const LOOKED_AT: usize = 4096;

/// After how long to look again at what a peer has begun to say.
const AGAIN: Duration = Duration::from_millis(25);

/// What became of what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The peer has answered and takes no more of it.
    Answered {
        /// It has broken the connection off, and the system says so once.
        broken: bool,
    },
}

/// Writes all of it, unless the peer answers before it has it all. `before` is what has been taken of
/// what it said, and not been used: a refusal may have come in one piece with leave to send.
///
/// `goes_on` where something of the same was written before, and nothing read since: then the peer may
/// have answered that. One that reads on all the same never brings the writer to wait, so it is listened
/// to before each piece, of up to a buffer, which is little beside the writing of it.
pub(super) fn write_all(
    mut stream: &TcpStream,
    before: &[u8],
    goes_on: bool,
    mut data: &[u8],
    until: Until,
) -> Result<Sent, Stop> {
    let mut broken = false;
    let heard = match goes_on {
        true => answer(stream, before, &mut broken),
        false => status(before),
    };
    if matches!(heard, Ok(b'4' | b'5')) {
        return Ok(Sent::Answered { broken });
    }
    let mut said = Said::Nothing;
    while !data.is_empty() {
        time_left(Job::current().as_ref(), until)?;
        if !call::may_send() {
            return Err(Stop::Cancelled);
        }
        match stream.write(data) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(written) => {
                call::count_sent(written);
                data = &data[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = wait_to_write(stream, said, until)?;
                let may_have_spoken = ready.is_empty() || ready.contains(PollFlags::IN);
                if may_have_spoken && !ready.contains(PollFlags::OUT) {
                    match answer(stream, before, &mut broken) {
                        Ok(b'4' | b'5') => return Ok(Sent::Answered { broken }),
                        // It may well say something else, and still want the rest.
                        Ok(_) => said = Said::Enough,
                        Err(so_far) => said = so_far,
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It has closed the connection. Did it say why?
            Err(error) => {
                broken |= is_break(&error);
                return match answer(stream, before, &mut broken) {
                    Ok(b'2'..=b'5') => Ok(Sent::Answered { broken }),
                    _ => Err(error.into()),
                };
            }
        }
    }
    Ok(Sent::All)
}

/// What a peer has said while something was sent to it, which may be that it wants no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// No more than a 1xx, or the beginning of an answer.
    Little,
    /// All that there is to know, or nothing that could be made sense of.
    Enough,
}

/// Waits until something can be written, or until there may be more to hear.
fn wait_to_write(stream: &TcpStream, said: Said, until: Until) -> Result<PollFlags, Stop> {
    match said {
        Said::Nothing => wait(stream, PollFlags::OUT | PollFlags::IN, until),
        // It is not taken, so to wait for it would be to wait for nothing.
        Said::Little => match wait(stream, PollFlags::OUT, until.within(AGAIN)) {
            // Whoever tries to write next sees whether it was only that.
            Err(Stop::Timeout) => Ok(PollFlags::empty()),
            ready => ready,
        },
        Said::Enough => wait(stream, PollFlags::OUT, until),
    }
}

/// Whether the connection was broken off. One that the peer has closed before, with all that it had to say,
/// is a broken pipe instead.
fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}

/// The first digit of the status, if what was taken before and what can be read now make a response. Takes
/// note if the system says here that the connection is broken: it will not say so to who reads.
fn answer(stream: &TcpStream, before: &[u8], broken: &mut bool) -> Result<u8, Said> {
    let mut buffer = [0; LOOKED_AT];
    let taken = before.len().min(LOOKED_AT);
    buffer[..taken].copy_from_slice(&before[..taken]);
    let come = if taken < LOOKED_AT {
        stream.peek(&mut buffer[taken..])
    } else {
        Ok(0)
    };
    match come {
        Ok(read) => status(&buffer[..taken + read]),
        Err(error) => {
            *broken |= is_break(&error);
            let no_more = error.kind() != io::ErrorKind::WouldBlock;
            let so_far = if no_more { Said::Enough } else { Said::Nothing };
            status(before).map_err(|_| so_far)
        }
    }
}

/// The first digit of the status, if this is a response that is not encrypted. That of the last, where
/// others come before it that only put it off.
fn status(heard: &[u8]) -> Result<u8, Said> {
    match interim::look(heard).next {
        Next::Answer(status) => Ok(status),
        Next::Unknown | Next::Part if (1..LOOKED_AT).contains(&heard.len()) => Err(Said::Little),
        _ => Err(Said::Enough),
    }
}
