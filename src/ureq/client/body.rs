//! What is sent with a request.

use std::{error::Error as StdError, fmt, io::Read, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncRead;

use super::chunks::Chunks;

/// How a body of the user's fails.
pub(super) type Failure = Box<dyn StdError + Send + Sync>;

pub(super) type Source = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// The body of a request.
///
/// Text and bytes convert into one. They have a length, and can be sent again when a redirect asks
/// for it; the others are sent once, in chunks unless their length is [given](Self::with_length).
///
/// A body that fails, or that turns out longer or shorter than was said, fails the exchange. It
/// never reaches the server as one that ended well.
///
/// # Examples
///
/// ```
/// # use std::io::{Read, Write};
/// use longshore::ureq::Body;
/// # use longshore::{Lane, ureq::Client};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # std::thread::spawn(move || {
/// #     let mut peer = listener.accept().unwrap().0;
/// #     let mut seen = Vec::new();
/// #     while !seen.ends_with(b"hello, server") {
/// #         let mut byte = [0];
/// #         peer.read_exact(&mut byte).unwrap();
/// #         seen.push(byte[0]);
/// #     }
/// #     peer.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").unwrap();
/// # });
/// # let agent = longshore::ureq::agent(longshore::ureq::config().proxy(None).build());
/// # let client = Client::new(Lane::builder("web").limit(4).build(), agent);
/// let parts = ["hello, ", "server"].map(Ok::<_, std::io::Error>);
/// let body = Body::stream(futures::stream::iter(parts)).with_length(13);
/// let response = client.put(url).body(body).send().await?;
/// assert_eq!(response.status(), 201);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Body {
    pub(super) content: Content,
    length: Option<u64>,
}

#[derive(Default)]
pub(super) enum Content {
    #[default]
    None,
    Bytes(Bytes),
    /// Read by the worker.
    Blocking(Box<dyn Read + Send>),
    /// Polled by the caller.
    Stream(Source),
}

impl Body {
    /// No body at all. With POST, PUT and PATCH it is sent as one of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// What a stream gives. It is polled by the future of the exchange, once that has begun, and goes no
    /// faster than the peer reads: four items wait at the most.
    ///
    /// Its first error ends the exchange and is the `source()` of the error that is returned.
    ///
    /// While it gives nothing, the exchange waits for it and for nothing else: a server that refuses the
    /// request meanwhile, with 4xx or 5xx, or goes away, is heard when there is more to be sent, or at the
    /// end. The rest is not asked for then, and the connection not used again. Any other answer that comes
    /// early, a redirect say, is heard at the end, and behind TLS a refusal too. So a stream that has no end
    /// needs a timeout: that, or a cancel, ends the wait. It has to be one of the request or of the lane; those
    /// of the agent's `Config` are looked at when something is sent.
    ///
    /// The stream may wait for jobs of the very lane that sends it: the body of another response, or a
    /// [`Task`](crate::Task). Where the lane is full, the exchange lends them its slot meanwhile, as
    /// [`Job::block_on`](crate::Job::block_on) does, which says what is not seen there:
    /// [`Lane::map`](crate::Lane::map) for one. Such a stream should have another lane.
    pub fn stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let stream = stream.map(|item| item.map(Into::into).map_err(Into::into));
        Self::new(Content::Stream(stream.boxed()))
    }

    /// What an async reader gives, a file of Tokio's say. As [`stream`](Self::stream) otherwise.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::new(Content::Stream(
            Chunks::new(reader).map_err(Into::into).boxed(),
        ))
    }

    /// What a blocking reader gives, a [`File`](std::fs::File) say. It is read on the thread of the
    /// exchange, which may block in it, but which cannot be interrupted there: the slot of the lane
    /// is taken until the reader returns, whatever becomes of the caller. Nor does it hear the server
    /// there, as with a [`stream`](Self::stream).
    pub fn blocking(reader: impl Read + Send + 'static) -> Self {
        Self::new(Content::Blocking(Box::new(reader)))
    }

    /// Says how many bytes there are, to be sent as `Content-Length` instead of in chunks.
    ///
    /// The last of them are sent when the source has said that there are no more, so that a body
    /// that is longer than this is not taken for whole.
    ///
    /// If the server is heard to refuse the request before it has all of a body that is read, the rest is
    /// neither read nor sent, but ureq counts it to its end: not to be noticed for gigabytes, ten seconds of a
    /// processor or so for a tebibyte. Without a length it is over at once.
    #[must_use]
    pub fn with_length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// How many bytes there are, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.content {
            Content::None => self.length.or(Some(0)),
            Content::Bytes(bytes) => self.length.or(Some(bytes.len() as u64)),
            Content::Blocking(_) | Content::Stream(_) => self.length,
        }
    }

    fn new(content: Content) -> Self {
        Self {
            content,
            length: None,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self.content, Content::None)
    }

    /// The number of bytes that are there, where that is not the user's to say.
    pub(super) fn measured(&self) -> Option<u64> {
        match &self.content {
            Content::None => Some(0),
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Blocking(_) | Content::Stream(_) => None,
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::new(Content::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::None => "none",
            Content::Bytes(_) => "bytes",
            Content::Blocking(_) => "blocking",
            Content::Stream(_) => "stream",
        };
        f.debug_struct("Body")
            .field("content", &content)
            .field("length", &self.length())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_body_shows_its_kind_and_not_its_bytes() {
        let body = Body::from("canary");
        assert!(!format!("{body:?}").contains("canary"));
        assert_eq!(body.length(), Some(6));
        assert_eq!(Body::empty().length(), Some(0));
        let stream = Body::stream(futures_util::stream::empty::<Result<Bytes, io::Error>>());
        assert_eq!(stream.length(), None);
        assert_eq!(stream.with_length(3).length(), Some(3));
    }
}
