//! The way of one request through the lookup: decide, else ask regions and listen, and decide again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::Instant;

use super::ask::{Ask, Found, Heard, Landed, Missed, Progress, Recall};
use super::decide::Purpose;
use super::fill::{Fills, landing};
use super::runtime::timeout_at;
use super::store::Step;
use super::table::Joined;
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::RegionId;
use crate::telemetry::Limit;
use crate::telemetry::traces::Span;

/// What searches for ids.
pub(super) struct Finder {
    pub(super) fills: Arc<Fills>,
    /// How long a request waits at most.
    timeout: Duration,
    /// How long a found result is held for the other regions' answers.
    discovery_wait: Duration,
    /// By region.
    limits: Box<[Limit]>,
}

impl Finder {
    pub(super) fn new(fills: Arc<Fills>, timeout: Duration, discovery_wait: Duration) -> Self {
        let limit = |name| Limit::new(Some(format!("regions.{name}.concurrency")), None);
        let limits = fills.regions.names().iter().map(limit).collect();
        Self { fills, timeout, discovery_wait, limits }
    }

    /// Searches for an id, for a lookup with that span.
    ///
    /// # Errors
    /// No region that may be asked has it, or not all could be asked, or the time is up.
    pub(super) async fn search(&self, ask: &Ask, lookup: &Span) -> Result<Found, Missed> {
        let mut progress = Progress::default();
        if self.fills.shared.is_some() && !ask.refresh {
            progress.recall = Recall::Due;
        }
        match self.fills.store.step(ask, &progress, lookup) {
            Step::Answer(answer) => answer,
            // What takes long is on the heap, so that a connection has no room for it while it idles.
            first @ (Step::Recall | Step::Wait(..)) => {
                Box::pin(self.search_on(first, ask, progress, lookup)).await
            }
        }
    }

    async fn search_on(
        &self,
        mut step: Step,
        ask: &Ask,
        mut progress: Progress,
        lookup: &Span,
    ) -> Result<Found, Missed> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match step {
                Step::Answer(answer) => return answer,
                Step::Recall => {
                    let brought = self.fills.recall(ask.id).await;
                    progress.recall = Recall::Done { brought };
                }
                Step::Wait(purpose, fills) => {
                    progress.asks(fills.iter().map(|(region, _)| *region).collect());
                    let landing = |(region, joined)| Box::pin(self.landing(ask, region, joined));
                    let fills = fills.into_iter().map(landing).collect();
                    self.listen(fills, &mut progress, purpose, deadline).await;
                }
            }
            step = self.fills.store.step(ask, &progress, lookup);
        }
    }

    /// What one fill comes to, and how this request came by it; spawns it if it is new.
    fn landing(&self, ask: &Ask, region: RegionId, joined: Joined) -> impl Future<Output = Heard> + use<> {
        let (receiver, is_joined) = match joined {
            Joined::Started(ticket, receiver) => {
                self.fills.spawn(ticket, ask.caller);
                (Ok(receiver), false)
            }
            Joined::UnderWay(receiver) => (Ok(receiver), true),
            Joined::Refused(fault) => (Err(fault), false),
        };
        async move {
            let landed = match receiver {
                Ok(receiver) => landing(receiver).await,
                Err(fault) => Landed::Failed(fault),
            };
            Heard { region, landed, joined: is_joined }
        }
    }

    /// Takes in what regions answer: until all have, or the deadline comes, or a result has been held long enough for the
    /// others. They are few, so each is looked at; `FuturesUnordered` would wake this task once more for nothing.
    async fn listen(
        &self,
        mut fills: Vec<impl Future<Output = Heard> + Unpin>,
        progress: &mut Progress,
        purpose: Purpose,
        deadline: Instant,
    ) {
        let mut hold = (purpose == Purpose::Confirm).then(|| Instant::now() + self.discovery_wait);
        while !fills.is_empty() {
            let until = hold.map_or(deadline, |hold| hold.min(deadline));
            match timeout_at(until, select_all(fills)).await {
                Ok((heard, _, others)) => {
                    self.report_limit(&heard);
                    progress.take(heard);
                    fills = others;
                }
                Err(_) if hold.is_some() => return,
                Err(_) => return progress.time_is_up(),
            }
            if progress.found.is_some() {
                hold.get_or_insert_with(|| Instant::now() + self.discovery_wait);
            }
        }
    }

    fn report_limit(&self, heard: &Heard) {
        if let Landed::Failed(Fault { kind: Kind::Overloaded, .. }) = &heard.landed {
            let consequence = "further requests for new ids get 503 until the queue is shorter";
            self.limits[heard.region.index()].warn(consequence);
        }
    }
}
