//! The one place that decides what an id is: a hit, stale, not found, ambiguous, or to be asked for, and where.
//!
//! Pure: everything it looks at is an argument.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Ask, Fetched, Found, Missed, Progress, Recall, Source};
use super::known::{Known, Tick};
use super::record::Entry;
use crate::domain::failure::{Failure, Fault};
use crate::domain::region::{RegionId, RegionSet};

/// What memory knows of an id at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    /// The result in memory.
    pub entry: Option<Arc<Entry>>,
    /// What is known besides it.
    pub known: Known,
    /// The regions that said a moment ago that it does not exist, and until when that is believed.
    pub absent: Vec<(RegionId, Instant)>,
    /// The regions that are being asked.
    pub in_flight: RegionSet,
}

/// What to do with a request.
pub(super) enum Decision {
    /// Answer it.
    Answer(Result<Found, Missed>),
    /// Ask these regions.
    Ask(RegionSet, Purpose),
}

/// Why regions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// There is no answer yet.
    Find,
    /// There is a result, but these regions never answered for the id.
    Confirm,
    /// There is a result, but its links have expired.
    RenewLinks,
}

/// Decides what to do with `ask`, given what memory knows and what the request has learned so far.
pub(super) fn decide(ask: &Ask, memory: &Snapshot, progress: &Progress, now: Instant) -> Decision {
    let view = View { ask, memory, progress, now };
    if view.is_ambiguous() {
        return view.ambiguous();
    }
    if let Some((entry, source)) = view.result() {
        let unconfirmed = view.unconfirmed(&entry);
        if !unconfirmed.is_empty() {
            return Decision::Ask(unconfirmed, Purpose::Confirm);
        }
        if view.wants_new_links(&entry) {
            return Decision::Ask(RegionSet::only(entry.region()), Purpose::RenewLinks);
        }
        return found(&entry, source);
    }
    let regions = view.regions_to_ask();
    if !regions.is_empty() {
        return Decision::Ask(regions, Purpose::Find);
    }
    match &progress.fault {
        None => view.not_found(),
        Some((region, fault)) => view.fail(*region, fault),
    }
}

struct View<'a> {
    ask: &'a Ask,
    memory: &'a Snapshot,
    progress: &'a Progress,
    now: Instant,
}

