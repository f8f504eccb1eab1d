//! One answer, and how it is put on the wire.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// What a client over the bound of connections is told.
pub(super) const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// An answer and how it ends.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) ending: Ending,
}

#[derive(Debug)]
pub(super) enum Body {
    Text(String),
    /// So many bytes of no meaning; they are never held in memory at once.
    Filler(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Whole,
    /// Promise the whole body, send half, close.
    Half,
    Reset,
    Never,
}

impl Answer {
    pub(super) fn text(status: u16, text: String) -> Self {
        Self {
            after: Duration::ZERO,
            status,
            body: Body::Text(text),
            ending: Ending::Whole,
        }
    }

    /// Writes head and body, or the half of it.
    pub(super) async fn write(
        &self,
        stream: &mut TcpStream,
        keep: bool,
        head_only: bool,
    ) -> io::Result<()> {
        let (kind, connection) = match (&self.body, keep) {
            (Body::Text(_), true) => ("text/plain", "keep-alive"),
            (Body::Text(_), false) => ("text/plain", "close"),
            (Body::Filler(_), true) => ("application/octet-stream", "keep-alive"),
            (Body::Filler(_), false) => ("application/octet-stream", "close"),
        };
        // A body is forbidden with these two, and a client would take it for the next answer.
        let without_body = matches!(self.status, 204 | 304);
        let length = if without_body { 0 } else { self.body.len() };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        if self.status != 204 {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str(&format!(
            "content-type: {kind}\r\nconnection: {connection}\r\n\r\n"
        ));
        let sent = match self.ending {
            _ if head_only || without_body => 0,
            Ending::Half => length / 2,
            _ => length,
        };
        match &self.body {
            Body::Text(text) => {
                // One write for both, since two small ones would meet Nagle and delayed ACKs.
                let sent = usize::try_from(sent).expect("a text fits into memory");
                let mut bytes = head.into_bytes();
                bytes.extend_from_slice(&text.as_bytes()[..sent]);
                stream.write_all(&bytes).await?;
            }
            Body::Filler(_) => {
                const CHUNK: u64 = 16 * 1024;
                let mut bytes = head.into_bytes();
                let mut left = sent;
                loop {
                    let now = left.min(CHUNK);
                    bytes.resize(
                        bytes.len() + usize::try_from(now).expect("a chunk is small"),
                        b'.',
                    );
                    stream.write_all(&bytes).await?;
                    bytes.clear();
                    left -= now;
                    if left == 0 {
                        break;
                    }
                }
            }
        }
        stream.flush().await
    }
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Filler(size) => *size,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => match status / 100 {
            2 => "Successful",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}
