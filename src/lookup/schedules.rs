//! Fills and waits in thousands of orders of their steps: the files that share state once more, on a lock and tasks that
//! shuttle schedules, over an upstream that answers, says that there is no such id, panics or never comes back.
//!
//! Every point where a thread could be delayed is a point where any other may go first: a purge, another caller, a
//! refresh, the other region, the end of the process.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use shuttle::future::{block_on, yield_now};
use shuttle::rand::Rng;
use shuttle::thread;

use super::{ask, decide, known, memory, record, shared};
use crate::answer::Moment;
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::{RegionId, RegionName, Regions};
use crate::domain::scope::{CallerId, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{UpstreamWords, Verdict, Verification};
use crate::settings::Cache;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Span;
use ask::{Ask, Found, Heard, Landed, Missed, Progress};
use fill::{Fills, landing};
use find::Finder;
use record::Entry;
use store::{Step, Store};
use table::Joined;
use wait::{WaitLimits, Waits};

#[path = "fill.rs"]
#[expect(clippy::duplicate_mod, reason = "the same file on another runtime is the point")]
mod fill;
#[path = "find.rs"]
#[expect(clippy::duplicate_mod, reason = "the same file on another runtime is the point")]
mod find;
#[path = "hint.rs"]
#[expect(clippy::duplicate_mod, reason = "the same file on another runtime is the point")]
mod hint;
#[path = "store.rs"]
#[expect(clippy::duplicate_mod, dead_code, reason = "the same file on another runtime is the point")]
mod store;
#[path = "table.rs"]
#[expect(clippy::duplicate_mod, reason = "the same file on another runtime is the point")]
mod table;
#[path = "take_in.rs"]
#[expect(clippy::duplicate_mod, dead_code, reason = "the same file on another runtime is the point")]
mod take_in;
#[path = "wait.rs"]
#[expect(clippy::duplicate_mod, dead_code, reason = "the same file on another runtime is the point")]
mod wait;

/// Stands in for `super::runtime`.
mod runtime {
    use std::future::Future;
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;
    pub(super) use shuttle::sync::{Mutex, MutexGuard};

    use super::*;

    /// Runs a fill; where tasks end early, some are dropped at once, as by a runtime that shuts down, and some later.
    pub(super) fn spawn(fill: impl Future<Output = ()> + Send + 'static) {
        let fate = if ENDS_EARLY.get() { shuttle::rand::thread_rng().gen_range(0..4) } else { 3 };
        if fate == 0 {
            return drop(fill);
        }
        // A panic ends the task alone, as in tokio.
        let task = shuttle::future::spawn(AssertUnwindSafe(fill).catch_unwind().map(drop));
        if fate == 1 {
            thread::spawn(move || task.abort());
        }
    }

    /// There is no clock here: no time is ever up.
    pub(super) async fn timeout_at<T>(
        _: tokio::time::Instant,
        event: impl Future<Output = T>,
    ) -> Result<T, ()> {
        Ok(event.await)
    }

    /// Any time may come next.
    pub(super) async fn sleep_until(_: tokio::time::Instant) {
        pause(4).await;
    }

    /// Numbers its answers, and counts how many requests it works on at once.
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
        pub(super) async fn enter(&self, region: RegionId, _: Option<CallerId>) -> Result<RegionId, Fault> {
            pause(2).await;
            Ok(region)
        }

        pub(super) async fn fetch(
            &self,
            region: RegionId,
            id: SignatureId,
            _deadline: tokio::time::Instant,
            _span: &Span,
        ) -> Result<Box<Verification>, Fault> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let busy = &self.busy[region.index()];
            self.most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _busy = Busy(busy);
            pause(6).await;
            match (self.answer)() {
                Answer::FoundLater if number < 3 => Ok(found(id, region, number, Verdict::Pending)),
                Answer::Found | Answer::FoundLater => Ok(found(id, region, number, Verdict::Passed)),
                Answer::Absent => Err(Fault::new(Kind::NotFound)),
                Answer::Panic => std::panic::panic_any("the fill was told to"),
            }
        }
    }

    async fn pause(most: u32) {
        for _ in 0..shuttle::rand::thread_rng().gen_range(0..most) {
            yield_now().await;
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
    /// Pending twice, then found.
    FoundLater,
    Absent,
    Panic,
}

const HOUR: Duration = Duration::from_secs(3600);

/// An answer that carries its number.
fn found(id: SignatureId, region: RegionId, number: usize, verdict: Verdict) -> Box<Verification> {
    let upstream = UpstreamWords { transaction_id: Some(number.to_string()), ..UpstreamWords::default() };
    Box::new(Verification { upstream, ..Verification::bare(id, region, verdict) })
}

/// Which answer of the upstream this is.
fn number(entry: &Entry) -> usize {
    let json = entry.record().body.cut(Scopes::NONE, Moment::default(), Timestamp::UNIX_EPOCH);
    let (_, rest) = str::from_utf8(&json).unwrap().split_once(r#""transactionId":""#).unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

/// What a request to one region comes to.
type Outcome = Result<Found, Missed>;

/// Fills of one id in two regions.
struct Harness {
    fills: Arc<Fills>,
    waits: Arc<Waits>,
    upstream: Arc<runtime::Upstream>,
    metrics: Arc<Metrics>,
    id: SignatureId,
    regions: Regions,
    /// How many fills callers started.
    started: AtomicUsize,
}

impl Harness {
    fn over(answer: fn() -> Answer, metrics: &Arc<Metrics>) -> Arc<Self> {
        let (regions, metrics) = (regions(), Arc::clone(metrics));
        let upstream = Arc::new(runtime::Upstream {
            answer,
            asked: AtomicUsize::new(0),
            busy: Default::default(),
            most: AtomicUsize::new(0),
        });
        let cache =
            Cache { pending_ttl: Duration::ZERO, pending_ttl_max: Duration::ZERO, ..Cache::all(HOUR) };
        let store = Store::new(cache, regions.all(), Arc::clone(&metrics));
        let fills = Arc::new(Fills {
            store,
            upstream: Arc::clone(&upstream),
            regions: regions.clone(),
            fill_timeout: HOUR,
            shared: None,
            metrics: Arc::clone(&metrics),
        });
        let finder = Finder::new(Arc::clone(&fills), HOUR, HOUR);
        let limits = WaitLimits { max_waiters: 10, max_of_caller: 5, polls: vec![1, 1] };
        let waits = Waits::new(Arc::new(finder), limits, Arc::clone(&metrics));
        let id = SignatureId::parse("S1").unwrap();
        Arc::new(Self { fills, waits, upstream, metrics, id, regions, started: AtomicUsize::new(0) })
    }

    fn ask(&self, pin: Option<&str>, refresh: bool) -> Ask {
        let route = self.regions.route(pin, self.regions.all()).unwrap();
        Ask { id: self.id, route, caller: None, refresh, wants_media: false }
    }

    /// What a request does, but for its deadline.
    fn find(&self, ask: Ask) -> Outcome {
        let mut progress = Progress::default();
        loop {
            let fills = match self.fills.store.step(&ask, &progress, &Span::none()) {
                Step::Answer(answer) => return answer,
                Step::Recall => continue,
                Step::Wait(_, fills) => fills,
            };
            thread::yield_now();
            progress.asks(fills.iter().map(|(region, _)| *region).collect());
            for (region, joined) in fills {
                progress.take(Heard { region, landed: self.landed(joined), joined: false });
            }
        }
    }

    fn landed(&self, joined: Joined) -> Landed {
        match joined {
            Joined::Refused(fault) => Landed::Failed(fault),
            Joined::UnderWay(receiver) => block_on(landing(receiver)),
            Joined::Started(ticket, receiver) => {
                self.started.fetch_add(1, Ordering::SeqCst);
                self.fills.spawn(ticket, None);
                block_on(landing(receiver))
            }
        }
    }

    fn call(&self, region: &str) -> Outcome {
        self.find(self.ask(Some(region), false))
    }

    fn refresh(&self, region: &str) -> Outcome {
        self.find(self.ask(Some(region), true))
    }

    /// Calls `region` from so many threads.
    fn callers(self: &Arc<Self>, region: &'static str, count: usize) -> Vec<thread::JoinHandle<Outcome>> {
        let caller = |_| {
            let harness = Arc::clone(self);
            thread::spawn(move || harness.call(region))
        };
        (0..count).map(caller).collect()
    }

    /// Waits for the final result in `my`, or until `end`.
    fn wait(&self, end: impl Future<Output = ()>) -> Outcome {
        let ask = self.ask(Some("my"), false);
        let found = self.find(ask)?;
        if found.entry.is_final() {
            return Ok(found);
        }
        let waiter = self.waits.enter(None).expect("there is room");
        block_on(waiter.until_final(&ask, found, pin!(end)))
    }

    fn asked(&self) -> usize {
        self.upstream.asked.load(Ordering::SeqCst)
    }

    fn purge(&self) {
        self.fills.store.purge(shared::Purge::now(self.id, self.regions.all()));
    }

    /// Waits until no fill is left, whatever became of it.
    fn wait_until_quiet(&self) {
        while self.metrics.lookups.fills_in_flight.get() > 0 {
            thread::yield_now();
        }
    }
}

fn regions() -> Regions {
    Regions::new(["my", "ph"].map(|name| RegionName::parse(name).unwrap()))
}

mod tests;
