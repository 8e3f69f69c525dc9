//! A connection's stream with our own timers: hyper's head timer starts while a kept connection is idle, and nothing
//! of hyper's ends a client that does not read its answer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::state::{ConnectionState, IDLE_AFTER_ERROR};

/// How long a client may leave an answer unread.
const WRITE: Duration = Duration::from_secs(30);
/// How many bytes of slices are gathered before they are written: up to there, copying them costs less than a write of
/// several slices.
const MAX_GATHERED: usize = 4096;
/// How long a client may take over an answer that it does read, bit by bit.
const WHOLE_WRITE: Duration = Duration::from_secs(60);

thread_local! {
    /// Where slices are gathered. They are written at once, so the connections of a thread share one buffer.
    static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream that fails when its client takes too long.
pub(super) struct TimeoutStream<S> {
    stream: S,
    state: Arc<ConnectionState>,
    /// Fires at or before the state's deadline: it is moved only when it must fire earlier, or has fired.
    read_timer: Pin<Box<Sleep>>,
    /// Set while a write waits for the client, until all of the answer is written.
    write_timer: Option<WriteTimer>,
}

struct WriteTimer {
    sleep: Pin<Box<Sleep>>,
    /// When the whole answer must be written, however steadily it is read.
    last: Instant,
}

impl WriteTimer {
    fn start() -> Self {
        let now = Instant::now();
        Self { sleep: Box::pin(sleep_until(now + WRITE)), last: now + WHOLE_WRITE }
    }

    /// Something was read.
    fn extend(&mut self) {
        self.sleep.as_mut().reset(self.last.min(Instant::now() + WRITE));
    }
}

impl<S> TimeoutStream<S> {
    pub(super) fn new(stream: S, state: Arc<ConnectionState>) -> Self {
        let first = state.read_deadline().unwrap_or_else(Instant::now);
        Self { stream, state, read_timer: Box::pin(sleep_until(first)), write_timer: None }
    }

    fn check_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self.state.read_deadline();
        // While an answer is being made nothing is late, but hyper does not read again by itself once the answer is sent:
        // the timer has to come back here before the first deadline that there can be then.
        let look_again = deadline.unwrap_or_else(|| self.state.began() + IDLE_AFTER_ERROR);
        if look_again < self.read_timer.deadline() {
            self.read_timer.as_mut().reset(look_again);
        }
        loop {
            ready!(self.read_timer.as_mut().poll(cx));
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                self.state.count_read_timeout();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.read_timer.as_mut().reset(deadline.unwrap_or(now + IDLE_AFTER_ERROR));
        }
    }

    fn check_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if let Some(timer) = &mut self.write_timer {
                timer.extend();
            }
            return written;
        }
        self.state.set_writing(true);
        let timer = self.write_timer.get_or_insert_with(WriteTimer::start);
        ready!(timer.sleep.as_mut().poll(cx));
        self.state.count_write_timeout();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            return self.check_read(cx);
        }
        self.state.received(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = if length > MAX_GATHERED {
            stream.poll_write_vectored(cx, slices)
        } else {
            GATHERED.with_borrow_mut(|gathered| {
                gathered.clear();
                slices.iter().for_each(|slice| gathered.extend_from_slice(slice));
                stream.poll_write(cx, gathered)
            })
        };
        self.check_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() && self.write_timer.take().is_some() {
            self.state.set_writing(false);
        }
        self.check_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.check_write(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::code::ClientClass;
    use crate::telemetry::metrics::{Listener, Metrics};

    fn state() -> Arc<ConnectionState> {
        let metrics = Metrics::new(&[], &[]);
        Arc::new(ConnectionState::new(
            Instant::now(),
            Duration::from_secs(60),
            Arc::clone(&metrics.connections[Listener::Public]),
        ))
    }

    #[tokio::test]
    async fn a_read_that_waited_while_we_answered_is_looked_at_again_when_the_client_idles() {
        let (stream, _client) = tokio::io::duplex(64);
        let state = state();
        let mut timed = TimeoutStream::new(stream, Arc::clone(&state));
        timed.read_timer.as_mut().reset(Instant::now() + Duration::from_millis(20));
        state.answering();
        let mut looks = 0;
        let second_look = poll_fn(|cx| {
            looks += 1;
            let mut buffer = [0; 8];
            let read = Pin::new(&mut timed).poll_read(cx, &mut ReadBuf::new(&mut buffer));
            state.answered(ClientClass::Faulty);
            if looks == 2 { Poll::Ready(read.is_pending()) } else { Poll::Pending }
        });
        let is_patient = tokio::time::timeout(Duration::from_secs(5), second_look).await;
        assert_eq!(is_patient, Ok(true), "woken to look again, and an idle client has time");
        assert!(timed.read_timer.deadline() <= Instant::now() + IDLE_AFTER_ERROR);
    }

    #[tokio::test]
    async fn a_client_that_still_reads_its_answer_does_not_idle() {
        let (stream, mut client) = tokio::io::duplex(8);
        let state = state();
        let mut timed = TimeoutStream::new(stream, Arc::clone(&state));
        state.answering();
        state.answered(ClientClass::Caller);
        let write = async {
            timed.write_all(&[0; 16]).await.expect("it is read");
            timed.flush().await.expect("it is read");
        };
        let read = async {
            client.read_exact(&mut [0; 4]).await.expect("it is written");
            assert!(state.closable().is_none() && !state.take_if_idle(), "half of it is read");
            client.read_exact(&mut [0; 12]).await.expect("it is written");
        };
        tokio::join!(write, read);
        assert!(state.closable().is_some() && state.take_if_idle(), "all of it is read");
    }

    #[tokio::test]
    async fn a_write_fails_when_its_client_has_read_nothing_for_too_long() {
        let (stream, _client) = tokio::io::duplex(8);
        let mut timed = TimeoutStream::new(stream, state());
        let soon = Instant::now() + Duration::from_millis(20);
        let failure = poll_fn(|cx| {
            loop {
                match Pin::new(&mut timed).poll_write(cx, &[0; 8]) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(error.kind()),
                    Poll::Pending => match &mut timed.write_timer {
                        Some(timer) if timer.sleep.deadline() > soon => timer.sleep.as_mut().reset(soon),
                        _ => return Poll::Pending,
                    },
                }
            }
        });
        let failure = tokio::time::timeout(Duration::from_secs(5), failure).await;
        assert_eq!(failure, Ok(io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn a_client_that_reads_bit_by_bit_is_given_no_more_than_the_time_for_a_whole_answer() {
        let (stream, mut client) = tokio::io::duplex(8);
        let mut timed = TimeoutStream::new(stream, state());
        let soon = Instant::now() + Duration::from_millis(50);
        let write = poll_fn(|cx| {
            loop {
                match Pin::new(&mut timed).poll_write(cx, &[0; 8]) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(error.kind()),
                    Poll::Pending => match &mut timed.write_timer {
                        Some(timer) if timer.last > soon => timer.last = soon,
                        _ => return Poll::Pending,
                    },
                }
            }
        });
        let read = async {
            while client.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let failure = tokio::time::timeout(Duration::from_secs(5), async {
            tokio::select! { kind = write => kind, () = read => io::ErrorKind::BrokenPipe }
        });
        assert_eq!(failure.await, Ok(io::ErrorKind::TimedOut));
    }
}
