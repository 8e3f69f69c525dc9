//! A connection whose replies are limited: the `redis` crate reads each as a whole, however long it is.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::{Watch, Watched};

/// The longest reply, in bytes. The longest of an honest server is the log of a thousand purges.
const MAX_REPLY: usize = 2 << 20;
/// The longest line of one. Strings have lines of their own, and the other lines are short: errors, at most. The crate reads
/// a line from its beginning with each piece that arrives.
const MAX_LINE: usize = 16 << 10;
/// The most bytes of messages between two heartbeats.
const MAX_MESSAGES: usize = 4 << 20;

/// Plain TCP or TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// When a server may send something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// One reply for each command.
    WhenAsked,
    /// Messages, too.
    Freely,
}

/// A connection that breaks when the server sends too much.
pub(super) type Limited = Watched<Box<dyn Io>, Limits>;

/// What a server may still send.
pub(super) struct Limits {
    speaks: Speaks,
    commands: Frames,
    replies: Frames,
    /// Commands without a reply.
    owed: usize,
    /// Bytes received since the last byte was sent.
    received: usize,
}

impl Limits {
    pub(super) fn new(speaks: Speaks) -> Self {
        let (commands, replies) = (Frames::default(), Frames::default());
        Self { speaks, commands, replies, owed: 0, received: 0 }
    }
}

impl Watch for Limits {
    fn received(&mut self, bytes: &[u8]) -> bool {
        self.received = self.received.saturating_add(bytes.len());
        let Some(replies) = self.replies.take(bytes) else { return false };
        let is_asked = replies <= self.owed;
        self.owed = self.owed.saturating_sub(replies);
        match self.speaks {
            Speaks::WhenAsked => is_asked,
            Speaks::Freely => self.received <= MAX_MESSAGES,
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.received = 0;
        self.owed += self.commands.take(bytes).unwrap_or_default();
    }
}

/// Where one reply or command ends and the next begins: a line, after which so many bytes or values may follow.
#[derive(Default)]
struct Frames {
    /// Bytes of this one so far.
    length: usize,
    /// Values that belong to it after the present one.
    further: usize,
    /// The line that has begun, as far as its end is not there.
    line: Vec<u8>,
    /// Bytes of the value that its line has announced.
    rest: usize,
}

impl Frames {
    /// Takes in what was sent. Returns how many have come to their end. `None`: one is too long.
    fn take(&mut self, mut bytes: &[u8]) -> Option<usize> {
        let mut ended = 0;
        while !bytes.is_empty() {
            let taken = if self.rest > 0 { self.take_rest(bytes) } else { self.take_line(bytes) };
            self.length += taken;
            bytes = &bytes[taken..];
            let announced = self.length.saturating_add(self.rest).saturating_add(self.further);
            if announced > MAX_REPLY || self.line.len() > MAX_LINE {
                return None;
            }
            let is_whole = self.rest == 0 && self.line.is_empty();
            if is_whole && self.further == 0 {
                self.length = 0;
                ended += 1;
            } else if is_whole {
                self.further -= 1;
            }
        }
        Some(ended)
    }

    fn take_rest(&mut self, bytes: &[u8]) -> usize {
        let taken = self.rest.min(bytes.len());
        self.rest -= taken;
        taken
    }

    fn take_line(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(bytes.len());
        self.line.extend_from_slice(&bytes[..taken]);
        if end.is_some() {
            self.announce();
            self.line.clear();
        }
        taken
    }

    /// What follows the line: the bytes of a string and their line break, or the values of a list.
    fn announce(&mut self) {
        let number = self.line.get(1..).and_then(|number| str::from_utf8(number).ok());
        let Some(count) = number.and_then(|number| number.trim().parse::<usize>().ok()) else { return };
        match self.line[0] {
            b'$' | b'=' | b'!' => self.rest = count.saturating_add(2),
            b'*' | b'~' | b'>' => self.further = self.further.saturating_add(count),
            b'%' | b'|' => self.further = self.further.saturating_add(count.saturating_mul(2)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many replies these are, sent in pieces of that size.
    fn replies(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut frames = Frames::default();
        bytes.chunks(piece).map(|piece| frames.take(piece)).sum()
    }

    #[test]
    fn any_number_of_replies_may_be_sent_and_none_that_is_too_long() {
        let long = vec![b'x'; MAX_REPLY - 100];
        let string = [format!("${}\r\n", long.len()).as_bytes(), &long, b"\r\n"].concat();
        let lists =
            b"*2\r\n*2\r\n$3\r\na\r\n\r\n$-1\r\n:1\r\n*0\r\n*-1\r\n+OK\r\n%1\r\n$0\r\n\r\n_\r\n".repeat(99);
        let of_two = [b"*2\r\n", string.as_slice(), &string].concat();
        for piece in [7, 4096, usize::MAX >> 1] {
            let all = [string.as_slice(), &lists, &string, &lists, &string].concat();
            assert_eq!(replies(&all, piece), Some(3 + 2 * 5 * 99));
            assert_eq!(replies(&of_two, piece), None, "the strings of a list are one reply");
            assert_eq!(replies(&[b'+'; MAX_LINE + 1], piece), None, "an endless line");
        }
        for announced in ["$9999999999\r\n", "*2147483647\r\n", "%2147483647\r\n", "*3\r\n$99999999\r\n"] {
            assert_eq!(replies(announced.as_bytes(), 1), None, "{announced:?}");
        }
        assert_eq!(replies(&b"*1000\r\n".repeat(3_000), 64), None, "lists of lists");
    }
}