impl View<'_> {
    fn route(&self) -> RegionSet {
        self.ask.route.regions()
    }

    /// The regions of the route that have the id. Other holders do not exist for this request.
    fn holders(&self) -> RegionSet {
        self.memory.known.holders.or(self.progress.holders).and(self.route())
    }

    fn is_ambiguous(&self) -> bool {
        !self.ask.route.is_pinned() && self.holders().len() > 1
    }

    /// The conflict was known, or this request found it; either way no answer is kept.
    fn ambiguous(&self) -> Decision {
        let joined = self.progress.found.as_ref().is_some_and(|(_, fetched)| fetched.joined);
        let fetched = Fetched { joined, ..Fetched::default() };
        let source = if self.progress.asked.is_empty() { Source::Index } else { self.fetched(fetched) };
        missed(Failure::Ambiguous, source)
    }

    /// The result in memory, if it exists for this request.
    fn entry(&self) -> Option<&Arc<Entry>> {
        self.memory.entry.as_ref().filter(|entry| self.route().contains(entry.region()))
    }

    /// What this request fetched, else what memory has.
    fn result(&self) -> Option<(Arc<Entry>, Source)> {
        if let Some((entry, fetched)) = &self.progress.found {
            let ttl = entry.ttl(self.now).unwrap_or_default();
            let source = if fetched.shared { Source::Remote { ttl } } else { self.fetched(*fetched) };
            return Some((Arc::clone(entry), source));
        }
        let entry = self.entry().filter(|_| !self.ask.refresh)?;
        let ttl = entry.ttl(self.now)?;
        let was_recalled = self.progress.recall == Recall::Done { brought: true };
        let source = if was_recalled { Source::Remote { ttl } } else { Source::Hit { ttl } };
        Some((Arc::clone(entry), source))
    }

    /// The regions of the route that never answered for the id and are to be asked before `entry` is served.
    fn unconfirmed(&self, entry: &Entry) -> RegionSet {
        if self.ask.route.is_pinned() {
            return RegionSet::EMPTY;
        }
        let answered = self.memory.known.answered.or(self.progress.asked).with(entry.region());
        let silent = self.route().minus(answered);
        if self.is_due(self.memory.known.confirm_after) { silent } else { silent.and(self.memory.in_flight) }
    }

    /// Whether the result's links have expired and this request starts their renewal or joins it.
    fn wants_new_links(&self, entry: &Entry) -> bool {
        let region = entry.region();
        let asks = self.ask.wants_media && !self.progress.asked.contains(region) && entry.has_expired_links();
        asks && (self.memory.in_flight.contains(region) || self.is_due(self.memory.known.renew_links_after))
    }

    fn is_due(&self, after: Option<Tick>) -> bool {
        after.is_none_or(|after| self.now >= after.into())
    }

    /// The learned region alone if all others have answered that they do not have the id; else every region that may
    /// have it. One that was asked and is still silent is to be heard: it may have the id.
    fn regions_to_ask(&self) -> RegionSet {
        let heard = self.progress.asked.minus(self.progress.waits_for);
        if let Some(learned) = self.learned() {
            return RegionSet::only(learned).minus(heard);
        }
        let absent = if self.ask.refresh { RegionSet::EMPTY } else { self.absent() };
        self.route().minus(absent).minus(heard)
    }

    /// The one region that has the id, if all others of the route have answered that they do not. One that has denied it to
    /// this request is none, whatever other replicas still say.
    fn learned(&self) -> Option<RegionId> {
        let learned = self.holders().minus(self.progress.denied).single()?;
        let others = self.route().minus(self.memory.known.answered).minus(RegionSet::only(learned));
        others.is_empty().then_some(learned)
    }

    fn absent(&self) -> RegionSet {
        self.absent_for().map(|(region, _)| region).collect()
    }

    fn absent_for(&self) -> impl Iterator<Item = (RegionId, Duration)> {
        let left = |(region, until): &(RegionId, Instant)| {
            let left = until.checked_duration_since(self.now).filter(|left| !left.is_zero())?;
            self.route().contains(*region).then_some((*region, left))
        };
        self.memory.absent.iter().filter_map(left)
    }

    fn not_found(&self) -> Decision {
        let ttl = self.absent_for().map(|(_, left)| left).min().unwrap_or_default();
        let from_memory = self.progress.asked.is_empty();
        let source =
            if from_memory { Source::Hit { ttl: ttl.as_secs() } } else { self.fetched(self.progress.missed) };
        missed(Failure::NotFound(self.route().single()), source)
    }

    /// A stale final result if there is one and no region gave an answer that speaks against it; else the failure.
    fn fail(&self, region: RegionId, fault: &Fault) -> Decision {
        let route_is_one = self.route().len() == 1 || self.learned().is_some();
        let failure = if route_is_one {
            fault.clone().in_region(region)
        } else {
            Failure::RegionUndetermined(region, fault.clone())
        };
        if let Some(entry) = self.entry().filter(|entry| entry.is_final() && failure.is_no_answer()) {
            return found(entry, Source::Stale { age: entry.age_past_ttl(self.now), cause: fault.cause });
        }
        // Some regions' "does not exist" may be kept; the failure is not.
        missed(failure, self.fetched(Fetched { stored: false, ..self.progress.missed }))
    }

    const fn fetched(&self, fetched: Fetched) -> Source {
        if self.ask.refresh { Source::Refresh(fetched) } else { Source::Miss(fetched) }
    }
}

fn found(entry: &Arc<Entry>, source: Source) -> Decision {
    Decision::Answer(Ok(Found { entry: Arc::clone(entry), source }))
}

