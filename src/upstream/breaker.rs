//! One breaker per region: Passing, Tripped, Probing. It opens when a region mostly fails, whichever id is asked for,
//! and then lets one request at a time find out whether it is back.
//!
//! Pure but for its lock: the time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::signature_id::SignatureId;

/// Ids that failed within the window before the breaker may open: fewer say nothing about a region.
const MIN_FAILURES: u32 = 20;
/// How many distinct failed ids are counted; more than that at once are the region's fault in any case.
const MOST_FAILED: usize = 64;
/// How far back failures count, in slots of one second.
const SLOTS: usize = 10;
/// How long it stays open at first; doubled after each failed probe.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A healed region is noticed within this time.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// The breaker of one region.
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Called at every change of phase.
    on_change: Box<dyn Fn(Phase) + Send + Sync>,
}

/// The numbers are those of the gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Passing = 0,
    Probing = 1,
    Tripped = 2,
}

/// What one attempt says about the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Answers,
    Fails,
}

struct State {
    phase: Phase,
    window: Window,
    /// While tripped: when the next probe may go.
    probe_at: Instant,
    pause: Duration,
}

/// Permission for one attempt. It must be settled with how the attempt ended; dropped unsettled (the attempt was
/// cancelled), it frees the probe.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    /// What is asked for.
    id: SignatureId,
    is_probe: bool,
    is_settled: bool,
}

impl Breaker {
    pub(super) fn new(now: Instant, on_change: impl Fn(Phase) + Send + Sync + 'static) -> Self {
        let state =
            State { phase: Phase::Passing, window: Window::new(now), probe_at: now, pause: FIRST_PAUSE };
        Self { state: Mutex::new(state), on_change: Box::new(on_change) }
    }

    /// Asks for permission to make an attempt for `id`.
    ///
    /// # Errors
    /// The breaker is open: when to ask again.
    pub(super) fn admit(&self, id: SignatureId, now: Instant) -> Result<Permit<'_>, Duration> {
        let mut state = self.state.lock();
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
        Ok(Permit { breaker: self, id, is_probe, is_settled: false })
    }
}

