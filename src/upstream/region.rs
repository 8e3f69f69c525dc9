//! One region: everything an attempt there needs, and the order in which it is asked.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Url};
use serde_json::json;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::breaker::{Breaker, Phase};
use super::bulkhead::Bulkhead;
use super::connections::Connections;
use super::diagnose;
use super::envelope::{self, Refusal, Success};
use super::findings::Check;
use super::mint::Mint;
use super::normalise::{self, AllowedHosts};
use super::retry::SecondAttempt;
use super::token::{Token, Tokens};
use super::token_request::Keys;
use super::{RegionSettings, attempt, outcome, retry};
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::{RegionId, RegionName};
use crate::domain::scope::CallerId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::telemetry::metrics::{Operation, RegionMetrics};
use crate::telemetry::traces::Span;

const TOKEN_PATH: &str = "/openapi/auth/ticket/v1/generate-token";
const RESULT_PATH: &str = "/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result";

/// One fetch on its way through its attempts.
struct Call<'a> {
    id: SignatureId,
    /// When the fill ends.
    deadline: Instant,
    second: SecondAttempt<'a>,
    /// The fill's.
    span: &'a Span,
}

/// One region.
pub(super) struct Region {
    id: RegionId,
    url: Url,
    attempt_timeout: Duration,
    connections: Arc<Connections>,
    tokens: Arc<Tokens>,
    bulkhead: Bulkhead,
    breaker: Breaker,
    budget: retry::Budget,
    /// The upstream asked us to slow down until then.
    paused_until: Mutex<Option<Instant>>,
    media_hosts: AllowedHosts,
    metrics: Arc<RegionMetrics>,
}

impl Region {
    pub(super) fn new(settings: RegionSettings) -> io::Result<Self> {
        let url = |key: &str, base: &str, path: &str| {
            let named = |error| io::Error::other(format!("regions.{}.{key}: {error}", settings.name));
            Url::parse(&format!("{base}{path}")).map_err(named)
        };
        // The one that the other is taken from comes first, so that a mistake has the key it was made under.
        let results = url("base_url", &settings.base_url, RESULT_PATH)?;
        let tokens = url("token_url", &settings.token_url, TOKEN_PATH)?;
        let connections = Arc::new(
            Connections::new(settings.ca_file.as_deref(), settings.allow_http)
                .map_err(|error| io::Error::other(format!("regions.{}.ca_file: {error}", settings.name)))?,
        );
        let breaker =
            Breaker::new(Instant::now(), tell(settings.name.clone(), Arc::clone(&settings.metrics)));
        let mint = Mint::new(
            settings.name,
            tokens,
            settings.keys,
            settings.token_period,
            settings.attempt_timeout,
            Arc::clone(&connections),
            Arc::clone(&settings.metrics),
        );
        Ok(Self {
            id: settings.id,
            url: results,
            attempt_timeout: settings.attempt_timeout,
            connections,
            tokens: Tokens::new(mint),
            bulkhead: Bulkhead::new(settings.concurrency),
            breaker,
            budget: retry::Budget::new(Instant::now()),
            paused_until: Mutex::new(None),
            media_hosts: AllowedHosts::new(settings.media_hosts),
            metrics: settings.metrics,
        })
    }

