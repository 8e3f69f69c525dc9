//! What the metrics say at one moment, copied for people to look at. It only reads: nothing decides on what it says.

use prometheus::Histogram;
use prometheus::core::Metric;

use super::region::{Operation, RegionMetrics, UpstreamOutcome};
use super::{CacheMetrics, HttpMetrics, LookupOutcome, Metrics, RouteLabel, STATUSES};
use crate::domain::drift::DriftKind;

/// The names of [`Reading::answers`].
pub const ANSWER_CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

/// Every number that people are shown. Counts are since the start of the process.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Answers of the public listener by class of status, as [`ANSWER_CLASSES`].
    pub answers: [u64; ANSWER_CLASSES.len()],
    /// How long answers about ids took.
    pub answer_times: Times,
    /// Lookups, as `LookupOutcome::NAMES`.
    pub lookups: [u64; LookupOutcome::NAMES.len()],
    /// Fills under way now.
    pub fills_in_flight: u64,
    /// Entries in the cache now.
    pub cache_entries: u64,
    /// Bytes in the cache now.
    pub cache_bytes: u64,
    /// Entries that left the cache, as `CacheMetrics::CAUSES`.
    pub evictions: [u64; CacheMetrics::CAUSES.len()],
    /// Requests over a caller's rate.
    pub rate_limited: u64,
    /// Panics caught.
    pub panics: u64,
    /// Contents of watched files that could not be used.
    pub reloads_refused: u64,
    /// Per region, in configuration order.
    pub regions: Vec<RegionReading>,
}

/// The numbers of one region.
#[derive(Clone, Debug)]
pub struct RegionReading {
    /// Requests for results, as `UpstreamOutcome::NAMES`.
    pub requests: [u64; UpstreamOutcome::NAMES.len()],
    /// How long they took.
    pub times: Times,
    /// Second attempts.
    pub retries: u64,
    /// 0 passing, 1 probing, 2 tripped, now.
    pub breaker: i64,
    /// When the token ends, in epoch seconds; 0 = none.
    pub token_expiry: f64,
    /// Token refreshes that brought a token, and that did not.
    pub refreshes: [u64; 2],
    /// The upstream's clock minus ours, in seconds, now.
    pub clock_skew: f64,
    /// Departures from the contract, as `DriftKind::ALL`.
    pub drift: [u64; DriftKind::ALL.len()],
    /// Final results, as [`super::region::result_names`].
    pub results: Vec<u64>,
}

/// Durations, counted up to each of some bounds.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Upper bound in seconds and how many were at most as long.
    bounds: Vec<(f64, u64)>,
    count: u64,
}

impl Metrics {
    /// All numbers as they are now.
    pub fn read(&self) -> Reading {
        Reading {
            answers: self.http.answers(),
            answer_times: Times::of(&self.http.durations[RouteLabel::Idv as usize]),
            lookups: self.lookups.outcomes.each_ref().map(|counter| counter.get()),
            fills_in_flight: now(self.lookups.fills_in_flight.get()),
            cache_entries: now(self.cache.entries.get()),
            cache_bytes: now(self.cache.bytes.get()),
            evictions: self.cache.evictions.each_ref().map(|counter| counter.get()),
            rate_limited: self.rate_limited.iter().map(|counter| counter.get()).sum(),
            panics: self.panics.get(),
            reloads_refused: self.reloads.refused.get(),
            regions: self.regions.iter().map(|region| RegionReading::of(region)).collect(),
        }
    }
}

impl HttpMetrics {
    fn answers(&self) -> [u64; ANSWER_CLASSES.len()] {
        let mut answers = [0; ANSWER_CLASSES.len()];
        for (counter, status) in self.requests.iter().zip(STATUSES.iter().cycle()) {
            let class = match status / 100 {
                2 => 0,
                4 => 1,
                _ => 2,
            };
            answers[class] += counter.get();
        }
        answers
    }
}

impl RegionReading {
    fn of(region: &RegionMetrics) -> Self {
        let results = region.operation(Operation::GetResult);
        Self {
            requests: results.requests.each_ref().map(|counter| counter.get()),
            times: Times::of(&results.duration),
            retries: region.retries.get(),
            breaker: region.breaker_state.get(),
            token_expiry: region.token_expiry.get(),
            refreshes: [region.token_refreshes_ok.get(), region.token_refreshes_failed.get()],
            clock_skew: region.clock_skew.get(),
            drift: region.drift.each_ref().map(|counter| counter.get()),
            results: region.results.iter().map(|counter| counter.get()).collect(),
        }
    }
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        let metric = histogram.metric();
        let histogram = metric.get_histogram();
        let bounds = histogram.get_bucket().iter();
        Self {
            bounds: bounds.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect(),
            count: histogram.get_sample_count(),
        }
    }

    /// Those that came after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let bounds = self.bounds.iter().zip(&earlier.bounds);
        Self {
            bounds: bounds.map(|(now, then)| (now.0, now.1.saturating_sub(then.1))).collect(),
            count: self.count.saturating_sub(earlier.count),
        }
    }

    /// The `q`-quantile in seconds, as Prometheus estimates it: evenly spread between two bounds, and never more than
    /// the last bound. None of nothing.
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

/// A gauge of things that are there.
fn now(gauge: i64) -> u64 {
    gauge.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(bounds: &[(f64, u64)], count: u64) -> Times {
        Times { bounds: bounds.to_vec(), count }
    }

    #[test]
    fn a_quantile_lies_between_the_bounds_that_hold_it() {
        let times = times(&[(0.1, 50), (0.2, 90), (0.4, 99)], 100);
        assert_eq!(times.quantile(0.5), Some(0.1));
        assert_eq!(times.quantile(0.25), Some(0.05));
        assert!(times.quantile(0.95).is_some_and(|seconds| (0.2..0.4).contains(&seconds)));
        assert_eq!(times.quantile(1.0), Some(0.4), "what is past the last bound is said to be at it");
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Times::default().quantile(0.5), None);
        let same = times(&[(0.1, 7)], 9);
        assert_eq!(same.since(&same).quantile(0.5), None);
    }

    #[test]
    fn what_came_since_leaves_out_what_was() {
        let (earlier, later) = (times(&[(0.1, 100), (1.0, 100)], 100), times(&[(0.1, 100), (1.0, 110)], 110));
        let since = later.since(&earlier);
        assert_eq!(since.count, 10);
        assert!(since.quantile(0.5).is_some_and(|seconds| seconds > 0.1));
    }
}
