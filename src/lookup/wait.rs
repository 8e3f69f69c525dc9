//! Waiting for a final result: requests that wait, and one poller per id and region for all of them.
//!
//! A poller asks when the next fetch of its id is due, and ends with its last waiter. Whatever makes the result
//! final, this poller, another request, a callback or another replica, wakes all who wait.

use std::collections::HashMap;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::ask::{Ask, Found, Missed};
use super::find::Finder;
use super::hint::Hint;
use super::record::Entry;
use super::runtime::{Mutex, MutexGuard, sleep_until, spawn};
use super::table::Key;
use crate::domain::region::{RegionId, Route};
use crate::domain::scope::CallerId;
use crate::domain::signature_id::SignatureId;
use crate::telemetry::Limit;
use crate::telemetry::metrics::{CallbackOutcome, Metrics, PollOutcome};
use crate::telemetry::traces::Span;

/// How long a poller pauses after a poll that failed, at least and at most; doubled each time.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// The most hints that wait for their fetch.
const MAX_HINTS: usize = 1_000;

/// How many requests may wait, and how many polls there may be.
pub(crate) struct WaitLimits {
    /// Requests that wait at once.
    pub max_waiters: usize,
    /// Of them, those of one caller.
    pub max_of_caller: usize,
    /// Polls at once, by region: short requests always find room.
    pub polls: Vec<usize>,
}

/// Everybody who waits.
pub(super) struct Waits {
    finder: Arc<Finder>,
    limits: WaitLimits,
    waiters: Mutex<Waiters>,
    limit: Limit,
    polls: Mutex<HashMap<Key, Weak<Poll>>>,
    budgets: Box<[Semaphore]>,
    hints: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Waiters {
    count: usize,
    by_caller: HashMap<CallerId, usize>,
}

/// A place among those who wait, given back when dropped.
pub(crate) struct Waiter {
    waits: Arc<Waits>,
    caller: Option<CallerId>,
}

/// The polling of one id in one region, which ends when the last who waits lets go of it.
struct Poll {
    waits: Arc<Waits>,
    key: Key,
    changes: watch::Receiver<()>,
    /// Dropped, it ends the poller before its next poll.
    _stop: oneshot::Sender<()>,
}

impl Waits {
    pub(super) fn new(finder: Arc<Finder>, limits: WaitLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        let budgets = limits.polls.iter().map(|polls| Semaphore::new(*polls)).collect();
        let limit = Limit::new(Some("wait.max_waiters".to_owned()), Some(limits.max_waiters));
        let (waiters, polls, hints) =
            (Mutex::default(), Mutex::default(), Arc::new(Semaphore::new(MAX_HINTS)));
        Arc::new(Self { finder, limits, waiters, limit, polls, budgets, hints, metrics })
    }

    /// A place for one more, of which one caller has at most half.
    pub(super) fn enter(self: &Arc<Self>, caller: Option<CallerId>) -> Option<Waiter> {
        let mut waiters = self.waiters();
        let of_caller =
            caller.map_or(0, |caller| waiters.by_caller.get(&caller).copied().unwrap_or_default());
        if waiters.count >= self.limits.max_waiters || of_caller >= self.limits.max_of_caller {
            drop(waiters);
            self.limit.warn("further requests with Prefer: wait are answered at once");
            return None;
        }
        waiters.count += 1;
        if let Some(caller) = caller {
            waiters.by_caller.insert(caller, of_caller + 1);
        }
        self.metrics.waits.waiters.inc();
        Some(Waiter { waits: Arc::clone(self), caller })
    }

    /// The polling of an id where `entry` is from, started by its first waiter; its first poll is when a fetch is due.
    fn poll(self: &Arc<Self>, id: SignatureId, entry: &Entry) -> Arc<Poll> {
        let (key, due) = ((id, entry.region()), entry.fresh_until());
        let mut polls = self.polls();
        if let Some(poll) = polls.get(&key).and_then(Weak::upgrade) {
            return poll;
        }
        let watch = self.finder.fills.store.watch(id, due);
        let poller = Poller { waits: Arc::clone(self), key };
        let (stop, stopped) = oneshot::channel();
        spawn(poller.run(due, watch.due, stopped));
        let poll = Arc::new(Poll { waits: Arc::clone(self), key, changes: watch.changes, _stop: stop });
        polls.insert(key, Arc::downgrade(&poll));
        self.metrics.waits.pollers.inc();
        poll
    }

    /// Fetches an id once, as `Lookup::hint` says.
    pub(super) fn hint(self: &Arc<Self>, id: SignatureId, region: RegionId) -> CallbackOutcome {
        let Ok(place) = Arc::clone(&self.hints).try_acquire_owned() else {
            return CallbackOutcome::OverBudget;
        };
        let now = Instant::now();
        let hint = match self.finder.fills.store.take_hint(&id, region, now) {
            Ok(hint) => hint,
            Err(outcome) => return outcome,
        };
        let is_deferred = hint.due > now;
        spawn(Arc::clone(self).refresh(id, hint, place));
        if is_deferred { CallbackOutcome::Deferred } else { CallbackOutcome::Fetched }
    }

