//! What the outside can observe: logs, metrics and traces. Sinks only: no branch anywhere reads one back.

pub mod logs;
pub mod metrics;
pub mod traces;
