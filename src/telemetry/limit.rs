//! Limits: one line in the log the first time that a limit is reached, with the setting behind it.

use std::fmt::Display;
use std::sync::Once;

/// A limit that may be reached.
#[derive(Debug)]
pub struct Limit {
    setting: Option<String>,
    most: Option<usize>,
    was_reached: Once,
}

impl Limit {
    /// A limit, the setting that it comes from, and its value.
    pub fn new(setting: Option<String>, most: Option<usize>) -> Self {
        Self { setting, most, was_reached: Once::new() }
    }

    /// The limit is reached, and something is lost for it: `consequence`.
    pub fn warn(&self, consequence: impl Display) {
        let Self { setting, most, was_reached } = self;
        was_reached.call_once(|| tracing::warn!(setting, limit = most, "limit reached: {consequence}"));
    }

    /// The limit is reached, which is as it should be.
    pub fn inform(&self, consequence: impl Display) {
        let Self { setting, most, was_reached } = self;
        was_reached.call_once(|| tracing::info!(setting, limit = most, "limit reached: {consequence}"));
    }
}
