//! Flights in thousands of orders of their steps: `flight.rs` once more, on a lock and tasks that shuttle schedules,
//! over an upstream that answers, fails, panics or never comes back.
//!
//! Every point where a thread could be held up is a point where any other may go first: a purge, another caller, the
//! other region, the end of the process.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::future::{block_on, yield_now};
use shuttle::rand::Rng;
use shuttle::thread;

use super::{Render, Settings, entry, learned, memory};
use crate::domain::document::{Document, Ends};
use crate::domain::drift::DriftKind;
use crate::domain::failure::{Failure, Kind};
use crate::domain::region::{RegionId, RegionName, RegionSet, Regions};
use crate::domain::scope::Scopes;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{Identity, UpstreamWords, Verdict, Verification};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Span;
use flight::{Boarding, Flights, Landing, Seat, Version};

#[expect(clippy::duplicate_mod, reason = "the same text over another ground is the point")]
#[path = "flight.rs"]
mod flight;

/// What stands in for `super::ground`.
mod ground {
    use std::future::Future;
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;
    pub(super) use shuttle::sync::{Mutex, MutexGuard};

    use super::*;

    /// Runs a flight; where tasks end early, some are dropped at once, as by a runtime that shuts down, and some later.
    pub(super) fn spawn(flight: impl Future<Output = ()> + Send + 'static) {
        let fate = if ENDS_EARLY.get() { shuttle::rand::thread_rng().gen_range(0..4) } else { 3 };
        if fate == 0 {
            return drop(flight);
        }
        // A panic ends the task alone, as in tokio.
        let task = shuttle::future::spawn(AssertUnwindSafe(flight).catch_unwind().map(drop));
        if fate == 1 {
            thread::spawn(move || task.abort());
        }
    }

    /// Numbers its answers, and counts how many it is asked for at once.
    pub(super) struct Upstream {
        pub(super) answer: fn() -> Answer,
        pub(super) asked: AtomicUsize,
        pub(super) busy: [AtomicUsize; 2],
        pub(super) most: AtomicUsize,
    }

    struct Busy<'a>(&'a AtomicUsize);

    impl Drop for Busy<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Upstream {
        pub(super) async fn fetch(
            &self,
            region: RegionId,
            id: SignatureId,
            _deadline: tokio::time::Instant,
            _span: &Span,
        ) -> Result<Verification, Failure> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let busy = &self.busy[region.index()];
            self.most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _busy = Busy(busy);
            yield_now().await;
            match (self.answer)() {
                Answer::Found => Ok(found(id, region, number)),
                Answer::Absent => Err(Failure::new(Kind::NotFound).in_region(region)),
                Answer::Panic => std::panic::panic_any("the fill was told to"),
            }
        }
    }
}

thread_local! {
    /// Whether tasks may end before their time. All of a schedule runs on one thread.
    static ENDS_EARLY: Cell<bool> = const { Cell::new(false) };
}

/// How the upstream answers.
#[derive(Clone, Copy)]
enum Answer {
    Found,
    Absent,
    Panic,
}

const HOUR: Duration = Duration::from_secs(3600);

fn found(id: SignatureId, region: RegionId, number: usize) -> Verification {
    Verification {
        id,
        region,
        observed_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        verdict: Verdict::Passed,
        upstream: UpstreamWords { transaction_id: Some(number.to_string()), ..UpstreamWords::default() },
        face: None,
        document: None,
        identity: Identity::default(),
        media: Vec::new(),
    }
}

/// A document that says only which answer it was made of.
fn render(verification: &Verification) -> Document {
    let number = verification.upstream.transaction_id.clone().unwrap();
    let end = number.len();
    let ends = Ends { decision: end, checks: end, identity: end, media: end };
    Document::new(format!("{number}}}").into_bytes(), ends)
}

fn number(entry: &entry::Entry) -> usize {
    let text = entry.document().cut(Scopes::NONE, false).concat();
    str::from_utf8(&text).unwrap().trim_end_matches('}').parse().unwrap()
}

