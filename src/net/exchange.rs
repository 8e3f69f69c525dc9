//! A whole answer, or none: where errors of a connection become our kinds.

use std::error::Error;
use std::io;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::response;
use jiff::Timestamp;

use super::connector::NotConnected;
use super::retry_after;
use super::stream::{MAX_BODY, Meter};
use crate::domain::failure::Kind;

pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("idv-gateway/", env!("CARGO_PKG_VERSION")));

/// A whole answer, not yet read.
pub(crate) struct Answer {
    pub status: StatusCode,
    /// Whether it says that it is JSON, in no charset or in UTF-8.
    pub is_json: bool,
    pub retry_after: Option<Duration>,
    /// The server's clock, as it was sent: few readers need it.
    pub date_header: Option<HeaderValue>,
    /// Whether its connection had carried nothing else.
    pub is_first: bool,
    pub body: Vec<u8>,
}

/// No whole answer came.
pub(crate) struct Broken {
    /// How far the exchange got.
    pub kind: Kind,
    /// A kept connection ended before any byte of the answer: it may have been closed just as it was taken.
    pub is_stale: bool,
}

impl Answer {
    pub(super) fn of(head: &response::Parts, is_first: bool) -> Self {
        let headers = &head.headers;
        let date_header = headers.get(DATE).cloned();
        let now = || date(date_header.as_ref()).unwrap_or_else(Timestamp::now);
        let retry_after = text(headers, &RETRY_AFTER).and_then(|text| retry_after::parse(text, now()));
        Self {
            status: head.status,
            is_json: text(headers, &CONTENT_TYPE).is_some_and(is_json),
            retry_after,
            date_header,
            is_first,
            body: Vec::new(),
        }
    }

    /// The server's clock when it answered.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        date(self.date_header.as_ref())
    }

    pub(super) async fn read(&mut self, mut body: Incoming) -> Result<(), Broken> {
        let too_large = Broken { kind: Kind::Malformed, is_stale: false };
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(too_large);
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Broken::amid_the_answer(&error))?;
            let Some(chunk) = frame.data_ref() else { continue };
            if self.body.len() + chunk.len() > MAX_BODY {
                return Err(too_large);
            }
            self.body.extend_from_slice(chunk);
        }
        Ok(())
    }
}

impl Broken {
    pub(super) fn before_the_answer(error: &hyper::Error, meter: &Meter) -> Self {
        let kind = kind_of(error, Kind::Reset);
        Self { kind, is_stale: meter.is_used() && kind == Kind::Reset }
    }

    fn amid_the_answer(error: &hyper::Error) -> Self {
        Self { kind: kind_of(error, Kind::Truncated), is_stale: false }
    }
}

impl From<NotConnected> for Broken {
    fn from(NotConnected(kind): NotConnected) -> Self {
        Self { kind, is_stale: false }
    }
}

/// What an error means. Decided by type, never by text.
fn kind_of(error: &(dyn Error + 'static), otherwise: Kind) -> Kind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let is_parse = error.downcast_ref().is_some_and(hyper::Error::is_parse);
        let is_limit =
            error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::FileTooLarge);
        if is_parse || is_limit {
            return Kind::Malformed;
        }
        cause = error.source();
    }
    otherwise
}

fn is_json(content_type: &str) -> bool {
    // As it mostly is.
    if content_type == "application/json" {
        return true;
    }
    let content_type = content_type.to_ascii_lowercase();
    let charset = content_type.split_once("charset=").map(|(_, name)| name.trim_matches(['"', '\'', ' ']));
    let is_utf8 = charset.is_none_or(|name| name.starts_with("utf-8") || name.starts_with("us-ascii"));
    content_type.contains("json") && is_utf8
}

fn date(header: Option<&HeaderValue>) -> Option<Timestamp> {
    retry_after::http_date(header?.to_str().ok()?)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Answer: std::fmt::Debug, std::fmt::Display);
