//! A connection's bytes, limited: whatever a server sends for one request, it ends at [`MAX_RECEIVED`].
//!
//! hyper limits one head and we limit the body, but 1xx answers, chunk framing and TLS records have no limit of their own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The largest body, in bytes. The vendor's own have a few KiB.
pub(super) const MAX_BODY: usize = 1 << 20;
/// The most bytes a server may send for one request, handshake and framing included.
const MAX_RECEIVED: usize = 2 * MAX_BODY;

/// What one connection has carried.
#[derive(Default)]
pub(super) struct Meter {
    /// Bytes received since the last byte was sent.
    received: AtomicUsize,
    /// Answers received.
    answers: AtomicUsize,
}

impl Meter {
    /// Counts an answer. Returns whether it is the first.
    pub(super) fn count_answer(&self) -> bool {
        self.answers.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Whether the connection has carried an answer.
    pub(super) fn is_used(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 0
    }
}

/// A TCP connection that counts what it receives.
pub(super) struct Metered {
    tcp: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, meter: Arc::default() }
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

/// Plain TCP or TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection as hyper's client takes it: each request that is written starts the count again.
pub(crate) struct Stream {
    io: Box<dyn Io>,
    meter: Arc<Meter>,
}

impl Stream {
    pub(super) fn new(io: Box<dyn Io>, meter: Arc<Meter>) -> Self {
        Self { io, meter }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.meter))
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

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.meter.received.store(0, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
