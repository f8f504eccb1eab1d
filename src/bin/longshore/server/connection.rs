//! One connection: requests in, answers out, until either side has enough.

use std::future::pending;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::answer::{Answer, Ending};
use super::patience::Patience;
use super::site::Site;

/// A request head is at most this long.
const HEAD_BYTES: usize = 16 * 1024;
/// A request body is read and thrown away, up to this size.
const BODY_BYTES: usize = 1024 * 1024;

/// What of a request decides the answer.
struct Request {
    target: String,
    keep: bool,
    head_only: bool,
    /// It waits for leave to send its body.
    expects: bool,
}

/// What came of reading a request.
enum Read {
    Request(Request),
    /// It is wrong: answer so and close.
    Wrong(u16),
    Closed,
}

/// Answers the requests of one connection.
///
/// # Errors
///
/// The client has gone away, or is too slow.
pub(super) async fn serve(
    mut stream: TcpStream,
    site: &Site,
    patience: Patience,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // What was read and not yet used: the rest of a head, or the start of the next.
    let mut buffer = Vec::with_capacity(1024);
    let mut first = true;
    loop {
        // Between two requests it may rest; from the first byte of one on, that has to come.
        if !first && buffer.is_empty() {
            match timeout(patience.idle, stream.read_buf(&mut buffer)).await {
                Ok(Ok(1..)) => {}
                _ => return Ok(()),
            }
        }
        first = false;
        let read = match timeout(patience.request, request(&mut stream, &mut buffer)).await {
            Ok(read) => read?,
            // To say nothing is no fault, half a request is.
            Err(_) if buffer.is_empty() => return Ok(()),
            Err(_) => Read::Wrong(408),
        };
        let request = match read {
            Read::Request(request) => request,
            Read::Wrong(status) => {
                let answer = Answer::text(status, format!("{}\n", why(status)));
                return timeout(patience.answer, answer.write(&mut stream, false, false)).await?;
            }
            Read::Closed => return Ok(()),
        };

        let answer = site.answer(&request.target);
        tokio::select! {
            () = sleep(answer.after) => {}
            () = gone(&mut stream, &mut buffer) => return Ok(()),
        }
        match answer.ending {
            Ending::Never => {
                drained(&mut stream, &mut buffer).await;
                return Ok(());
            }
            Ending::Reset => return stream.set_zero_linger(),
            Ending::Whole | Ending::Half => {}
        }
        let keep = request.keep && matches!(answer.ending, Ending::Whole);
        timeout(
            patience.answer,
            answer.write(&mut stream, keep, request.head_only),
        )
        .await??;
        if !keep {
            return Ok(());
        }
    }
}

/// What is wrong with a request that is answered so.
fn why(status: u16) -> &'static str {
    match status {
        400 => "this is not an HTTP/1.1 request",
        408 => "the request takes too long to come",
        413 => "the body of a request may have 1 MiB at most",
        431 => "the head of the request is too large",
        501 => "the body of a request needs a Content-Length, and may not come in chunks",
        _ => "the request is refused",
    }
}

/// Reads one request, its body included.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Read> {
    let (request, head, body) = loop {
        if !buffer.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut parsed = httparse::Request::new(&mut headers);
            match parsed.parse(buffer) {
                Ok(httparse::Status::Complete(head)) => match understand(&parsed) {
                    Ok((request, body)) => break (request, head, body),
                    Err(status) => return Ok(Read::Wrong(status)),
                },
                Ok(httparse::Status::Partial) if buffer.len() >= HEAD_BYTES => {
                    return Ok(Read::Wrong(431));
                }
                Ok(httparse::Status::Partial) => {}
                Err(httparse::Error::TooManyHeaders) => return Ok(Read::Wrong(431)),
                Err(_) => return Ok(Read::Wrong(400)),
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Read::Closed);
        }
    };
    if request.expects && buffer.len() < head + body {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while buffer.len() < head + body {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Read::Closed);
        }
    }
    buffer.drain(..head + body);
    Ok(Read::Request(request))
}

/// The request and the length of its body, or the status that refuses it.
fn understand(parsed: &httparse::Request<'_, '_>) -> Result<(Request, usize), u16> {
    let mut keep = parsed.version == Some(1);
    let mut body = 0;
    let mut expects = false;
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value)
            .map_err(|_| 400u16)?
            .trim();
        if header.name.eq_ignore_ascii_case("connection") {
            keep = match value.to_ascii_lowercase().as_str() {
                "close" => false,
                "keep-alive" => true,
                _ => keep,
            };
        } else if header.name.eq_ignore_ascii_case("expect") {
            expects = value.eq_ignore_ascii_case("100-continue");
        } else if header.name.eq_ignore_ascii_case("content-length") {
            body = value.parse::<usize>().map_err(|_| 400u16)?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            // Nothing here needs a chunked request; to guess where it ends would be worse.
            return Err(501);
        }
    }
    if body > BODY_BYTES {
        return Err(413);
    }
    let request = Request {
        target: parsed.path.unwrap_or("/").to_owned(),
        keep,
        head_only: parsed.method == Some("HEAD"),
        expects,
    };
    Ok((request, body))
}

/// Returns when the client has closed the connection, so that nobody waits on its behalf.
///
/// One that has closed its own side alone cannot be told from it before something is sent, and is taken
/// for gone as well.
async fn gone(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    loop {
        if buffer.len() >= HEAD_BYTES {
            // Requests sent ahead: there is no room to look past them.
            return pending().await;
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Returns when the client has closed the connection, as [`gone`], whatever it sends until then: no
/// request of it will be looked at.
async fn drained(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    while !matches!(stream.read_buf(buffer).await, Ok(0) | Err(_)) {
        buffer.clear();
    }
}
