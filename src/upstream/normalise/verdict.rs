//! The verdict: what the upstream says, and whether everything it says agrees.

use crate::domain::drift::{Drift, DriftKind};
use crate::domain::reason::Reason;
use crate::domain::verification::{UpstreamWords, Verdict};
use crate::upstream::json::{Json, Object};

/// The longest raw word that is shown to callers, in characters.
const MAX_WORD: usize = 64;

/// What one field says about a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Null or absent.
    Nothing,
    Pass,
    Fail,
    Incomplete,
    /// A word we do not know, or no word at all.
    Unknown,
}

/// The words of result fields.
const WORDS: [(&str, Says); 3] =
    [("PASS", Says::Pass), ("FAIL", Says::Fail), ("INCOMPLETE", Says::Incomplete)];

/// What one error code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Success,
    Known(Reason),
    Unknown,
}

/// The verdict of `data`, whose parts (face, document) say `parts`.
pub(super) fn verdict(data: &Object, parts: &[Says], drift: &mut Drift) -> Verdict {
    let overall = result(data.get("overallResult"), drift);
    let idv = result(data.get("idvResult"), drift);
    let codes = codes(data, drift);
    match agree(overall, idv, drift) {
        Says::Nothing => Verdict::Pending,
        Says::Unknown => Verdict::Unrecognized,
        Says::Fail => Verdict::Failed(reason(&codes, drift)),
        Says::Incomplete => Verdict::Incomplete(reason(&codes, drift)),
        Says::Pass => {
            let codes_agree = codes.iter().all(|code| *code == Code::Success);
            let parts_agree = parts.iter().all(|part| matches!(part, Says::Pass | Says::Nothing));
            if codes_agree && parts_agree && !is_contradicted(data) {
                return Verdict::Passed;
            }
            drift.add(DriftKind::Conflict);
            Verdict::Unrecognized
        }
    }
}

/// What a result field says, whatever the case and the blanks around it.
pub(super) fn result(field: Option<&Json>, drift: &mut Drift) -> Says {
    let Some(field) = field.filter(|field| !field.is_null()) else { return Says::Nothing };
    let Some(word) = field.as_text() else {
        drift.add(DriftKind::TypeMismatch);
        return Says::Unknown;
    };
    let trimmed = word.trim();
    let known = WORDS.iter().find(|(known, _)| trimmed.eq_ignore_ascii_case(known));
    let says = known.map_or(Says::Unknown, |(_, says)| *says);
    if says == Says::Unknown || !is_documented_spelling(word) {
        drift.add(DriftKind::UnknownValue);
    }
    says
}

/// What two fields for the same thing say together: if both say something, they must agree.
pub(super) fn agree(one: Says, other: Says, drift: &mut Drift) -> Says {
    match (one, other) {
        (Says::Nothing, said) | (said, Says::Nothing) => said,
        (one, other) if one == other => one,
        _ => {
            drift.add(DriftKind::Conflict);
            Says::Unknown
        }
    }
}

/// Whether a part of `data` contradicts a PASS, be it a part of a product that we do not know, or a result beside the parts.
fn is_contradicted(data: &Object) -> bool {
    data.iter().any(|(name, value)| contradicts(name, value) || (ends_with(name, "detail") && fails(value)))
}

/// Whether a part says FAIL in one of its results, at any depth, or names an attack. Its events may fail: the person tried
/// again.
fn fails(part: &Json) -> bool {
    match part {
        Json::Object(members) => members.iter().any(|(name, value)| {
            let has_members = matches!(value, Json::Object(_) | Json::Array(_));
            contradicts(name, value) || (has_members && !names_events(name) && fails(value))
        }),
        Json::Array(parts) => parts.iter().any(fails),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => false,
    }
}

/// Whether a member says FAIL by itself, whatever the case of its name.
fn contradicts(name: &str, value: &Json) -> bool {
    let is_attack =
        name.eq_ignore_ascii_case("livenessAttackType") && matches!(value.as_whole(), Some(1 | 2));
    is_attack || (ends_with(name, "result") && says_fail(value))
}

