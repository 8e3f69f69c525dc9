//! One breaker per region: Passing, Tripped, Probing. It opens when a region mostly fails, and then lets one request
//! at a time find out whether it is back.
//!
//! Pure but for its lock: the time comes in as an argument.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::failure::Kind;

/// Failures within the window before the breaker may open: fewer say nothing about a region.
const MIN_FAILURES: u32 = 20;
/// How far back failures count, in slots of one second.
const SLOTS: usize = 10;
/// How long it stays open at first; doubled after each failed probe.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A healed region is noticed within this time.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The breaker of one region.
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Told of every change of phase.
    on_change: Box<dyn Fn(Phase) + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Passing,
    Probing,
    Tripped,
}

struct State {
    phase: Phase,
    window: Window,
    /// While tripped: when the next probe may go.
    probe_at: Instant,
    pause: Duration,
}

/// Leave to make one attempt. It must be settled with how the attempt ended; dropped unsettled (the attempt was
/// cancelled), it frees the probe.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
    is_settled: bool,
}

impl Breaker {
    pub(super) fn new(now: Instant, on_change: impl Fn(Phase) + Send + Sync + 'static) -> Self {
        let state =
            State { phase: Phase::Passing, window: Window::new(now), probe_at: now, pause: FIRST_PAUSE };
        Self { state: Mutex::new(state), on_change: Box::new(on_change) }
    }

