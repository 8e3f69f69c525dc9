//! The fills under way: at most one per id and region that others join, and at most one refresh waiting behind it.

use std::time::Duration;

use foldhash::HashMap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ask::{Ask, Landed};
use super::record::Entry;
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::telemetry::traces::{Link, Span};

/// The most fills under way; each region has an equal share. Measured by `bench/concurrency`: a fill takes 9 KiB while it
/// queues for its region, and 34 KiB with its connection while it asks. At the default concurrency nearly all of them
/// queue: at most about 100 MiB.
pub(super) const MAX_FILLS: usize = 10_000;

/// What a fill is for.
pub(super) type Key = (SignatureId, RegionId);

/// Where those who wait for a fill learn its outcome; closed without a value if the fill panicked.
pub(super) type Receiver = watch::Receiver<Option<Landed>>;

/// The result of asking for a fill.
pub(super) enum Joined {
    /// A new fill: its task is to be spawned.
    Started(Ticket, Receiver),
    /// A fill that was under way.
    UnderWay(Receiver),
    /// No room for another fill.
    Refused(Fault),
}

/// What the task of a new fill needs. Its place in the table is given back by the task.
pub(super) struct Ticket {
    pub(super) key: Key,
    pub(super) number: u64,
    pub(super) landed: watch::Sender<Option<Landed>>,
    pub(super) span: Span,
    /// A fill that has to land first.
    pub(super) after: Option<Receiver>,
    /// Whether it must ask the upstream, whatever other replicas do.
    pub(super) is_refresh: bool,
}

/// Every fill under way.
pub(super) struct FillTable {
    regions: RegionSet,
    fills: HashMap<Key, Fill>,
    /// How many tasks run for each region, including those that no request can join any more.
    running: Box<[usize]>,
    next_number: u64,
    /// What is notified when an id changes.
    pub(super) watches: Watches,
}

struct Fill {
    number: u64,
    landed: watch::Sender<Option<Landed>>,
    /// The fill's span, for the spans of those who join.
    link: Link,
    /// The refresh that starts when this one has landed.
    next: Option<Box<Fill>>,
}

impl FillTable {
    pub(super) fn new(regions: RegionSet) -> Self {
        let running = vec![0; regions.len() as usize].into();
        Self { regions, fills: HashMap::default(), running, next_number: 0, watches: Watches::default() }
    }

    /// Joins the fill of `ask` in `region`, or starts one. A refresh joins no fill that is older than it: it waits behind it,
    /// with all refreshes that come meanwhile.
    pub(super) fn join(&mut self, ask: &Ask, region: RegionId, lookup: &Span) -> Joined {
        let key = (ask.id, region);
        let under_way = self.fills.get(&key);
        let joinable = if ask.refresh { under_way.and_then(|fill| fill.next.as_deref()) } else { under_way };
        if let Some(fill) = joinable {
            lookup.follow(&fill.link);
            return Joined::UnderWay(fill.landed.subscribe());
        }
        if self.running[region.index()] >= MAX_FILLS / self.running.len() {
            return Joined::Refused(Fault::new(Kind::Overloaded).retry_after(Duration::from_secs(1)));
        }
        self.start(key, ask.refresh, lookup)
    }

    fn start(&mut self, key: Key, is_refresh: bool, lookup: &Span) -> Joined {
        let number = self.next_number;
        self.next_number += 1;
        self.running[key.1.index()] += 1;
        let (landed, receiver) = watch::channel(None);
        let span = lookup.fill(key.1);
        let fill = Fill { number, landed: landed.clone(), link: span.link(), next: None };
        let after = match self.fills.get_mut(&key) {
            Some(current) => {
                current.next = Some(Box::new(fill));
                Some(current.landed.subscribe())
            }
            None => {
                self.fills.insert(key, fill);
                None
            }
        };
        Joined::Started(Ticket { key, number, landed, span, after, is_refresh }, receiver)
    }

    /// Whether what the fill brings is to be kept: it was not purged.
    pub(super) fn is_current(&self, key: &Key, number: u64) -> bool {
        self.fills.get(key).is_some_and(|fill| fill.number == number)
    }

    /// Takes a fill off the table; the refresh that waits behind it takes its place.
    pub(super) fn remove(&mut self, key: &Key, number: u64) {
        let Some(fill) = self.fills.get_mut(key) else { return };
        if fill.number == number {
            match fill.next.take() {
                Some(next) => *fill = *next,
                None => drop(self.fills.remove(key)),
            }
        } else if fill.next.as_ref().is_some_and(|next| next.number == number) {
            fill.next = None;
        }
    }

    /// Removes a fill if no request waits for it any more. Returns whether it did.
    pub(super) fn remove_abandoned(&mut self, ticket: &Ticket) -> bool {
        let is_abandoned = ticket.landed.receiver_count() == 0;
        if is_abandoned {
            self.remove(&ticket.key, ticket.number);
        }
        is_abandoned
    }

