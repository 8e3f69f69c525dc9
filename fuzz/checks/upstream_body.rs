//! The body of an upstream's answer, up to the JSON that callers are given.

use std::sync::LazyLock;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::is_plain;
use crate::answer::{self, Moment, Rendered};
use crate::domain::region::{RegionName, Regions};
use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{Verdict, Verification};
use crate::upstream::fuzzing::understand;

const ID: &str = "f302f5d2454a85c2";
static REGIONS: LazyLock<Regions> = LazyLock::new(|| Regions::new(RegionName::parse("my")));

/// What the bytes say of `f302f5d2454a85c2`, as the body of a get-result answer; `None` if they are no clean answer about it.
pub fn normalise(body: &[u8]) -> Option<Verification> {
    understand(
        body,
        SignatureId::parse(ID).expect("it is an id"),
        REGIONS.find("my").expect("it is a region"),
    )
}

/// How many bytes a result takes when it is kept.
pub fn render(verification: &Verification) -> usize {
    rendered(verification).size()
}

fn rendered(verification: &Verification) -> Rendered {
    answer::render(verification, REGIONS.name(verification.region))
}

/// Reads the bytes as the body of a get-result answer and renders what was understood.
pub fn upstream_body(body: &[u8]) {
    let Some(verification) = normalise(body) else { return };
    let text = String::from_utf8_lossy(body);
    serde_json::from_str::<IgnoredAny>(&text).expect("only JSON can be understood");
    // The other reader knows of no half characters and of no number that is too large.
    let Ok(sent) = serde_json::from_str::<Value>(&text) else { return };
    assert!(is_about(&sent["data"]), "an answer that names another id");
    let has_passed = verification.verdict == Verdict::Passed;
    assert!(!has_passed || is_clean_pass(&sent), "passed although something contradicts it");
    let rendered = rendered(&verification);
    // A short event becomes the longest of what grows: thirteen times its own length, and a little for the rest.
    assert!(rendered.size() <= 4096 + 16 * body.len(), "{} bytes of {}", rendered.size(), body.len());
    for scopes in [Scopes::NONE, Scopes::ALL] {
        for stale in [false, true] {
            let moment = Moment { stale, retry_after: None };
            let answer = rendered.cut(scopes, moment, verification.observed_at);
            check_answer(&answer, scopes, has_passed);
        }
    }
}

fn check_answer(answer: &[u8], scopes: Scopes, has_passed: bool) {
    let text = str::from_utf8(answer).expect("an answer is UTF-8");
    assert!(!text.contains(char::is_control), "an answer has no control characters");
    let answer: Value = serde_json::from_str(text).expect("an answer is JSON");
    assert_eq!(answer["signatureId"], ID);
    assert_eq!(answer["status"] == "passed", has_passed);
    for scope in [Scope::Checks, Scope::Identity, Scope::Media] {
        let is_shown = answer.get(<&str>::from(scope)).is_some();
        assert_eq!(is_shown, scopes.contains(scope), "parts are those of the scopes");
    }
    let transaction = answer["upstream"]["transactionId"].as_str();
    assert!(transaction.is_none_or(|id| is_plain(id, b"-_.")), "a transaction id is plain");
}

fn is(value: &Value, word: &str) -> bool {
    value.as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case(word))
}

fn is_or_null(value: &Value, word: &str) -> bool {
    value.is_null() || is(value, word)
}

/// Whether the data name the id that was asked for, in whatever case, or none.
fn is_about(data: &Value) -> bool {
    match &data["signatureId"] {
        Value::Null => true,
        Value::String(id) => id.is_empty() || id.eq_ignore_ascii_case(ID),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The rule of a pass, read off the contract: a result says PASS, and nothing given beside it says anything else.
pub(crate) fn is_clean_pass(envelope: &Value) -> bool {
    let data = &envelope["data"];
    let results = [&data["overallResult"], &data["idvResult"]];
    let part = |name: &str, fields: &[&str]| {
        let part = &data[name];
        let is_empty_list = part.as_array().is_some_and(Vec::is_empty);
        let agrees = part.is_object() && fields.iter().all(|field| is_or_null(&part[field], "PASS"));
        part.is_null() || is_empty_list || agrees
    };
    let codes = &data["errorCodes"];
    let all_succeeded = || codes.as_array().is_some_and(|codes| codes.iter().all(|code| is(code, "SUCCESS")));
    is(&envelope["code"], "SUCCESS")
        && results.iter().any(|result| is(result, "PASS"))
        && results.iter().all(|result| is_or_null(result, "PASS"))
        && is_or_null(&data["errorCode"], "SUCCESS")
        && (codes.is_null() || all_succeeded())
        && part("faceDetail", &["faceResult"])
        && part("docDetail", &["docResult", "ocrResult"])
        && !members(data).any(|member| is_against(&member) || member.0.ends_with("detail") && fails(member.1))
}

fn members(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.to_ascii_lowercase(), value))
}

/// Whether a member speaks against a pass by itself.
fn is_against((name, value): &(String, &Value)) -> bool {
    name.ends_with("result") && says_fail(value) || name == "livenessattacktype" && names_attack(value)
}

/// Whether something in a part speaks against a pass, at any depth but in its events.
fn fails(part: &Value) -> bool {
    let is_failing_part = |(name, value): (&String, &Value)| !names_events(name) && fails(value);
    members(part).any(|member| is_against(&member))
        || part.as_object().is_some_and(|members| members.iter().any(is_failing_part))
        || part.as_array().is_some_and(|parts| parts.iter().any(fails))
}

/// `events`, `FACE_EVENTS` and `faceEventDetails` do, `prevention` does not.
fn names_events(name: &str) -> bool {
    let mut words = name.split(|letter: char| !letter.is_ascii_alphabetic());
    name.contains("Event") || words.any(|word| word.to_ascii_lowercase().starts_with("event"))
}

fn says_fail(result: &Value) -> bool {
    is(result, "FAIL")
        || result.as_array().is_some_and(|results| results.iter().any(says_fail))
        || (result.is_object() && fails(result))
}

/// A number written as text or as a float counts as the number.
fn names_attack(kind: &Value) -> bool {
    let number = kind.as_f64().or_else(|| kind.as_str()?.trim().parse().ok());
    number.is_some_and(|number| number == 1.0 || number == 2.0)
}
