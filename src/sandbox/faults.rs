//! Faults on demand. It owns which call is struck and how; it knows nothing of tokens or results beyond revoking them.
//!
//! `PUT /_sandbox/faults` takes one object or an array of them and replaces what was set; the first that matches strikes:
//!
//! ```json
//! { "region": "my", "endpoint": "get_result", "signature_id": null, "times": 2,
//!   "fault": { "code": "SERVICE_BUSY", "retry_after": "10s" } }
//! ```
//!
//! `region`, `endpoint` and `signature_id` match anything and `times` never runs out where they are null or absent.
//! A fault is any of these, put together as far as it makes sense:
//!
//! | key | what happens |
//! |---|---|
//! | `delay_ms` | waits first |
//! | `revoke_tokens: true` | ends all tokens of the region asked |
//! | `code`, with `message`, `status`, `retry_after` | an envelope of that code with null data |
//! | `body`, with `status`, `retry_after` | those bytes, as JSON if they begin with a brace |
//! | `status`, with `retry_after` | an empty body |
//! | `hang: true` | no answer for ten minutes, then a reset |
//! | `reset: true` | the connection is reset instead of an answer |

use super::envelope;
use super::host::{Endpoint, Host};
use super::serve::Reset;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::sleep;

const MOST_RULES: usize = 256;
const LONGEST_HANG: Duration = Duration::from_secs(600);

/// The rules in force, in the order they are tried.
#[derive(Default)]
pub(super) struct Faults(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    region: Option<String>,
    endpoint: Option<Endpoint>,
    signature_id: Option<String>,
    left: Option<u64>,
    fault: Fault,
}

#[derive(Clone, Debug)]
struct Fault {
    delay: Duration,
    revoke_tokens: bool,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    /// The call goes on as if nothing had been.
    Proceed,
    Answer(Answer),
    Hang,
    Reset,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    retry_after: Option<HeaderValue>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Body(String),
    Envelope { code: String, message: String },
}

/// `PUT /_sandbox/faults`: 204, or 400 with what is wrong in plain text and nothing changed.
pub(super) async fn set(State(host): State<Host>, body: Bytes) -> Response {
    match rules(&body) {
        Ok(rules) => {
            host.books().faults = Faults(rules);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, mistake).into_response(),
    }
}

/// `DELETE /_sandbox/faults`
pub(super) async fn clear(State(host): State<Host>) -> StatusCode {
    host.books().faults = Faults::default();
    StatusCode::NO_CONTENT
}

/// Lets the fault that is set for this call happen; an answer ends the call.
pub(super) async fn strike(host: &Host, endpoint: Endpoint, id: Option<&str>) -> Option<Response> {
    let fault = host.books().faults.take(host.region, endpoint, id)?;
    sleep(fault.delay).await;
    if fault.revoke_tokens {
        host.books().tokens.revoke(host.region);
    }
    match fault.end {
        End::Proceed => None,
        End::Answer(answer) => Some(answer.respond(id)),
        End::Reset => Some(Reset.into_response()),
        End::Hang => {
            sleep(LONGEST_HANG).await;
            Some(Reset.into_response())
        }
    }
}

impl Faults {
    fn take(&mut self, region: &str, endpoint: Endpoint, id: Option<&str>) -> Option<Fault> {
        let rule = self.0.iter_mut().find(|rule| rule.matches(region, endpoint, id))?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.fault.clone())
    }
}

impl Rule {
    fn matches(&self, region: &str, endpoint: Endpoint, id: Option<&str>) -> bool {
        self.left != Some(0)
            && self.region.as_deref().is_none_or(|wanted| wanted == region)
            && self.endpoint.is_none_or(|wanted| wanted == endpoint)
            && self.signature_id.as_deref().is_none_or(|wanted| Some(wanted) == id)
    }
}

impl Answer {
    fn respond(self, id: Option<&str>) -> Response {
        let mut response = match self.content {
            Content::Envelope { code, message } => {
                envelope::envelope(self.status, &code, &message, &Value::Null, id)
            }
            Content::Body(body) => {
                let kind = if body.starts_with('{') { "application/json" } else { "text/html" };
                (self.status, [(header::CONTENT_TYPE, kind)], body).into_response()
            }
        };
        if let Some(retry_after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after);
        }
        response
    }
}

fn rules(body: &[u8]) -> Result<Vec<Rule>, String> {
    let asked: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let rules = asked.as_array().map_or(std::slice::from_ref(&asked), Vec::as_slice);
    if rules.len() > MOST_RULES {
        return Err(format!("at most {MOST_RULES} faults"));
    }
    rules.iter().map(rule).collect()
}

