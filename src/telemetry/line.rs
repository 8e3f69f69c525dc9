//! One log line, written byte by byte as tracing would write it: through tracing, the lines of a cached answer would cost
//! more than all the rest of it.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::logs::Format;

/// A line under way. Its texts hold nothing that is escaped: they are our own words, or were checked when they came in.
pub(super) struct Line {
    bytes: Vec<u8>,
    format: Format,
    target: &'static str,
}

impl Line {
    /// A line of that time which says `message`.
    pub(super) fn new(format: Format, time: Timestamp, target: &'static str, message: &str) -> Self {
        let mut line = Self { bytes: Vec::with_capacity(512), format, target };
        match format {
            Format::Json => {
                line.write("{\"timestamp\":\"");
                line.write_time(time);
                line.write("\",\"level\":\"INFO\"");
                line.text("message", Some(message));
            }
            Format::Text => {
                line.write_time(time);
                for part in ["  INFO ", target, ": ", message] {
                    line.write(part);
                }
            }
        }
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
        self.write("\"");
        self.write(text);
        self.write("\"");
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        self.write(itoa::Buffer::new().format(number));
    }

    /// The whole line, with its end.
    pub(super) fn end(mut self) -> Vec<u8> {
        if self.format == Format::Json {
            self.text("target", Some(self.target));
            self.write("}");
        }
        self.write("\n");
        self.bytes
    }

    /// Its marks are constants, so that each is a move of a few bytes and no call.
    #[inline]
    fn name(&mut self, name: &str) {
        match self.format {
            Format::Json => {
                self.write(",\"");
                self.write(name);
                self.write("\":");
            }
            Format::Text => {
                self.write(" ");
                self.write(name);
                self.write("=");
            }
        }
    }

    #[inline]
    fn write(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// `2026-11-27T09:08:07.000123Z`
    fn write_time(&mut self, time: Timestamp) {
        let time = Offset::UTC.to_datetime(time);
        self.write_digits::<4>(time.year().into(), b'-');
        self.write_digits::<2>(time.month().into(), b'-');
        self.write_digits::<2>(time.day().into(), b'T');
        self.write_digits::<2>(time.hour().into(), b':');
        self.write_digits::<2>(time.minute().into(), b':');
        self.write_digits::<2>(time.second().into(), b'.');
        self.write_digits::<6>(time.subsec_nanosecond() / 1000, b'Z');
    }

    /// The last `N` digits of `number`, and `mark` after them.
    fn write_digits<const N: usize>(&mut self, mut number: i32, mark: u8) {
        let mut digits = [b'0'; N];
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
        self.bytes.extend_from_slice(&digits);
        self.bytes.push(mark);
    }
}
