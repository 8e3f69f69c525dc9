//! What is read at each scrape: CPU time, in fractions of a second where the library's collector has whole ones; and
//! dropped log lines, which their queue counts.

use procfs::process::Process;
use prometheus::IntGauge;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};

use super::families::Families;
use crate::telemetry::logs;

const CPU_SECONDS: &str = "process_cpu_seconds_total";
const LINES_DROPPED: &str = "idv_log_lines_dropped_total";

/// Registers `process_*` and what is known of log lines. Returns the gauge of audit lines.
pub(super) fn register(families: &Families) -> IntGauge {
    families.add(ProcessCollector::for_self());
    let help = "Log lines dropped because standard output was not read fast enough; never audit lines.";
    families.counter(LINES_DROPPED, help);
    families.gauge("idv_audit_queue_lines", "Audit lines that wait to be written.")
}

/// Fills in the counts that are kept elsewhere.
pub(super) fn complete(families: &mut [MetricFamily]) {
    for family in families {
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
}

/// User and system time of the process so far, in ticks of 10 ms.
fn cpu_seconds() -> Option<f64> {
    let stat = Process::myself().ok()?.stat().ok()?;
    Some((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}