const fn missed(failure: Failure, source: Source) -> Decision {
    Decision::Answer(Err(Missed { failure, source }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Kind;
    use crate::domain::region::{RegionName, Regions};
    use crate::domain::signature_id::SignatureId;
    use crate::domain::verification::{Verdict, Verification};
    use crate::lookup::record::Record;
    use crate::settings::Cache;

    const SECOND: Duration = Duration::from_secs(1);

    fn regions() -> Regions {
        Regions::new(["my", "ph", "sg"].map(|name| RegionName::parse(name).unwrap()))
    }

    fn set(names: &str) -> RegionSet {
        names.split_whitespace().map(|name| regions().find(name).unwrap()).collect()
    }

    /// A result of `region` that arrived this many seconds ago and is fresh for 10 s.
    fn entry(region: &str, verdict: Verdict, age: u32, now: Instant) -> Arc<Entry> {
        let region = regions().find(region).unwrap();
        let id = SignatureId::parse("S1").unwrap();
        let record = Record::new(&Verification::bare(id, region, verdict), regions().name(region));
        Arc::new(Entry::new(record, &Cache::all(SECOND * 10), Duration::ZERO, now - SECOND * age))
    }

    /// What a request to `my ph`, or to the region that is pinned, is answered.
    struct Case {
        pin: Option<&'static str>,
        refresh: bool,
        memory: Snapshot,
        progress: Progress,
    }

    impl Case {
        fn new() -> Self {
            Self { pin: None, refresh: false, memory: Snapshot::default(), progress: Progress::default() }
        }

        fn pin(mut self, region: &'static str) -> Self {
            self.pin = Some(region);
            self
        }

        fn refresh(mut self) -> Self {
            self.refresh = true;
            self
        }

        /// Memory has this result; these regions have answered for the id.
        fn knows(mut self, entry: Arc<Entry>, answered: &str) -> Self {
            self.memory.known.holders = RegionSet::only(entry.region());
            self.memory.entry = Some(entry);
            self.memory.known.answered = set(answered);
            self
        }

        fn holders(mut self, holders: &str, answered: &str) -> Self {
            self.memory.known.holders = set(holders);
            self.memory.known.answered = set(answered);
            self
        }

        fn absent(mut self, regions: &str, until: Instant) -> Self {
            self.memory.absent = set(regions).iter().map(|region| (region, until)).collect();
            self
        }

        fn in_flight(mut self, regions: &str) -> Self {
            self.memory.in_flight = set(regions);
            self
        }

        fn confirm_after(mut self, after: Instant) -> Self {
            self.memory.known.confirm_after = Some(after.into());
            self
        }

        /// These regions were asked and said that the id does not exist, all but those that failed.
        fn asked(mut self, asked: &str, failed: &str) -> Self {
            self.progress.asked = set(asked);
            self.progress.denied = set(asked).minus(set(failed));
            self.progress.fault = set(failed).iter().next().map(|region| (region, Fault::new(Kind::Timeout)));
            self
        }

        /// Of those that were asked, these have not answered.
        fn silent(mut self, silent: &str) -> Self {
            self.progress.waits_for = set(silent);
            self.progress.denied = self.progress.denied.minus(set(silent));
            self
        }

        /// What other replicas know was asked, and brought the result.
        fn recalled(mut self) -> Self {
            self.progress.recall = Recall::Done { brought: true };
            self
        }

        fn found(mut self, entry: Arc<Entry>) -> Self {
            self.progress.holders = RegionSet::only(entry.region());
            self.progress.found = Some((entry, Fetched { stored: true, ..Fetched::default() }));
            self
        }

        fn decide(self, now: Instant) -> String {
            let route = regions().route(self.pin, set("my ph")).unwrap();
            let id = SignatureId::parse("S1").unwrap();
            let ask = Ask { id, route, caller: None, refresh: self.refresh, wants_media: false };
            match super::decide(&ask, &self.memory, &self.progress, now) {
                Decision::Ask(asked, purpose) => format!("{purpose:?} {}", names(asked)),
                Decision::Answer(Ok(found)) => {
                    format!("{} {}", word(found.source), name(found.entry.region()))
                }
                Decision::Answer(Err(missed)) => match missed.failure {
                    Failure::NotFound(_) => format!("404 {}", word(missed.source)),
                    Failure::Ambiguous => format!("409 {}", word(missed.source)),
                    Failure::RegionUndetermined(..) => "503".to_owned(),
                    Failure::Upstream(region, _) => format!("504 {}", name(region)),
                },
            }
        }
    }

    fn name(region: RegionId) -> String {
        regions().name(region).to_string()
    }

    fn names(set: RegionSet) -> String {
        set.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn word(source: Source) -> &'static str {
        match source {
            Source::Hit { .. } => "hit",
            Source::Remote { .. } => "remote",
            Source::Stale { .. } => "stale",
            Source::Miss(_) => "miss",
            Source::Refresh(_) => "refresh",
            Source::Index => "index",
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases is read in place")]
    #[tokio::test]
    async fn each_state_of_an_id_has_one_decision() {
        let now = Instant::now();
        let (earlier, later) = (now - SECOND, now + SECOND);
        let passed = |region| entry(region, Verdict::Passed, 0, now);
        let old = |region| entry(region, Verdict::Passed, 12, now);
        let old_pending = || entry("my", Verdict::Pending, 12, now);
        let rows = [
            ("nothing is known", Case::new(), "Find my ph"),
            ("nothing is known, one region is named", Case::new().pin("ph"), "Find ph"),
            ("a result that all regions answered for", Case::new().knows(passed("my"), "my ph"), "hit my"),
            ("a result of another replica", Case::new().knows(passed("my"), "my ph").recalled(), "remote my"),
            (
                "a result of another replica, and a region never answered",
                Case::new().knows(passed("my"), "my").recalled(),
                "Confirm ph",
            ),
            ("a result, and a region never answered", Case::new().knows(passed("my"), "my"), "Confirm ph"),
            ("the same, its region is named", Case::new().knows(passed("my"), "my").pin("my"), "hit my"),
            ("the same, another region is named", Case::new().knows(passed("my"), "my").pin("ph"), "Find ph"),
            (
                "the silent region was asked a moment ago",
                Case::new().knows(passed("my"), "my").confirm_after(later),
                "hit my",
            ),
            (
                "the silent region was asked long ago",
                Case::new().knows(passed("my"), "my").confirm_after(earlier),
                "Confirm ph",
            ),
            (
                "the silent region is being asked",
                Case::new().knows(passed("my"), "my").confirm_after(later).in_flight("ph"),
                "Confirm ph",
            ),
            (
                "the silent region was asked for this request",
                Case::new().knows(passed("my"), "my").asked("ph", "ph"),
                "hit my",
            ),
            ("a result of a region out of the route", Case::new().knows(passed("sg"), "sg"), "Find my ph"),
            ("an old result", Case::new().knows(old("my"), "my ph"), "Find my"),
            ("an old result, and a region never answered", Case::new().knows(old("my"), "my"), "Find my ph"),
            (
                "the region of an old result fails",
                Case::new().knows(old("my"), "my ph").asked("my", "my"),
                "stale my",
            ),
            (
                "the region of an old result that is not final fails",
                Case::new().knows(old_pending(), "my ph").asked("my", "my"),
                "504 my",
            ),
            ("two regions have it", Case::new().holders("my ph", "my ph"), "409 index"),
            ("two regions have it, one is named", Case::new().holders("my ph", "my ph").pin("ph"), "Find ph"),
            ("one holder is out of the route", Case::new().holders("my sg", "my ph sg"), "Find my"),
            ("the learned region says no", Case::new().holders("", "my").asked("my", ""), "Find ph"),
            (
                "the learned region says no, and another replica still says it has it",
                Case::new().holders("my", "my ph").asked("my", ""),
                "Find ph",
            ),
            ("no region has it", Case::new().absent("my ph", later), "404 hit"),
            ("one region does not have it", Case::new().absent("my", later), "Find ph"),
            ("no region had it", Case::new().absent("my ph", earlier), "Find my ph"),
            ("all regions say no", Case::new().asked("my ph", ""), "404 miss"),
            (
                "one says no, one was not waited for long enough",
                Case::new().asked("my ph", "").silent("ph"),
                "Find ph",
            ),
            ("one says no, one fails", Case::new().asked("my ph", "ph"), "503"),
            ("the named region fails", Case::new().pin("ph").asked("ph", "ph"), "504 ph"),
            ("a refresh of a result", Case::new().knows(passed("my"), "my ph").refresh(), "Find my"),
            ("a refresh of what no region has", Case::new().absent("my ph", later).refresh(), "Find my ph"),
            ("a refresh that all deny", Case::new().asked("my ph", "").refresh(), "404 refresh"),
            (
                "a refresh fails",
                Case::new().knows(passed("my"), "my ph").refresh().asked("my", "my"),
                "stale my",
            ),
            ("one region has it", Case::new().asked("my ph", "").found(passed("ph")), "miss ph"),
            (
                "a second region had it before",
                Case::new().holders("my", "my").asked("my ph", "").found(passed("ph")),
                "409 miss",
            ),
            (
                "the named region has it, too",
                Case::new().holders("my", "my").pin("ph").asked("ph", "").found(passed("ph")),
                "miss ph",
            ),
        ];
        for (state, case, decision) in rows {
            assert_eq!(case.decide(now), decision, "{state}");
        }
    }
}
