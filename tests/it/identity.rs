//! Identity: canonical fields out of maps that differ by document, country and generation.

use serde_json::{Value, json};

use crate::support::Dialect;
use crate::support::dialect::Drift;

/// The identity read from these maps of a document's sides.
async fn identity(dialect: &Dialect, ocr: Value) -> Value {
    let mut seen = dialect.read(json!({ "idvResult": "PASS", "docDetail": { "ocrInfo": ocr } })).await;
    seen["identity"].take()
}

#[tokio::test]
async fn each_canonical_field_is_read_by_the_names_the_vendor_gives_it() {
    let dialect = Dialect::start().await;
    for (raw, canonical) in [
        ("name", "name"),
        ("fullName", "name"),
        ("idNumber", "idNumber"),
        ("secondaryIdNumber", "idNumber"),
        ("gender", "gender"),
        ("nationality", "nationality"),
        ("citizen", "nationality"),
        ("address", "address"),
    ] {
        for side in ["front", "back"] {
            let seen = identity(&dialect, json!({ side: { raw: "CONTOH" } })).await;
            assert_eq!(seen[canonical], "CONTOH", "{raw} on the {side}");
            let read = ["name", "idNumber", "birthDate", "gender", "nationality", "address"];
            assert_eq!(read.iter().filter(|key| !seen[**key].is_null()).count(), 1, "{raw} on the {side}");
        }
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn the_front_goes_before_the_back_and_the_main_number_before_the_second() {
    let dialect = Dialect::start().await;
    let seen = identity(&dialect, json!({ "front": { "name": "FRONT" }, "back": { "name": "BACK" } })).await;
    assert_eq!(seen["name"], "FRONT");
    let back_only = json!({ "front": { "name": "null" }, "back": { "name": "BACK" } });
    assert_eq!(identity(&dialect, back_only).await["name"], "BACK");
    let numbers = json!({ "front": { "secondaryIdNumber": "2" }, "back": { "idNumber": "1" } });
    assert_eq!(identity(&dialect, numbers).await["idNumber"], "1");
    let second = json!({ "front": { "idNumber": "" }, "back": { "secondaryIdNumber": "2" } });
    assert_eq!(identity(&dialect, second).await["idNumber"], "2");
}

#[tokio::test]
async fn nothing_written_in_any_way_is_null() {
    let dialect = Dialect::start().await;
    for nothing in [json!(""), json!("null"), json!("  "), Value::Null] {
        let side = json!({
            "name": nothing, "idNumber": nothing, "birthday": nothing, "gender": nothing, "citizen": nothing,
            "address": nothing, "placeOfBirth": nothing, "religion": nothing,
        });
        let seen = identity(&dialect, json!({ "front": side, "back": { "bloodType": nothing } })).await;
        for field in ["name", "idNumber", "birthDate", "gender", "nationality", "address"] {
            assert_eq!(seen[field], Value::Null, "{field} from {nothing}");
        }
        for field in ["name", "placeOfBirth", "religion"] {
            assert_eq!(seen["fields"]["front"][field], Value::Null, "{field} from {nothing}");
        }
        assert_eq!(seen["fields"]["back"], json!({ "bloodType": null }), "{nothing}");
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn a_name_that_holds_the_word_null_is_a_name() {
    let dialect = Dialect::start().await;
    let seen = identity(&dialect, json!({ "front": { "name": "ANNULLA NULLMAN" } })).await;
    assert_eq!(seen["name"], "ANNULLA NULLMAN");
}

#[tokio::test]
async fn birth_dates_are_read_in_the_vendors_spellings_and_never_guessed() {
    let dialect = Dialect::start().await;
    for (front, date) in [
        (json!({ "birthday": "1977/10/28" }), json!("1977-10-28")),
        (json!({ "birthday": "1977-10-28" }), json!("1977-10-28")),
        (json!({ "birthday": "OCTOBER 28,1977" }), json!("1977-10-28")),
        (json!({ "birthday": "28 OCT 1977" }), json!("1977-10-28")),
        (json!({ "birthday": "OCTOBER 28,1977", "birthdayParsed": "1977/10/28" }), json!("1977-10-28")),
        (json!({ "birthday": "1977/10/29", "birthdayParsed": "1977/10/28" }), json!("1977-10-28")),
        (json!({ "birthday": "1977/10/28", "birthdayParsed": "null" }), json!("1977-10-28")),
        (json!({ "birthday": "1977/10/28", "birthdayParsed": "illegible" }), json!("1977-10-28")),
        (json!({ "birthDate": "2000/02/29" }), json!("2000-02-29")),
        (json!({ "dateOfBirth": "2000/02/29" }), json!("2000-02-29")),
        (json!({ "birthday": "03/04/1977" }), Value::Null),
        (json!({ "birthday": "1977/02/30" }), Value::Null),
        (json!({ "birthday": "2001/02/29" }), Value::Null),
        (json!({ "birthday": "1977" }), Value::Null),
        (json!({ "birthday": "OKTOBER" }), Value::Null),
        (json!({ "birthday": ["1977/10/28"] }), Value::Null),
    ] {
        let seen = identity(&dialect, json!({ "front": front })).await;
        assert_eq!(seen["birthDate"], date, "{front}");
        assert_eq!(seen["fields"]["front"], front_as_shown(&front), "{front}: the raw text stays");
    }
}

/// The raw map as it is shown: the word `"null"` is null.
fn front_as_shown(front: &Value) -> Value {
    serde_json::from_str(&front.to_string().replace("\"null\"", "null")).expect("still JSON")
}

#[tokio::test]
async fn the_maps_are_open_and_keep_whatever_they_hold() {
    let dialect = Dialect::start().await;
    let front = json!({
        "name": "AMINAH", "rt/rw": "001/002", "números": 7, "confidence": 0.93, "isCopy": false,
        "lines": ["JALAN 1", "", { "kind": "null", "value": [1, null] }],
    });
    let seen = identity(&dialect, json!({ "front": front, "back": {} })).await;
    let shown = json!({
        "name": "AMINAH", "rt/rw": "001/002", "números": 7, "confidence": 0.93, "isCopy": false,
        "lines": ["JALAN 1", null, { "kind": null, "value": [1, null] }],
    });
    assert_eq!(seen["fields"], json!({ "front": shown, "back": {} }));
    assert_eq!(dialect.drift().await, Drift::new(), "whatever a document holds is no drift");
}

#[tokio::test]
async fn a_number_sent_as_a_number_keeps_its_digits() {
    let dialect = Dialect::start().await;
    let body = r#"{"code":"SUCCESS","data":{"idvResult":"PASS","docDetail":{"ocrInfo":{"front":
        {"idNumber":771028990001000200030004}}}}}"#;
    let answer = dialect.hear(crate::support::Reply::text(200, body)).await;
    assert_eq!(answer.json()["identity"]["idNumber"], "771028990001000200030004");
    assert!(answer.text().contains(r#""front":{"idNumber":771028990001000200030004}"#), "{}", answer.text());
}

#[tokio::test]
async fn gender_and_nationality_stay_in_the_documents_own_words() {
    let dialect = Dialect::start().await;
    let seen =
        identity(&dialect, json!({ "front": { "gender": "PEREMPUAN", "citizen": "WARGANEGARA" } })).await;
    assert_eq!((&seen["gender"], &seen["nationality"]), (&json!("PEREMPUAN"), &json!("WARGANEGARA")));
}
