//! `/status`: what the status page is told. Numbers and the names of regions, no ids and no people.
//!
//! ```json
//! { "at": "2026-11-22T10:00:00Z", "stage": "ready", "uptimeSeconds": 9000, "windowSeconds": 904, "stepSeconds": 5,
//!   "build": { "version": "0.1.0", "revision": "unknown" },
//!   "answers": { "byClass": { "2xx": COUNT, … }, "p50Ms": 0.4, "p99Ms": 310.0,
//!                "series": { "requests": [12, …], "failed": [0, …], "p50Ms": [0.4, …], "p99Ms": [310.0, null, …] } },
//!   "lookups": { "hit": COUNT, … }, "fillsInFlight": 3,
//!   "cache": { "entries": 412, "bytes": 1048576, "maxBytes": 268435456, "evictions": { "expired": COUNT, … } },
//!   "rateLimited": COUNT, "panics": COUNT, "reloadsRefused": COUNT,
//!   "regions": [ { "name": "my", "breaker": { "state": "passing", "forSeconds": 900 },
//!                  "token": { "expiresInSeconds": 2400, "refreshed": COUNT, "refreshFailed": COUNT },
//!                  "clockSkewSeconds": 0.2, "requests": { "ok": COUNT, … }, "retries": COUNT, "p50Ms": …, "p95Ms": …,
//!                  "series": { "requests": […], "failed": […], "p95Ms": […] },
//!                  "drift": { "unknown_field": COUNT, … },
//!                  "results": [ { "status": "passed", "reason": "none", "recent": 9, "total": 870 } ] } ] }
//! ```
//!
//! A COUNT is `{ "recent": 12, "total": 3456 }`: within the window, and since the start. Series have one member for each
//! step that is over, oldest first; a quantile is null where there is nothing to take it of.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::handlers::Admin;
use super::history::{Moment, STEP};
use crate::domain::drift::DriftKind;
use crate::http::serve::Stage;
use crate::telemetry::metrics::{
    ANSWER_CLASSES, CacheMetrics, Durations, LookupOutcome, RegionSnapshot, Snapshot, UpstreamOutcome,
    result_names, revision,
};

/// Two readings, and every step between them.
struct Window {
    oldest: Moment,
    now: Moment,
    steps: Vec<[Moment; 2]>,
}

/// The whole report, as it is now.
pub(super) fn report(admin: &Admin) -> Value {
    let past = admin.history.past();
    let now = admin.history.now();
    let window = Window {
        oldest: past.first().unwrap_or(&now).clone(),
        steps: past.windows(2).filter_map(|pair| pair.to_vec().try_into().ok()).collect(),
        now,
    };
    let (then, now) = (&window.oldest.reading, &window.now.reading);
    let count = |of: fn(&Snapshot) -> u64| count(of(then), of(now));
    json!({
        "at": jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
        "stage": stage(admin.lifecycle.stage()),
        "uptimeSeconds": (window.now.at - admin.history.started()).as_secs(),
        "windowSeconds": (window.now.at - window.oldest.at).as_secs(),
        "stepSeconds": STEP.as_secs(),
        "build": { "version": env!("CARGO_PKG_VERSION"), "revision": revision() },
        "answers": answers(&window),
        "lookups": counts(&LookupOutcome::NAMES, &then.lookups, &now.lookups),
        "fillsInFlight": now.fills_in_flight,
        "cache": {
            "entries": now.cache_entries, "bytes": now.cache_bytes, "maxBytes": admin.cache_max_bytes,
            "evictions": counts(&CacheMetrics::CAUSES, &then.evictions, &now.evictions),
        },
        "rateLimited": count(|reading| reading.rate_limited),
        "panics": count(|reading| reading.panics),
        "reloadsRefused": count(|reading| reading.reloads_refused),
        "regions": admin.regions.iter().enumerate().map(|(n, name)| region(&window, n, name)).collect::<Vec<_>>(),
    })
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting => "starting",
        Stage::Ready => "ready",
        Stage::Draining | Stage::Closing | Stage::GivingUp => "draining",
    }
}

/// Answers of the public listener.
fn answers(window: &Window) -> Value {
    let (then, now) = (&window.oldest.reading, &window.now.reading);
    let times = now.answer_times.since(&then.answer_times);
    let step_times = |a: &Snapshot, b: &Snapshot| b.answer_times.since(&a.answer_times);
    json!({
        "byClass": counts(&ANSWER_CLASSES, &then.answers, &now.answers),
        "p50Ms": milliseconds(&times, 0.5),
        "p99Ms": milliseconds(&times, 0.99),
        "series": {
            "requests": window.series(|a, b| json!(since(&a.answers, &b.answers).iter().sum::<u64>())),
            "failed": window.series(|a, b| json!(since(&a.answers, &b.answers).last())),
            "p50Ms": window.series(|a, b| milliseconds(&step_times(a, b), 0.5)),
            "p99Ms": window.series(|a, b| milliseconds(&step_times(a, b), 0.99)),
        },
    })
}

