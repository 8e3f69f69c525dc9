//! One region: what a request there needs, and the order in which it is asked.

use std::sync::Arc;
use std::time::Duration;
use std::{io, panic};

use hyper::header::HeaderName;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::breaker::{Breaker, Evidence, Phase};
use super::bulkhead::Bulkhead;
use super::diagnose;
use super::reply::{Reader, Reply};
use super::retry;
use super::settings::{Keys, RegionSettings};
use super::shared_token::SharedToken;
use super::token::{Token, Tokens};
use super::token_client::TokenClient;
use crate::domain::failure::{Fault, Kind};
use crate::domain::region::RegionName;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::net::{Answer, Check, Connector, Endpoint, Over};
use crate::telemetry::metrics::{Operation, RegionMetrics, UpstreamOutcome};
use crate::telemetry::traces::Span;

const TOKEN_PATH: &str = "/openapi/auth/ticket/v1/generate-token";
const RESULT_PATH: &str = "/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result";
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
/// Above this a body is read off the async workers: one of a mebibyte takes milliseconds.
const LARGE_BODY: usize = 64 << 10;

/// What one fill asks for.
struct Call<'a> {
    id: SignatureId,
    /// When the fill ends.
    deadline: Instant,
    /// The fill's.
    span: &'a Span,
    /// Whether a request was made once more with a newer token.
    is_replayed: bool,
}

/// One region.
pub(super) struct Region {
    name: RegionName,
    endpoint: Endpoint,
    attempt_timeout: Duration,
    tokens: Arc<Tokens>,
    pub(super) bulkhead: Arc<Bulkhead>,
    breaker: Breaker,
    budget: retry::Budget,
    /// The upstream asked us to slow down until then.
    paused_until: Mutex<Option<Instant>>,
    reader: Reader,
    metrics: Arc<RegionMetrics>,
}

impl Region {
    pub(super) fn new(settings: RegionSettings) -> io::Result<Self> {
        let region = &settings.region;
        let named = |key: &str, error| io::Error::other(format!("regions.{}.{key}: {error}", region.name));
        // `token_url` defaults to `base_url`, so `base_url` is read first: a mistake is reported under its own key.
        let connector = Connector::new(region.ca_file.as_deref());
        let connector = connector.map_err(|error| named("ca_file", error))?;
        let endpoint = Endpoint::new(&format!("{}{RESULT_PATH}", region.base_url), connector.clone());
        let endpoint = endpoint.map_err(|error| named("base_url", error))?;
        let tokens = Endpoint::new(&format!("{}{TOKEN_PATH}", region.token_url), connector);
        let tokens = tokens.map_err(|error| named("token_url", error))?;
        let client = TokenClient::new(&settings, tokens);
        let shared = settings.shared.clone().map(|client| SharedToken::new(client, &settings));
        let RegionSettings { id, region, media_hosts, metrics, .. } = settings;
        let breaker = Breaker::new(Instant::now(), announce(region.name.clone(), Arc::clone(&metrics)));
        Ok(Self {
            endpoint,
            attempt_timeout: region.attempt_timeout,
            tokens: Tokens::new(client, shared),
            bulkhead: Bulkhead::new(&region.name, region.concurrency),
            name: region.name,
            breaker,
            budget: retry::Budget::new(Instant::now()),
            paused_until: Mutex::new(None),
            reader: Reader::new(id, media_hosts),
            metrics,
        })
    }

    /// Asks for `id`: once, and a second time where that can help. The second attempt goes over a new connection: what
    /// silently cut one kept connection, such as a NAT that forgot it, has cut the others too.
    pub(super) async fn fetch(
        &self,
        id: SignatureId,
        deadline: Instant,
        span: &Span,
    ) -> Result<Box<Verification>, Fault> {
        self.budget.deposit(Instant::now());
        let mut call = Call { id, deadline, span, is_replayed: false };
        let first = self.attempt(&mut call, Over::Kept).await;
        if !self.may_retry(&first) {
            return first.into_result();
        }
        self.metrics.retries.inc();
        if matches!(first, Reply::Failed(_)) {
            tokio::time::sleep(retry::pause(rand::random())).await;
        }
        let second = self.attempt(&mut call, Over::Fresh).await;
        if matches!(first, Reply::Stale(_)) && second.evidence() != Some(Evidence::Fails) {
            self.budget.give_back(Instant::now());
        }
        second.into_result()
    }

    /// Whether a second attempt can help, and the budget allows it. One for a doubtful answer does not repeat a failure, so
    /// it takes nothing from the budget.
    fn may_retry(&self, first: &Reply) -> bool {
        match first {
            Reply::Found(_) => false,
            Reply::Doubtful => true,
            Reply::Stale(_) => self.budget.withdraw(Instant::now()),
            Reply::Failed(fault) => fault.kind.is_region_fault() && self.budget.withdraw(Instant::now()),
        }
    }

    /// One attempt, if the region is neither paused nor given up.
    async fn attempt(&self, call: &mut Call<'_>, over: Over) -> Reply {
        self.admitted(call, over).await.unwrap_or_else(Reply::Failed)
    }

