//! `/status`: makes the report that the status page shows.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use strum::VariantNames;

use super::history::{History, Moment, STEP};
use super::report::{
    AnswerSeries, Answers, Breaker, Build, Cache, Count, Counts, FinalResult, Region, RegionSeries, Report,
    SecondTier, Token,
};
use crate::domain::drift::DriftKind;
use crate::http::lifecycle::Stage;
use crate::telemetry::metrics::{
    ANSWER_CLASSES, Durations, EvictionCause, LookupOutcome, RegionSnapshot, RemoteOutcome, UpstreamOutcome,
    result_names, revision,
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

/// What the report says of a region whatever happens.
pub(crate) struct ReportedRegion {
    pub name: String,
    /// Whether it is simulated: only a sandbox is asked over plain HTTP.
    pub is_sandbox: bool,
}

impl StatusReport {
    /// The report of this moment, as JSON.
    pub(super) fn write(&self, stage: Stage) -> serde_json::Result<Vec<u8>> {
        let window = Window::of(&self.history);
        let (then, now) = (&*window.oldest.reading, &*window.now.reading);
        let regions = self.regions.iter().enumerate();
        serde_json::to_vec(&Report {
            at: jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
            stage: stage.name(),
            uptime_seconds: (window.now.at - self.history.started()).as_secs(),
            window_seconds: (window.now.at - window.oldest.at).as_secs(),
            step_seconds: STEP.as_secs(),
            build: Build { version: env!("CARGO_PKG_VERSION"), revision: revision() },
            answers: answers(&window),
            lookups: Counts::new(LookupOutcome::VARIANTS, &then.lookups, &now.lookups),
            fills_in_flight: now.fills_in_flight,
            cache: Cache {
                entries: now.cache_entries,
                bytes: now.cache_bytes,
                max_bytes: self.cache_max_bytes,
                evictions: Counts::new(EvictionCause::VARIANTS, &then.evictions, &now.evictions),
            },
            second_tier: self.has_second_tier.then(|| SecondTier {
                connected: now.remote_up,
                requests: Counts::new(RemoteOutcome::VARIANTS, &then.remote, &now.remote),
            }),
            rate_limited: Count::new(then.rate_limited, now.rate_limited),
            panics: Count::new(then.panics, now.panics),
            reloads_refused: Count::new(then.reloads_refused, now.reloads_refused),
            regions: regions.filter_map(|(n, reported)| region(&window, n, reported)).collect(),
        })
    }
}

fn answers(window: &Window) -> Answers {
    let (then, now) = (&window.oldest.reading, &window.now.reading);
    let times = now.answer_times.since(&then.answer_times);
    let steps = window.steps.iter().map(|[a, b]| since(&a.reading.answers, &b.reading.answers));
    let times_of_steps =
        window.steps.iter().map(|[a, b]| b.reading.answer_times.since(&a.reading.answer_times));
    let times_of_steps: Vec<Durations> = times_of_steps.collect();
    Answers {
        by_class: Counts::new(&ANSWER_CLASSES, &then.answers, &now.answers),
        p50_ms: milliseconds(&times, 0.5),
        p99_ms: milliseconds(&times, 0.99),
        series: AnswerSeries {
            requests: steps.clone().map(|answers| answers.iter().sum()).collect(),
            failed: steps.filter_map(|answers| answers.last().copied()).collect(),
            p50_ms: times_of_steps.iter().map(|times| milliseconds(times, 0.5)).collect(),
            p99_ms: times_of_steps.iter().map(|times| milliseconds(times, 0.99)).collect(),
        },
    }
}

/// The `n`th region of the configuration.
fn region<'a>(window: &Window, n: usize, reported: &'a ReportedRegion) -> Option<Region<'a>> {
    let (then, now) = (window.oldest.reading.regions.get(n)?, window.now.reading.regions.get(n)?);
    let times = now.times.since(&then.times);
    let [refreshed, refresh_failed] = [0, 1].map(|n| Count::new(then.refreshes[n], now.refreshes[n]));
    Some(Region {
        name: &reported.name,
        sandbox: reported.is_sandbox,
        breaker: Breaker { state: breaker(now.breaker), for_seconds: window.breaker_unchanged_for(n) },
        token: Token { expires_in_seconds: seconds_until(now.token_expiry), refreshed, refresh_failed },
        clock_skew_seconds: now.clock_skew,
        requests: Counts::new(UpstreamOutcome::VARIANTS, &then.requests, &now.requests),
        retries: Count::new(then.retries, now.retries),
        p50_ms: milliseconds(&times, 0.5),
        p95_ms: milliseconds(&times, 0.95),
        series: region_series(window, n),
        drift: Counts::new(DriftKind::VARIANTS, &then.drift, &now.drift),
        results: results(then, now),
    })
}

fn region_series(window: &Window, n: usize) -> RegionSeries {
    let steps = window.steps.iter();
    let steps = steps.filter_map(|[a, b]| Some((a.reading.regions.get(n)?, b.reading.regions.get(n)?)));
    let requests = steps.clone().map(|(a, b)| since(&a.requests, &b.requests));
    RegionSeries {
        requests: requests.clone().map(|requests| requests.iter().sum()).collect(),
        failed: requests.map(|requests| failed(&requests)).collect(),
        p95_ms: steps.map(|(a, b)| milliseconds(&b.times.since(&a.times), 0.95)).collect(),
    }
}

/// The final results that have occurred.
fn results(then: &RegionSnapshot, now: &RegionSnapshot) -> Vec<FinalResult> {
    let counts = then.results.iter().zip(&now.results).map(|(then, now)| Count::new(*then, *now));
    let results = result_names().zip(counts);
    let results = results.map(|([status, reason], count)| FinalResult { status, reason, count });
    results.filter(|result| result.count.total > 0).collect()
}

/// Two readings of the metrics, and every step between them.
struct Window {
    oldest: Moment,
    now: Moment,
    steps: Vec<[Moment; 2]>,
}

impl Window {
    fn of(history: &History) -> Self {
        let (past, now) = (history.past(), history.now());
        Self {
            oldest: past.first().unwrap_or(&now).clone(),
            steps: past.windows(2).filter_map(|pair| pair.to_vec().try_into().ok()).collect(),
            now,
        }
    }

    /// For how many seconds a region's breaker has been passing, or not passing, as far as the window goes back.
    fn breaker_unchanged_for(&self, n: usize) -> u64 {
        let passes =
            |moment: &Moment| moment.reading.regions.get(n).is_some_and(|region| region.breaker == 0);
        let earlier = self.steps.iter().rev().map(|[a, _]| a);
        let last = self.steps.last().map_or(&self.oldest, |[_, b]| b);
        let same =
            std::iter::once(last).chain(earlier).take_while(|moment| passes(moment) == passes(&self.now));
        (self.now.at - same.last().unwrap_or(&self.now).at).as_secs()
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
fn failed(requests: &[u64; UpstreamOutcome::VARIANTS.len()]) -> u64 {
    let answered = [UpstreamOutcome::Ok, UpstreamOutcome::NotFound].map(|outcome| requests[outcome as usize]);
    requests.iter().sum::<u64>() - answered.iter().sum::<u64>()
}

fn since<const N: usize>(then: &[u64; N], now: &[u64; N]) -> [u64; N] {
    std::array::from_fn(|n| now[n].saturating_sub(then[n]))
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
