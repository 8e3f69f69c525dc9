//! One request and its whole answer: where errors of a connection become our kinds.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::{Extensions, response};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy;
use jiff::Timestamp;

use super::connections::Client;
use super::connector::NotConnected;
use super::retry_after;
use super::stream::{MAX_BODY, Meter};
use crate::domain::failure::Kind;

pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("idv-gateway/", env!("CARGO_PKG_VERSION")));

/// A whole answer, not yet read.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub is_json: bool,
    /// Whether it declares no charset, or UTF-8.
    pub is_utf8: bool,
    pub retry_after: Option<Duration>,
    pub date: Option<Timestamp>,
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

/// A request that posts JSON.
pub(crate) fn post(uri: &Uri, json: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(json));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// Sends a request and reads the whole answer within `time_limit`.
///
/// # Errors
/// No whole answer came.
pub(crate) async fn send(
    client: &Client,
    mut request: Request<Full<Bytes>>,
    time_limit: Duration,
) -> Result<Answer, Broken> {
    request.headers_mut().insert(USER_AGENT, AGENT);
    let exchange = async {
        let response = client.request(request).await.map_err(|error| Broken::before_the_answer(&error))?;
        let (head, body) = response.into_parts();
        let meter = head.extensions.get::<Arc<Meter>>();
        let mut answer = Answer::of(&head, meter.is_some_and(|meter| meter.count_answer()));
        answer.read(body).await.map_err(|kind| Broken { kind, is_stale: false })?;
        meter.inspect(|meter| meter.end_answer());
        Ok(answer)
    };
    let timed_out = Broken { kind: Kind::Timeout, is_stale: false };
    tokio::time::timeout(time_limit, exchange).await.unwrap_or(Err(timed_out))
}

impl Answer {
    fn of(head: &response::Parts, is_first: bool) -> Self {
        let headers = &head.headers;
        let content_type = text(headers, &CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let charset =
            content_type.split_once("charset=").map(|(_, name)| name.trim_matches(['"', '\'', ' ']));
        let date = text(headers, &DATE).and_then(retry_after::http_date);
        let retry_after = text(headers, &RETRY_AFTER);
        Self {
            status: head.status,
            is_json: content_type.contains("json"),
            is_utf8: charset.is_none_or(|name| name.starts_with("utf-8") || name.starts_with("us-ascii")),
            retry_after: retry_after
                .and_then(|text| retry_after::parse(text, date.unwrap_or_else(Timestamp::now))),
            date,
            is_first,
            body: Vec::new(),
        }
    }

    async fn read(&mut self, mut body: Incoming) -> Result<(), Kind> {
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(Kind::Malformed);
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| kind_of(&error, Kind::Truncated))?;
            let Some(chunk) = frame.data_ref() else { continue };
            if self.body.len() + chunk.len() > MAX_BODY {
                return Err(Kind::Malformed);
            }
            self.body.extend_from_slice(chunk);
        }
        Ok(())
    }
}

impl Broken {
    fn before_the_answer(error: &legacy::Error) -> Self {
        let mut extras = Extensions::new();
        if let Some(connection) = error.connect_info() {
            connection.get_extras(&mut extras);
        }
        let was_used = extras.get::<Arc<Meter>>().is_some_and(|meter| meter.is_used());
        let kind = kind_of(error, Kind::Reset);
        Self { kind, is_stale: was_used && kind == Kind::Reset }
    }
}

/// What an error means. Decided by type, never by text.
fn kind_of(error: &(dyn Error + 'static), otherwise: Kind) -> Kind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(NotConnected(kind)) = error.downcast_ref() {
            return *kind;
        }
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

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
