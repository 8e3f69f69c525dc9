//! What happens to log lines: how many audit lines wait, and how many ordinary lines were dropped. The queue itself
//! counts them, once per process; they are read from there at each scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, MetricFamily};
use prometheus::{IntCounter, IntGauge, Registry};

use crate::telemetry::logs;

/// Registers both.
pub(super) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let waiting = IntGauge::new("idv_audit_queue_lines", "Audit lines that wait to be written.")?;
    let dropped = IntCounter::new(
        "idv_log_lines_dropped_total",
        "Log lines dropped because standard output was not read fast enough; never audit lines.",
    )?;
    registry.register(Box::new(Waiting(waiting)))?;
    registry.register(Box::new(Dropped(dropped)))
}

struct Waiting(IntGauge);

impl Collector for Waiting {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.set(logs::audit_lines() as i64);
        self.0.collect()
    }
}

struct Dropped(IntCounter);

impl Collector for Dropped {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let mut counter = Counter::default();
        counter.set_value(logs::dropped_lines() as f64);
        let metrics = families.iter_mut().flat_map(MetricFamily::mut_metric);
        metrics.for_each(|metric| metric.set_counter(counter.clone()));
        families
    }
}
