//! What the documents say in words, because schemas that say it break generated clients: how members and headers of a
//! response depend on each other.

use idv_gateway::domain::reason::Reason;
use serde_json::Value;
use strum::IntoEnumIterator;

use crate::support::Answer;

const PROBLEM: &str = "application/problem+json";

/// The word of a body that says what it is: the code of a problem, else the status.
pub fn word<'a>(kind: &str, body: &'a Value) -> &'a str {
    let key = if kind == PROBLEM { "code" } else { "status" };
    body[key].as_str().unwrap_or_default()
}

/// Checks the rules between the members of a body.
pub fn body(kind: &str, body: &Value) -> Result<(), String> {
    if kind == PROBLEM {
        let code = word(kind, body);
        return require(body["type"] == format!("urn:idv-gateway:{code}"), "the type names the code");
    }
    if body.get("signatureId").is_some() { verification(body) } else { Ok(()) }
}

fn verification(body: &Value) -> Result<(), String> {
    let status = word("", body);
    let is_final = ["passed", "failed", "incomplete"].contains(&status);
    let has_reason = !["passed", "pending"].contains(&status);
    let reason = &body["reason"];
    require(body["final"] == is_final, "final fits the status")?;
    require(reason.is_object() == has_reason, "a reason fits the status")?;
    require(!has_reason || Reason::iter().any(|known| is_reason(known, reason)), "the reason is known")?;
    require(status != "unrecognized" || reason["code"] == "OTHER", "unrecognized has the reason OTHER")?;
    require(body["retryAfterSeconds"].is_null() == is_final, "a time to ask again until it is final")?;
    require(is_final || body["stale"] == false, "only a final result is stale")?;
    require(
        !is_final || body["submitted"].is_boolean(),
        "what is final was submitted, or the upstream denies it",
    )
}

fn is_reason(known: Reason, shown: &Value) -> bool {
    shown["code"] == known.code()
        && shown["category"] == <&str>::from(known.category())
        && shown["userCanRetry"] == known.user_can_retry()
        && shown["message"] == known.message()
}

/// Checks the rules between the status, the headers and the body of a response.
pub fn headers(answer: &Answer) -> Result<(), String> {
    let has = |name: &str| answer.header(name).is_some();
    require(has("allow") == (answer.status == 405), "Allow with 405")?;
    require(has("www-authenticate") || answer.status != 401, "WWW-Authenticate with 401")?;
    let is_problem = answer.header("content-type") == Some(PROBLEM);
    require(
        has("retry-after") || !is_problem || ![429, 503].contains(&answer.status),
        "Retry-After with 429, 503",
    )?;
    if answer.body.is_empty() {
        return Ok(());
    }
    if is_problem {
        let problem = answer.json();
        require(
            has("retry-after") || problem["code"] != "signature_not_found",
            "Retry-After for an unknown id",
        )?;
        require(problem["status"] == answer.status, "the problem has the HTTP status")?;
        require(
            problem["requestId"].as_str() == answer.header("x-request-id"),
            "the problem has the request id",
        )?;
    }
    if answer.status == 200 && has("cache-status") {
        let seconds = answer.json()["retryAfterSeconds"].as_u64().map(|seconds| seconds.to_string());
        require(seconds.as_deref() == answer.header("retry-after"), "Retry-After is retryAfterSeconds")?;
    }
    Ok(())
}

fn require(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("a rule does not hold: {rule}")) }
}
