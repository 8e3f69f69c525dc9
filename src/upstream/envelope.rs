//! The envelope around every answer: `code` decides, whatever the HTTP status says.

use hyper::StatusCode;
use jiff::Timestamp;

use super::json::{Json, Object};
use super::normalise::{is, text_field};
use super::wire;
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::failure::{Fault, Kind, UpstreamSaid};
use crate::net::{Answer, retry_after};

/// The envelope codes we know, and what each means. Sources: the get-result page and the vendor's list of codes
/// common to every API.
const CODES: &[(&str, Option<Kind>)] = &[
    ("SUCCESS", None),
    ("SIGNATURE_NOT_EXIST", Some(Kind::NotFound)),
    ("ERROR", Some(Kind::Server)),
    ("IAM_FAILED", Some(Kind::Auth)),
    ("SERVICE_BUSY", Some(Kind::Busy)),
    ("RETRY_LATER", Some(Kind::Busy)),
    ("INSUFFICIENT_BALANCE", Some(Kind::Account)),
    ("OVER_QUERY_LIMIT", Some(Kind::Account)),
    ("ACCOUNT_DISABLED", Some(Kind::Account)),
    ("SERVICE_DISABLED", Some(Kind::Account)),
    ("ACCESS_DENIED", Some(Kind::Refused)),
    ("PARAMETER_ERROR", Some(Kind::Refused)),
    ("EMPTY_PARAMETER_ERROR", Some(Kind::Refused)),
    ("CLIENT_ERROR", Some(Kind::Refused)),
];

/// The members of the envelope.
const KNOWN: &[&str] = &["code", "message", "data", "extra", "transactionId", "pricingStrategy"];

/// A SUCCESS envelope.
pub(super) struct Success<'a> {
    pub(super) data: Object<'a>,
    pub(super) transaction_id: Option<String>,
}

/// Any other answer.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    /// The server's clock when it answered.
    pub(super) date: Option<Timestamp>,
    /// What the message is about: only the message distinguishes a wrong clock from a wrong key.
    pub(super) hint: Option<AuthHint>,
    /// The id that it names, if it names one.
    pub(super) named: Option<String>,
}

/// What a refusal's message is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthHint {
    Timestamp,
    Signature,
}

impl Refusal {
    pub(super) const fn of(kind: Kind) -> Self {
        Self { fault: Fault::new(kind), date: None, hint: None, named: None }
    }

    fn saying(mut self, code: Option<&'static str>, transaction_id: Option<String>) -> Self {
        self.fault.said = Some(UpstreamSaid { code, transaction_id });
        self
    }
}

/// Reads an answer, whose body is `text`.
///
/// # Errors
/// It is anything but a SUCCESS with an object in `data`.
pub(super) fn open<'a>(answer: &Answer, text: &'a str, drift: &mut Drift) -> Result<Success<'a>, Refusal> {
    let Some(mut envelope) = wire::read(text) else {
        return Err(by_status(answer, Kind::Malformed));
    };
    let Some(Json::Text(code)) = envelope.get("code") else {
        return Err(by_status(answer, Kind::Malformed));
    };
    let known = CODES.iter().find(|(known, _)| is(code, known));
    for _ in envelope.iter().filter(|(key, _)| !KNOWN.contains(key)) {
        drift.add(DriftKind::UnknownField);
    }
    if !answer.is_json {
        drift.add(DriftKind::UnknownValue);
    }
    let transaction_id = text_field(&envelope, "transactionId", drift).and_then(plain_id);
    let Some((code, meaning)) = known else {
        drift.add(DriftKind::UnknownCode);
        return Err(by_status(answer, Kind::Refused).saying(None, transaction_id));
    };
    if let Some(kind) = meaning {
        let refusal = with_headers(answer, *kind).saying(Some(code), transaction_id);
        return Err(Refusal { hint: hint(&envelope), named: named(&envelope), ..refusal });
    }
    match envelope.take("data") {
        Some(Json::Object(data)) => Ok(Success { data, transaction_id }),
        _ => {
            drift.add(DriftKind::TypeMismatch);
            Err(Refusal::of(Kind::Malformed).saying(Some(code), transaction_id))
        }
    }
}

/// Without a code that we know, the HTTP status decides; `otherwise` if it says nothing either.
fn by_status(answer: &Answer, otherwise: Kind) -> Refusal {
    let kind = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Auth,
        StatusCode::TOO_MANY_REQUESTS => Kind::Busy,
        status if status.is_server_error() => Kind::Server,
        _ => otherwise,
    };
    with_headers(answer, kind)
}

fn with_headers(answer: &Answer, kind: Kind) -> Refusal {
    let default = (kind == Kind::Busy).then_some(retry_after::DEFAULT);
    let fault = Fault { retry_after: answer.retry_after.or(default), ..Fault::new(kind) };
    Refusal { fault, date: answer.date(), hint: None, named: None }
}

fn named(envelope: &Object) -> Option<String> {
    let Json::Object(data) = envelope.get("data")? else { return None };
    data.get("signatureId")?.as_text().map(str::to_owned)
}

fn hint(envelope: &Object) -> Option<AuthHint> {
    let message = envelope.get("message").and_then(Json::as_text)?.to_ascii_lowercase();
    let words = [("timestamp", AuthHint::Timestamp), ("signature", AuthHint::Signature)];
    words.into_iter().find(|(word, _)| message.contains(word)).map(|(_, hint)| hint)
}

/// A transaction id is shown to callers and in logs, so it must be one: at most 64 plain characters.
fn plain_id(text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=64).contains(&text.len()) && text.bytes().all(is_plain)).then(|| text.to_owned())
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Success<'static>: std::fmt::Debug, std::fmt::Display);
