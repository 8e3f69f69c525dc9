//! The upstream's bodies, with invented people. Every text of an id holds a marker of that id.

use serde_json::{Value, json};

/// An envelope with `data`.
pub fn success(data: Value) -> Value {
    json!({
        "code": "SUCCESS", "message": "OK", "data": data,
        "extra": null, "transactionId": "d3fde1547eeaf226", "pricingStrategy": "FREE",
    })
}

/// An envelope with another code.
pub fn refusal(code: &str, message: &str) -> Value {
    json!({
        "code": code, "message": message, "data": null,
        "extra": null, "transactionId": "b6d722f7e9f553ae", "pricingStrategy": "FREE",
    })
}

/// The id does not exist.
pub fn not_exist() -> Value {
    refusal("SIGNATURE_NOT_EXIST", "This signatureId is not exist")
}

/// A good token, good for an hour.
pub fn token(number: usize) -> Value {
    let end = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    success(json!({ "token": format!("test-token-{number}"), "expiredTime": end }))
}

/// Passed, with face, document, person and links.
pub fn passed(id: &str) -> Value {
    verdict(id, json!("PASS"), json!("SUCCESS"))
}

/// Failed for a reason.
pub fn failed(id: &str, reason: &str) -> Value {
    verdict(id, json!("FAIL"), json!(reason))
}

/// No verdict yet.
pub fn pending(id: &str) -> Value {
    verdict(id, Value::Null, Value::Null)
}

/// Any verdict, in the older generation's fields.
pub fn verdict(id: &str, result: Value, error_code: Value) -> Value {
    success(json!({
        "signatureId": id, "idvResult": result, "errorCode": error_code,
        "faceDetail": {
            "faceResult": "PASS", "faceImageFar": format!("https://media.example/{id}/far.jpg"),
            "faceLivenessScore": 99, "faceSimilarityScore": 82.5,
            "eventDetails": [{ "event": "FE_DOCUMENT_SCAN", "result": "PASS", "createTimestmap": 1_665_993_522_952_i64 }],
        },
        "docDetail": {
            "ocrResult": "PASS", "docFrontImage": format!("https://media.example/{id}/front.jpg"),
            "docType": { "front": "MY-ID-MYKAD", "back": "MY-ID-MYKAD" },
            "ocrInfo": {
                "front": {
                    "name": format!("AMINAH CONTOH {id}"), "address": format!("1 Jalan {id}"), "gender": "PEREMPUAN",
                    "idNumber": format!("770101-{id}"), "religion": "", "birthday": "1977/10/28", "citizen": "MYS",
                },
                "back": { "idNumber": format!("770101-{id}") },
            },
            "qualityLabels": { "front": [], "back": [] }, "forgeryLabels": [],
        },
    }))
}

/// A body of the upstream as it stands in `tests/fixtures/upstream`.
pub fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/upstream/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a fixture is named as its file")
}

/// A good token that ends at that time, in milliseconds since the epoch.
pub fn token_until(number: usize, end: impl Into<Value>) -> Value {
    success(json!({ "token": format!("test-token-{number}"), "expiredTime": end.into() }))
}

/// A time as HTTP headers write it.
pub fn http_date(time: jiff::Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
