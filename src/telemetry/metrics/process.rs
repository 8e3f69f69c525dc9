//! What is read at each scrape: `process_*` by the library's collector, which counts CPU time in whole seconds, with the
//! fractions put back; and what happens to log lines, which their queue counts, once per process.

use procfs::process::Process as Procfs;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};
use prometheus::{IntCounter, IntGauge};

use crate::telemetry::logs;

const CPU_SECONDS: &str = "process_cpu_seconds_total";
const LINES_DROPPED: &str = "idv_log_lines_dropped_total";

pub(super) struct Process {
    process: ProcessCollector,
    audit_lines: IntGauge,
    lines_dropped: IntCounter,
}

impl Process {
    pub(super) fn new() -> Self {
        let dropped =
            "Log lines dropped because standard output was not read fast enough; never audit lines.";
        let waiting = "Audit lines that wait to be written.";
        Self {
            process: ProcessCollector::for_self(),
            audit_lines: IntGauge::new("idv_audit_queue_lines", waiting).expect("a valid name"),
            lines_dropped: IntCounter::new(LINES_DROPPED, dropped).expect("a valid name"),
        }
    }

    fn all(&self) -> [&dyn Collector; 3] {
        [&self.process, &self.audit_lines, &self.lines_dropped]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.audit_lines.set(logs::QUEUE.audit_lines() as i64);
        let mut families: Vec<_> = self.all().into_iter().flat_map(Collector::collect).collect();
        for family in &mut families {
            let total = match family.name() {
                CPU_SECONDS => cpu_seconds(),
                LINES_DROPPED => Some(logs::QUEUE.dropped() as f64),
                _ => None,
            };
            if let Some(total) = total {
                let mut counter = Counter::default();
                counter.set_value(total);
                family.mut_metric().iter_mut().for_each(|metric| metric.set_counter(counter.clone()));
            }
        }
        families
    }
}

/// User and system time of the process so far, in ticks of 10 ms.
fn cpu_seconds() -> Option<f64> {
    let stat = Procfs::myself().ok()?.stat().ok()?;
    Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}
