//! An async reader as a stream of bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, ReadBuf};

/// How much is read at a time.
const SIZE: usize = 16 << 10;

pin_project! {
    /// What `reader` gives, as it gives it, up to its end or its first error.
    pub(super) struct Chunks<R> {
        #[pin]
        reader: R,
        room: BytesMut,
        over: bool,
    }
}

impl<R> Chunks<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            room: BytesMut::new(),
            over: false,
        }
    }
}

impl<R: AsyncRead> Stream for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        if this.room.is_empty() {
            *this.room = BytesMut::zeroed(SIZE);
        }
        let mut buffer = ReadBuf::new(this.room);
        let read = ready!(this.reader.poll_read(cx, &mut buffer));
        let filled = buffer.filled().len();
        *this.over = read.is_err() || filled == 0;
        Poll::Ready(match read {
            Err(error) => Some(Err(error)),
            Ok(()) if filled == 0 => None,
            Ok(()) => Some(Ok(this.room.split_to(filled).freeze())),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, TryStreamExt};

    use super::*;

    #[tokio::test]
    async fn all_of_a_reader_comes_through() {
        let text: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let chunks: Vec<Bytes> = Chunks::new(&*text).try_collect().await.unwrap();
        assert_eq!(chunks.concat(), text);
        assert!(chunks.iter().all(|chunk| chunk.len() <= SIZE));
    }

    #[tokio::test]
    async fn an_error_is_given_once_and_ends_it() {
        let reader = failing();
        let items: Vec<_> = Chunks::new(reader).collect().await;
        assert_eq!(items.len(), 2);
        assert_eq!(&items[0].as_ref().unwrap()[..], b"half");
        assert!(items[1].is_err());
    }

    /// Gives a little and fails.
    fn failing() -> impl AsyncRead {
        struct Fails(bool);
        impl AsyncRead for Fails {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                if std::mem::replace(&mut self.0, true) {
                    return Poll::Ready(Err(io::Error::other("the disk is gone")));
                }
                buffer.put_slice(b"half");
                Poll::Ready(Ok(()))
            }
        }
        Fails(false)
    }
}
