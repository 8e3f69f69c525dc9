//! The callback listener, the only one that faces the Internet. A callback is a hint and never a result: all it can do is
//! cause one fetch of an id that callers have asked about.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::Request;
use axum::http::Method;
use axum::http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::timeout;

use super::code::Code;
use super::error::{self, Answer, ApiError, REALM, no_such_route};
use super::exchange::{self, AccessRecord};
use super::head::check_framing;
use crate::domain::region::{RegionId, Regions};
use crate::domain::signature_id::SignatureId;
use crate::lookup::Lookup;
use crate::telemetry::metrics::{CallbackOutcome, Metrics, RouteLabel};
use crate::telemetry::traces::Traces;

/// The largest body, in bytes. The vendor's have about fifty.
const MAX_BODY: usize = 4096;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the callback listener works with.
pub(crate) struct Callbacks {
    /// The SHA-256 of each valid key: keys of any length are compared in the same time.
    keys: ArcSwap<Vec<[u8; 32]>>,
    regions: Regions,
    lookup: Arc<Lookup>,
    metrics: Arc<Metrics>,
}

/// The body of a callback. What else it holds is ignored.
#[derive(Deserialize)]
struct Hint {
    #[serde(rename = "signatureId")]
    id: String,
}

impl Callbacks {
    /// Accepts callbacks that carry one of `keys`.
    pub(crate) fn new(
        keys: &[SecretString],
        regions: Regions,
        lookup: Arc<Lookup>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let this = Self { keys: ArcSwap::default(), regions, lookup, metrics };
        this.replace_keys(keys);
        this
    }

    /// Uses these keys from now on. Returns whether they are others than before.
    pub(crate) fn replace_keys(&self, keys: &[SecretString]) -> bool {
        let keys: Vec<_> = keys.iter().map(|key| hash(key.expose_secret().as_bytes())).collect();
        let are_new = **self.keys.load() != keys;
        if are_new {
            self.keys.store(Arc::new(keys));
        }
        are_new
    }

    /// Answers one request and records it. Its URL holds a key, so no part of it is recorded.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let mut record = AccessRecord::new(&head);
        let answer = {
            let answer = pin!(self.receive(&head, body, &mut record));
            error::catch_panics(answer, &self.metrics).await
        };
        let mut answer = record.answer(answer, &Traces::off(), &self.metrics.http);
        exchange::set_common_headers(answer.headers_mut(), record.request_id);
        answer
    }

    async fn receive<'a>(
        &'a self,
        head: &Parts,
        body: Incoming,
        record: &mut AccessRecord<'a>,
    ) -> Result<Answer, ApiError> {
        let received = self.read(head, body, record).await;
        let outcome = match &received {
            Ok((id, region)) => self.lookup.hint(*id, *region).await,
            Err(error) if error.code == Code::Unauthenticated => CallbackOutcome::Unauthenticated,
            Err(_) => CallbackOutcome::Malformed,
        };
        self.metrics.waits.callbacks[outcome].inc();
        received.map(|_| Answer::default())
    }

    /// The id and the region that a callback names, if it has a valid key.
    async fn read<'a>(
        &'a self,
        head: &Parts,
        body: Incoming,
        record: &mut AccessRecord<'a>,
    ) -> Result<(SignatureId, RegionId), ApiError> {
        check_framing(head)?;
        let region = head.uri.path().strip_prefix("/callbacks/").ok_or_else(no_such_route)?;
        record.route = RouteLabel::Callbacks;
        if head.method != Method::POST {
            return Err(ApiError::method_not_allowed("POST"));
        }
        if !self.is_valid(key(head.uri.query().unwrap_or_default()).as_deref().unwrap_or_default()) {
            return Err(ApiError::new(
                Code::Unauthenticated,
                "Send a valid key: /callbacks/{region}?key=<it>.",
            )
            .challenge(REALM));
        }
        let region = self.regions.find(region).ok_or_else(no_such_route)?;
        record.region = Some(self.regions.name(region));
        let id = hinted_id(&read_body(body).await?).ok_or(MALFORMED)?;
        record.id = Some(id);
        Ok((id, region))
    }

    /// Compares with every key, so that the time taken says nothing.
    fn is_valid(&self, key: &[u8]) -> bool {
        let given = hash(key);
        let matches =
            self.keys.load().iter().map(|key| key.ct_eq(&given)).fold(Choice::from(0), |a, b| a | b);
        matches.into()
    }
}

const MALFORMED: ApiError =
    ApiError::new(Code::BadRequest, "Send {\"signatureId\":\"…\",\"type\":\"…\"} as JSON, at most 4 KiB.")
        .closing();

fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The key of a query string, if it has exactly one.
fn key(query: &str) -> Option<Vec<u8>> {
    let mut keys = query.split('&').filter_map(|parameter| parameter.strip_prefix("key="));
    let key = keys.next().filter(|_| keys.next().is_none())?;
    Some(percent_encoding::percent_decode_str(key).collect())
}

async fn read_body(body: Incoming) -> Result<Vec<u8>, ApiError> {
    // One that says that it is too large is not waited for.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(MALFORMED);
    }
    let reading = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let collected = reading.map_err(|_| MALFORMED)?.map_err(|_| MALFORMED)?;
    Ok(collected.to_bytes().to_vec())
}

/// The id of a body. The vendor documents its callbacks with a comment and a comma before the closing brace, so both are
/// accepted.
fn hinted_id(body: &[u8]) -> Option<SignatureId> {
    let mut json = str::from_utf8(body).ok()?.trim_start_matches('\u{feff}').as_bytes().to_vec();
    json_strip_comments::strip_slice(&mut json).ok()?;
    SignatureId::parse(&serde_json::from_slice::<Hint>(&json).ok()?.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_read_as_the_vendor_writes_it() {
        let documented =
            "{\n  \"signatureId\":\"1234567890\",\n  \"type\":\"COMPLETED\", // or SUBMIT_COMPLETED\n}";
        for (body, id) in [
            (r#"{"signatureId":"S1","type":"COMPLETED"}"#, Some("S1")),
            (r#"{"type":{"new":1},"signatureId":"S1","more":[1,2]}"#, Some("S1")),
            (documented, Some("1234567890")),
            (r#"{"signatureId":"S1","note":"a, // b }",}"#, Some("S1")),
            ("\u{feff}{\"signatureId\":\"S1\", # hash\n/* a, \" } */\"type\":\"COMPLETED\"}", Some("S1")),
            (r#"{"signatureId":"S1" /* no end"#, None),
            (r#"{"signatureId":"S1" "type":"COMPLETED"}"#, None),
            (r#"{"signatureId":7}"#, None),
            (r#"{"signatureId":"S 1"}"#, None),
            (r#"{"signatureId":""}"#, None),
            ("[]", None),
            ("// nothing", None),
            ("", None),
        ] {
            let read = hinted_id(body.as_bytes());
            assert_eq!(read.map(|id| id.as_str().to_owned()).as_deref(), id, "{body}");
        }
    }

    #[test]
    fn a_key_is_given_once_and_may_be_percent_encoded() {
        for (query, expected) in [
            ("key=abc", Some("abc")),
            ("a=b&key=a%2Bb%26c", Some("a+b&c")),
            ("key=a+b", Some("a+b")),
            ("key=", Some("")),
            ("key=a&key=b", None),
            ("KEY=a", None),
            ("", None),
        ] {
            assert_eq!(key(query).as_deref(), expected.map(str::as_bytes), "{query}");
        }
    }
}
