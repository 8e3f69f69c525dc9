//! The access log: one line for each request.

use std::time::Duration;

use tracing::Level;

use super::line::{Line, Stamp};
use super::logs;
use crate::domain::signature_id::IdHash;
use crate::settings::LogFormat;

/// What the line of a request says.
pub struct AccessLine<'a> {
    /// When the answer was made.
    pub time: &'a Stamp,
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
    /// The hash of the requested id.
    pub id_hash: Option<IdHash>,
    /// Where the answer came from, in one word.
    pub cache: Option<&'static str>,
    /// Why the call to the upstream failed, in one word.
    pub cause: Option<&'static str>,
    /// The trace that the request belongs to.
    pub trace_id: Option<String>,
    /// From the request's head to the answer's.
    pub duration: Duration,
}

impl AccessLine<'_> {
    /// Writes the line, unless `telemetry.log` silences it.
    pub fn write(&self) {
        if tracing::enabled!(target: "access", Level::INFO) {
            logs::QUEUE.push(&self.line(logs::format()));
        }
    }

    fn line(&self, format: LogFormat) -> Vec<u8> {
        let mut line = Line::new(format, self.time, "access", "request");
        line.text("request_id", Some(self.request_id));
        line.text("method", Some(self.method));
        line.text("route", Some(self.route));
        line.number("status", self.status.into());
        line.text("code", self.code);
        line.text("caller", self.caller);
        if let Some(IdHash(hash)) = self.id_hash {
            line.hex::<8, 16>("id_hash", &hash);
        }
        line.text("cache", self.cache);
        line.text("cause", self.cause);
        line.text("trace_id", self.trace_id.as_deref());
        line.number("duration_us", self.duration.as_micros() as u64);
        line.end()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::signature_id::SignatureId;

    fn time() -> Stamp {
        Stamp::at("2026-01-02T03:04:05.000067089Z".parse::<Timestamp>().unwrap())
    }

    fn line(time: &Stamp) -> AccessLine<'_> {
        AccessLine {
            time,
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
        let time = time();
        let written = line(&time).line(LogFormat::Json);
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
            ..line(&time)
        };
        let read: Value = serde_json::from_slice(&full.line(LogFormat::Json)).unwrap();
        assert_eq!(read["id_hash"], id.hash_for_logs().to_string());
        let texts = ["code", "caller", "cache", "cause", "trace_id"].map(|name| &read[name]);
        assert_eq!(texts, ["internal", "onboarding", "stale", "reset", "4bf92f3577b34da6a3ce929d0e0e4736"]);
    }

    #[test]
    fn as_text_a_line_is_what_tracing_would_write() {
        let time = time();
        let written = AccessLine { cache: Some("hit"), ..line(&time) }.line(LogFormat::Text);
        let expected = "2026-01-02T03:04:05.000067Z  INFO access: request request_id=\"r-1\" method=\"GET\" \
                        route=\"/idv/{signatureId}\" status=200 cache=\"hit\" duration_us=42\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