/// One region, the `n`th of the configuration.
fn region(window: &Window, n: usize, name: &str) -> Value {
    let (Some(then), Some(now)) = (window.oldest.reading.regions.get(n), window.now.reading.regions.get(n))
    else {
        return Value::Null;
    };
    let times = now.times.since(&then.times);
    let series = |of: fn(&RegionSnapshot, &RegionSnapshot) -> Value| {
        window.series(|a, b| match (a.regions.get(n), b.regions.get(n)) {
            (Some(a), Some(b)) => of(a, b),
            _ => Value::Null,
        })
    };
    json!({
        "name": name,
        "breaker": { "state": breaker(now.breaker), "forSeconds": window.breaker_has_been_so_for(n) },
        "token": {
            "expiresInSeconds": seconds_until(now.token_expiry),
            "refreshed": count(then.refreshes[0], now.refreshes[0]),
            "refreshFailed": count(then.refreshes[1], now.refreshes[1]),
        },
        "clockSkewSeconds": now.clock_skew,
        "requests": counts(&UpstreamOutcome::NAMES, &then.requests, &now.requests),
        "retries": count(then.retries, now.retries),
        "p50Ms": milliseconds(&times, 0.5),
        "p95Ms": milliseconds(&times, 0.95),
        "series": {
            "requests": series(|a, b| json!(since(&a.requests, &b.requests).iter().sum::<u64>())),
            "failed": series(|a, b| json!(failed(a, b))),
            "p95Ms": series(|a, b| milliseconds(&b.times.since(&a.times), 0.95)),
        },
        "drift": counts(&DriftKind::ALL.map(DriftKind::name), &then.drift, &now.drift),
        "results": results(then, now),
    })
}

/// Final results that there have been.
fn results(then: &RegionSnapshot, now: &RegionSnapshot) -> Vec<Value> {
    let totals = then.results.iter().zip(&now.results);
    let given = result_names().zip(totals).filter(|(_, (_, total))| **total > 0);
    let result = |([status, reason], (then, now)): ([&str; 2], (&u64, &u64))| json!({ "status": status, "reason": reason, "recent": now.saturating_sub(*then), "total": now });
    given.map(result).collect()
}

impl Window {
    /// One value for each step.
    fn series(&self, of: impl Fn(&Snapshot, &Snapshot) -> Value) -> Vec<Value> {
        self.steps.iter().map(|[a, b]| of(&a.reading, &b.reading)).collect()
    }

    /// For how many seconds a region's breaker has been passing, or not, as far as is remembered.
    fn breaker_has_been_so_for(&self, n: usize) -> u64 {
        let passes =
            |moment: &Moment| moment.reading.regions.get(n).is_some_and(|region| region.breaker == 0);
        let earlier = self.steps.iter().rev().map(|[a, _]| a);
        let last = self.steps.last().map_or(&self.oldest, |[_, b]| b);
        let alike =
            std::iter::once(last).chain(earlier).take_while(|moment| passes(moment) == passes(&self.now));
        (self.now.at - alike.last().unwrap_or(&self.now).at).as_secs()
    }
}

fn breaker(state: i64) -> &'static str {
    match state {
        0 => "passing",
        1 => "probing",
        _ => "tripped",
    }
}

/// Requests that got no answer about their id.
fn failed(a: &RegionSnapshot, b: &RegionSnapshot) -> u64 {
    let requests = since(&a.requests, &b.requests);
    let answers = [UpstreamOutcome::Ok, UpstreamOutcome::NotFound].map(|outcome| requests[outcome as usize]);
    requests.iter().sum::<u64>() - answers.iter().sum::<u64>()
}

fn since<const N: usize>(then: &[u64; N], now: &[u64; N]) -> [u64; N] {
    std::array::from_fn(|n| now[n].saturating_sub(then[n]))
}

fn count(then: u64, now: u64) -> Value {
    json!({ "recent": now.saturating_sub(then), "total": now })
}

fn counts(names: &[&str], then: &[u64], now: &[u64]) -> Map<String, Value> {
    let counted = names.iter().zip(then.iter().zip(now));
    counted.map(|(name, (then, now))| ((*name).to_owned(), count(*then, *now))).collect()
}

/// A quantile in milliseconds, to the hundredth.
fn milliseconds(times: &Durations, q: f64) -> Value {
    times.quantile(q).map_or(Value::Null, |seconds| json!((seconds * 1e5).round() / 100.0))
}

/// Seconds until a moment of the epoch; none if there is no such moment.
fn seconds_until(epoch: f64) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (epoch > 0.0).then_some((epoch - now.as_secs_f64()) as i64)
}
