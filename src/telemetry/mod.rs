//! What the outside can observe: logs, metrics and traces. Sinks only: no branch anywhere reads one back;
//! what a page shows of them is read for showing.

mod limit;
mod line;
pub mod logs;
pub mod metrics;
pub mod traces;

pub use limit::Limit;
pub use line::{Line, Stamp};
