//! A server tried out, check by check, for `doctor`. What is found is told in our words: no secret, no token, no text of
//! the other side's.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// One check.
pub(crate) struct Check {
    /// What was tried, in one word.
    pub step: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The result.
    pub finding: Finding,
}

/// The result of a check.
pub(crate) enum Finding {
    /// It is as it should be.
    Good(String),
    /// It works, and will fail unless somebody acts.
    Worrying(Problem),
    /// It failed.
    Bad(Problem),
    /// It is not known, and why.
    Unknown(&'static str),
}

/// Something that is wrong.
pub(crate) struct Problem {
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: String,
}

impl Problem {
    pub(crate) fn new(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { found: found.into(), advice: advice.into() }
    }
}

/// The checks of one server so far.
pub(crate) struct Trial {
    checks: Vec<Check>,
    /// When a check that has not ended has failed.
    pub deadline: Instant,
}

impl Trial {
    pub(crate) const fn until(deadline: Instant) -> Self {
        Self { checks: Vec::new(), deadline }
    }

    /// Makes one check. `None`: it failed, or did not end in time, which is `silence`.
    pub(crate) async fn step<T>(
        &mut self,
        step: &'static str,
        silence: Problem,
        check: impl Future<Output = Result<(Finding, T), Problem>>,
    ) -> Option<T> {
        let started = Instant::now();
        let result = timeout_at(self.deadline, check).await.unwrap_or(Err(silence));
        let (finding, value) = match result {
            Ok((finding, value)) => (finding, Some(value)),
            Err(problem) => (Finding::Bad(problem), None),
        };
        self.checks.push(Check { step, took: started.elapsed(), finding });
        value
    }

    /// Adds what took no time to find out.
    pub(crate) fn note(&mut self, step: &'static str, finding: Finding) {
        self.checks.push(Check { step, took: Duration::ZERO, finding });
    }

    /// The checks, followed by those of `steps` that were not reached.
    pub(crate) fn finish(mut self, steps: &[&'static str]) -> Vec<Check> {
        for step in &steps[self.checks.len()..] {
            self.note(step, Finding::Unknown("not tried"));
        }
        self.checks
    }
}
