//! One second attempt where it can help, within a budget, so that retries do not keep an overloaded upstream
//! down.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What one first attempt adds to the budget, in attempts.
const SHARE: f64 = 0.1;
/// What one second adds to the budget, in attempts.
const PER_SECOND: f64 = 3.0;
/// The most the budget holds: a burst of failures after a quiet time may be retried this often.
const MAX: f64 = 30.0;
/// The longest pause before a second attempt; the pause is drawn at random from zero to this. Short enough that a region
/// that refuses connections is told to callers within 100 ms.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// The pause before a second attempt, for a `random` in 0..1.
pub(super) fn pause(random: f64) -> Duration {
    MAX_PAUSE.mul_f64(random.clamp(0.0, 1.0))
}

/// How many second attempts one region may make: 10 % of the first ones, and 3 a second.
pub(super) struct Budget {
    state: Mutex<(f64, Instant)>,
}

impl Budget {
    pub(super) const fn new(now: Instant) -> Self {
        Self { state: Mutex::new((MAX, now)) }
    }

    /// Counts a first attempt.
    pub(super) fn deposit(&self, now: Instant) {
        self.change(now, |tokens| (tokens + SHARE, ()));
    }

    /// Takes a second attempt from the budget, if it has one.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        self.change(now, |tokens| if tokens >= 1.0 { (tokens - 1.0, true) } else { (tokens, false) })
    }

    /// Gives a second attempt back: it found nothing wrong with the region.
    pub(super) fn give_back(&self, now: Instant) {
        self.change(now, |tokens| (tokens + 1.0, ()));
    }

    fn change<T>(&self, now: Instant, change: impl FnOnce(f64) -> (f64, T)) -> T {
        let mut state = self.state.lock();
        let (tokens, since) = *state;
        let earned = now.saturating_duration_since(since).as_secs_f64() * PER_SECOND;
        let (tokens, result) = change((tokens + earned).min(MAX));
        *state = (tokens.min(MAX), now.max(since));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_attempt_costs_nothing_if_all_is_well() {
        let now = Instant::now();
        let budget = Budget::new(now);
        assert!(budget.withdraw(now));
        budget.give_back(now);
        assert_eq!((0..100).filter(|_| budget.withdraw(now)).count(), MAX as usize);
    }

    #[test]
    fn the_pause_is_drawn_from_zero_to_a_twentieth_of_a_second() {
        let pauses = [0.0, 0.5, 1.0, 7.0].map(pause);
        assert_eq!(pauses, [0, 25, 50, 50].map(Duration::from_millis));
    }

    #[tokio::test]
    async fn retries_are_a_tenth_of_the_calls_and_three_a_second() {
        let now = Instant::now();
        let budget = Budget::new(now);
        let count = || (0..1000).filter(|_| budget.withdraw(now)).count();
        assert_eq!(count(), MAX as usize, "a full budget");
        assert_eq!(count(), 0, "empty");
        for _ in 0..101 {
            budget.deposit(now);
        }
        assert_eq!((0..100).filter(|_| budget.withdraw(now)).count(), 10, "10 % of the calls");
        let later = now + Duration::from_secs(2);
        assert_eq!((0..100).filter(|_| budget.withdraw(later)).count(), 6, "3 a second");
    }
}
