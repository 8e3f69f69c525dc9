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
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::{RegionId, RegionName, Regions};
use crate::domain::scope::{CallerId, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{Identity, UpstreamWords, Verdict, Verification};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Span;
use flight::{Boarding, Flights, Landing, Seat, Version};

#[path = "flight.rs"]
#[expect(clippy::duplicate_mod, reason = "the same file on other ground is the point")]
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

    /// Nothing takes time here.
    pub(super) async fn timeout_at<T>(
        _deadline: tokio::time::Instant,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        Some(future.await)
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
        pub(super) async fn enter(
            &self,
            region: RegionId,
            _caller: Option<CallerId>,
        ) -> Result<RegionId, Fault> {
            Ok(region)
        }

        pub(super) async fn fetch(
            &self,
            region: RegionId,
            id: SignatureId,
            _deadline: tokio::time::Instant,
            _span: &Span,
        ) -> Result<Verification, Fault> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let busy = &self.busy[region.index()];
            self.most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _busy = Busy(busy);
            for _ in 0..shuttle::rand::thread_rng().gen_range(1..6) {
                yield_now().await;
            }
            match (self.answer)() {
                Answer::Found => Ok(found(id, region, number)),
                Answer::Absent => Err(Fault::new(Kind::NotFound)),
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
        submitted: None,
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
            lifetimes: entry::Lifetimes::all(HOUR),
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

mod tests;
