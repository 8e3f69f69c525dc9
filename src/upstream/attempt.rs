//! One request to the upstream, from bytes to bytes: where reqwest's errors become our kinds.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, RequestBuilder, StatusCode, Url};

use super::retry_after;
use crate::domain::failure::Kind;

/// The most an answer may weigh. The vendor's own weigh a few KiB.
const MAX_BODY: usize = 1 << 20;

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// An answer, whole, not yet understood.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) is_json: bool,
    pub(super) retry_after: Option<Duration>,
    pub(super) date: Option<Timestamp>,
    pub(super) body: Vec<u8>,
}

/// Posts `json` and reads the whole answer within `time_limit`.
///
/// # Errors
/// No whole answer came; the kind says how far it got.
pub(super) async fn post(
    client: &Client,
    url: &Url,
    token: Option<&HeaderValue>,
    json: impl Into<Body>,
    time_limit: Duration,
) -> Result<Answer, Kind> {
    let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(json);
    if let Some(token) = token {
        request = request.header(ACCESS_TOKEN, token);
    }
    send(request, time_limit).await
}

/// Sends a request and reads the whole answer within `time_limit`.
///
/// # Errors
/// No whole answer came; the kind says how far it got.
pub(super) async fn send(request: RequestBuilder, time_limit: Duration) -> Result<Answer, Kind> {
    tokio::time::timeout(time_limit, exchange(request)).await.unwrap_or(Err(Kind::Timeout))
}

async fn exchange(request: RequestBuilder) -> Result<Answer, Kind> {
    let mut response = request.send().await.map_err(|error| before_the_answer(&error))?;
    let (status, headers) = (response.status(), response.headers());
    let mut answer = Answer {
        status,
        is_json: is_json(headers),
        retry_after: header(headers, &RETRY_AFTER)
            .and_then(|text| retry_after::parse(text, Timestamp::now())),
        date: header(headers, &DATE).and_then(retry_after::http_date),
        body: Vec::new(),
    };
    if response.content_length().is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Kind::Malformed);
    }
    while let Some(chunk) = response.chunk().await.map_err(|_| Kind::Truncated)? {
        if answer.body.len() + chunk.len() > MAX_BODY {
            return Err(Kind::Malformed);
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// What a failure before the answer's head means. Decided by type, never by text.
fn before_the_answer(error: &reqwest::Error) -> Kind {
    if error.is_timeout() && !error.is_connect() {
        return Kind::Timeout;
    }
    if error.is_connect() {
        return Kind::Connect;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Kind::Malformed;
        }
        cause = inner.source();
    }
    Kind::Reset
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    header(headers, &CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
}