/// Flights of one id to two regions.
struct Airport {
    flights: Arc<Flights>,
    upstream: Arc<ground::Upstream>,
    metrics: Arc<Metrics>,
    id: SignatureId,
    regions: Regions,
    /// How many flights callers started.
    started: AtomicUsize,
}

impl Airport {
    fn over(answer: fn() -> Answer, metrics: &Arc<Metrics>) -> Arc<Self> {
        let (regions, metrics) = (regions(), Arc::clone(metrics));
        let upstream = Arc::new(ground::Upstream {
            answer,
            asked: AtomicUsize::new(0),
            busy: Default::default(),
            most: AtomicUsize::new(0),
        });
        let render: Render = Box::new(render);
        let settings = Settings {
            timeout: HOUR,
            fill_timeout: HOUR,
            max_bytes: 1 << 20,
            lifetimes: entry::Lifetimes {
                final_ttl: HOUR,
                incomplete_ttl: HOUR,
                pending_ttl: HOUR,
                not_found_ttl: HOUR,
                stale_max: HOUR,
            },
            regions: regions.all(),
            render,
        };
        let flights = Flights::new(settings, Arc::clone(&upstream), Arc::clone(&metrics));
        let id = SignatureId::parse("S1").unwrap();
        Arc::new(Self { flights, upstream, metrics, id, regions, started: AtomicUsize::new(0) })
    }

    fn region(&self, name: &str) -> RegionId {
        self.regions.find(name).unwrap()
    }

    /// What a caller does: looks into memory, boards, waits. `None` if the flight ended without landing.
    fn call(&self, region: &str) -> Option<Landing> {
        let entry = self.flights.memory().get(&self.id);
        let seen = Version::of(entry.as_ref());
        if let Some(entry) = entry.filter(|entry| entry.region() == self.region(region)) {
            return Some(Landing::Found(entry, true));
        }
        thread::yield_now();
        match self.flights.board(self.id, self.region(region), Some(seen), &Span::none()) {
            Boarding::Landed(landing) => Some(landing),
            Boarding::Flying(mut arrivals, seat) => {
                self.started.fetch_add(usize::from(seat == Seat::First), Ordering::SeqCst);
                let landing = block_on(arrivals.wait_for(Option::is_some)).ok()?;
                landing.clone()
            }
        }
    }

    /// Calls `region` from so many threads.
    fn callers(
        self: &Arc<Self>,
        region: &'static str,
        count: usize,
    ) -> Vec<thread::JoinHandle<Option<Landing>>> {
        let caller = |_| {
            let airport = Arc::clone(self);
            thread::spawn(move || airport.call(region))
        };
        (0..count).map(caller).collect()
    }

    /// Nothing is left on the table, whatever happened.
    fn check_is_quiet(&self) {
        for region in self.regions.all().iter() {
            // What ended early may be about to leave.
            while self.flights.is_in_flight(&self.id, region) {
                thread::yield_now();
            }
        }
    }
}

fn regions() -> Regions {
    Regions::new(["my", "ph"].map(|name| RegionName::parse(name).unwrap()))
}

fn landings(callers: Vec<thread::JoinHandle<Option<Landing>>>) -> Vec<Option<Landing>> {
    callers.into_iter().map(|caller| caller.join().unwrap()).collect()
}

/// So many orders: half of them at random, half that put off few threads for long. Metrics take longer to make than
/// most orders to run, so they are made once.
fn explore(scenario: fn(&Arc<Metrics>)) {
    let metrics = Arc::new(Metrics::new(regions().names(), &[]).unwrap());
    let scenario = move || {
        scenario(&metrics);
        assert_eq!(metrics.lookups.fills_in_flight.get(), 0);
    };
    shuttle::check_random(scenario.clone(), 500);
    shuttle::check_pct(scenario, 500, 3);
}

#[test]
fn whenever_callers_join_one_call_answers_them_all() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Found, metrics);
        for landing in landings(airport.callers("my", 3)) {
            assert!(matches!(landing, Some(Landing::Found(entry, true)) if number(&entry) == 1));
        }
        let counts = [&airport.started, &airport.upstream.asked].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(counts, [1, 1]);
        airport.check_is_quiet();
    });
}

