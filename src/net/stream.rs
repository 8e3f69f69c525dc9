//! A connection's bytes, limited: whatever a server sends for one request, it ends at [`MAX_RECEIVED`].
//!
//! hyper limits one head and we limit the body, but 1xx answers, chunk framing and TLS records have no limit of their own.

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
pub(crate) type Stream = MaybeHttpsStream<TokioIo<Metered>>;

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

/// A TCP connection that counts what it receives.
pub(crate) struct Metered {
    tcp: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn new(tcp: TcpStream, meter: Arc<Meter>) -> Self {
        Self { tcp, meter }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        if self.meter.received.fetch_add(read, Ordering::Relaxed) + read > MAX_RECEIVED {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