fn rule(rule: &Value) -> Result<Rule, String> {
    let rule = object(rule, &["region", "endpoint", "signature_id", "fault", "times"])?;
    let region = text(rule, "region")?;
    if region.as_deref().is_some_and(|region| !super::REGIONS.contains(&region)) {
        return Err(format!("region: one of {}", super::REGIONS.join(", ")));
    }
    let endpoint = match text(rule, "endpoint")?.as_deref() {
        None => None,
        Some("token") => Some(Endpoint::Token),
        Some("get_result") => Some(Endpoint::GetResult),
        Some(_) => return Err("endpoint: token or get_result".to_owned()),
    };
    let fault = fault(rule.get("fault").unwrap_or(&Value::Null))?;
    Ok(Rule {
        region,
        endpoint,
        signature_id: text(rule, "signature_id")?,
        left: number(rule, "times")?,
        fault,
    })
}

fn fault(fault: &Value) -> Result<Fault, String> {
    const KEYS: [&str; 9] =
        ["delay_ms", "revoke_tokens", "code", "message", "status", "retry_after", "body", "hang", "reset"];
    let fault = object(fault, &KEYS)?;
    let end = match (answer(fault)?, flag(fault, "hang")?, flag(fault, "reset")?) {
        (None, false, false) => End::Proceed,
        (Some(answer), false, false) => End::Answer(answer),
        (None, true, false) => End::Hang,
        (None, false, true) => End::Reset,
        _ => return Err("fault: an answer, hang or reset".to_owned()),
    };
    let delay = Duration::from_millis(number(fault, "delay_ms")?.unwrap_or(0)).min(LONGEST_HANG);
    Ok(Fault { delay, revoke_tokens: flag(fault, "revoke_tokens")?, end })
}

fn answer(fault: &Map<String, Value>) -> Result<Option<Answer>, String> {
    let status = match number(fault, "status")? {
        Some(status) => Some(status_code(status).ok_or("status: 200 to 599")?),
        None => None,
    };
    let content = match (text(fault, "code")?, text(fault, "body")?) {
        (Some(_), Some(_)) => return Err("fault: code or body".to_owned()),
        (Some(code), None) => {
            let message = text(fault, "message")?.unwrap_or_else(|| code.clone());
            Content::Envelope { code, message }
        }
        (None, Some(body)) => Content::Body(body),
        (None, None) if status.is_some() => Content::Body(String::new()),
        (None, None) => return Ok(None),
    };
    let retry_after = match text(fault, "retry_after")? {
        Some(text) => Some(HeaderValue::try_from(text).map_err(|error| format!("retry_after: {error}"))?),
        None => None,
    };
    Ok(Some(Answer { status: status.unwrap_or(StatusCode::OK), retry_after, content }))
}

fn status_code(status: u64) -> Option<StatusCode> {
    let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status))?;
    StatusCode::from_u16(status).ok()
}

fn object<'a>(value: &'a Value, keys: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object().ok_or_else(|| format!("an object with {}", keys.join(", ")))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(unknown) => Err(format!("{unknown}: unknown; known are {}", keys.join(", "))),
        None => Ok(object),
    }
}

fn text(object: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    given(object, key, "a string", |value| value.as_str().map(str::to_owned))
}

fn number(object: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    given(object, key, "a whole number", Value::as_u64)
}

fn flag(object: &Map<String, Value>, key: &str) -> Result<bool, String> {
    Ok(given(object, key, "true or false", Value::as_bool)?.unwrap_or(false))
}

fn given<T>(
    object: &Map<String, Value>,
    key: &str,
    wanted: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| format!("{key}: {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(rules: Value) -> Result<Faults, String> {
        super::rules(rules.to_string().as_bytes()).map(Faults)
    }

    #[test]
    fn a_fault_strikes_where_and_as_often_as_it_was_set() {
        let rule = json!({ "region": "my", "endpoint": "get_result", "signature_id": "a", "times": 1,
                           "fault": { "reset": true } });
        let mut faults = faults(rule).unwrap();
        assert!(faults.take("ph", Endpoint::GetResult, Some("a")).is_none());
        assert!(faults.take("my", Endpoint::Token, None).is_none());
        assert!(faults.take("my", Endpoint::GetResult, Some("b")).is_none());
        assert!(faults.take("my", Endpoint::GetResult, Some("a")).is_some());
        assert!(faults.take("my", Endpoint::GetResult, Some("a")).is_none());
    }

    #[test]
    fn the_first_fault_that_is_left_strikes() {
        let rules = json!([{ "times": 1, "fault": { "status": 500 } }, { "fault": { "delay_ms": 5 } }]);
        let mut faults = faults(rules).unwrap();
        let mut next = || faults.take("my", Endpoint::Token, None).map(|fault| fault.delay.as_millis());
        assert_eq!([next(), next(), next()], [Some(0), Some(5), Some(5)]);
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused() {
        for fault in [
            json!({ "hang": true, "reset": true }),
            json!({ "code": "ERROR", "body": "" }),
            json!({ "status": 100 }),
            json!({ "delay": 5 }),
            json!({ "retry_after": 10, "code": "ERROR" }),
            Value::Null,
        ] {
            assert!(faults(json!({ "fault": fault })).is_err(), "{fault}");
        }
        assert!(faults(json!({ "region": "xx", "fault": { "reset": true } })).is_err());
    }
}