    /// The task of a fill has ended.
    pub(super) fn task_ended(&mut self, key: &Key, number: u64) {
        self.running[key.1.index()] -= 1;
        self.remove(key, number);
    }

    /// Takes the fills of an id off the table. They go on for those who wait, but what they bring is not kept.
    pub(super) fn detach(&mut self, id: &SignatureId, regions: RegionSet) {
        for region in regions.iter() {
            self.fills.remove(&(*id, region));
        }
    }

    /// Every region.
    pub(super) const fn regions(&self) -> RegionSet {
        self.regions
    }

    /// The regions that are being asked for an id.
    pub(super) fn in_flight(&self, id: &SignatureId) -> RegionSet {
        if self.fills.is_empty() {
            return RegionSet::EMPTY;
        }
        self.regions.iter().filter(|region| self.fills.contains_key(&(*id, *region))).collect()
    }
}

/// Who is notified when an id changes.
#[derive(Default)]
pub(super) struct Watches(HashMap<SignatureId, (watch::Sender<()>, watch::Sender<Instant>)>);

/// The notifications about one id.
pub(super) struct Watch {
    /// It has changed in a way that ends a wait: it is final, or ambiguous, or gone.
    pub(super) changes: watch::Receiver<()>,
    /// The id is still not final: when its next fetch is due.
    pub(super) due: watch::Receiver<Instant>,
}

impl Watches {
    pub(super) fn add(&mut self, id: SignatureId, due: Instant) -> Watch {
        let watch = self.0.entry(id).or_insert_with(|| (watch::Sender::default(), watch::Sender::new(due)));
        Watch { changes: watch.0.subscribe(), due: watch.1.subscribe() }
    }

    pub(super) fn has(&self, id: &SignatureId) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn prune(&mut self, id: &SignatureId) {
        if self.0.get(id).is_some_and(|(changes, _)| changes.receiver_count() == 0) {
            self.0.remove(id);
        }
    }

    pub(super) fn tell(&self, id: &SignatureId) {
        if let Some((changes, _)) = self.0.get(id) {
            changes.send_replace(());
        }
    }

    /// A result has come: it ends a wait, or says when to ask again.
    pub(super) fn found(&self, id: &SignatureId, entry: &Entry) {
        if entry.is_final() {
            self.tell(id);
        } else if let Some((_, due)) = self.0.get(id) {
            due.send_replace(entry.fresh_until());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::region::{RegionName, Regions};

    struct Harness {
        regions: Regions,
        table: FillTable,
    }

    impl Harness {
        fn new() -> Self {
            let regions = Regions::new(["my", "ph"].map(|name| RegionName::parse(name).unwrap()));
            let table = FillTable::new(regions.all());
            Self { regions, table }
        }

        fn join(&mut self, id: &str, region: &str, refresh: bool) -> Joined {
            let id = SignatureId::parse(id).unwrap();
            let route = self.regions.route(None, self.regions.all()).unwrap();
            let ask = Ask { id, route, caller: None, refresh, wants_media: false };
            self.table.join(&ask, self.regions.find(region).unwrap(), &Span::none())
        }
    }

    fn word(joined: &Joined) -> &'static str {
        match joined {
            Joined::Started(Ticket { after: None, .. }, _) => "started",
            Joined::Started(..) => "queued",
            Joined::UnderWay(_) => "joined",
            Joined::Refused(_) => "refused",
        }
    }

    #[test]
    fn a_region_has_its_share_of_all_fills_and_no_more() {
        let mut harness = Harness::new();
        for n in 0..MAX_FILLS / 2 {
            assert_eq!(word(&harness.join(&format!("S{n}"), "my", false)), "started");
        }
        assert_eq!(word(&harness.join("one-more", "my", false)), "refused");
        assert_eq!(word(&harness.join("S0", "my", false)), "joined", "who joins takes no room");
        assert_eq!(
            word(&harness.join("one-more", "ph", false)),
            "started",
            "the other region has its own share"
        );
    }

    #[test]
    fn a_refresh_joins_only_refreshes_that_have_not_started() {
        let mut harness = Harness::new();
        let Joined::Started(first, _) = harness.join("S1", "my", false) else {
            panic!("nothing is under way")
        };
        assert_eq!(word(&harness.join("S1", "my", true)), "queued");
        assert_eq!(word(&harness.join("S1", "my", true)), "joined");
        assert_eq!(word(&harness.join("S1", "my", false)), "joined");
        harness.table.task_ended(&first.key, first.number);
        assert_eq!(word(&harness.join("S1", "my", true)), "queued", "the one that waited has started");
    }
}
