//! One log line, written byte by byte as tracing would write it: through tracing, the lines of a cached answer would cost
//! more than all the rest of it.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::domain::text::hex;
use crate::settings::LogFormat;

/// A time as lines show it: `2026-11-27T09:08:07.000123Z`. It is written once for all lines of an answer.
#[derive(Default)]
pub struct Stamp([u8; 27]);

impl Stamp {
    /// That time.
    pub fn at(time: Timestamp) -> Self {
        let time = Offset::UTC.to_datetime(time);
        let mut stamp = Self(*b"0000-00-00T00:00:00.000000Z");
        stamp.write::<4>(0, time.year().into());
        stamp.write::<2>(5, time.month().into());
        stamp.write::<2>(8, time.day().into());
        stamp.write::<2>(11, time.hour().into());
        stamp.write::<2>(14, time.minute().into());
        stamp.write::<2>(17, time.second().into());
        stamp.write::<6>(20, time.subsec_nanosecond() / 1000);
        stamp
    }

    /// The last `N` digits of `number`, from `at` on.
    fn write<const N: usize>(&mut self, at: usize, mut number: i32) {
        for digit in self.0[at..at + N].iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
    }
}

/// A line under way. Its texts hold nothing that is escaped: they are our own words, or were checked when they came in.
pub(super) struct Line {
    bytes: Vec<u8>,
    format: LogFormat,
    target: &'static str,
}

impl Line {
    /// A line of that time which says `message`.
    pub(super) fn new(format: LogFormat, time: &Stamp, target: &'static str, message: &str) -> Self {
        let mut line = Self { bytes: Vec::with_capacity(512), format, target };
        match format {
            LogFormat::Json => {
                line.write("{\"timestamp\":\"");
                line.bytes.extend_from_slice(&time.0);
                line.write("\",\"level\":\"INFO\"");
                line.text("message", Some(message));
            }
            LogFormat::Text => {
                line.bytes.extend_from_slice(&time.0);
                for part in ["  INFO ", target, ": ", message] {
                    line.write(part);
                }
            }
        }
        line
    }

    /// Adds a text, if there is one. In place, so that its name is a move of a few bytes and no call.
    #[inline(always)]
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

    /// Adds one word or more as one text.
    pub(super) fn words(&mut self, name: &str, words: impl Iterator<Item = &'static str>) {
        self.name(name);
        let mut mark = "\"";
        for word in words {
            self.write(mark);
            self.write(word);
            mark = ",";
        }
        self.write("\"");
    }

    /// Adds bytes in hexadecimal digits.
    pub(super) fn hex<const BYTES: usize, const DIGITS: usize>(&mut self, name: &str, bytes: &[u8; BYTES]) {
        self.name(name);
        self.write("\"");
        self.bytes.extend_from_slice(&hex::<BYTES, DIGITS>(bytes));
        self.write("\"");
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        self.write(itoa::Buffer::new().format(number));
    }

    /// The whole line, with its end.
    pub(super) fn end(mut self) -> Vec<u8> {
        if self.format == LogFormat::Json {
            self.text("target", Some(self.target));
            self.write("}");
        }
        self.write("\n");
        self.bytes
    }

    #[inline(always)]
    fn name(&mut self, name: &str) {
        match self.format {
            LogFormat::Json => {
                self.write(",\"");
                self.write(name);
                self.write("\":");
            }
            LogFormat::Text => {
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
}
