//! The cuts of an answer, compared with the same JSON read back.

use jiff::{SignedDuration, Timestamp};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{Moment, Rendered, render};
use crate::domain::region::{RegionName, Regions};
use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{Medium, MediumKind, UpstreamWords, Verdict, Verification};

static_assertions::assert_not_impl_any!(Rendered: std::fmt::Debug, std::fmt::Display);

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn medium(kind: MediumKind, seconds: i64) -> Medium {
    linked("", kind, seconds)
}

fn linked(query: &str, kind: MediumKind, seconds: i64) -> Medium {
    let url = to_raw_value(&format!("https://m.example/{query}")).unwrap();
    Medium { kind, url, expires_at: now() + SignedDuration::from_secs(seconds) }
}

fn rendered(media: Vec<Medium>) -> Rendered {
    let upstream = UpstreamWords {
        result: Some("PA\u{202e}SS\u{e0041}".into()),
        error_code: Some("SUC\u{7f}CESS".into()),
        ..UpstreamWords::default()
    };
    let regions = Regions::new(RegionName::parse("my"));
    let region = regions.find("my").unwrap();
    let bare = Verification::bare(SignatureId::parse("S1").unwrap(), region, Verdict::Passed);
    render(&Verification { upstream, media, ..bare }, regions.name(region))
}

fn cut(rendered: &Rendered, scopes: &[Scope], moment: Moment) -> Value {
    let bytes = rendered.cut(scopes.iter().copied().collect::<Scopes>(), moment, now());
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn every_set_of_scopes_is_valid_json_with_its_sections_and_no_others() {
    let rendered = rendered(vec![medium(MediumKind::Face, 60)]);
    let moments = [
        Moment::default(),
        Moment { stale: true, retry_after: None },
        Moment { stale: false, retry_after: Some(7) },
    ];
    for (bits, moment) in (0..8).flat_map(|bits| moments.map(|moment| (bits, moment))) {
        let all = [(Scope::Checks, "checks"), (Scope::Identity, "identity"), (Scope::Media, "media")];
        let chosen: Vec<_> = (0..3).filter(|n| bits >> n & 1 == 1).map(|n| all[n]).collect();
        let scopes: Vec<_> = chosen.iter().map(|(scope, _)| *scope).collect();
        let answer = cut(&rendered, &scopes, moment);
        for (_, name) in all {
            assert_eq!(
                answer.get(name).is_some(),
                chosen.iter().any(|(_, chosen)| *chosen == name),
                "{answer}"
            );
        }
        assert_eq!(answer["stale"], moment.stale);
        assert_eq!(answer["retryAfterSeconds"], json!(moment.retry_after));
        assert_eq!(answer["upstream"]["result"], "PA\u{202e}SS\u{e0041}");
    }
}

#[test]
fn links_that_have_expired_are_left_out() {
    let rendered = rendered(vec![
        medium(MediumKind::Face, -1),
        medium(MediumKind::FaceFar, 60),
        medium(MediumKind::FaceNear, 0),
        medium(MediumKind::DocumentFront, 60),
    ]);
    let answer = cut(&rendered, &[Scope::Identity, Scope::Media], Moment::default());
    let kinds: Vec<_> = answer["media"].as_array().unwrap().iter().map(|medium| &medium["kind"]).collect();
    assert_eq!(kinds, ["face_far", "document_front"]);
    assert!(answer.get("identity").is_some());
}

#[test]
fn what_links_repeat_is_kept_once() {
    let token: String = (0..300).map(|n| n.to_string()).collect();
    let media = (0..6).map(|_| linked(&format!("?{token}"), MediumKind::Face, 60));
    let rendered = rendered(media.collect());
    assert!(rendered.len() > 6 * token.len());
    assert!(rendered.size() < 2 * token.len(), "{} of {}", rendered.size(), rendered.len());
    let answer = cut(&rendered, &[Scope::Media], Moment::default());
    assert!(
        answer["media"]
            .as_array()
            .unwrap()
            .iter()
            .all(|medium| medium["url"].as_str().unwrap().ends_with(&token))
    );
}

#[test]
fn media_that_are_not_whole_are_no_result() {
    let rendered = rendered(vec![medium(MediumKind::Face, 60)]);
    let (buffer, layout) = rendered.parts();
    for end in layout.packed_links().start..buffer.len() {
        let part = buffer[..end].into();
        assert!(Rendered::from_parts(part, layout.clone()).is_none(), "{end} of {}", buffer.len());
    }
}

#[test]
fn hidden_characters_are_escaped() {
    let bytes = rendered(Vec::new()).cut(Scopes::NONE, Moment::default(), now());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r"PA\u202eSS\udb40\udc41"), "{text}");
    assert!(text.contains(r"SUC\u007fCESS"), "{text}");
}
