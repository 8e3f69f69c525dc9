//! Hints that an id has changed: what the store does with callbacks.

use std::time::Duration;

use tokio::time::Instant;

use super::known::Known;
use super::store::Store;
use crate::domain::region::RegionId;
use crate::domain::signature_id::SignatureId;
use crate::telemetry::metrics::CallbackOutcome;

/// How often a hint may cause a fetch of one id.
pub(super) const HINT_GAP: Duration = Duration::from_secs(2);

/// A hint that was taken: where the id may be fetched for it, and when.
pub(super) struct Hint {
    pub(super) region: RegionId,
    pub(super) due: Instant,
}

impl Store {
    /// Takes a hint that an id has changed in `region`, if callers asked about it and it is not settled. Of hints that follow
    /// each other closely, the second waits for the end of the gap, because what the first fetched may be older than the
    /// change, and those after it say nothing new.
    ///
    /// # Errors
    /// Why there is nothing to fetch.
    pub(super) fn take_hint(
        &self,
        id: &SignatureId,
        region: RegionId,
        now: Instant,
    ) -> Result<Hint, CallbackOutcome> {
        let fills = self.lock();
        let is_asked_for = || {
            let is_under_way = !fills.in_flight(id).is_empty();
            is_under_way || fills.watches.has(id) || !self.memory.absent.get(id).is_empty()
        };
        let (entry, known) = self.memory.look(id);
        let known = known.or_else(|| is_asked_for().then(Known::default));
        let mut known = known.ok_or(CallbackOutcome::Unknown)?;
        if entry.is_some_and(|entry| entry.ttl(now).is_some() && entry.is_settled()) {
            return Err(CallbackOutcome::Final);
        }
        let due = known.hint_after.map_or(now, |after| now.max(after.into()));
        if due > now + HINT_GAP {
            return Err(CallbackOutcome::Repeated);
        }
        known.hint_after = Some((due + HINT_GAP).into());
        self.memory.note(id, known);
        // Where an id is was learned from the upstream; the hint may be wrong about it.
        let region = known.holders.single().unwrap_or(region);
        Ok(Hint { region, due })
    }

    /// Whether an id was purged since its last hint, and nobody waits for it.
    pub(super) fn is_purged(&self, id: &SignatureId) -> bool {
        let was_hinted = |known: Known| known.hint_after.is_some();
        !self.lock().watches.has(id) && !self.memory.known(id).is_some_and(was_hinted)
    }
}
