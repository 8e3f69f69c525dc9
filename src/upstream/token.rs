//! Access tokens: one refresh in flight per region, made early while the old token still serves, whether there is traffic or
//! not; rejected by value.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hyper::header::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::backoff::{Backoff, RefusalLimit};
use super::shared_token::{InUse, SharedToken};
use super::token_client::{FetchedToken, TokenClient};
use crate::domain::failure::{Fault, Kind};
use crate::telemetry::traces::Span;

/// A refresh starts when this share of a token's life is over, drawn at random so that replicas spread out.
const EARLY: std::ops::Range<f64> = 0.72..0.80;

/// An access token. Its value is marked sensitive and has no `Debug`.
pub(super) struct Token {
    /// For the header that carries it.
    pub(super) value: HeaderValue,
    generation: u64,
    expires_at: Instant,
    /// Another replica was given it, and the upstream has not accepted it here yet.
    is_unproven: AtomicBool,
}

impl Token {
    /// The upstream has accepted it.
    pub(super) fn prove(&self) {
        self.is_unproven.store(false, Ordering::Relaxed);
    }
}

/// The tokens of one region.
pub(super) struct Tokens {
    /// For what concerns keys alone.
    pub(super) client: TokenClient,
    /// The token that replicas share, if they do.
    shared: Option<SharedToken>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Token>>,
    generation: u64,
    refresh: Option<Refresh>,
    /// The last refresh, which waits to start the next one.
    keeper: Option<AbortHandle>,
    /// The generation that was refused; not used while its replacement is fetched.
    rejected: Option<u64>,
    /// How the last refresh failed, if it did. None is tried again before its pause ends.
    failure: Option<Fault>,
    failed: Backoff,
    /// A fresh token was refused. Refusals are final before its pause ends.
    refused: Backoff,
    refusals: RefusalLimit,
}

/// What those who wait for a refresh receive; closed without a value if the process ends first.
type Refresh = watch::Receiver<Option<Result<Arc<Token>, Fault>>>;

impl Tokens {
    pub(super) fn new(client: TokenClient, shared: Option<SharedToken>) -> Arc<Self> {
        Arc::new(Self { client, shared, state: Mutex::default() })
    }

    /// A token to use now, for a fill with that span.
    ///
    /// # Errors
    /// There is no token, and the token endpoint gave none, or failed so recently that it is not asked again yet.
    pub(super) async fn get(self: &Arc<Self>, fill: &Span) -> Result<Arc<Token>, Fault> {
        let (refresh, rejected) = {
            let mut state = self.state.lock();
            let now = Instant::now();
            let current = state.current.clone().filter(|token| now < token.expires_at);
            let is_rejected =
                |token: &Arc<Token>| state.rejected == Some(token.generation) && state.refresh.is_some();
            if let Some(token) = current.clone().filter(|token| !is_rejected(token)) {
                return Ok(token);
            }
            state.may_refresh(now)?;
            (self.join_refresh(&mut state, fill), current)
        };
        // Refused for one id, and there is no replacement: it may still be valid for others.
        let fetched = wait(refresh).await;
        fetched.or_else(|failure| rejected.ok_or(failure))
    }

    /// Reports that the upstream refused `token`, and gives the one to try instead.
    ///
    /// If `token` was replaced meanwhile, that is simply the current one: a thousand refusals cost one refresh.
    ///
    /// # Errors
    /// As [`Self::get`]; and [`Kind::Auth`] at once while a fresh token was refused a moment ago.
    pub(super) async fn replace(self: &Arc<Self>, token: &Token, fill: &Span) -> Result<Arc<Token>, Fault> {
        let refresh = {
            let mut state = self.state.lock();
            let now = Instant::now();
            let newer = state.current.clone().filter(|current| current.generation > token.generation);
            if let Some(newer) = newer.filter(|newer| now < newer.expires_at) {
                return Ok(newer);
            }
            if state.refused.left(now).is_some() {
                return Err(Fault::new(Kind::Auth));
            }
            state.may_refresh(now)?;
            if state.refresh_in_flight().is_none() {
                self.limit_refusals(&mut state, now)?;
            }
            state.rejected = Some(token.generation);
            self.join_refresh(&mut state, fill)
        };
        wait(refresh).await
    }

    /// On an account where a new token ends the one before, replicas would refresh against each other without end.
    fn limit_refusals(&self, state: &mut State, now: Instant) -> Result<(), Fault> {
        state.refusals.admit(now).map_err(|pause| {
            self.client.count_limited();
            Fault::new(Kind::Unavailable).retry_after(pause)
        })
    }

    /// Reports that the replacement was refused too: it stays in use, but refusals are final for a growing time.
    pub(super) fn refused_again(&self) {
        if let Some(shared) = &self.shared {
            // The request was refused, whichever replica's token it carried.
            shared.trust();
        }
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.refused.left(now).is_none() {
            state.refused.begin(now, Duration::ZERO);
            state.refusals.take_back();
        }
    }

