//! The last minutes of the metrics, so that the status page can show them when it is opened. Like the metrics, it is a
//! sink: nothing decides on it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::telemetry::metrics::{Metrics, Snapshot};

/// How often the metrics are read.
pub(super) const STEP: Duration = Duration::from_secs(5);
/// How many steps are kept: a quarter of an hour.
pub(super) const MOST_STEPS: usize = 180;

/// Readings of the metrics, at most one more than [`MOST_STEPS`].
pub(crate) struct History {
    metrics: Arc<Metrics>,
    /// When the process began to count.
    pub(super) started: Instant,
    readings: Mutex<VecDeque<Arc<Snapshot>>>,
}

impl History {
    /// A history that begins now.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let history = Self { metrics, started: Instant::now(), readings: Mutex::default() };
        history.add(history.now());
        history
    }

    /// Reads the metrics every few seconds, for as long as it is polled.
    pub(crate) async fn keep(&self) -> Infallible {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.add(self.now());
        }
    }

    /// What the metrics say now.
    pub(super) fn now(&self) -> Snapshot {
        self.metrics.snapshot()
    }

    /// What they said, oldest first. Never empty.
    pub(super) fn past(&self) -> Vec<Arc<Snapshot>> {
        self.readings.lock().iter().cloned().collect()
    }

    fn add(&self, reading: Snapshot) {
        let mut readings = self.readings.lock();
        if readings.len() > MOST_STEPS {
            readings.pop_front();
        }
        readings.push_back(Arc::new(reading));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_a_quarter_of_an_hour_and_no_more() {
        let history = History::new(Arc::new(Metrics::new(&[], &[])));
        let first = history.past()[0].at;
        for n in 1..=2 * MOST_STEPS as u32 {
            history.add(Snapshot { at: first + STEP * n, ..history.now() });
        }
        let past = history.past();
        assert_eq!(past.len(), MOST_STEPS + 1);
        assert_eq!(past[MOST_STEPS].at - past[0].at, Duration::from_secs(15 * 60));
        assert_eq!(past[MOST_STEPS].at - first, 2 * Duration::from_secs(15 * 60), "the newest are kept");
    }
}
