//! How far an exchange has come.

use std::fmt;

/// How far an exchange has come.
///
/// The phases follow each other, with these exceptions: a connection from the pool needs none up to
/// [`Tls`](Self::Tls); a redirect starts again from [`Resolve`](Self::Resolve); a proxy that is behind
/// TLS itself goes back from there to [`Connect`](Self::Connect); and with `Expect: 100-continue` the
/// body is sent after a [`Head`](Self::Head) that says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It waits in its lane for a thread.
    #[default]
    Waiting,
    /// The host's name is looked up.
    Resolve,
    /// A connection is opened, to the host or to a proxy.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The head and the body of the request are sent.
    Send,
    /// The request is with the peer; the head of the response has not come.
    Head,
    /// The head of the response is there; its body is read.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for a thread",
            Self::Resolve => "looking the host up",
            Self::Connect => "connecting",
            Self::Tls => "in the TLS handshake",
            Self::Send => "sending the request",
            Self::Head => "waiting for the response",
            Self::Body => "reading the body",
        })
    }
}
