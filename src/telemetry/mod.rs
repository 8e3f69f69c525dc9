//! What the outside can observe: logs and metrics. Sinks only: no branch anywhere reads one back.

pub mod logs;
pub mod metrics;
