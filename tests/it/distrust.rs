//! What the upstream sends is not trusted: it is read loosely, dropped and counted where it is not what it should be, and
//! shown only where that is harmless.

use serde_json::{Value, json};

use crate::support::bodies::{self, passed, success};
use crate::support::dialect::{Drift, drift};
use crate::support::{Dialect, Gateway, Reply, Upstream};

#[tokio::test]
async fn the_raw_words_are_shown_as_sent_and_cut_at_64_characters() {
    let dialect = Dialect::start().await;
    let long = "é".repeat(200);
    for (data, result, error_code) in [
        (json!({ "overallResult": " Pass " }), json!(" Pass "), Value::Null),
        (json!({ "overallResult": "PASS", "idvResult": "FAIL" }), json!("PASS"), Value::Null),
        (json!({ "overallResult": null, "idvResult": "fail" }), json!("fail"), Value::Null),
        (json!({ "idvResult": long, "errorCode": long }), json!("é".repeat(64)), json!("é".repeat(64))),
        (
            json!({ "idvResult": "FAIL", "errorCode": "NOT_SUPPORTED_CARD" }),
            json!("FAIL"),
            json!("NOT_SUPPORTED_CARD"),
        ),
        (
            json!({ "idvResult": "FAIL", "errorCodes": ["SUCCESS", "STRATEGY_HIT"] }),
            json!("FAIL"),
            json!("STRATEGY_HIT"),
        ),
        (json!({ "idvResult": true, "errorCode": 17 }), Value::Null, Value::Null),
    ] {
        let upstream = &dialect.read(data.clone()).await["upstream"];
        assert_eq!((&upstream["result"], &upstream["errorCode"]), (&result, &error_code), "{data}");
    }
}