impl Permit<'_> {
    /// Reports what the attempt said about the region; without evidence, as if it had not been made.
    pub(super) fn settle(mut self, evidence: Option<Evidence>, now: Instant) {
        let Some(evidence) = evidence else { return };
        self.is_settled = true;
        let mut state = self.breaker.state.lock();
        let before = state.phase;
        let failed = evidence == Evidence::Fails;
        match (self.is_probe, failed) {
            (true, false) => state.close(now),
            (true, true) => {
                let pause = (state.pause * 2).min(MAX_PAUSE);
                state.trip(now, pause);
            }
            (false, _) if state.phase != Phase::Passing => {}
            (false, failed) => {
                state.window.count(now, failed.then_some(self.id));
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
            let mut state = self.breaker.state.lock();
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

/// How attempts ended in the last seconds.
struct Window {
    start: Instant,
    /// The second, counted from `start`, that each slot holds, and its answers and failures.
    slots: [(u64, u32, u32); SLOTS],
    /// The ids that failed last, with the second. One id that always fails says nothing of the region, however often it
    /// is asked for: it counts once.
    failed: VecDeque<(u64, SignatureId)>,
}

impl Window {
    const fn new(now: Instant) -> Self {
        Self { start: now, slots: [(0, 0, 0); SLOTS], failed: VecDeque::new() }
    }

    fn count(&mut self, now: Instant, failed: Option<SignatureId>) {
        let second = self.second(now);
        let counts = match failed {
            None => (1, 0),
            Some(id) if self.is_known_to_fail(id, second) => return,
            Some(_) => (0, 1),
        };
        let slot = &mut self.slots[second as usize % SLOTS];
        if slot.0 != second {
            *slot = (second, 0, 0);
        }
        slot.1 += counts.0;
        slot.2 += counts.1;
    }

    /// Whether `id` failed within the window already; it did now.
    fn is_known_to_fail(&mut self, id: SignatureId, second: u64) -> bool {
        self.failed.retain(|(failed, _)| failed + SLOTS as u64 > second);
        if self.failed.iter().any(|(_, failed)| *failed == id) {
            return true;
        }
        if self.failed.len() >= MOST_FAILED {
            self.failed.pop_front();
        }
        self.failed.push_back((second, id));
        false
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

    fn id(n: u32) -> SignatureId {
        SignatureId::parse(&format!("id-{n}")).unwrap()
    }

    fn phase(breaker: &Breaker) -> Phase {
        breaker.state.lock().phase
    }

    fn tripped(now: Instant) -> Breaker {
        let breaker = breaker(now);
        for n in 0..MIN_FAILURES {
            breaker.admit(id(n), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        }
        assert_eq!(phase(&breaker), Phase::Tripped);
        breaker
    }

    #[tokio::test]
    async fn it_opens_when_most_attempts_fail_and_not_before() {
        let now = Instant::now();
        let breaker = breaker(now);
        for n in 0..MIN_FAILURES - 1 {
            breaker.admit(id(n), now).ok().unwrap().settle(Some(Evidence::Fails), now);
            assert_eq!(phase(&breaker), Phase::Passing, "{n}");
        }
        breaker.admit(id(1000), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        assert_eq!(phase(&breaker), Phase::Tripped);
        assert_eq!(breaker.admit(id(1000), now).err(), Some(SECOND));
    }

    #[tokio::test]
    async fn answers_outweigh_failures_and_old_failures_are_forgotten() {
        let now = Instant::now();
        let breaker = breaker(now);
        for n in 0..MIN_FAILURES * 2 {
            breaker.admit(id(n), now).ok().unwrap().settle(Some(Evidence::Answers), now);
        }
        for n in 0..MIN_FAILURES + 5 {
            breaker.admit(id(n), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        }
        assert_eq!(phase(&breaker), Phase::Passing, "twice as many answers");
        let later = now + SECOND * 20;
        breaker.admit(id(1000), later).ok().unwrap().settle(Some(Evidence::Fails), later);
        assert_eq!(phase(&breaker), Phase::Passing, "one failure in the window");
    }

    #[tokio::test]
    async fn one_probe_at_a_time_and_its_end_decides() {
        let now = Instant::now();
        let breaker = tripped(now);
        let later = now + SECOND;
        let probe = breaker.admit(id(1000), later).ok().unwrap();
        assert!(breaker.admit(id(1000), later).is_err(), "a second probe");
        probe.settle(Some(Evidence::Fails), later);
        assert_eq!(phase(&breaker), Phase::Tripped);
        assert_eq!(breaker.admit(id(1000), later).err(), Some(SECOND * 2), "the pause doubles");
        let probe = breaker.admit(id(1000), later + SECOND * 2).ok().unwrap();
        probe.settle(Some(Evidence::Answers), later);
        assert_eq!(phase(&breaker), Phase::Passing, "an answer is an answer");
        assert!(breaker.admit(id(1000), later).is_ok());
    }

    #[tokio::test]
    async fn the_pause_is_bounded() {
        let mut now = Instant::now();
        let breaker = tripped(now);
        for _ in 0..10 {
            now += MAX_PAUSE;
            breaker.admit(id(1000), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        }
        assert_eq!(breaker.admit(id(1000), now).err(), Some(MAX_PAUSE));
    }

    #[tokio::test]
    async fn a_cancelled_probe_frees_its_place() {
        let now = Instant::now();
        let breaker = tripped(now);
        let later = now + SECOND;
        drop(breaker.admit(id(1000), later).ok().unwrap());
        assert!(breaker.admit(id(1000), later).is_ok());
    }

    #[tokio::test]
    async fn every_change_is_told_a_cancelled_probe_too() {
        let now = Instant::now();
        let (sender, told) = std::sync::mpsc::channel();
        let breaker = Breaker::new(now, move |phase| sender.send(phase).unwrap());
        for n in 0..MIN_FAILURES {
            breaker.admit(id(n), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        }
        drop(breaker.admit(id(1000), now + SECOND).ok().unwrap());
        breaker.admit(id(1000), now + SECOND).ok().unwrap().settle(Some(Evidence::Answers), now + SECOND);
        let phases = [Phase::Tripped, Phase::Probing, Phase::Tripped, Phase::Probing, Phase::Passing];
        assert_eq!(told.try_iter().collect::<Vec<_>>(), phases);
    }

    #[tokio::test]
    async fn one_id_that_always_fails_is_no_reason_to_give_its_region_up() {
        let now = Instant::now();
        let breaker = breaker(now);
        for n in 0..MIN_FAILURES * 10 {
            breaker.admit(id(n % 10), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        }
        assert_eq!(phase(&breaker), Phase::Passing, "ten ids, two hundred failures");
        for n in 10..MIN_FAILURES {
            breaker.admit(id(n), now).ok().unwrap().settle(Some(Evidence::Fails), now);
        }
        assert_eq!(phase(&breaker), Phase::Tripped, "twenty ids");
    }
}
