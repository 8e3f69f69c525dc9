//! A gateway that is told what the upstream says, and what it makes of that.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::gateway::{OPEN, region};
use super::{Answer, Gateway, Reply, Upstream, bodies};

/// How often each kind of drift was counted.
pub type Drift = BTreeMap<String, u64>;

/// One region's upstream, and a gateway before it.
pub struct Dialect {
    pub upstream: Upstream,
    pub gateway: Gateway,
    asked: AtomicUsize,
    drift: Mutex<Drift>,
}

impl Dialect {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With one more piece of configuration.
    pub async fn with(piece: &str) -> Self {
        let upstream = Upstream::start().await;
        let gateway = Gateway::with(&[OPEN, piece, &region("my", &upstream)]).await;
        Self { upstream, gateway, asked: AtomicUsize::new(0), drift: Mutex::default() }
    }

    /// The answer for an id that was never asked for, when this is what the upstream says to it.
    pub async fn hear(&self, reply: Reply) -> Answer {
        self.hear_of(&self.new_id(), reply).await
    }

    /// The answer for `id`, when this is what the upstream says to it.
    pub async fn hear_of(&self, id: &str, reply: Reply) -> Answer {
        self.upstream.answer(id, [reply]);
        self.gateway.get(&format!("/idv/{id}")).await
    }

    /// The verification made of this `data`, with the id added unless it has one.
    pub async fn read(&self, mut data: Value) -> Value {
        let id = self.new_id();
        if data.get("signatureId").is_none() {
            data["signatureId"] = json!(id);
        }
        let answer = self.hear_of(&id, Reply::json(bodies::success(data.clone()))).await;
        assert_eq!(answer.status, 200, "{data}: {}", answer.text());
        answer.json()
    }

    /// An id that was never asked for.
    pub fn new_id(&self) -> String {
        format!("case-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// The drift counted since the last call of this.
    pub async fn drift(&self) -> Drift {
        let now = drift_of(&self.gateway).await;
        let before =
            std::mem::replace(&mut *self.drift.lock().expect("nobody panics with the lock"), now.clone());
        let since = now.into_iter().map(|(kind, count)| {
            let count = count - before.get(&kind).copied().unwrap_or_default();
            (kind, count)
        });
        since.filter(|(_, count)| *count > 0).collect()
    }
}

/// These kinds of drift.
pub fn drift<const N: usize>(counts: [(&str, u64); N]) -> Drift {
    counts.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect()
}

async fn drift_of(gateway: &Gateway) -> Drift {
    let page = gateway.admin("/metrics").await;
    let series = page.text().lines().filter_map(|line| line.strip_prefix("idv_contract_drift_total{"));
    let counts = series.filter_map(|series| {
        let (_, kind) = series.split_once("kind=\"")?;
        let (kind, rest) = kind.split_once('"')?;
        Some((kind.to_owned(), rest.rsplit_once(' ')?.1.parse().expect("a counter is a whole number")))
    });
    counts.collect()
}

/// An answer's JSON without what differs from run to run and what is prose: each of these is checked and taken out, and
/// every `expiresAt` becomes the seconds it lies after `observedAt`.
pub fn settled(answer: &Answer) -> Value {
    let mut body = answer.json();
    if answer.status != 200 {
        let id = take(&mut body, "requestId");
        assert_eq!(id.as_str(), answer.header("x-request-id"), "{body}");
        for prose in ["title", "detail"] {
            assert!(take(&mut body, prose).as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
        return body;
    }
    let observed_at = time(&take(&mut body, "observedAt"));
    let age = Timestamp::now().duration_since(observed_at).as_secs();
    assert!((0..60).contains(&age), "observed {age} s ago");
    if body["reason"].is_object() {
        let message = take(&mut body["reason"], "message");
        assert!(message.as_str().is_some_and(|text| text.ends_with('.')), "{body}");
    }
    for link in body.get_mut("media").and_then(Value::as_array_mut).into_iter().flatten() {
        link["expiresAt"] = json!(time(&link["expiresAt"]).duration_since(observed_at).as_secs());
    }
    body
}

fn take(object: &mut Value, key: &str) -> Value {
    let object = object.as_object_mut().expect("an object");
    assert!(object.contains_key(key), "{key} is missing from {object:?}");
    object.shift_remove(key).unwrap_or_default()
}

/// A moment as answers write it: RFC 3339, in UTC.
pub fn time(value: &Value) -> Timestamp {
    let text = value.as_str().expect("a moment is text");
    assert!(text.ends_with('Z'), "{text}");
    text.parse().expect("a moment is RFC 3339")
}
