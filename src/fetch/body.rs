//! Collecting the body of a response.

use std::{future::poll_fn, pin::pin};

use bytes::{Buf, Bytes, BytesMut};
use http::Response;
use http_body::Body;

use super::{Source, error::Failure, kind::ErrorKind, progress::Board};

/// How much memory is taken on the word of a `Content-Length`.
const TRUSTED: u64 = 1 << 20;

/// The response with all of its body, if that is no larger than `limit` bytes.
pub(super) async fn collect<B>(
    response: Response<B>,
    limit: u64,
    board: &Board,
) -> Result<Response<Bytes>, Failure>
where
    B: Body,
    B::Error: Into<Source>,
{
    let (parts, body) = response.into_parts();
    let mut body = pin!(body);
    let expected = body.size_hint().lower();
    if expected > limit {
        return Err(Failure::new(ErrorKind::TooLarge { limit }));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| Failure::with(ErrorKind::Body, error))?;
        // Trailers are not asked for.
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let new = data.remaining();
        length += new as u64;
        board.received(new as u64);
        if length > limit {
            return Err(Failure::new(ErrorKind::TooLarge { limit }));
        }
        if first.is_empty() {
            // Most bodies come in one piece, which need not be copied.
            first = data.copy_to_bytes(new);
            continue;
        }
        if rest.is_empty() {
            let trusted = usize::try_from(expected.min(TRUSTED)).unwrap_or_default();
            rest.reserve(trusted.max(first.len() + new));
            rest.extend_from_slice(&first);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            rest.extend_from_slice(chunk);
            let read = chunk.len();
            data.advance(read);
        }
    }
    let whole = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok(Response::from_parts(parts, whole))
}
