//! The body of an answer cut from a shared document: a few slices, sent as they are.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::answer::{MAX_SLICES, Slices};

/// Slices, sent in order.
pub(super) struct Sliced {
    slices: Slices,
    next: usize,
}

impl Sliced {
    pub(super) const fn new(slices: Slices) -> Self {
        Self { slices, next: 0 }
    }

    fn left(&self) -> u64 {
        self.slices[self.next..].iter().map(|slice| slice.len() as u64).sum()
    }
}

impl Body for Sliced {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        while self.next < MAX_SLICES {
            let index = self.next;
            self.next += 1;
            let slice = std::mem::take(&mut self.slices[index]);
            if !slice.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(slice))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
