//! The lines of the access log and of the audit trail, written byte by byte as tracing would write them: through tracing,
//! the lines of a cached answer would cost more than all the rest of it.

use jiff::Timestamp;
use jiff::tz::Offset;
use tracing::Level;

use super::logs;
use crate::domain::text::hex;
use crate::settings::LogFormat;

/// The targets of the lines.
const ACCESS: &str = "access";
const AUDIT: &str = "audit";

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
pub struct Line {
    bytes: Vec<u8>,
    format: LogFormat,
    target: &'static str,
}

impl Line {
    /// The line of a request in the access log. `None`: `telemetry.log` silences it.
    pub fn access(time: &Stamp) -> Option<Self> {
        let is_on = tracing::enabled!(target: ACCESS, Level::INFO);
        is_on.then(|| Self::new(logs::format(), time, ACCESS, "request"))
    }

    /// A line of the audit trail, for which a place was reserved. No setting of the log silences it.
    pub fn audit(time: &Stamp) -> Self {
        Self::new(logs::format(), time, AUDIT, "personal data shown")
    }

    /// Sends the line to standard output.
    pub fn send(self) {
        if self.target == AUDIT { logs::QUEUE.push_audit(&self.end()) } else { logs::QUEUE.push(&self.end()) }
    }

    fn new(format: LogFormat, time: &Stamp, target: &'static str, message: &str) -> Self {
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
    pub fn text(&mut self, name: &str, text: Option<&str>) {
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
    pub fn words(&mut self, name: &str, words: impl Iterator<Item = &'static str>) {
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
    pub fn hex<const BYTES: usize, const DIGITS: usize>(&mut self, name: &str, bytes: &[u8; BYTES]) {
        self.name(name);
        self.write("\"");
        self.bytes.extend_from_slice(&hex::<BYTES, DIGITS>(bytes));
        self.write("\"");
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        self.write(itoa::Buffer::new().format(number));
    }

    /// The whole line, with its end.
    fn end(mut self) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(format: LogFormat) -> String {
        let time = Stamp::at("2026-01-02T03:04:05.000067089Z".parse::<Timestamp>().unwrap());
        let mut line = Line::new(format, &time, ACCESS, "request");
        line.text("request_id", Some("r-1"));
        line.text("code", None);
        line.number("status", 200);
        line.words("scopes", ["checks", "media"].into_iter());
        line.hex::<2, 4>("id_hash", &[0x0f, 0xa0]);
        String::from_utf8(line.end()).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object_with_what_is_known() {
        let written = line(LogFormat::Json);
        assert_eq!(written.lines().count(), 1);
        let expected = json!({
            "timestamp": "2026-01-02T03:04:05.000067Z",
            "level": "INFO",
            "message": "request",
            "request_id": "r-1",
            "status": 200,
            "scopes": "checks,media",
            "id_hash": "0fa0",
            "target": "access",
        });
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
    }

    #[test]
    fn as_text_a_line_is_what_tracing_would_write() {
        let expected = "2026-01-02T03:04:05.000067Z  INFO access: request request_id=\"r-1\" status=200 \
                        scopes=\"checks,media\" id_hash=\"0fa0\"\n";
        assert_eq!(line(LogFormat::Text), expected);
    }
}
