//! A connection whose request has been sent and whose answer has begun.
//!
//! hyper takes about 16 KiB of buffers for an exchange from its start. Real servers that hang are the many and the long
//! ones among thousands of attempts, so it is brought in only when there is an answer to read; what it then writes, the
//! request once more, goes nowhere.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream behind its first byte.
pub(super) struct Answering<S> {
    first: Option<u8>,
    stream: S,
    /// Whether hyper has written its request; to an answer before that it would object.
    asked: bool,
    reader: Option<Waker>,
}

impl<S> Answering<S> {
    pub(super) fn new(first: u8, stream: S) -> Answering<S> {
        Answering { first: Some(first), stream, asked: false, reader: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Answering<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        if into.remaining() > 0
            && let Some(first) = self.first.take()
        {
            into.put_slice(&[first]);
            if into.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            // What else is there comes along; with nothing there the first byte alone is an answer.
            return match Pin::new(&mut self.stream).poll_read(context, into) {
                Poll::Pending => Poll::Ready(Ok(())),
                ready => ready,
            };
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: Unpin> AsyncWrite for Answering<S> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
