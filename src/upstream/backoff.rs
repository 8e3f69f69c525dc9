//! How soon a region's token may be refreshed again.

use std::time::Duration;

use tokio::time::Instant;

/// How long after a failed refresh, or a fresh token that was refused, the next refresh may start; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// This many refreshes in a row may be caused by refusals; after them one in each gap, which doubles.
const BURST: u32 = 3;
const FIRST_GAP: Duration = Duration::from_secs(10);
const MAX_GAP: Duration = Duration::from_secs(60);
/// After this long without a refusal, the next ones are a new burst.
const QUIET: Duration = Duration::from_secs(300);

/// Pauses of 1 s, 2 s, 4 s … 60 s.
#[derive(Default)]
pub(super) struct Backoff {
    pause: Option<Duration>,
    until: Option<Instant>,
}

impl Backoff {
    /// Begins the next pause, of at least `least`, and says how long it is.
    pub(super) fn begin(&mut self, now: Instant, least: Duration) -> Duration {
        let next = self.pause.map_or(FIRST_BACKOFF, |last| (last * 2).min(MAX_BACKOFF));
        self.pause = Some(next);
        self.until = Some(now + next.max(least));
        next.max(least)
    }

    /// What is left of the pause, if there is one.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.filter(|until| now < *until).map(|until| until - now)
    }
}

/// How often refusals may cause a refresh.
#[derive(Default)]
pub(super) struct RefusalLimit {
    admitted: u32,
    last: Option<Instant>,
}

impl RefusalLimit {
    /// Admits a refresh, or says how long to wait.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        if self.last.is_some_and(|last| now >= last + QUIET) {
            *self = Self::default();
        }
        let gap = match self.admitted.checked_sub(BURST) {
            None => Duration::ZERO,
            Some(more) => (FIRST_GAP * (1 << more.min(3))).min(MAX_GAP),
        };
        let next = self.last.map_or(now, |last| last + gap);
        if now < next {
            return Err(next - now);
        }
        self.admitted += 1;
        self.last = Some(now);
        Ok(())
    }

    /// The refresh failed: a longer pause follows from that already.
    pub(super) const fn take_back(&mut self) {
        self.admitted = self.admitted.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_refreshes_doubles_up_to_a_minute() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut pause = |least| backoff.begin(now, Duration::from_secs(least)).as_secs();
        assert_eq!([0, 0, 7, 0, 0, 0, 0, 0].map(&mut pause), [1, 2, 7, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.left(now + Duration::from_secs(59)), Some(Duration::from_secs(1)));
        assert_eq!(backoff.left(now + Duration::from_secs(60)), None);
    }

    #[test]
    fn refusals_cause_a_burst_of_refreshes_and_then_ever_fewer() {
        let mut limit = RefusalLimit::default();
        let start = Instant::now();
        let admitted: Vec<u64> =
            (0..200).filter(|second| limit.admit(start + Duration::from_secs(*second)).is_ok()).collect();
        assert_eq!(admitted, [0, 1, 2, 12, 32, 72, 132, 192]);
        let later = start + Duration::from_secs(192) + QUIET;
        let burst = (0..5).filter(|_| limit.admit(later).is_ok()).count();
        assert_eq!(burst, BURST as usize, "a new burst after a quiet time");
    }
}