#[tokio::test]
async fn a_transaction_id_is_shown_only_if_it_is_one() {
    let dialect = Dialect::start().await;
    for (sent, shown) in [
        (json!("d3fde1547eeaf226"), json!("d3fde1547eeaf226")),
        (json!("a".repeat(64)), json!("a".repeat(64))),
        (json!("a".repeat(65)), Value::Null),
        (json!("AMINAH BINTI CONTOH"), Value::Null),
        (json!("line\r\nbreak"), Value::Null),
        (json!(""), Value::Null),
        (json!(17), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let mut body = bodies::success(json!({ "idvResult": "PASS" }));
        body["transactionId"] = sent.clone();
        let answer = dialect.hear(Reply::json(body)).await;
        assert_eq!(answer.json()["upstream"]["transactionId"], shown, "{sent}");
    }
}

#[tokio::test]
async fn nothing_of_the_person_is_in_the_decision() {
    let dialect = Dialect::start().await;
    let mut body = bodies::passed("case-0");
    body["message"] = json!("CANARY message");
    body["extra"] = json!({ "person": "CANARY extra" });
    let data = &mut body["data"];
    data["inputParameters"] = json!({ "userId": "CANARY reference", "bizId": "CANARY input" });
    data["faceDetail"]["faceImage"] = json!("https://media.example/CANARY.jpg");
    data["docDetail"]["docType"]["front"] = json!("CANARY type");
    data["docDetail"]["qualityLabels"]["front"] = json!(["CANARY label"]);
    data["docDetail"]["forgeryLabels"] = json!(["CANARY label"]);
    data["docDetail"]["ocrInfo"]["front"] =
        json!({ "name": "CANARY", "errorCode": "CANARY", "transactionId": "CANARY" });
    dialect.upstream.answer("case-0", [Reply::json(body)]);
    let whole = dialect.gateway.get("/idv/case-0").await;
    assert!(whole.text().contains("CANARY type") && whole.text().contains("CANARY.jpg"));
    for private in ["CANARY message", "CANARY extra", "CANARY input"] {
        assert!(!whole.text().contains(private), "{private}");
    }
    let decision = dialect.gateway.get("/idv/case-0?view=decision").await;
    assert_eq!(decision.gist(), (200, "passed".to_owned()));
    assert!(!decision.text().contains("CANARY"), "{}", decision.text());
}

#[tokio::test]
async fn what_is_no_clean_json_with_data_is_malformed_and_not_kept() {
    let pass = bodies::passed("S").to_string();
    let twice = pass.replace(r#""idvResult":"PASS""#, r#""idvResult":"FAIL","idvResult":"PASS""#);
    let nested = pass.replace(r#""faceResult":"PASS""#, r#""faceResult":"FAIL","faceResult":"PASS""#);
    let envelope = pass.replace(r#""code":"SUCCESS""#, r#""code":"ERROR","code":"SUCCESS""#);
    let bare = pass.replace(r#""idvResult":"PASS""#, r#""idvResult":PASS"#);
    let nan = pass.replace(r#""faceLivenessScore":99"#, r#""faceLivenessScore":NaN"#);
    for unlike in [&twice, &nested, &envelope, &bare, &nan] {
        assert_ne!(*unlike, pass, "the sample changed: this test changes nothing in it");
    }
    let trailing = format!("{pass}{pass}");
    let deep = format!(r#"{{"code":"SUCCESS","data":{}}}"#, "[".repeat(100_000));
    let bodies = [
        &twice,
        &nested,
        &envelope,
        &bare,
        &nan,
        &trailing,
        &deep,
        r#"{"code":"SUCCESS","data":{"idvResult":"PASS", // done
            "errorCode":null}}"#,
        r#"{"code":"SUCCESS","data":{"idvResult":"PASS",}}"#,
        r#"{"code":"SUCCESS","data":{idvResult:"PASS"}}"#,
        "{\"code\":\"SUCCESS\",\"data\":{'idvResult':'PASS'}}",
        "",
        "PASS",
        "[]",
        "null",
        "\"SUCCESS\"",
        r#"{"data":{"idvResult":"PASS"}}"#,
        r#"{"code":null,"data":{"idvResult":"PASS"}}"#,
        r#"{"code":["SUCCESS"],"data":{"idvResult":"PASS"}}"#,
        r#"{"code":0,"data":{"idvResult":"PASS"}}"#,
    ];
    let dialect = Dialect::start().await;
    for (n, body) in bodies.into_iter().enumerate() {
        let id = format!("malformed-{n}");
        let answer = dialect.hear_of(&id, Reply::text(200, body)).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.gist(), (502, "upstream_malformed".to_owned()), "{start}");
        assert_eq!(dialect.upstream.hits(&id), 1, "{start}");
        let healed = dialect.hear_of(&id, Reply::passed(&id)).await;
        assert_eq!(healed.gist(), (200, "passed".to_owned()), "{start}");
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn success_without_data_is_malformed_and_drift() {
    let dialect = Dialect::start().await;
    for data in [Value::Null, json!([]), json!("PASS"), json!([{ "idvResult": "PASS" }])] {
        let answer = dialect.hear(Reply::json(success(data.clone()))).await;
        assert_eq!(answer.gist(), (502, "upstream_malformed".to_owned()), "{data}");
        let said = json!({ "code": "SUCCESS", "transactionId": "d3fde1547eeaf226" });
        assert_eq!(answer.json()["upstream"], said, "{data}");
        assert_eq!(dialect.drift().await, drift([("type_mismatch", 1)]), "{data}");
    }
}

#[tokio::test]
async fn invalid_utf8_inside_a_text_is_replaced() {
    let dialect = Dialect::start().await;
    let mut body = bodies::passed("case-0").to_string().into_bytes();
    let at = body.windows(6).position(|window| window == b"AMINAH").expect("the sample's person");
    body[at] = 0xff;
    let json = vec![("content-type", "application/json".to_owned())];
    let answer = dialect.hear(Reply::Http(200, json, body)).await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert_eq!(answer.json()["identity"]["name"], "\u{fffd}MINAH CONTOH case-0");
}

/// Each broken byte becomes three, and a name is shown twice.
#[tokio::test]
async fn an_answer_that_would_grow_to_megabytes_is_refused_and_an_honest_large_one_is_not() {
    let upstream = Upstream::start().await;
    let body = |fill: u8| {
        let head =
            br#"{"code":"SUCCESS","data":{"idvResult":"PASS","docDetail":{"ocrInfo":{"front":{"name":""#;
        [head.as_slice(), &vec![fill; 1_040_000], br#""}}}}}"#].concat()
    };
    let json = || vec![("content-type", "application/json".to_owned())];
    upstream.answer("HONEST", [Reply::Http(200, json(), body(b'a'))]);
    upstream.answer("BROKEN", [Reply::Http(200, json(), body(0xff))]);
    let gateway = Gateway::over(&upstream).await;
    assert_eq!(gateway.get("/idv/HONEST").await.gist(), (200, "passed".to_owned()));
    assert_eq!(gateway.get("/idv/BROKEN").await.gist(), (502, "upstream_malformed".to_owned()));
    assert_eq!(gateway.metric("idv_cache_entries").await, 0.0, "a result over 128 KiB is not kept");
}

#[tokio::test]
async fn control_and_direction_characters_stay_inside_their_texts() {
    let nasty = "A\0B\u{1b}[31m\u{2028}\u{202e}C\r\n\"\\";
    let dialect = Dialect::start().await;
    let seen = dialect
        .read(json!({
            "idvResult": "FAIL", "errorCode": nasty,
            "docDetail": { "ocrInfo": { "front": { "name": nasty, nasty: nasty } } },
        }))
        .await;
    assert_eq!((&seen["status"], &seen["reason"]["code"]), (&json!("failed"), &json!("OTHER")));
    assert_eq!(seen["identity"]["name"], nasty);
    assert_eq!(seen["identity"]["fields"]["front"][nasty], nasty);
    let raw = dialect.gateway.get("/idv/case-0").await;
    assert!(!raw.body.iter().any(|byte| byte.is_ascii_control()), "{:?}", raw.text());
    assert!(!dialect.gateway.admin("/metrics").await.text().contains("[31m"));
}

#[tokio::test]
async fn json_under_another_content_type_is_read_and_counted() {
    let dialect = Dialect::start().await;
    for headers in [vec![("content-type", "text/plain; charset=utf-8".to_owned())], Vec::new()] {
        let id = dialect.new_id();
        let answer = dialect.hear_of(&id, Reply::Http(200, headers, passed(&id).to_string().into())).await;
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
        assert_eq!(dialect.drift().await, drift([("unknown_value", 1)]));
    }
}

#[tokio::test]
async fn a_score_that_is_none_is_dropped_and_counted() {
    let dialect = Dialect::start().await;
    for score in
        ["1e400", "-1e400", "\"NaN\"", "\"Infinity\"", "\"1e400\"", "100.01", "-1", "\"high\"", "\"\""]
    {
        let id = dialect.new_id();
        let face = json!({ "faceLivenessScore": 7 });
        let plain =
            success(json!({ "signatureId": id, "idvResult": "PASS", "faceDetail": face })).to_string();
        let body = plain.replace(":7}", &format!(":{score}}}"));
        let answer = dialect.hear_of(&id, Reply::text(200, &body)).await;
        assert_eq!(answer.gist(), (200, "passed".to_owned()), "{score}");
        assert_eq!(answer.json()["checks"]["face"]["livenessScore"], Value::Null, "{score}");
        assert_eq!(dialect.drift().await, drift([("unknown_value", 1)]), "{score}");
    }
}

#[tokio::test]
async fn a_field_of_a_wrong_type_is_dropped_and_counted_and_the_decision_stands() {
    let dialect = Dialect::start().await;
    for (part, field, value, dropped_to) in [
        ("faceDetail", "faceLivenessScore", json!(true), ("/checks/face/livenessScore", Value::Null)),
        ("faceDetail", "faceSimilarityScore", json!([82]), ("/checks/face/similarityScore", Value::Null)),
        ("faceDetail", "eventDetails", json!({}), ("/checks/face/events", json!([]))),
        ("faceDetail", "eventDetails", json!(["FE_FACE_CAPTURE"]), ("/checks/face/events", json!([]))),
        ("faceDetail", "faceImageFar", json!({ "url": "https://media.example/a" }), ("/media", json!([]))),
        ("docDetail", "docType", json!("MY-ID-MYKAD"), ("/checks/document/type", Value::Null)),
        ("docDetail", "subDocType", json!([]), ("/checks/document/subType", Value::Null)),
        ("docDetail", "qualityLabels", json!([]), ("/checks/document/qualityLabels", Value::Null)),
        ("docDetail", "forgeryLabels", json!("photocopy"), ("/checks/document/forgeryLabels", Value::Null)),
        (
            "docDetail",
            "forgeryLabels",
            json!(["photocopy", 1]),
            ("/checks/document/forgeryLabels", json!(["photocopy"])),
        ),
        ("docDetail", "ocrInfo", json!([]), ("/identity/fields/front", json!({}))),
        ("docDetail", "ocrInfo", json!({ "front": "AMINAH" }), ("/identity/fields/front", json!({}))),
        ("docDetail", "docFrontImage", json!(7), ("/media", json!([]))),
    ] {
        let data = json!({ "idvResult": "PASS", "errorCode": "SUCCESS", part: { field: value } });
        let seen = dialect.read(data.clone()).await;
        assert_eq!(seen["status"], "passed", "{data}");
        assert_eq!(seen.pointer(dropped_to.0), Some(&dropped_to.1), "{data}");
        assert_eq!(dialect.drift().await, drift([("type_mismatch", 1)]), "{data}");
    }
}

#[tokio::test]
async fn fields_that_nobody_documented_are_counted_and_left_out() {
    let dialect = Dialect::start().await;
    let mut body = success(json!({
        "idvResult": "PASS", "novelty": "CANARY",
        "faceDetail": { "novelty": "CANARY", "eventDetails": [{ "event": "A", "novelty": "CANARY" }] },
        "docDetail": { "novelty": "CANARY", "docType": { "front": "A", "novelty": "CANARY" } },
    }));
    body["novelty"] = json!("CANARY");
    let answer = dialect.hear(Reply::json(body)).await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert!(!answer.text().contains("CANARY"), "{}", answer.text());
    assert_eq!(dialect.drift().await, drift([("unknown_field", 6)]));
}

#[tokio::test]
async fn an_envelope_code_is_read_whatever_its_case_and_the_blanks_around_it() {
    let dialect = Dialect::start().await;
    let mut body = success(json!({ "idvResult": "PASS" }));
    body["code"] = json!(" Success");
    assert_eq!(dialect.hear(Reply::json(body)).await.gist(), (200, "passed".to_owned()));
    let gone = dialect.hear(Reply::refusal("signature_not_exist\n", "")).await;
    assert_eq!(gone.gist(), (404, "signature_not_found".to_owned()));
}

#[tokio::test]
async fn an_envelope_code_that_nobody_documented_is_counted_and_not_echoed() {
    let dialect = Dialect::start().await;
    let answer = dialect.hear(Reply::refusal("CANARY_CODE", "CANARY message")).await;
    assert_eq!(answer.gist(), (502, "upstream_error".to_owned()));
    assert_eq!(answer.json()["upstream"], json!({ "transactionId": "b6d722f7e9f553ae" }));
    assert!(!answer.text().contains("CANARY"), "{}", answer.text());
    assert_eq!(dialect.drift().await, drift([("unknown_code", 1)]));
    assert!(!dialect.gateway.admin("/metrics").await.text().contains("CANARY"));
}

#[tokio::test]
async fn an_answer_for_another_id_is_dropped_whole_and_never_kept() {
    let dialect = Dialect::start().await;
    for (n, other) in
        [json!("S2"), json!(" S1"), json!("S1\0"), json!(17), json!({}), json!(["S1"]), json!(true)]
            .into_iter()
            .enumerate()
    {
        let mut body = bodies::passed("S2");
        body["data"]["signatureId"] = other.clone();
        let answer = dialect.hear_of("S1", Reply::json(body)).await;
        assert_eq!(answer.gist(), (502, "upstream_id_mismatch".to_owned()), "{other}");
        assert_eq!(answer.json()["retryable"], false);
        assert!(!answer.text().contains("S2"), "{}", answer.text());
        assert_eq!(dialect.upstream.hits("S1"), n + 1, "{other}: neither kept nor asked for again");
        assert_eq!(dialect.drift().await.get("id_mismatch"), Some(&1), "{other}");
    }
    let mut absent = bodies::not_exist();
    absent["data"] = json!({ "signatureId": "S2" });
    let answer = dialect.hear_of("S1", Reply::json(absent)).await;
    assert_eq!(answer.gist(), (502, "upstream_id_mismatch".to_owned()), "that another id does not exist");
    let healed = dialect.hear_of("S1", Reply::passed("S1")).await;
    assert_eq!(healed.gist(), (200, "passed".to_owned()));
    assert_eq!(healed.header("cache-status"), Some("idv-gateway; fwd=miss; stored"));
    assert!(!healed.text().contains("S2"));
}
