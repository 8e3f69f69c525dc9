//! The access log: one line for each request.
//!
//! In JSON it is written here, byte by byte: through tracing the line would cost more than the rest of a cached answer.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use tracing::Level;

use super::logs::{self, Format};
use crate::domain::signature_id::IdHash;

/// What the line of a request says. Texts hold nothing that JSON escapes: they are our own words, or were checked when
/// they came in.
pub struct AccessLine<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Its method.
    pub method: &'static str,
    /// The template of its route.
    pub route: &'static str,
    /// The answer's status.
    pub status: u16,
    /// The problem's code, if the answer is one.
    pub code: Option<&'static str>,
    /// The caller's name, once it is known.
    pub caller: Option<&'a str>,
    /// What stands for the id that was asked for.
    pub id_hash: Option<IdHash>,
    /// Where the answer came from, in one word.
    pub cache: Option<&'static str>,
    /// Why the call to the upstream failed, in one word.
    pub cause: Option<&'static str>,
    /// The request's trace, if it is recorded.
    pub trace_id: Option<String>,
    /// From the request's head to the answer's.
    pub duration: Duration,
}

impl AccessLine<'_> {
    /// Writes the line, unless `telemetry.log` silences it.
    pub fn write(&self) {
        if !tracing::enabled!(target: "access", Level::INFO) {
            return;
        }
        match logs::format() {
            Format::Json => logs::push(&self.json(Timestamp::now())),
            Format::Text => self.text(),
        }
    }

    fn text(&self) {
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            method = self.method,
            route = self.route,
            status = self.status,
            code = self.code,
            caller = self.caller,
            id_hash = self.id_hash.as_ref().map(IdHash::as_str),
            cache = self.cache,
            cause = self.cause,
            trace_id = self.trace_id,
            duration_us = self.duration.as_micros() as u64,
            "request"
        );
    }

    /// The line as tracing would write it.
    fn json(&self, now: Timestamp) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        line.extend_from_slice(b"{\"timestamp\":\"");
        write_time(&mut line, now);
        line.extend_from_slice(b"\",\"level\":\"INFO\",\"message\":\"request\"");
        write_text(&mut line, "request_id", Some(self.request_id));
        write_text(&mut line, "method", Some(self.method));
        write_text(&mut line, "route", Some(self.route));
        write_number(&mut line, "status", self.status.into());
        write_text(&mut line, "code", self.code);
        write_text(&mut line, "caller", self.caller);
        write_text(&mut line, "id_hash", self.id_hash.as_ref().map(IdHash::as_str));
        write_text(&mut line, "cache", self.cache);
        write_text(&mut line, "cause", self.cause);
        write_text(&mut line, "trace_id", self.trace_id.as_deref());
        write_number(&mut line, "duration_us", self.duration.as_micros() as u64);
        line.extend_from_slice(b",\"target\":\"access\"}\n");
        line
    }
}

fn write_text(line: &mut Vec<u8>, name: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    debug_assert!(text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')), "{name} is plain");
    write_name(line, name);
    line.push(b'"');
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

fn write_number(line: &mut Vec<u8>, name: &str, number: u64) {
    write_name(line, name);
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_name(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

/// `2026-11-27T09:08:07.000123Z`
fn write_time(line: &mut Vec<u8>, time: Timestamp) {
    let time = Offset::UTC.to_datetime(time);
    let mut write = |mark: &[u8], number: i32, digits: usize| {
        line.extend_from_slice(mark);
        line.extend((0..digits as u32).rev().map(|digit| b'0' + (number / 10_i32.pow(digit) % 10) as u8));
    };
    write(b"", time.year().into(), 4);
    write(b"-", time.month().into(), 2);
    write(b"-", time.day().into(), 2);
    write(b"T", time.hour().into(), 2);
    write(b":", time.minute().into(), 2);
    write(b":", time.second().into(), 2);
    write(b".", time.subsec_nanosecond() / 1000, 6);
    line.push(b'Z');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::signature_id::SignatureId;

    fn line() -> AccessLine<'static> {
        AccessLine {
            request_id: "r-1",
            method: "GET",
            route: "/idv/{signatureId}",
            status: 200,
            code: None,
            caller: None,
            id_hash: None,
            cache: None,
            cause: None,
            trace_id: None,
            duration: Duration::from_micros(42),
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_what_is_known() {
        let now: Timestamp = "2026-01-02T03:04:05.000067089Z".parse().unwrap();
        let written = line().json(now);
        assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: Value = serde_json::from_slice(&written).unwrap();
        let few = json!({
            "timestamp": "2026-01-02T03:04:05.000067Z",
            "level": "INFO",
            "message": "request",
            "request_id": "r-1",
            "method": "GET",
            "route": "/idv/{signatureId}",
            "status": 200,
            "duration_us": 42,
            "target": "access",
        });
        assert_eq!(read, few);
        let id = SignatureId::parse("f302f5d2454a85c2").unwrap();
        let full = AccessLine {
            code: Some("internal"),
            caller: Some("onboarding"),
            id_hash: Some(id.hash_for_logs()),
            cache: Some("stale"),
            cause: Some("reset"),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            ..line()
        };
        let read: Value = serde_json::from_slice(&full.json(now)).unwrap();
        assert_eq!(read["id_hash"], id.hash_for_logs().as_str());
        let texts = ["code", "caller", "cache", "cause", "trace_id"].map(|name| &read[name]);
        assert_eq!(texts, ["internal", "onboarding", "stale", "reset", "4bf92f3577b34da6a3ce929d0e0e4736"]);
    }
}
