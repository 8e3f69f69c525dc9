//! How many fills one region works on at once, how many may queue for it, and what share of both one caller has.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::domain::failure::{Fault, Kind};
use crate::domain::region::RegionName;
use crate::domain::scope::CallerId;
use crate::telemetry::Limit;

/// How many fills may queue for one region. Measured by `bench/concurrency`: each takes 9 KiB while it waits, so a full
/// queue takes 37 MiB. It is as much as the default concurrency works off in the 8 s that a caller waits, for an upstream
/// that takes an eighth of a second. Beyond that a caller is better refused at once.
const MAX_QUEUE: usize = 4096;

/// The places of one region.
pub(super) struct Bulkhead {
    /// The places that one caller may have while others wait.
    share: usize,
    state: Mutex<State>,
    limit: Limit,
}

struct State {
    free: usize,
    /// The places in use, by caller.
    held: HashMap<Option<CallerId>, usize>,
    /// Waiting fills by ticket, in order of arrival. Empty while a place is free.
    queue: BTreeMap<u64, Waiting>,
    next_ticket: u64,
}

struct Waiting {
    caller: Option<CallerId>,
    permit: oneshot::Sender<Permit>,
}

/// A place, for the fill of one caller; left when dropped.
pub(super) struct Permit {
    bulkhead: Arc<Bulkhead>,
    caller: Option<CallerId>,
}

/// A place in the queue; left when dropped.
struct Queued<'a> {
    bulkhead: &'a Bulkhead,
    ticket: u64,
}

impl Bulkhead {
    pub(super) fn new(region: &RegionName, concurrency: usize) -> Arc<Self> {
        let state = State { free: concurrency, held: HashMap::new(), queue: BTreeMap::new(), next_ticket: 0 };
        let limit = Limit::new(Some(format!("regions.{region}.concurrency")), None);
        Arc::new(Self { share: concurrency.div_ceil(2), state: Mutex::new(state), limit })
    }

    /// Waits for a place; `caller` is `None` where callers are not distinguished. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The queue is full, or the caller's half of it.
    pub(super) async fn enter(self: &Arc<Self>, caller: Option<CallerId>) -> Result<Permit, Fault> {
        let (queued, permit) = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                state.occupy(caller);
                return Ok(Permit { bulkhead: Arc::clone(self), caller });
            }
            let ticket = state.next_ticket;
            let permit = state.join_queue(caller).ok_or_else(queue_is_full)?;
            (Queued { bulkhead: self, ticket }, permit)
        };
        self.limit.inform("further fetches from this region wait for their turn");
        let permit = permit.await.map_err(|_| Fault::new(Kind::Internal));
        drop(queued);
        permit
    }
}

fn queue_is_full() -> Fault {
    Fault::new(Kind::Overloaded).retry_after(Duration::from_secs(1))
}

impl State {
    fn occupy(&mut self, caller: Option<CallerId>) {
        *self.held.entry(caller).or_default() += 1;
    }

    fn join_queue(&mut self, caller: Option<CallerId>) -> Option<oneshot::Receiver<Permit>> {
        let of_caller = self.queue.values().filter(|waiting| waiting.caller == caller).count();
        let most = if caller.is_some() { MAX_QUEUE / 2 } else { MAX_QUEUE };
        if of_caller >= most || self.queue.len() >= MAX_QUEUE {
            return None;
        }
        let (permit, receiver) = oneshot::channel();
        self.queue.insert(self.next_ticket, Waiting { caller, permit });
        self.next_ticket += 1;
        Some(receiver)
    }

    /// The first in the queue whose caller has less than its share, or else the first: then no other caller waits.
    fn next(&mut self, share: usize) -> Option<Waiting> {
        let has_less = |waiting: &Waiting| self.held.get(&waiting.caller).is_none_or(|held| *held < share);
        let first = self.queue.iter().find(|(_, waiting)| has_less(waiting));
        let ticket = *first.or_else(|| self.queue.iter().next())?.0;
        self.queue.remove(&ticket)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.bulkhead.state.lock();
        *state.held.entry(self.caller).or_insert(1) -= 1;
        let Some(next) = state.next(self.bulkhead.share) else {
            state.free += 1;
            return;
        };
        state.occupy(next.caller);
        drop(state);
        // A fill that has just left drops the permit, and it goes to the next one.
        let _ = next.permit.send(Self { bulkhead: Arc::clone(&self.bulkhead), caller: next.caller });
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.bulkhead.state.lock().queue.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    const A: Option<CallerId> = Some(CallerId::new(0));
    const B: Option<CallerId> = Some(CallerId::new(1));

    fn bulkhead(concurrency: usize) -> Arc<Bulkhead> {
        Bulkhead::new(&RegionName::parse("my").expect("a name"), concurrency)
    }

    /// Joins the queue before it returns.
    async fn queue(bulkhead: &Arc<Bulkhead>, caller: Option<CallerId>) -> JoinHandle<Permit> {
        let before = bulkhead.state.lock().queue.len();
        let bulkhead = Arc::clone(bulkhead);
        let entering = Arc::clone(&bulkhead);
        let waiting = tokio::spawn(async move { entering.enter(caller).await.expect("room to queue") });
        while bulkhead.state.lock().queue.len() == before {
            tokio::task::yield_now().await;
        }
        waiting
    }

    async fn enter(bulkhead: &Arc<Bulkhead>, caller: Option<CallerId>) -> Permit {
        bulkhead.enter(caller).await.expect("a place")
    }

    #[tokio::test]
    async fn while_others_wait_a_caller_has_at_most_half_of_the_places_rounded_up() {
        let bulkhead = bulkhead(3);
        let mut held = vec![enter(&bulkhead, A).await, enter(&bulkhead, A).await, enter(&bulkhead, A).await];
        let more_of_a = [queue(&bulkhead, A).await, queue(&bulkhead, A).await];
        let of_b = queue(&bulkhead, B).await;
        held.pop();
        let b = of_b.await.expect("B comes first although A has waited longer");
        held.pop();
        let [second, third] = more_of_a;
        let a = second.await.expect("two of three places are A's share");
        held.pop();
        third.await.expect("nobody else waits");
        drop((a, b));
        assert_eq!(bulkhead.state.lock().free, 3);
    }

    #[tokio::test]
    async fn a_caller_fills_half_of_the_queue_and_callers_not_told_apart_all_of_it() {
        for (caller, most) in [(A, MAX_QUEUE / 2), (None, MAX_QUEUE)] {
            let bulkhead = bulkhead(1);
            let _held = enter(&bulkhead, caller).await;
            let mut queued = Vec::new();
            for _ in 0..most {
                queued.push(queue(&bulkhead, caller).await);
            }
            let refused = bulkhead.enter(caller).await.err().expect("the queue is full");
            assert_eq!((refused.kind, refused.retry_after.is_some()), (Kind::Overloaded, true));
            if caller == A {
                queued.push(queue(&bulkhead, B).await);
            }
        }
    }

    #[tokio::test]
    async fn whoever_leaves_the_queue_takes_no_place() {
        let bulkhead = bulkhead(1);
        let held = enter(&bulkhead, A).await;
        let (left, stays) = (queue(&bulkhead, A).await, queue(&bulkhead, A).await);
        left.abort();
        assert!(left.await.is_err());
        assert_eq!(bulkhead.state.lock().queue.len(), 1);
        drop(held);
        drop(stays.await.expect("the place"));
        let state = bulkhead.state.lock();
        assert_eq!((state.free, state.held[&A]), (1, 0));
    }
}
