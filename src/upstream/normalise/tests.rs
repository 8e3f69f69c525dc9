//! Whatever the upstream sends: no panic, and no pass but a clean one. The oracle shares nothing with the code it judges.

use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::domain::region::{RegionName, Regions};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{Verdict, Verification};
use crate::fuzzing::is_clean_pass;
use crate::upstream::fuzzing;

const ID: &str = "f302f5d2454a85c2";

/// A whole answer of the vendor's, to be damaged.
const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/upstream/f01_pass.json");

/// Names that mean something somewhere in an answer.
const NAMES: &[&str] = &[
    "signatureId",
    "overallResult",
    "idvResult",
    "errorCode",
    "errorCodes",
    "faceDetail",
    "faceResult",
    "faceImage",
    "faceVideoUrl",
    "faceLivenessScore",
    "docDetail",
    "docResult",
    "ocrResult",
    "docFrontImage",
    "docType",
    "qualityLabels",
    "forgeryLabels",
    "ocrInfo",
    "front",
    "back",
    "birthday",
    "idNumber",
    "eventDetails",
    "event",
    "result",
    "createTimestmap",
    "addressDetail",
    "feeDetail",
    "checkresult",
];

/// Texts that mean something somewhere in an answer.
const TEXTS: &[&str] = &[
    "PASS",
    "pass",
    " Pass\t",
    "FAIL",
    "fail",
    "INCOMPLETE",
    "REVIEW",
    "SUCCESS",
    "success ",
    "LIVENESS_ATTACK",
    "NOT_SUPPORTED_CARD",
    "",
    "null",
    "PENDING",
    "99",
    "NaN",
    "-0",
    "9223372036854775807",
    "1977/10/28",
    "OCTOBER 31,1977",
    "9999/99/99",
    "32767/12/31",
    "https://media.example/a?Expires=9223372036854775807",
    "https://media.example/a?X-Amz-Date=99991231T235959Z&X-Amz-Expires=9223372036854775807",
    "https://media.example/a?x-oss-expires=-9223372036854775808",
    "data:image/png;base64,AAAA",
];

/// Marks digits that go out as a number: `Value` cannot hold them as they are.
const NUMBER: &str = "\u{f8fe}\u{f8ff}";

/// The bytes of a body with this data.
fn write(data: &Value) -> String {
    data.to_string().replace(&format!("\"{NUMBER}"), "").replace(&format!("{NUMBER}\""), "")
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![4 => prop::sample::select(TEXTS).prop_map(str::to_owned), 1 => ".{0,80}"]
        .prop_map(Value::String)
}

fn json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON has no such number", |x| x.is_finite()).prop_map(|x| format!("{x:e}")),
        prop::sample::select(
            &["1e400", "-1e400", "0.0", "100.00000000000001", "123456789012345678901234567890"][..]
        )
        .prop_map(str::to_owned),
    ];
    let number = number.prop_map(|digits| Value::String(format!("{NUMBER}{digits}{NUMBER}")));
    let leaf = prop_oneof![1 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::Bool), 2 => number, 4 => text()];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            3 => prop::collection::hash_map(name(), inner, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![6 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => ".{0,12}"]
}

/// What mostly says `word`, or nothing, and sometimes anything at all.
fn mostly(word: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![6 => Just(Value::from(word)), 3 => Just(Value::Null), 1 => text(), 1 => json()]
}

/// An object that comes close to a pass, often enough in every way.
fn data() -> impl Strategy<Value = Value> {
    let codes = prop_oneof![
        4 => Just(Value::Null),
        2 => prop::collection::vec(mostly("SUCCESS"), 0..3).prop_map(Value::Array),
        1 => json(),
    ];
    let members = (
        mostly("PASS"),
        mostly("PASS"),
        mostly("SUCCESS"),
        codes,
        part(&["faceResult"]),
        part(&["docResult", "ocrResult"]),
        prop::collection::hash_map(name(), json(), 0..2),
    );
    members.prop_map(|(overall, idv, code, codes, face, document, others)| {
        let named = [
            ("overallResult", overall),
            ("idvResult", idv),
            ("errorCode", code),
            ("errorCodes", codes),
            ("faceDetail", face),
            ("docDetail", document),
        ];
        let named = named.into_iter().map(|(name, value)| (name.to_owned(), value));
        named.chain(others).collect::<Map<_, _>>().into()
    })
}

fn part(results: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let results = prop::collection::vec(mostly("PASS"), results.len()).prop_map(move |words| {
        results.iter().map(|name| (*name).to_owned()).zip(words).collect::<Map<_, _>>()
    });
    let others = prop::collection::hash_map(name(), json(), 0..3);
    let whole = (results, others).prop_map(|(results, others)| {
        let others = others.into_iter().filter(|(name, _)| !results.contains_key(name)).collect::<Vec<_>>();
        results.into_iter().chain(others).collect::<Map<_, _>>().into()
    });
    prop_oneof![3 => Just(Value::Null), 6 => whole, 1 => json()]
}

fn understand(body: &[u8]) -> Option<Verification> {
    let regions = Regions::new([RegionName::parse("my").unwrap()]);
    fuzzing::understand(body, SignatureId::parse(ID).unwrap(), regions.find("my").unwrap())
}

fn rules() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(rules())]

    #[test]
    fn any_object_is_understood_and_passed_exactly_if_nothing_contradicts_its_pass(data in data()) {
        let body = format!(r#"{{"code":"SUCCESS","data":{}}}"#, write(&data));
        let Some(verification) = understand(body.as_bytes()) else {
            prop_assert!(!data["signatureId"].is_null() && data["signatureId"] != ID);
            return Ok(());
        };
        let envelope = serde_json::json!({ "code": "SUCCESS", "data": data });
        prop_assert_eq!(verification.verdict == Verdict::Passed, is_clean_pass(&envelope));
        let words = [verification.upstream.result, verification.upstream.error_code];
        prop_assert!(words.iter().flatten().all(|word| word.chars().count() <= 64));
        prop_assert!(verification.media.iter().all(|medium| medium.url.get().starts_with("\"https://")));
        let scores = verification.face.iter().flat_map(|face| [face.liveness_score, face.similarity_score]);
        prop_assert!(scores.flatten().all(|score| (0.0..=100.0).contains(&score)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(understand(&body).is_none(), "bytes at random are no answer");
    }

    #[test]
    fn a_damaged_answer_is_understood_or_refused(
        damage in prop::collection::vec((0..SAMPLE.len(), any::<u8>()), 1..20),
        cut in 0..SAMPLE.len(),
    ) {
        let mut body = SAMPLE.to_vec();
        for (at, byte) in damage {
            body[at] = byte;
        }
        let _ = understand(&body[cut..]);
        let _ = understand(&body);
    }
}

#[test]
fn no_part_of_an_answer_is_taken_for_the_whole() {
    let whole = SAMPLE.trim_ascii_end();
    assert!(understand(whole).is_some());
    for end in 0..whole.len() {
        assert!(understand(&whole[..end]).is_none(), "the first {end} bytes");
    }
}
