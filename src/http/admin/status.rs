//! `/status`: the numbers that the status page shows, as JSON. They are counts and the names of regions, never an id or a
//! person's data. Series have one member for each finished step, oldest first. A quantile of nothing is null.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use enum_map::{Enum, EnumMap};
use serde_json::{Value, json};

use super::history::{History, STEP};
use crate::http::lifecycle::Stage;
use crate::telemetry::metrics::{
    AnswerClass, Durations, RegionSnapshot, Snapshot, UpstreamOutcome, result_names, revision,
};

/// Makes the report.
pub(crate) struct StatusReport {
    /// The last minutes of the metrics.
    pub history: Arc<History>,
    /// The regions, in configuration order.
    pub regions: Vec<ReportedRegion>,
    /// Bytes the cache may hold.
    pub cache_max_bytes: u64,
    /// Whether replicas share a second tier.
    pub has_second_tier: bool,
}

/// What the report always says of a region.
pub(crate) struct ReportedRegion {
    pub name: String,
    /// Whether it is simulated: only a sandbox is asked over plain HTTP.
    pub is_sandbox: bool,
}

impl StatusReport {
    /// The report of this moment. What is `recent` in it happened within its window.
    pub(super) fn at(&self, stage: Stage) -> Value {
        let window = Window::of(&self.history);
        let (then, now) = (window.oldest(), &window.now);
        let regions = self.regions.iter().enumerate().map(|(n, reported)| region(&window, n, reported));
        let second_tier = || {
            let requests = counts(&then.remote, &now.remote);
            json!({ "connected": now.remote_up, "requests": requests })
        };
        json!({
            "at": jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
            "stage": stage.name(),
            "uptimeSeconds": (now.at - self.history.started).as_secs(),
            "windowSeconds": (now.at - then.at).as_secs(),
            "stepSeconds": STEP.as_secs(),
            "build": { "version": env!("CARGO_PKG_VERSION"), "revision": revision() },
            "answers": answers(&window),
            "lookups": counts(&then.lookups, &now.lookups),
            "fillsInFlight": now.fills_in_flight,
            "cache": {
                "entries": now.cache_entries,
                "bytes": now.cache_bytes,
                "maxBytes": self.cache_max_bytes,
                "evictions": counts(&then.evictions, &now.evictions),
            },
            "secondTier": self.has_second_tier.then(second_tier),
            "rateLimited": count(then.rate_limited, now.rate_limited),
            "panics": count(then.panics, now.panics),
            "reloadsRefused": count(then.reloads_refused, now.reloads_refused),
            "regions": regions.collect::<Vec<_>>(),
        })
    }
}

/// Answers of the public listener.
fn answers(window: &Window) -> Value {
    let (then, now) = (window.oldest(), &window.now);
    let times = now.answer_times.since(&then.answer_times);
    let steps = window.steps().map(|(a, b)| since(&a.answers, &b.answers));
    let times_of_steps: Vec<_> = window.steps().map(|(a, b)| b.answer_times.since(&a.answer_times)).collect();
    let quantiles = |q| times_of_steps.iter().map(|times| milliseconds(times, q)).collect::<Vec<_>>();
    json!({
        "byClass": counts(&then.answers, &now.answers),
        "p50Ms": milliseconds(&times, 0.5),
        "p99Ms": milliseconds(&times, 0.99),
        "series": {
            "requests": steps.clone().map(|answers| answers.values().sum()).collect::<Vec<u64>>(),
            "failed": steps.map(|answers| answers[AnswerClass::ServerError]).collect::<Vec<_>>(),
            "p50Ms": quantiles(0.5),
            "p99Ms": quantiles(0.99),
        },
    })
}

/// The `n`th region of the configuration.
fn region(window: &Window, n: usize, reported: &ReportedRegion) -> Value {
    let (then, now) = (&window.oldest().regions[n], &window.now.regions[n]);
    let times = now.times.since(&then.times);
    let [refreshed, refresh_failed] = [0, 1].map(|n| count(then.refreshes[n], now.refreshes[n]));
    json!({
        "name": reported.name,
        "sandbox": reported.is_sandbox,
        "breaker": { "state": breaker(now.breaker), "forSeconds": window.breaker_unchanged_for(n) },
        "token": {
            "expiresInSeconds": seconds_until(now.token_expiry),
            "refreshed": refreshed,
            "refreshFailed": refresh_failed,
        },
        "clockSkewSeconds": now.clock_skew,
        "requests": counts(&then.requests, &now.requests),
        "retries": count(then.retries, now.retries),
        "p50Ms": milliseconds(&times, 0.5),
        "p95Ms": milliseconds(&times, 0.95),
        "series": region_series(window, n),
        "drift": counts(&then.drift, &now.drift),
        "results": results(then, now),
    })
}

