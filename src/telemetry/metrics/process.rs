//! `process_*`: the library's collector, which counts CPU time in whole seconds, with the fractions put back.

use procfs::process::Process as Procfs;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};

pub(super) struct Process(ProcessCollector);

impl Process {
    pub(super) fn new() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = families.iter_mut().filter(|family| family.name() == "process_cpu_seconds_total");
        if let Some(seconds) = cpu_seconds() {
            let mut counter = Counter::default();
            counter.set_value(seconds);
            cpu.flat_map(MetricFamily::mut_metric).for_each(|metric| metric.set_counter(counter.clone()));
        }
        families
    }
}

/// User and system time of the process so far, in ticks of 10 ms.
fn cpu_seconds() -> Option<f64> {
    let stat = Procfs::myself().ok()?.stat().ok()?;
    Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}
