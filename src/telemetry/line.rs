//! One log line in JSON, written byte by byte as tracing would write it: through tracing, the lines of a cached answer
//! would cost more than all the rest of it.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A line under way. Its texts hold nothing that JSON escapes: they are our own words, or were checked when they came in.
pub(super) struct JsonLine(Vec<u8>);

impl JsonLine {
    /// A line of that time which says `message`.
    pub(super) fn new(time: Timestamp, message: &str) -> Self {
        let mut line = Self(Vec::with_capacity(512));
        line.0.extend_from_slice(b"{\"timestamp\":");
        line.write_time(time);
        line.0.extend_from_slice(b"\",\"level\":\"INFO\"");
        line.text("message", Some(message));
        line
    }

    /// Adds a text, if there is one.
    pub(super) fn text(&mut self, name: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        debug_assert!(
            text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')),
            "{name} is plain"
        );
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// The whole line, with its end.
    pub(super) fn end(mut self, target: &str) -> Vec<u8> {
        self.text("target", Some(target));
        self.0.extend_from_slice(b"}\n");
        self.0
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// `2026-11-27T09:08:07.000123Z`
    fn write_time(&mut self, time: Timestamp) {
        let time = Offset::UTC.to_datetime(time);
        self.write_digits::<4>(b'"', time.year().into());
        self.write_digits::<2>(b'-', time.month().into());
        self.write_digits::<2>(b'-', time.day().into());
        self.write_digits::<2>(b'T', time.hour().into());
        self.write_digits::<2>(b':', time.minute().into());
        self.write_digits::<2>(b':', time.second().into());
        self.write_digits::<6>(b'.', time.subsec_nanosecond() / 1000);
        self.0.push(b'Z');
    }

    fn write_digits<const N: usize>(&mut self, mark: u8, mut number: i32) {
        let mut digits = [b'0'; N];
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
        self.0.push(mark);
        self.0.extend_from_slice(&digits);
    }
}
