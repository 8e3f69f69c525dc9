//! When and where each id was first asked for: what makes an id live in one region and time pass for it.

use super::bounded::Bounded;
use super::ids::Home;
use std::time::Duration;
use tokio::time::Instant;

/// The oldest id is forgotten beyond it: it starts anew, wherever it is asked for next.
const ROOM: usize = 20_000;

pub(super) struct Ledger(Bounded<Entry>);

struct Entry {
    region: &'static str,
    first: Instant,
    asks: u64,
}

/// An ask in a region that has the id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Visit {
    /// Since the first ask.
    pub(super) age: Duration,
    /// Counts from 1.
    pub(super) asks: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self(Bounded::new(ROOM))
    }
}

impl Ledger {
    /// Books an ask for a known id in `region`; none if the id lives elsewhere.
    pub(super) fn visit(
        &mut self,
        id: &str,
        home: Home,
        region: &'static str,
        now: Instant,
    ) -> Option<Visit> {
        if matches!(home, Home::Region(home) if home != region) {
            return None;
        }
        let entry = self.0.entry(id, || Entry { region, first: now, asks: 0 });
        if home == Home::FirstAsked && entry.region != region {
            return None;
        }
        entry.asks += 1;
        Some(Visit { age: now - entry.first, asks: entry.asks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_without_a_region_belongs_to_whoever_is_asked_first() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert!(ledger.visit("a", Home::FirstAsked, "my", now).is_some());
        assert!(ledger.visit("a", Home::FirstAsked, "ph", now).is_none());
        assert_eq!(ledger.visit("a", Home::FirstAsked, "my", now).map(|visit| visit.asks), Some(2));
    }

    #[test]
    fn an_id_that_names_a_region_exists_only_there() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert!(ledger.visit("a-ph", Home::Region("ph"), "my", now).is_none());
        assert_eq!(ledger.visit("a-ph", Home::Region("ph"), "ph", now).map(|visit| visit.asks), Some(1));
    }

    #[test]
    fn an_id_of_every_region_is_everywhere() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert!(ledger.visit("a", Home::Everywhere, "my", now).is_some());
        assert!(ledger.visit("a", Home::Everywhere, "ph", now).is_some());
    }
}
