//! Faults on demand: which calls get one, and what it does.
//!
//! `PUT /_sandbox/faults` takes one object or an array of them and replaces what was set; the first that matches is injected:
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

use super::api::{Endpoint, REGIONS};
use super::envelope;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

const MOST_RULES: usize = 256;
pub(super) const LONGEST_HANG: Duration = Duration::from_secs(600);

/// The rules in force, in the order they are tried.
#[derive(Default)]
pub(super) struct Faults(Vec<Rule>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    region: Option<String>,
    endpoint: Option<Endpoint>,
    signature_id: Option<String>,
    /// How many more times it applies; always, if there is no number.
    times: Option<u64>,
    fault: Fault,
}

/// What happens to a call.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fault {
    delay_ms: u64,
    pub(super) revoke_tokens: bool,
    code: Option<String>,
    message: Option<String>,
    body: Option<String>,
    status: Option<u16>,
    retry_after: Option<String>,
    pub(super) hang: bool,
    pub(super) reset: bool,
}

impl Faults {
    /// Reads one rule or an array of them.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let asked: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let rules = if asked.is_array() { asked } else { Value::Array(vec![asked]) };
        let rules: Vec<Rule> = serde_json::from_value(rules).map_err(|error| error.to_string())?;
        if rules.len() > MOST_RULES {
            return Err(format!("at most {MOST_RULES} faults"));
        }
        rules.iter().try_for_each(Rule::check)?;
        Ok(Self(rules))
    }

    /// The fault of the first rule that matches this call.
    pub(super) fn take(&mut self, region: &str, endpoint: Endpoint, id: Option<&str>) -> Option<Fault> {
        let rule = self.0.iter_mut().find(|rule| rule.matches(region, endpoint, id))?;
        rule.times = rule.times.map(|left| left - 1);
        Some(rule.fault.clone())
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        if self.region.as_deref().is_some_and(|region| !REGIONS.contains(&region)) {
            return Err(format!("region: one of {}", REGIONS.join(", ")));
        }
        self.fault.check().map_err(str::to_owned)
    }

    fn matches(&self, region: &str, endpoint: Endpoint, id: Option<&str>) -> bool {
        self.times != Some(0)
            && self.region.as_deref().is_none_or(|wanted| wanted == region)
            && self.endpoint.is_none_or(|wanted| wanted == endpoint)
            && self.signature_id.as_deref().is_none_or(|wanted| Some(wanted) == id)
    }
}

impl Fault {
    fn check(&self) -> Result<(), &'static str> {
        if self.code.is_some() && self.body.is_some() {
            return Err("fault: code or body");
        }
        if [self.is_answer(), self.hang, self.reset].into_iter().filter(|is| *is).count() > 1 {
            return Err("fault: an answer, hang or reset");
        }
        if self.status.is_some_and(|status| !(200..600).contains(&status)) {
            return Err("status: 200 to 599");
        }
        match self.retry_after.as_deref().map(HeaderValue::from_str) {
            Some(Err(_)) => Err("retry_after: not a header's value"),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn is_answer(&self) -> bool {
        self.code.is_some() || self.body.is_some() || self.status.is_some()
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms).min(LONGEST_HANG)
    }

    /// The answer about `id`, if the fault is one.
    pub(super) fn answer(self, id: Option<&str>) -> Option<Response> {
        if !self.is_answer() {
            return None;
        }
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
        let mut response = if let Some(code) = self.code {
            let message = self.message.as_ref().unwrap_or(&code);
            envelope::envelope(status, &code, message, &Value::Null, id)
        } else {
            let body = self.body.unwrap_or_default();
            let kind = if body.starts_with('{') { "application/json" } else { "text/html" };
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        };
        if let Some(retry_after) = self.retry_after.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after);
        }
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(rules: Value) -> Result<Faults, String> {
        Faults::parse(rules.to_string().as_bytes())
    }

    #[test]
    fn a_fault_applies_where_and_as_often_as_it_was_set() {
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
    fn the_first_fault_that_is_left_applies() {
        let rules = json!([{ "times": 1, "fault": { "status": 500 } }, { "fault": { "delay_ms": 5 } }]);
        let mut faults = faults(rules).unwrap();
        let mut next = || faults.take("my", Endpoint::Token, None).map(|fault| fault.delay_ms);
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
