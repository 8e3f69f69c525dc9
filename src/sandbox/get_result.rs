//! The Get Result API: checks the token, finds what the id does, and does it. What results look like is in `results`.

use super::api::Endpoint;
use super::callbacks::Callback;
use super::envelope::{self, Refusal};
use super::host::Host;
use super::ids::{self, Known, Outcome, Script};
use super::people::Values;
use super::results;
use super::serve::Reset;
use super::state::Call;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// `POST …/get-result`
pub(super) async fn get_result(State(host): State<Host>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = signature_id(&body);
    let id = asked.as_deref().ok();
    host.state.lock().calls.count(host.region, Endpoint::GetResult, id);
    if let Some(response) = host.inject_fault(Endpoint::GetResult, id).await {
        return response;
    }
    if !authorized(&host, &headers) {
        return envelope::TOKEN.respond(id);
    }
    match asked {
        Ok(id) => answer(&host, &id).await,
        Err(refusal) => refusal.respond(None),
    }
}

fn signature_id(body: &[u8]) -> Result<String, Refusal> {
    let Ok(Value::Object(request)) = serde_json::from_slice(body) else {
        return Err(envelope::BAD_REQUEST);
    };
    match request.get("signatureId") {
        Some(Value::String(id)) if !id.is_empty() => Ok(id.clone()),
        _ => Err(envelope::EMPTY),
    }
}

fn authorized(host: &Host, headers: &HeaderMap) -> bool {
    let token = headers.get("x-access-token").and_then(|value| value.to_str().ok());
    token.is_some_and(|token| host.state.lock().tokens.is_live(host.region, token, Instant::now()))
}

async fn answer(host: &Host, id: &str) -> Response {
    let Some((known, call)) = find(host, id) else {
        return envelope::NOT_EXIST.respond(Some(id));
    };
    match known.script {
        Script::Result(outcome) => result(host, id, &outcome),
        Script::Pending(pending) if call.age < pending.time => {
            let values = Values::new(id, host.region, Timestamp::now());
            envelope::success(&results::pending(&values, pending.is_submitted(call.age)), Some(id))
        }
        Script::Pending(pending) => result(host, id, &pending.outcome),
        Script::Slow(time) => {
            sleep(time).await;
            result(host, id, &ids::PASS)
        }
        Script::Flaky if call.number == 1 => envelope::SERVER.respond(Some(id)),
        Script::Flaky => result(host, id, &ids::PASS),
        Script::Refused(refusal) => refusal.respond(Some(id)),
        Script::Busy => ([(header::RETRY_AFTER, "10s")], envelope::BUSY.respond(Some(id))).into_response(),
        Script::Mismatch => result(host, &format!("{id}-other"), &ids::PASS),
        Script::Reset => Reset.into_response(),
        Script::Html => envelope::page("Service Temporarily Unavailable").into_response(),
    }
}

/// The id, if it is known and exists in this region.
fn find(host: &Host, id: &str) -> Option<(Known, Call)> {
    let (known, now) = (ids::parse(id)?, Instant::now());
    let call = host.state.lock().calls.find(id, known.home, host.region, now)?;
    if let (Script::Pending(pending), 1) = (known.script, call.number) {
        for (kind, age) in pending.callbacks() {
            host.call_back(Callback { region: host.region, id: id.to_owned(), kind, at: now + age });
        }
    }
    Some((known, call))
}

fn result(host: &Host, id: &str, outcome: &Outcome) -> Response {
    let values = Values::new(id, host.region, Timestamp::now());
    envelope::success(&results::data(&values, outcome), Some(id))
}
