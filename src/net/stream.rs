//! Connections that break when too much is received. An upstream's breaks at [`MAX_RECEIVED`] bytes for one request: hyper
//! limits one head and we limit the body, but 1xx answers, chunk framing and TLS records have no limit of their own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection as hyper's client takes it.
pub(crate) type Stream = MaybeHttpsStream<TokioIo<Watched<TcpStream, Arc<Meter>>>>;

/// The largest body, in bytes. The vendor's own have a few KiB.
pub(super) const MAX_BODY: usize = 1 << 20;
/// The most bytes a server may send for one request, handshake and framing included.
const MAX_RECEIVED: usize = 2 * MAX_BODY;

/// What one connection has carried.
#[derive(Default)]
pub(super) struct Meter {
    /// Bytes received since the last whole answer.
    received: AtomicUsize,
    /// Answers received.
    answers: AtomicUsize,
}

impl Meter {
    /// Counts an answer. Returns whether it is the first.
    pub(super) fn count_answer(&self) -> bool {
        self.answers.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// The answer that was counted is whole: what comes now belongs to the next one.
    pub(super) fn end_answer(&self) {
        self.received.store(0, Ordering::Relaxed);
    }

    /// Whether the connection has carried an answer.
    pub(super) fn is_used(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 0
    }
}

impl Watch for Arc<Meter> {
    fn received(&mut self, bytes: &[u8]) -> bool {
        let before = self.received.fetch_add(bytes.len(), Ordering::Relaxed);
        before + bytes.len() <= MAX_RECEIVED
    }

    fn sent(&mut self, _: &[u8]) {}
}

/// Sees what a connection carries.
pub(crate) trait Watch: Unpin {
    /// These bytes were received. Returns whether the connection may go on.
    fn received(&mut self, bytes: &[u8]) -> bool;

    /// These bytes were sent.
    fn sent(&mut self, bytes: &[u8]);
}

/// A connection that breaks when more is received than its watch allows.
pub(crate) struct Watched<S, W> {
    stream: S,
    watch: W,
}

impl<S, W> Watched<S, W> {
    pub(crate) const fn new(stream: S, watch: W) -> Self {
        Self { stream, watch }
    }
}

impl<S: AsyncRead + Unpin, W: Watch> AsyncRead for Watched<S, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.watch.received(&buffer.filled()[before..]) {
            polled
        } else {
            Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()))
        }
    }
}

impl<S: AsyncWrite + Unpin, W: Watch> AsyncWrite for Watched<S, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(sent)) = polled {
            self.watch.sent(&bytes[..sent]);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
