//! Makes metrics and registers them. A name that is wrong or taken is a defect, found at the first start.

use std::collections::HashMap;

use enum_map::{Enum, EnumMap};
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

/// Makes metrics of one registry, all with the same labels.
#[derive(Clone)]
pub(super) struct Families {
    registry: Registry,
    labels: HashMap<String, String>,
}

impl Families {
    /// Metrics without a label.
    pub(super) fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), labels: HashMap::new() }
    }

    /// The same with one more label. Metrics of one name and several values of it are one family.
    pub(super) fn with(&self, label: &str, value: &str) -> Self {
        let mut families = self.clone();
        families.labels.insert(label.to_owned(), value.to_owned());
        families
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(self.opts(name, help)))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(self.opts(name, help)))
    }

    pub(super) fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::with_opts(self.opts(name, help)))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts { common_opts: self.opts(name, help), buckets: buckets.to_vec() };
        self.register(Histogram::with_opts(opts))
    }

    pub(super) fn gauge_vec(&self, name: &str, help: &str, label: &str) -> IntGaugeVec {
        self.register(IntGaugeVec::new(self.opts(name, help), &[label]))
    }

    pub(super) fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(self.opts(name, help), labels))
    }

    /// A counter for each of the words of `L`: the values of `label`.
    pub(super) fn counters<L: Enum + Into<&'static str>>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> EnumMap<L, IntCounter> {
        let family = self.counter_vec(name, help, &[label]);
        EnumMap::from_fn(|word: L| family.with_label_values(&[word.into()]))
    }

    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_labels(self.labels.clone())
    }

    fn register<C: Collector + Clone + 'static>(&self, made: Result<C>) -> C {
        let collector = made.expect("a valid name");
        self.add(collector.clone());
        collector
    }

    pub(super) fn add(&self, collector: impl Collector + 'static) {
        self.registry.register(Box::new(collector)).expect("names of its own");
    }
}