    /// Reports that the replacement was accepted.
    pub(super) fn accepted_again(&self) {
        self.state.lock().refused = Backoff::default();
    }

    /// There are new keys: failures of the old ones are no longer a reason to wait.
    pub(super) fn keys_changed(&self) {
        let mut state = self.state.lock();
        (state.failed, state.refused, state.refusals) = Default::default();
    }

    /// The refresh under way, or a new one. It is a task of its own: a caller that disconnects does not end it for others. When
    /// it is done it waits until the next one is due, so that a token stays valid without traffic.
    fn join_refresh(self: &Arc<Self>, state: &mut State, fill: &Span) -> Refresh {
        if let Some(refresh) = state.refresh_in_flight() {
            return refresh.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.refresh = Some(receiver.clone());
        let tokens = Arc::clone(self);
        let span = fill.token_refresh();
        let task = tokio::spawn(async move {
            let next_at = tokens.refresh(&span, sender).await;
            drop(span);
            let tokens = Arc::downgrade(&{ tokens });
            tokio::time::sleep_until(next_at).await;
            if let Some(tokens) = tokens.upgrade() {
                tokens.join_refresh(&mut tokens.state.lock(), &Span::none());
            }
        });
        // The keeper before has nothing left to wait for.
        if let Some(before) = state.keeper.replace(task.abort_handle()) {
            before.abort();
        }
        receiver
    }

    /// Makes a refresh. Returns when the next one is due.
    async fn refresh(
        &self,
        span: &Span,
        waiting: watch::Sender<Option<Result<Arc<Token>, Fault>>>,
    ) -> Instant {
        // A refresh that panics is a refresh that failed: the next one waits its time.
        let fetched = AssertUnwindSafe(self.fetch(span)).catch_unwind().await;
        let fetched = fetched.unwrap_or_else(|_| Err(self.client.panicked()));
        let (result, next_at) = self.state.lock().settle(fetched);
        waiting.send_replace(Some(result));
        next_at
    }

    async fn fetch(&self, span: &Span) -> Result<FetchedToken, Fault> {
        let Some(shared) = &self.shared else { return self.client.fetch(span).await };
        let (current, rejected) = {
            let state = self.state.lock();
            (state.current.clone(), state.rejected)
        };
        let in_use = current.as_deref().map(|current| InUse {
            value: &current.value,
            is_unproven: current.is_unproven.load(Ordering::Relaxed),
            is_refused: rejected == Some(current.generation),
        });
        shared.fetch(&self.client, in_use, span).await
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        if let Some(keeper) = self.state.lock().keeper.take() {
            keeper.abort();
        }
    }
}

async fn wait(mut refresh: Refresh) -> Result<Arc<Token>, Fault> {
    match refresh.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        Ok(None) | Err(_) => Err(Fault::new(Kind::Internal)),
    }
}

impl State {
    fn refresh_in_flight(&self) -> Option<&Refresh> {
        self.refresh.as_ref().filter(|refresh| refresh.has_changed().is_ok())
    }

    /// Whether the token endpoint may be asked now.
    fn may_refresh(&self, now: Instant) -> Result<(), Fault> {
        match self.failure.as_ref().zip(self.failed.left(now)) {
            Some((failure, pause)) => Err(for_callers(failure, pause)),
            None => Ok(()),
        }
    }

    /// Takes in how a refresh ended. Returns what those who wait receive, and when the next one is due.
    fn settle(&mut self, fetched: Result<FetchedToken, Fault>) -> (Result<Arc<Token>, Fault>, Instant) {
        self.refresh = None;
        let now = Instant::now();
        match fetched {
            Ok(FetchedToken { value, life, is_shared }) => {
                self.generation += 1;
                self.failed = Backoff::default();
                if is_shared {
                    // The vendor was not asked.
                    self.refusals.take_back();
                }
                let token = Arc::new(Token {
                    value,
                    generation: self.generation,
                    expires_at: now + life,
                    is_unproven: AtomicBool::new(is_shared),
                });
                self.current = Some(Arc::clone(&token));
                (Ok(token), now + life.mul_f64(rand::random_range(EARLY)))
            }
            Err(failure) => {
                let pause = self.failed.begin(now, failure.retry_after.unwrap_or_default());
                let told = for_callers(&failure, pause);
                self.failure = Some(failure);
                (Err(told), now + pause)
            }
        }
    }
}

/// A failed refresh as callers see it. Refused keys and accounts do not recover by themselves: only the upstream may name
/// a time for them.
fn for_callers(failure: &Fault, pause: Duration) -> Fault {
    let is_told = !matches!(failure.kind, Kind::Auth | Kind::Account);
    let failure = failure.clone();
    if is_told { failure.retry_after(pause) } else { failure }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Token: std::fmt::Debug, std::fmt::Display);
