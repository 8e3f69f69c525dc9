//! The JSON of `/status`. It holds numbers and the names of regions, never an id or a person's data.
//!
//! Series have one member for each finished step, oldest first. A quantile of nothing is null.

use serde::{Serialize, Serializer};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    pub(super) at: String,
    pub(super) stage: &'static str,
    pub(super) uptime_seconds: u64,
    /// What `recent` means in this report.
    pub(super) window_seconds: u64,
    pub(super) step_seconds: u64,
    pub(super) build: Build,
    pub(super) answers: Answers,
    pub(super) lookups: Counts,
    pub(super) fills_in_flight: u64,
    pub(super) cache: Cache,
    /// What replicas share, if they do.
    pub(super) second_tier: Option<SecondTier>,
    pub(super) rate_limited: Count,
    pub(super) panics: Count,
    pub(super) reloads_refused: Count,
    pub(super) regions: Vec<Region<'a>>,
}

#[derive(Serialize)]
pub(super) struct Build {
    pub(super) version: &'static str,
    pub(super) revision: &'static str,
}

/// Answers of the public listener.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answers {
    pub(super) by_class: Counts,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) series: AnswerSeries,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnswerSeries {
    pub(super) requests: Vec<u64>,
    pub(super) failed: Vec<u64>,
    pub(super) p50_ms: Vec<Option<f64>>,
    pub(super) p99_ms: Vec<Option<f64>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cache {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) max_bytes: u64,
    pub(super) evictions: Counts,
}

/// Valkey or Redis.
#[derive(Serialize)]
pub(super) struct SecondTier {
    pub(super) connected: bool,
    pub(super) requests: Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Region<'a> {
    pub(super) name: &'a str,
    /// It is simulated.
    pub(super) sandbox: bool,
    pub(super) breaker: Breaker,
    pub(super) token: Token,
    pub(super) clock_skew_seconds: f64,
    pub(super) requests: Counts,
    pub(super) retries: Count,
    pub(super) p50_ms: Option<f64>,
    pub(super) p95_ms: Option<f64>,
    pub(super) series: RegionSeries,
    pub(super) drift: Counts,
    pub(super) results: Vec<FinalResult>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Breaker {
    pub(super) state: &'static str,
    pub(super) for_seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    pub(super) expires_in_seconds: Option<i64>,
    pub(super) refreshed: Count,
    pub(super) refresh_failed: Count,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegionSeries {
    pub(super) requests: Vec<u64>,
    pub(super) failed: Vec<u64>,
    pub(super) p95_ms: Vec<Option<f64>>,
}

#[derive(Serialize)]
pub(super) struct FinalResult {
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    #[serde(flatten)]
    pub(super) count: Count,
}

/// How often something happened: within the window, and since the start of the process.
#[derive(Serialize)]
pub(super) struct Count {
    pub(super) recent: u64,
    pub(super) total: u64,
}

impl Count {
    pub(super) const fn new(then: u64, now: u64) -> Self {
        Self { recent: now.saturating_sub(then), total: now }
    }
}

/// A JSON object of counts, in this order.
pub(super) struct Counts(Vec<(&'static str, Count)>);

impl Counts {
    pub(super) fn new(names: &[&'static str], then: &[u64], now: &[u64]) -> Self {
        let counts = then.iter().zip(now).map(|(then, now)| Count::new(*then, *now));
        Self(names.iter().copied().zip(counts).collect())
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, count)| (name, count)))
    }
}