fn region_series(window: &Window, n: usize) -> Value {
    let steps = window.steps().map(|(a, b)| (&a.regions[n], &b.regions[n]));
    let requests = steps.clone().map(|(a, b)| since(&a.requests, &b.requests));
    json!({
        "requests": requests.clone().map(|requests| requests.values().sum()).collect::<Vec<u64>>(),
        "failed": requests.map(|requests| failed(&requests)).collect::<Vec<_>>(),
        "p95Ms": steps.map(|(a, b)| milliseconds(&b.times.since(&a.times), 0.95)).collect::<Vec<_>>(),
    })
}

/// The final results that have occurred.
fn results(then: &RegionSnapshot, now: &RegionSnapshot) -> Vec<Value> {
    let mut results = Vec::new();
    for ([status, reason], (then, now)) in result_names().zip(then.results.iter().zip(&now.results)) {
        if *now > 0 {
            let recent = now.saturating_sub(*then);
            results.push(json!({ "status": status, "reason": reason, "recent": recent, "total": now }));
        }
    }
    results
}

/// How often something happened: within the window, and since the start of the process.
fn count(then: u64, now: u64) -> Value {
    json!({ "recent": now.saturating_sub(then), "total": now })
}

/// Counts by name.
fn counts<L: Enum + Copy + Into<&'static str>>(then: &EnumMap<L, u64>, now: &EnumMap<L, u64>) -> Value {
    now.iter().map(|(label, now)| (label.into(), count(then[label], *now))).collect()
}

/// What the metrics said in the last minutes, oldest first, and what they say now.
struct Window {
    past: Vec<Arc<Snapshot>>,
    now: Snapshot,
}

impl Window {
    fn of(history: &History) -> Self {
        Self { past: history.past(), now: history.now() }
    }

    fn oldest(&self) -> &Snapshot {
        self.past.first().map_or(&self.now, |oldest| oldest)
    }

    /// The readings before and after each finished step.
    fn steps(&self) -> impl Iterator<Item = (&Snapshot, &Snapshot)> + Clone {
        self.past.windows(2).map(|pair| (&*pair[0], &*pair[1]))
    }

    /// For how many seconds a region's breaker has been passing, or not passing, as far as the window goes back.
    fn breaker_unchanged_for(&self, n: usize) -> u64 {
        let passes = |reading: &Snapshot| reading.regions[n].breaker == 0;
        let is_same = |reading: &&Arc<Snapshot>| passes(reading) == passes(&self.now);
        let since = self.past.iter().rev().take_while(is_same).last();
        (self.now.at - since.map_or(self.now.at, |reading| reading.at)).as_secs()
    }
}

const fn breaker(state: i64) -> &'static str {
    match state {
        0 => "passing",
        1 => "probing",
        _ => "tripped",
    }
}

/// Requests that got no answer about their id.
fn failed(requests: &EnumMap<UpstreamOutcome, u64>) -> u64 {
    let answered = requests[UpstreamOutcome::Ok] + requests[UpstreamOutcome::NotFound];
    requests.values().sum::<u64>() - answered
}

fn since<L: Enum + Copy>(then: &EnumMap<L, u64>, now: &EnumMap<L, u64>) -> EnumMap<L, u64> {
    EnumMap::from_fn(|label| now[label].saturating_sub(then[label]))
}

/// A quantile in milliseconds, to the hundredth.
fn milliseconds(times: &Durations, q: f64) -> Option<f64> {
    times.quantile(q).map(|seconds| (seconds * 1e5).round() / 100.0)
}

/// Seconds until a time of the epoch; 0 = no such time.
fn seconds_until(epoch: f64) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (epoch > 0.0).then_some((epoch - now.as_secs_f64()) as i64)
}
