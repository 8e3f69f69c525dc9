//! Links: which are handed on, and until when.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::dialect::{Drift, drift, time};
use crate::support::{Dialect, Reply, bodies};

/// The links of an answer whose document has this front image.
async fn front(dialect: &Dialect, url: &str) -> Vec<Value> {
    let data = json!({ "idvResult": "PASS", "docDetail": { "docFrontImage": url } });
    dialect.read(data).await["media"].as_array().expect("media is a list").clone()
}

#[tokio::test]
async fn every_link_has_the_kind_of_its_field() {
    let dialect = Dialect::start().await;
    for (part, field, kind) in [
        ("faceDetail", "faceImage", "face"),
        ("faceDetail", "faceImageFar", "face_far"),
        ("faceDetail", "faceImageNear", "face_near"),
        ("faceDetail", "silentImage", "face_silent"),
        ("faceDetail", "auditImageUrl", "face_audit"),
        ("faceDetail", "faceVideoUrl", "face_video"),
        ("docDetail", "docFrontImage", "document_front"),
        ("docDetail", "idFrontImage", "document_front"),
        ("docDetail", "docBackImage", "document_back"),
        ("docDetail", "idBackImage", "document_back"),
    ] {
        let url = format!("https://media.example/{field}?a=1&b=%20");
        let seen = dialect.read(json!({ "idvResult": "PASS", part: { field: url } })).await;
        let media = seen["media"].as_array().expect("media is a list");
        assert_eq!(media.len(), 1, "{field}");
        assert_eq!((&media[0]["kind"], &media[0]["url"]), (&json!(kind), &json!(url)));
        assert_eq!(media[0].as_object().map(serde_json::Map::len), Some(3), "{field}");
    }
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn a_kind_appears_once_even_if_both_generations_name_it() {
    let dialect = Dialect::start().await;
    let newer =
        json!({ "docFrontImage": "https://media.example/new", "idFrontImage": "https://media.example/old" });
    let older = json!({ "docFrontImage": null, "idFrontImage": "https://media.example/old" });
    let unusable =
        json!({ "docFrontImage": "http://media.example/new", "idFrontImage": "https://media.example/old" });
    for (document, url) in [(newer, "new"), (older, "old"), (unusable, "old")] {
        let seen = dialect.read(json!({ "idvResult": "PASS", "docDetail": document })).await;
        assert_eq!(seen["media"].as_array().map(Vec::len), Some(1), "{document}");
        assert_eq!(seen["media"][0]["url"], format!("https://media.example/{url}"), "{document}");
    }
}

/// Seconds from `observedAt` to `expiresAt` of the only link.
async fn life(dialect: &Dialect, url: &str) -> i64 {
    let seen = dialect.read(json!({ "idvResult": "PASS", "docDetail": { "docFrontImage": url } })).await;
    time(&seen["media"][0]["expiresAt"]).duration_since(time(&seen["observedAt"])).as_secs()
}

#[tokio::test]
async fn a_link_without_an_end_is_good_for_a_day_less_an_hour() {
    let dialect = Dialect::start().await;
    for url in [
        "https://media.example/a.jpg",
        "https://media.example/a.jpg?Expires=soon",
        "https://media.example/a.jpg?Expires=99999999999999999999",
        "https://media.example/a.jpg?X-Amz-Expires=600",
        "https://media.example/a.jpg?X-Amz-Date=yesterday&X-Amz-Expires=600",
        "https://media.example/Expires=1795345200",
    ] {
        assert_eq!(life(&dialect, url).await, 23 * 3600, "{url}");
    }
}

#[tokio::test]
async fn a_link_that_carries_its_own_end_is_good_until_then_less_a_tenth_or_an_hour() {
    let dialect = Dialect::start().await;
    let now = Timestamp::now();
    let amz = now.strftime("%Y%m%dT%H%M%SZ");
    let after = |seconds: i64| now.as_second() + seconds;
    for (query, seconds) in [
        (format!("X-Amz-Date={amz}&X-Amz-Expires=600"), 540),
        (format!("X-Amz-Expires=604800&X-Amz-Signature=0&X-Amz-Date={amz}"), 604_800 - 3600),
        (format!("x-amz-date={amz}&x-amz-expires=600"), 540),
        (format!("Expires={}&Signature=0", after(3600)), 3240),
        (format!("OSSAccessKeyId=0&Expires={}", after(86_400)), 86_400 - 3600),
        (format!("x-oss-date={amz}&x-oss-expires=1200"), 1080),
        (format!("x-oss-expires={}", after(1000)), 900),
    ] {
        let life = life(&dialect, &format!("https://media.example/a.jpg?{query}")).await;
        // The links were made a moment before the answer was observed.
        assert!((seconds - 30..=seconds).contains(&life), "{query}: {life} s");
    }
}

#[tokio::test]
async fn a_link_that_has_ended_already_is_not_handed_on() {
    let dialect = Dialect::start().await;
    let ended = (Timestamp::now() - SignedDuration::from_mins(5)).as_second();
    assert_eq!(
        front(&dialect, &format!("https://media.example/a.jpg?Expires={ended}")).await,
        Vec::<Value>::new()
    );
    let date = (Timestamp::now() - SignedDuration::from_hours(1)).strftime("%Y%m%dT%H%M%SZ").to_string();
    let amz = format!("https://media.example/a.jpg?X-Amz-Date={date}&X-Amz-Expires=600");
    assert_eq!(front(&dialect, &amz).await, Vec::<Value>::new());
}

#[tokio::test]
async fn only_plain_https_links_are_handed_on_and_the_rest_is_counted() {
    let dialect = Dialect::start().await;
    for url in [
        "http://media.example/a.jpg",
        "//media.example/a.jpg",
        "/a.jpg",
        "ftp://media.example/a.jpg",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "https://",
        "https:media.example/a.jpg",
        "https:/media.example/a.jpg",
        "https:///media.example/a.jpg",
        "https:\\\\media.example\\a.jpg",
        "https://media.example\\@evil.example/a.jpg",
        "https://user@media.example/a.jpg",
        "https://user:secret@media.example/a.jpg",
        "https://:secret@media.example/a.jpg",
        "https://media.example/a b.jpg",
        "https://media.example/a\n.jpg",
        " https://media.example/a.jpg",
        "null",
    ] {
        assert_eq!(front(&dialect, url).await, Vec::<Value>::new(), "{url:?}");
        assert_eq!(dialect.drift().await, drift([("unknown_value", 1)]), "{url:?}");
    }
    assert_eq!(
        front(&dialect, "").await,
        Vec::<Value>::new(),
        "an empty text is how the vendor says nothing"
    );
    assert_eq!(dialect.drift().await, Drift::new());
}

#[tokio::test]
async fn images_sent_inline_are_dropped() {
    let dialect = Dialect::start().await;
    let image = "iVBORw0KGgoAAAANSUhEUgAA/+".repeat(2000);
    let data = json!({
        "idvResult": "PASS", "errorCode": "SUCCESS",
        "faceDetail": { "faceImageFar": image }, "docDetail": { "docFrontImage": image },
    });
    let seen = dialect.read(data).await;
    assert_eq!((&seen["status"], &seen["media"]), (&json!("passed"), &json!([])));
    assert!(!seen.to_string().contains("iVBORw0KGgo"));
    assert_eq!(dialect.drift().await, drift([("unknown_value", 2)]));
}

#[tokio::test]
async fn a_video_that_is_a_state_is_no_link_and_no_drift() {
    let dialect = Dialect::start().await;
    for state in [json!("PENDING"), json!("ERROR"), Value::Null] {
        let data = json!({ "idvResult": "PASS", "faceDetail": { "faceVideoUrl": state } });
        let seen = dialect.read(data).await;
        assert_eq!((&seen["status"], &seen["media"]), (&json!("passed"), &json!([])), "{state}");
    }
    assert_eq!(dialect.drift().await, Drift::new());
    let data = json!({ "idvResult": "PASS", "faceDetail": { "faceImage": "PENDING" } });
    assert_eq!(dialect.read(data).await["media"], json!([]));
    assert_eq!(dialect.drift().await, drift([("unknown_value", 1)]), "only the video has states");
}

#[tokio::test]
async fn links_point_only_at_allowed_hosts_where_these_are_named() {
    let dialect = Dialect::with("[media]\nallowed_hosts = [\"cdn.example\", \"*.media.example\"]\n").await;
    for (url, is_allowed) in [
        ("https://cdn.example/a", true),
        ("https://CDN.Example/a", true),
        ("https://cdn.example:8443/a", true),
        ("https://a.media.example/a", true),
        ("https://a.b.media.example/a", true),
        ("https://media.example/a", false),
        ("https://.media.example/a", false),
        ("https://sub.cdn.example/a", false),
        ("https://evilmedia.example/a", false),
        ("https://cdn.example.evil.example/a", false),
        ("https://evil.example/?https://cdn.example/a", false),
        ("https://cdn.example\\@evil.example/a", false),
        ("https://evil.example/#.media.example", false),
        ("https://169.254.169.254/latest", false),
    ] {
        let media = front(&dialect, url).await;
        assert_eq!(media.len(), usize::from(is_allowed), "{url}");
        let counted = if is_allowed { Drift::new() } else { drift([("unknown_value", 1)]) };
        assert_eq!(dialect.drift().await, counted, "{url}");
    }
}

#[tokio::test]
async fn a_bad_link_takes_no_other_down_with_it() {
    let dialect = Dialect::start().await;
    let mut body = bodies::passed("case-0");
    body["data"]["faceDetail"]["faceImageFar"] = json!("http://media.example/case-0/far.jpg");
    let seen = dialect.hear(Reply::json(body)).await.json();
    assert_eq!(seen["status"], "passed");
    assert_eq!(seen["media"].as_array().map(Vec::len), Some(1));
    assert_eq!(seen["media"][0]["kind"], "document_front");
}