/// Whether one of the words in `name` is about events: `fraudPrevention` has none.
fn names_events(name: &str) -> bool {
    let name = name.as_bytes();
    let is_word = |at: usize, part: &[u8]| {
        part == b"Event" || at.checked_sub(1).is_none_or(|before| !name[before].is_ascii_alphabetic())
    };
    let mut parts = name.windows(5).enumerate();
    parts.any(|(at, part)| part.eq_ignore_ascii_case(b"event") && is_word(at, part))
}

/// Whether `name` ends with `word`, whatever its case.
fn ends_with(name: &str, word: &str) -> bool {
    let start = name.len().checked_sub(word.len());
    start.is_some_and(|start| name.as_bytes()[start..].eq_ignore_ascii_case(word.as_bytes()))
}

fn says_fail(result: &Json) -> bool {
    match result {
        Json::Text(word) => is(word, "FAIL"),
        Json::Array(results) => results.iter().any(says_fail),
        Json::Object(_) => fails(result),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// The raw words beside the verdict: the newer result field first, and the error code that counts.
pub(super) fn raw_words(data: &Object) -> UpstreamWords {
    let result = ["overallResult", "idvResult"].iter().find_map(|key| data.get(key)?.as_text());
    let codes: Vec<&str> = code_fields(data).filter_map(Json::as_text).collect();
    let known = codes.iter().find(|code| Reason::from_word(code.trim()).is_some());
    let error_code = known.or_else(|| codes.iter().find(|code| !is(code, "SUCCESS"))).or(codes.first());
    UpstreamWords {
        transaction_id: None,
        result: result.map(cap),
        error_code: error_code.map(|code| cap(code)),
    }
}

/// Whether `word` is the `known` one, whatever the case and the blanks around it.
pub(in crate::upstream) fn is(word: &str, known: &str) -> bool {
    word.trim().eq_ignore_ascii_case(known)
}

/// The documentation writes upper case, its samples also lower case.
fn is_documented_spelling(word: &str) -> bool {
    let all = |is_case: fn(&char) -> bool| word.chars().all(|letter| is_case(&letter));
    all(char::is_ascii_uppercase) || all(char::is_ascii_lowercase)
}

/// The first code that we know, else `Other`: SUCCESS does not explain a failure.
fn reason(codes: &[Code], drift: &mut Drift) -> Reason {
    if !codes.is_empty() && codes.iter().all(|code| *code == Code::Success) {
        drift.add(DriftKind::Conflict);
    }
    let known = |code: &Code| if let Code::Known(reason) = code { Some(*reason) } else { None };
    codes.iter().find_map(known).unwrap_or(Reason::Other)
}

/// Every error code given, in either generation's field. One that is no list is read, but no PASS is believed beside it.
fn codes(data: &Object, drift: &mut Drift) -> Vec<Code> {
    let mut codes: Vec<Code> = code_fields(data).map(|field| code(field, drift)).collect();
    let is_no_list = |field: &Json| !field.is_null() && field.as_array().is_none();
    if data.get("errorCodes").is_some_and(is_no_list) {
        drift.add(DriftKind::TypeMismatch);
        codes.push(Code::Unknown);
    }
    codes
}

fn code(field: &Json, drift: &mut Drift) -> Code {
    let Json::Text(word) = field else {
        drift.add(DriftKind::TypeMismatch);
        return Code::Unknown;
    };
    if is(word, "SUCCESS") {
        return Code::Success;
    }
    Reason::from_word(word.trim()).map_or_else(
        || {
            drift.add(DriftKind::UnknownCode);
            Code::Unknown
        },
        Code::Known,
    )
}

/// `errorCode`, if given, and the items of `errorCodes`.
fn code_fields<'a>(data: &'a Object<'a>) -> impl Iterator<Item = &'a Json<'a>> {
    let single = data.get("errorCode").filter(|field| !field.is_null());
    let list = data.get("errorCodes").map_or(&[][..], |field| match field {
        Json::Array(codes) => codes,
        Json::Text(_) => std::slice::from_ref(field),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => &[],
    });
    single.into_iter().chain(list)
}

fn cap(word: &str) -> String {
    let end = word.char_indices().nth(MAX_WORD).map_or(word.len(), |(end, _)| end);
    word[..end].to_owned()
}