    async fn admitted(&self, call: &mut Call<'_>, over: Over) -> Result<Reply, Fault> {
        self.check_pause()?;
        // The token first: without one there is no request, and a probe must be one.
        let token = timeout_at(call.deadline, self.tokens.get(call.span));
        let token = token.await.unwrap_or(Err(Fault::new(Kind::Deadline)))?;
        let permit = self.breaker.admit(call.id, Instant::now());
        let permit = permit.map_err(|pause| Fault::new(Kind::Unavailable).retry_after(pause))?;
        let reply = self.with_token(call, over, &token).await;
        permit.settle(reply.evidence(), Instant::now());
        Ok(reply)
    }

    /// Sends the request with `token`; if the upstream does not accept it, once more with a newer one.
    async fn with_token(&self, call: &mut Call<'_>, over: Over, token: &Token) -> Reply {
        let refused = self.send(call, over, token).await;
        if refused.failure() != Some(Kind::Auth) || call.is_replayed {
            return refused;
        }
        let newer = timeout_at(call.deadline, self.tokens.replace(token, call.span)).await;
        let newer = match newer.unwrap_or(Err(Fault::new(Kind::Deadline))) {
            Ok(newer) => newer,
            Err(fault) if fault.kind == Kind::Auth => return refused,
            Err(fault) => return Reply::Failed(fault),
        };
        call.is_replayed = true;
        let reply = self.send(call, over, &newer).await;
        match reply.failure() {
            Some(Kind::Auth) => self.tokens.refused_again(),
            None | Some(Kind::NotFound) => self.tokens.accepted_again(),
            Some(_) => {}
        }
        reply
    }

    /// One request, and what its answer means.
    async fn send(&self, call: &Call<'_>, over: Over, token: &Token) -> Reply {
        let span = call.span.attempt(Operation::GetResult);
        let started = Instant::now();
        let body = format!(r#"{{"signatureId":"{}"}}"#, call.id.as_str());
        let mut request = self.endpoint.post(body.into());
        request.headers_mut().insert(ACCESS_TOKEN, token.value.clone());
        // Cut off here rather than from outside, so that it is counted.
        let left = call.deadline.saturating_duration_since(started);
        let time_limit = self.attempt_timeout.min(left);
        let reply = match self.endpoint.send(request, over, time_limit).await {
            Ok(answer) => self.read(call.id, answer).await,
            Err(broken) if broken.kind == Kind::Timeout && left < self.attempt_timeout => {
                Reply::Failed(Fault::new(Kind::Deadline))
            }
            Err(broken) if broken.is_stale => Reply::Stale(Fault::new(broken.kind)),
            Err(broken) => Reply::Failed(Fault::new(broken.kind)),
        };
        if matches!(reply.failure(), None | Some(Kind::NotFound)) {
            token.prove();
        }
        let outcome = UpstreamOutcome::of(reply.failure());
        self.metrics.operations[Operation::GetResult].observe(outcome, started.elapsed());
        span.settle(outcome);
        reply
    }

    async fn read(&self, id: SignatureId, answer: Answer) -> Reply {
        let (reply, drift) = if answer.body.len() > LARGE_BODY {
            let reader = self.reader.clone();
            match tokio::task::spawn_blocking(move || reader.read(id, &answer)).await {
                Ok(read) => read,
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                Err(_) => return Reply::Failed(Fault::new(Kind::Internal)),
            }
        } else {
            self.reader.read(id, &answer)
        };
        self.metrics.observe_drift(&drift);
        if let Reply::Failed(Fault { kind: Kind::Busy, retry_after: Some(pause), .. }) = &reply {
            self.pause(*pause);
        }
        reply
    }

    /// Tries out what a request to this region needs, until `deadline`.
    pub(super) async fn diagnose(&self, keys: [&'static str; 2], deadline: Instant) -> Vec<Check> {
        let account = (&self.tokens.client, keys);
        diagnose::diagnose(&self.endpoint, account, deadline).await
    }

    pub(super) fn source(&self) -> String {
        let hosts = self.reader.media_hosts.patterns().join(",");
        format!("{} {} {} {hosts}", self.name, self.endpoint.uri, self.tokens.client.account())
    }

    /// Whether it asks the account of `keys` at the same host as `other`.
    pub(super) fn is_account(&self, other: &Self, keys: &Keys) -> bool {
        self.endpoint.uri == other.endpoint.uri && self.tokens.client.has_access_key(&keys.access)
    }

    pub(super) fn rotate_keys(&self, keys: Keys) -> bool {
        let are_new = self.tokens.client.rotate(keys);
        if are_new {
            self.tokens.keys_changed();
        }
        are_new
    }

    fn check_pause(&self) -> Result<(), Fault> {
        let Some(until) = *self.paused_until.lock() else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Ok(()) } else { Err(Fault::new(Kind::Busy).retry_after(left)) }
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused_until = self.paused_until.lock();
        *paused_until = (*paused_until).max(Some(until));
    }
}

/// Announces a region's breaker in its gauge and in one log line.
fn announce(region: RegionName, metrics: Arc<RegionMetrics>) -> impl Fn(Phase) {
    move |phase| {
        metrics.breaker_state.set(phase as i64);
        tracing::warn!(%region, ?phase, "breaker changed");
    }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Region: std::fmt::Debug, std::fmt::Display);
