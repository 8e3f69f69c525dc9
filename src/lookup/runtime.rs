//! What fills run on. `schedules` gives them a lock, tasks and an upstream whose order it chooses.

pub(super) use std::sync::{Mutex, MutexGuard};

pub(super) use tokio::spawn;
pub(super) use tokio::time::{sleep_until, timeout_at};

pub(super) use crate::upstream::Upstream;
