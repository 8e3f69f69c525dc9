//! A copy of the metrics at one moment, for the status page. Nothing decides on it.

use enum_map::{Enum, EnumMap};
use prometheus::core::Metric;
use prometheus::{Histogram, IntCounter};
use strum::IntoStaticStr;
use tokio::time::Instant;

use super::Metrics;
use super::http::{HttpMetrics, RouteLabel, STATUSES};
use super::lookup::{EvictionCause, LookupOutcome};
use super::region::{Operation, RegionMetrics, UpstreamOutcome};
use super::remote::RemoteOutcome;
use crate::domain::drift::DriftKind;

/// A class of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
pub enum AnswerClass {
    /// A result.
    #[strum(serialize = "2xx")]
    Success,
    /// An error of the request.
    #[strum(serialize = "4xx")]
    ClientError,
    /// An error of the gateway or of the upstream.
    #[strum(serialize = "5xx")]
    ServerError,
}

/// Every number the status page shows. Counts are since the start of the process.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When that was.
    pub at: Instant,
    /// Answers of the public listener.
    pub answers: EnumMap<AnswerClass, u64>,
    /// How long answers about ids took.
    pub answer_times: Durations,
    /// Lookups.
    pub lookups: EnumMap<LookupOutcome, u64>,
    /// Fills under way now.
    pub fills_in_flight: u64,
    /// Entries in the cache now.
    pub cache_entries: u64,
    /// Bytes in the cache now.
    pub cache_bytes: u64,
    /// Entries that left the cache.
    pub evictions: EnumMap<EvictionCause, u64>,
    /// Whether the second tier is connected and in use now.
    pub remote_up: bool,
    /// Requests to the second tier.
    pub remote: EnumMap<RemoteOutcome, u64>,
    /// Requests over a caller's rate.
    pub rate_limited: u64,
    /// Panics caught.
    pub panics: u64,
    /// Contents of watched files that could not be used.
    pub reloads_refused: u64,
    /// Per region, in configuration order.
    pub regions: Vec<RegionSnapshot>,
}

/// The numbers of one region.
#[derive(Clone, Debug)]
pub struct RegionSnapshot {
    /// Requests for results.
    pub requests: EnumMap<UpstreamOutcome, u64>,
    /// How long they took.
    pub times: Durations,
    /// Second attempts.
    pub retries: u64,
    /// 0 passing, 1 probing, 2 tripped, now.
    pub breaker: i64,
    /// When the token ends, in epoch seconds; 0 = none.
    pub token_expiry: f64,
    /// Token refreshes that succeeded, and that failed.
    pub refreshes: [u64; 2],
    /// The upstream's clock minus ours, in seconds, now.
    pub clock_skew: f64,
    /// Departures from the contract.
    pub drift: EnumMap<DriftKind, u64>,
    /// Final results, as [`super::region::result_names`].
    pub results: Vec<u64>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// Upper bounds in seconds, each with the count of durations up to it.
    bounds: Vec<(f64, u64)>,
    count: u64,
}

impl Metrics {
    /// All numbers as they are now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: Instant::now(),
            answers: self.http.answers(),
            answer_times: Durations::of(&self.http.routes[RouteLabel::Idv].duration),
            lookups: totals(&self.lookups.outcomes),
            fills_in_flight: count(self.lookups.fills_in_flight.get()),
            cache_entries: count(self.cache.entries.get()),
            cache_bytes: count(self.cache.bytes.get()),
            evictions: totals(&self.cache.evictions),
            remote_up: self.remote.up.get() == 1,
            remote: self.remote.by_outcome(),
            rate_limited: self.rate_limited.iter().map(|counter| counter.get()).sum(),
            panics: self.panics.get(),
            reloads_refused: self.reloads.refused.get(),
            regions: self.regions.iter().map(|region| RegionSnapshot::of(region)).collect(),
        }
    }
}

impl HttpMetrics {
    fn answers(&self) -> EnumMap<AnswerClass, u64> {
        let mut answers = EnumMap::default();
        let methods = self.routes.values().flat_map(|route| route.requests.values());
        for (status, counter) in methods.flat_map(|statuses| STATUSES.iter().zip(statuses)) {
            let class = match status / 100 {
                2 => AnswerClass::Success,
                4 => AnswerClass::ClientError,
                _ => AnswerClass::ServerError,
            };
            answers[class] += counter.get();
        }
        answers
    }
}

impl RegionSnapshot {
    fn of(region: &RegionMetrics) -> Self {
        let results = &region.operations[Operation::GetResult];
        Self {
            requests: totals(&results.requests),
            times: Durations::of(&results.duration),
            retries: region.retries.get(),
            breaker: region.breaker_state.get(),
            token_expiry: region.token_expiry.get(),
            refreshes: [region.token_refreshes_ok.get(), region.token_refreshes_failed.get()],
            clock_skew: region.clock_skew.get(),
            drift: totals(&region.drift),
            results: region.results.iter().map(|counter| counter.get()).collect(),
        }
    }
}

impl Durations {
    fn of(histogram: &Histogram) -> Self {
        let metric = histogram.metric();
        let histogram = metric.get_histogram();
        let bounds = histogram.get_bucket().iter();
        Self {
            bounds: bounds.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect(),
            count: histogram.get_sample_count(),
        }
    }

    /// The durations observed after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let bounds = self.bounds.iter().zip(&earlier.bounds);
        Self {
            bounds: bounds.map(|(now, then)| (now.0, now.1.saturating_sub(then.1))).collect(),
            count: self.count.saturating_sub(earlier.count),
        }
    }

    /// The `q`-quantile in seconds, estimated as Prometheus does: linear between two bounds, at most the last bound. `None`
    /// if nothing was observed.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = q * self.count as f64;
        let (mut below, mut before) = (0.0, 0);
        for &(bound, count) in &self.bounds {
            if count as f64 >= rank && count > before {
                return Some(below + (bound - below) * (rank - before as f64) / (count - before) as f64);
            }
            (below, before) = (bound, count);
        }
        Some(below)
    }
}

/// The values of counters.
fn totals<L: Enum + Copy>(counters: &EnumMap<L, IntCounter>) -> EnumMap<L, u64> {
    EnumMap::from_fn(|label| counters[label].get())
}

/// The value of a gauge that counts things.
fn count(gauge: i64) -> u64 {
    gauge.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(bounds: &[(f64, u64)], count: u64) -> Durations {
        Durations { bounds: bounds.to_vec(), count }
    }

    #[test]
    fn a_quantile_lies_between_its_two_bounds() {
        let times = times(&[(0.1, 50), (0.2, 90), (0.4, 99)], 100);
        assert_eq!(times.quantile(0.5), Some(0.1));
        assert_eq!(times.quantile(0.25), Some(0.05));
        assert!(times.quantile(0.95).is_some_and(|seconds| (0.2..0.4).contains(&seconds)));
        assert_eq!(times.quantile(1.0), Some(0.4), "capped at the last bound");
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Durations::default().quantile(0.5), None);
        let same = times(&[(0.1, 7)], 9);
        assert_eq!(same.since(&same).quantile(0.5), None);
    }

    #[test]
    fn a_difference_leaves_out_earlier_observations() {
        let (earlier, later) = (times(&[(0.1, 100), (1.0, 100)], 100), times(&[(0.1, 100), (1.0, 110)], 110));
        let since = later.since(&earlier);
        assert_eq!(since.count, 10);
        assert!(since.quantile(0.5).is_some_and(|seconds| seconds > 0.1));
    }
}