#[test]
fn whenever_a_purge_comes_nothing_from_before_it_is_kept_or_shown_after_it() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Found, metrics);
        let callers = airport.callers("my", 2);
        let asked = || airport.upstream.asked.load(Ordering::SeqCst);
        let before = asked();
        airport.flights.purge(&airport.id);
        let Some(Landing::Found(entry, _)) = airport.call("my") else { panic!("it lands") };
        assert!(number(&entry) > before, "answered with what was forgotten");
        landings(callers);
        airport.check_is_quiet();
        let kept = airport.flights.memory().get(&airport.id).map(|entry| number(&entry));
        assert!(kept.is_some_and(|kept| kept > before), "kept what was forgotten: {kept:?}");
        assert!(
            asked() <= 2 && airport.upstream.most.load(Ordering::SeqCst) <= 2,
            "one call before, one after"
        );
    });
}

#[test]
fn whenever_two_regions_land_the_id_is_nobodys() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Found, metrics);
        let conflicts = || -> u64 {
            let regions = airport.regions.all();
            regions.iter().map(|region| airport.metrics.region(region).drift(DriftKind::Conflict).get()).sum()
        };
        let before = conflicts();
        let (my, ph) = (airport.callers("my", 2), airport.callers("ph", 2));
        landings(my);
        landings(ph);
        airport.check_is_quiet();
        assert_eq!(airport.flights.learned().holders(&airport.id), airport.regions.all());
        let anywhere = airport.regions.route(None, airport.regions.all()).unwrap();
        let kept = airport.flights.memory().get(&airport.id);
        assert!(kept.is_none_or(|entry| !entry.serves(&anywhere)), "it is one region's for who named none");
        assert_eq!(conflicts() - before, 1);
    });
}

#[test]
fn whenever_a_region_does_not_have_it_that_is_known_until_a_purge() {
    explore(|metrics| {
        let airport = Airport::over(|| Answer::Absent, metrics);
        let callers = airport.callers("my", 2);
        let purge = {
            let airport = Arc::clone(&airport);
            thread::spawn(move || airport.flights.purge(&airport.id))
        };
        let mut was_kept = false;
        for landing in landings(callers) {
            let Some(Landing::Failed(failure, is_kept)) = landing else { panic!("it lands") };
            assert_eq!(failure.kind, Kind::NotFound);
            was_kept |= is_kept;
        }
        purge.join().unwrap();
        airport.check_is_quiet();
        assert!(airport.upstream.asked.load(Ordering::SeqCst) <= 2);
        let my = RegionSet::only(airport.region("my"));
        let absent = airport.flights.memory().absent(&airport.id, my);
        airport.flights.purge(&airport.id);
        assert!(absent.is_empty() || (absent == my && was_kept), "kept although nobody was told so");
        assert!(airport.flights.memory().absent(&airport.id, my).is_empty());
    });
}

/// Every way to end: callers are told, the key is free, and the next flight lands.
fn every_end(metrics: &Arc<Metrics>) {
    let answer = || match shuttle::rand::thread_rng().gen_range(0..3) {
        0 => Answer::Panic,
        1 => Answer::Absent,
        _ => Answer::Found,
    };
    let airport = Airport::over(answer, metrics);
    let callers = airport.callers("my", 2);
    let purge = {
        let airport = Arc::clone(&airport);
        thread::spawn(move || airport.flights.purge(&airport.id))
    };
    landings(callers);
    purge.join().unwrap();
    airport.check_is_quiet();
    assert!(airport.upstream.most.load(Ordering::SeqCst) <= 2, "one before the purge, one after");
    let mut tries = 0..100;
    while airport.call("my").is_none() {
        assert!(tries.next().is_some(), "the next one flies, sooner or later");
    }
}

#[test]
fn whenever_a_fill_panics_those_who_wait_are_told_and_the_key_is_free() {
    explore(every_end);
}

#[test]
fn whenever_a_flight_is_cut_off_those_who_wait_are_told_and_the_key_is_free() {
    ENDS_EARLY.set(true);
    explore(every_end);
    ENDS_EARLY.set(false);
}