    /// Asks for leave to make an attempt.
    ///
    /// # Errors
    /// The breaker is open: when to ask again.
    pub(super) fn admit(&self, now: Instant) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        let is_probe = match state.phase {
            Phase::Passing => false,
            Phase::Probing => return Err(FIRST_PAUSE),
            Phase::Tripped if now < state.probe_at => return Err(state.probe_at - now),
            Phase::Tripped => {
                state.phase = Phase::Probing;
                (self.on_change)(Phase::Probing);
                true
            }
        };
        drop(state);
        Ok(Permit { breaker: self, is_probe, is_settled: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Tells how the attempt ended: `None` = an answer.
    pub(super) fn settle(mut self, failure: Option<Kind>, now: Instant) {
        self.is_settled = true;
        let mut state = self.breaker.lock();
        let before = state.phase;
        let failed = failure.is_some_and(speaks_against_the_region);
        match (self.is_probe, failed) {
            (true, false) => state.close(now),
            (true, true) => {
                let pause = (state.pause * 2).min(MAX_PAUSE);
                state.trip(now, pause);
            }
            (false, _) if state.phase != Phase::Passing => {}
            (false, failed) => {
                state.window.count(now, failed);
                if state.window.mostly_fails(now) {
                    state.trip(now, FIRST_PAUSE);
                }
            }
        }
        if state.phase != before {
            (self.breaker.on_change)(state.phase);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_settled {
            let mut state = self.breaker.lock();
            state.phase = Phase::Tripped;
            (self.breaker.on_change)(Phase::Tripped);
        }
    }
}

impl State {
    fn trip(&mut self, now: Instant, pause: Duration) {
        self.phase = Phase::Tripped;
        self.pause = pause;
        self.probe_at = now + pause;
    }

    fn close(&mut self, now: Instant) {
        *self = Self { phase: Phase::Passing, window: Window::new(now), probe_at: now, pause: FIRST_PAUSE };
    }
}

/// Whether a failure says that the region as a whole is unwell, rather than this request or our account.
const fn speaks_against_the_region(kind: Kind) -> bool {
    match kind {
        Kind::Connect | Kind::Reset | Kind::Truncated | Kind::Timeout | Kind::Server => true,
        Kind::NotFound
        | Kind::Ambiguous
        | Kind::RegionUndetermined
        | Kind::Refused
        | Kind::Malformed
        | Kind::IdMismatch
        | Kind::Auth
        | Kind::Account
        | Kind::Busy
        | Kind::Unavailable
        | Kind::Overloaded
        | Kind::ShuttingDown
        | Kind::Internal => false,
    }
}

/// How attempts ended in the last seconds.
struct Window {
    start: Instant,
    /// The second, counted from `start`, that each slot holds, and its answers and failures.
    slots: [(u64, u32, u32); SLOTS],
}

impl Window {
    const fn new(now: Instant) -> Self {
        Self { start: now, slots: [(0, 0, 0); SLOTS] }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        let second = self.second(now);
        let slot = &mut self.slots[second as usize % SLOTS];
        if slot.0 != second {
            *slot = (second, 0, 0);
        }
        if failed {
            slot.2 += 1;
        } else {
            slot.1 += 1;
        }
    }

    fn mostly_fails(&self, now: Instant) -> bool {
        let second = self.second(now);
        let recent = self.slots.iter().filter(|slot| slot.0 + SLOTS as u64 > second);
        let (answers, failures) = recent.fold((0, 0), |sum, slot| (sum.0 + slot.1, sum.1 + slot.2));
        failures >= MIN_FAILURES && failures >= answers
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker(now: Instant) -> Breaker {
        Breaker::new(now, |_| {})
    }

    fn phase(breaker: &Breaker) -> Phase {
        breaker.lock().phase
    }

    fn tripped(now: Instant) -> Breaker {
        let breaker = breaker(now);
        for _ in 0..MIN_FAILURES {
            breaker.admit(now).ok().unwrap().settle(Some(Kind::Connect), now);
        }
        assert_eq!(phase(&breaker), Phase::Tripped);
        breaker
    }

    #[tokio::test]
    async fn it_opens_when_most_attempts_fail_and_not_before() {
        let now = Instant::now();
        let breaker = breaker(now);
        for n in 0..MIN_FAILURES - 1 {
            breaker.admit(now).ok().unwrap().settle(Some(Kind::Server), now);
            assert_eq!(phase(&breaker), Phase::Passing, "{n}");
        }
        breaker.admit(now).ok().unwrap().settle(Some(Kind::Server), now);
        assert_eq!(phase(&breaker), Phase::Tripped);
        assert_eq!(breaker.admit(now).err(), Some(SECOND));
    }

    #[tokio::test]
    async fn answers_outweigh_failures_and_old_failures_are_forgotten() {
        let now = Instant::now();
        let breaker = breaker(now);
        for _ in 0..MIN_FAILURES * 2 {
            breaker.admit(now).ok().unwrap().settle(None, now);
        }
        for _ in 0..MIN_FAILURES + 5 {
            breaker.admit(now).ok().unwrap().settle(Some(Kind::Timeout), now);
        }
        assert_eq!(phase(&breaker), Phase::Passing, "twice as many answers");
        let later = now + SECOND * 20;
        breaker.admit(later).ok().unwrap().settle(Some(Kind::Timeout), later);
        assert_eq!(phase(&breaker), Phase::Passing, "one failure in the window");
    }

    #[tokio::test]
    async fn one_probe_at_a_time_and_its_end_decides() {
        let now = Instant::now();
        let breaker = tripped(now);
        let later = now + SECOND;
        let probe = breaker.admit(later).ok().unwrap();
        assert!(breaker.admit(later).is_err(), "a second probe");
        probe.settle(Some(Kind::Timeout), later);
        assert_eq!(phase(&breaker), Phase::Tripped);
        assert_eq!(breaker.admit(later).err(), Some(SECOND * 2), "the pause doubles");
        let probe = breaker.admit(later + SECOND * 2).ok().unwrap();
        probe.settle(Some(Kind::NotFound), later);
        assert_eq!(phase(&breaker), Phase::Passing, "an answer is an answer");
        assert!(breaker.admit(later).is_ok());
    }

    #[tokio::test]
    async fn the_pause_is_bounded() {
        let mut now = Instant::now();
        let breaker = tripped(now);
        for _ in 0..10 {
            now += MAX_PAUSE;
            breaker.admit(now).ok().unwrap().settle(Some(Kind::Connect), now);
        }
        assert_eq!(breaker.admit(now).err(), Some(MAX_PAUSE));
    }

    #[tokio::test]
    async fn a_cancelled_probe_frees_its_place() {
        let now = Instant::now();
        let breaker = tripped(now);
        let later = now + SECOND;
        drop(breaker.admit(later).ok().unwrap());
        assert!(breaker.admit(later).is_ok());
    }

    #[tokio::test]
    async fn every_change_is_told_a_cancelled_probe_too() {
        let now = Instant::now();
        let (sender, told) = std::sync::mpsc::channel();
        let breaker = Breaker::new(now, move |phase| sender.send(phase).unwrap());
        for _ in 0..MIN_FAILURES {
            breaker.admit(now).ok().unwrap().settle(Some(Kind::Connect), now);
        }
        drop(breaker.admit(now + SECOND).ok().unwrap());
        breaker.admit(now + SECOND).ok().unwrap().settle(None, now + SECOND);
        let phases = [Phase::Tripped, Phase::Probing, Phase::Tripped, Phase::Probing, Phase::Passing];
        assert_eq!(told.try_iter().collect::<Vec<_>>(), phases);
    }
}