    /// Waits for a place.
    pub(super) async fn enter(&self, caller: Option<CallerId>) -> Result<SemaphorePermit<'_>, Fault> {
        self.bulkhead.enter(caller).await
    }

    /// Asks this region for `id`: one attempt, and a second one where it can help.
    pub(super) async fn fetch(
        &self,
        id: SignatureId,
        deadline: Instant,
        span: &Span,
    ) -> Result<Verification, Fault> {
        let second = self.budget.deposit(Instant::now());
        let mut call = Call { id, deadline, second, span };
        let first = self.attempt(&mut call).await;
        let Err(failure) = first else { return first };
        if !failure.kind.is_region_fault() || !self.may_make(&mut call.second) {
            return Err(failure);
        }
        tokio::time::sleep(retry::pause(rand::random())).await;
        self.attempt(&mut call).await
    }

    /// Tries out what a request to this region needs, until `deadline`.
    pub(super) async fn diagnose(&self, deadline: Instant) -> Vec<Check> {
        diagnose::diagnose(&self.url, &self.connections, self.tokens.mint(), deadline).await
    }

    fn may_make(&self, second: &mut SecondAttempt<'_>) -> bool {
        let may = second.withdraw(Instant::now());
        if may {
            self.metrics.retries.inc();
        }
        may
    }

    pub(super) fn rotate_keys(&self, keys: Keys) -> bool {
        let are_new = self.tokens.mint().rotate(keys);
        if are_new {
            self.tokens.keys_changed();
        }
        are_new
    }

    /// One attempt, if the region is neither paused nor given up.
    async fn attempt(&self, call: &mut Call<'_>) -> Result<Verification, Fault> {
        self.check_pause()?;
        // The token first: without one there is no attempt, and a probe must be one.
        let token = self.tokens.get(call.span).await?;
        let permit = self.breaker.admit(call.id, Instant::now());
        let permit = permit.map_err(|pause| Fault::new(Kind::Unavailable).retry_after(pause))?;
        let result = self.ask_with(call, token).await;
        let failure = result.as_ref().err().map(|failure| failure.kind);
        permit.settle(failure, Instant::now());
        result
    }

    /// Asks with `token`; if the upstream does not accept it, once more with a newer one.
    async fn ask_with(&self, call: &mut Call<'_>, token: Arc<Token>) -> Result<Verification, Fault> {
        let refused = match self.ask(call, &token).await {
            Err(refused) if refused.kind == Kind::Auth => refused,
            result => return result,
        };
        let newer = match self.tokens.replace(&token, call.span).await {
            Ok(newer) => newer,
            Err(failure) if failure.kind == Kind::Auth => return Err(refused),
            Err(failure) => return Err(failure),
        };
        let result = self.ask(call, &newer).await;
        match result.as_ref().err().map(|failure| failure.kind) {
            Some(Kind::Auth) => self.tokens.refused_again(),
            None | Some(Kind::NotFound) => self.tokens.accepted_again(),
            Some(_) => {}
        }
        result
    }

    /// Asks over a connection that was kept, if there is one. Should that break, it may have been closed just as it
    /// was taken, which says nothing of the region: the second attempt is made at once, over a new connection, and what
    /// comes of that counts.
    ///
    /// A second attempt goes over a new connection in any case: what silently cut one kept connection, such as a NAT that
    /// forgot it, has cut the others too.
    async fn ask(&self, call: &mut Call<'_>, token: &Token) -> Result<Verification, Fault> {
        let clients = self.connections.clients();
        let client = if call.second.is_made() { &clients.fresh } else { &clients.pooled };
        let result = self.ask_over(client, call, token).await;
        let broke = result.as_ref().is_err_and(|failure| failure.kind == Kind::Reset);
        if !broke || !self.may_make(&mut call.second) {
            return result;
        }
        let result = self.ask_over(&clients.fresh, call, token).await;
        if result.as_ref().err().is_none_or(|failure| !failure.kind.is_region_fault()) {
            call.second.give_back(Instant::now());
        }
        result
    }

    /// One request and what its answer means.
    async fn ask_over(&self, client: &Client, call: &Call<'_>, token: &Token) -> Result<Verification, Fault> {
        let span = call.span.attempt(Operation::GetResult);
        let started = Instant::now();
        let body = json!({ "signatureId": call.id.as_str() }).to_string();
        // Cut off here rather than from outside, it is counted as what it is: a region that did not answer.
        let time_limit = self.attempt_timeout.min(call.deadline - started);
        let answer = attempt::post(client, &self.url, Some(token.value()), body, time_limit).await;
        let mut drift = Drift::default();
        let result = match answer {
            Ok(answer) => envelope::open(answer, &mut drift)
                .and_then(|success| self.understand(call.id, success, &mut drift)),
            Err(kind) => Err(Refusal::of(kind)),
        };
        self.metrics.observe_drift(&drift);
        let outcome = outcome(result.as_ref().err().map(|refusal| refusal.kind));
        self.metrics.operation(Operation::GetResult).observe(outcome, started.elapsed());
        span.settle(outcome);
        result.map_err(|refusal| self.failure(refusal))
    }

    fn understand(
        &self,
        id: SignatureId,
        success: Success,
        drift: &mut Drift,
    ) -> Result<Verification, Refusal> {
        let said = crate::domain::failure::UpstreamSaid {
            code: Some("SUCCESS"),
            transaction_id: success.transaction_id.clone(),
        };
        let context = normalise::Context {
            id,
            region: self.id,
            observed_at: Timestamp::now(),
            transaction_id: success.transaction_id,
            allowed_hosts: &self.media_hosts,
        };
        normalise::normalise(&success.data, context, drift).map_err(|normalise::IdMismatch| {
            drift.add(DriftKind::IdMismatch);
            Refusal { said: Some(said), ..Refusal::of(Kind::IdMismatch) }
        })
    }

    fn failure(&self, refusal: Refusal) -> Fault {
        if let (Kind::Busy, Some(pause)) = (refusal.kind, refusal.retry_after) {
            self.pause(pause);
        }
        Fault { kind: refusal.kind, retry_after: refusal.retry_after, said: refusal.said }
    }

    fn check_pause(&self) -> Result<(), Fault> {
        let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match paused_until {
            Some(until) if now < until => Err(Fault::new(Kind::Busy).retry_after(until - now)),
            _ => Ok(()),
        }
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused_until = (*paused_until).max(Some(until));
    }
}

/// Tells of a region's breaker, in its gauge and in one log line.
fn tell(region: RegionName, metrics: Arc<RegionMetrics>) -> impl Fn(Phase) {
    move |phase| {
        metrics.breaker_state.set(match phase {
            Phase::Passing => 0,
            Phase::Probing => 1,
            Phase::Tripped => 2,
        });
        tracing::warn!(%region, ?phase, "breaker changed");
    }
}