    /// Fetches an id when its hint is due, unless its verdict is known by then, or it was purged.
    async fn refresh(self: Arc<Self>, id: SignatureId, hint: Hint, _place: OwnedSemaphorePermit) {
        sleep_until(hint.due).await;
        let Ok(_permit) = self.budgets[hint.region.index()].acquire().await else { return };
        let (ask, store) = (ask_for(id, hint.region), &self.finder.fills.store);
        let is_settled = store.peek(&ask).is_some_and(|found| found.entry.is_settled());
        if !is_settled && !store.is_purged(&id) {
            // A refresh: what is under way may have been sent before the change.
            let ask = Ask { refresh: true, ..ask };
            let _ = self.finder.search(&ask, &Span::none()).await;
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polls(&self) -> MutexGuard<'_, HashMap<Key, Weak<Poll>>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn ask_for(id: SignatureId, region: RegionId) -> Ask {
    Ask { id, route: Route::to(region), caller: None, refresh: false, wants_media: false }
}

impl Waiter {
    /// Waits until the result that was found is final, or until `end`; then gives the newest there is.
    ///
    /// # Errors
    /// The id has changed: another region has it, too, or its region no longer knows it.
    pub(crate) async fn until_final(
        &self,
        ask: &Ask,
        found: Found,
        mut end: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Found, Missed> {
        let ask = Ask { refresh: false, ..*ask };
        let mut poll = self.waits.poll(ask.id, &found.entry);
        let mut changes = poll.changes.clone();
        let mut newest = found;
        let no_span = Span::none();
        loop {
            // Seen before the search, so that no change between the two is missed.
            changes.borrow_and_update();
            tokio::select! {
                biased;
                // On the heap: what waits has no room for a search.
                searched = Box::pin(self.waits.finder.search(&ask, &no_span)) => match searched {
                    Ok(found) if found.entry.is_final() => return Ok(found),
                    Ok(found) => {
                        if found.entry.region() != newest.entry.region() {
                            // The id has moved; `changes` are those of the id, whatever its region.
                            drop(mem::replace(&mut poll, self.waits.poll(ask.id, &found.entry)));
                        }
                        newest = found;
                    }
                    Err(missed) if !missed.failure.is_no_answer() => return Err(missed),
                    Err(_) => {}
                },
                () = &mut end => break,
            }
            tokio::select! {
                biased;
                Ok(()) = changes.changed() => {}
                () = &mut end => break,
            }
        }
        Ok(self.waits.finder.fills.store.peek(&ask).unwrap_or(newest))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.waits.waiters();
        waiters.count -= 1;
        if let Some(caller) = self.caller
            && let Some(count) = waiters.by_caller.get_mut(&caller)
        {
            *count -= 1;
        }
        self.waits.metrics.waits.waiters.dec();
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let mut polls = self.waits.polls();
        if polls.get(&self.key).is_some_and(|poll| poll.strong_count() == 0) {
            polls.remove(&self.key);
        }
        drop(polls);
        // Replaced by a closed one, so that the store can forget the id.
        self.changes = watch::channel(()).1;
        self.waits.finder.fills.store.unwatch(&self.key.0);
        self.waits.metrics.waits.pollers.dec();
    }
}

/// The task of one poll.
struct Poller {
    waits: Arc<Waits>,
    key: Key,
}

impl Poller {
    async fn run(
        self,
        mut due: Instant,
        mut plan: watch::Receiver<Instant>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut backoff = BACKOFF.0;
        let budget = &self.waits.budgets[self.key.1.index()];
        loop {
            // Those that are due take turns: one that left the queue would miss its turn again and again.
            let turn = async {
                sleep_until(due).await;
                budget.acquire().await
            };
            let _permit = tokio::select! {
                biased;
                _ = &mut stopped => return,
                // Whoever else fetched it has learned when to ask again.
                Ok(()) = plan.changed() => {
                    due = *plan.borrow_and_update();
                    continue;
                }
                permit = turn => permit,
            };
            let (outcome, next) = self.poll(backoff).await;
            self.waits.metrics.waits.polls[outcome].inc();
            backoff = match outcome {
                PollOutcome::Final => return,
                PollOutcome::Pending => BACKOFF.0,
                PollOutcome::Failed => (backoff * 2).min(BACKOFF.1),
                PollOutcome::Skipped => backoff,
            };
            due = next;
        }
    }

    /// Polls once. Returns when the next poll is due.
    async fn poll(&self, backoff: Duration) -> (PollOutcome, Instant) {
        let (id, region) = self.key;
        match self.waits.finder.search(&ask_for(id, region), &Span::none()).await {
            Ok(found) if found.entry.is_final() => (PollOutcome::Final, Instant::now()),
            Ok(found) => (PollOutcome::Pending, found.entry.fresh_until()),
            Err(Missed { failure, .. }) => {
                // A region that was not asked needs no longer pause than it says.
                let (outcome, least) = if failure.was_not_asked() {
                    (PollOutcome::Skipped, BACKOFF.0)
                } else {
                    (PollOutcome::Failed, backoff)
                };
                let asked_for = failure.fault().and_then(|fault| fault.retry_after);
                (outcome, Instant::now() + asked_for.unwrap_or_default().max(least))
            }
        }
    }
}
