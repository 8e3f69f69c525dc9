//! Access tokens that replicas share, for accounts where a new token ends the one before: one replica asks, all use its
//! token. Where others' tokens are refused, as those bound to an address are, a replica soon asks for its own again.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::settings::RegionSettings;
use super::token_client::{FetchedToken, TokenClient};
use crate::domain::failure::Fault;
use crate::domain::region::RegionName;
use crate::remote::{Client, Commands, Reply};
use crate::telemetry::metrics::{RegionMetrics, RemoteOperation};
use crate::telemetry::traces::Span;

/// How long one replica may ask for a token before another does, and how long that one waits.
const LEASE: Duration = Duration::from_secs(5);
/// How often a replica checks whether another one has received a token.
const LOOK: Duration = Duration::from_millis(50);
/// How long a replica goes without the others' tokens after one was refused here.
const DISTRUST: Duration = Duration::from_secs(3600);

/// The token of one region that replicas share.
pub(super) struct SharedToken {
    client: Arc<Client>,
    region: RegionName,
    token_url: String,
    distrusted_until: Mutex<Option<Instant>>,
    metrics: Arc<RegionMetrics>,
}

/// The token in use here.
pub(super) struct InUse<'a> {
    pub(super) value: &'a HeaderValue,
    /// It came from another replica, and the upstream has not accepted it here yet.
    pub(super) is_unproven: bool,
    /// The upstream has just refused it.
    pub(super) is_refused: bool,
}

/// A token as it is kept. It has no `Debug`.
#[derive(Serialize, Deserialize)]
struct StoredToken {
    token: String,
    /// How long it lived when it was written, in milliseconds.
    life: u64,
}

/// The outcome of a look at the second tier.
enum Look {
    /// Another token than the one in use here.
    Other(FetchedToken),
    /// None, and this replica is to ask for one.
    Ours,
    /// None, and another replica is asking.
    Theirs,
    /// The one in use here came from another replica, and was refused before it was ever accepted.
    Refused,
    /// The second tier does not say.
    Unknown,
}

/// Where a token is kept under the current encryption key, and the lease of the replica that asks for one.
struct Kept {
    token: String,
    lease: String,
    /// What the lease of this replica holds.
    value: [u8; 16],
}

impl SharedToken {
    pub(super) fn new(client: Arc<Client>, settings: &RegionSettings) -> Self {
        Self {
            client,
            region: settings.region.name.clone(),
            token_url: settings.region.token_url.clone(),
            distrusted_until: Mutex::default(),
            metrics: Arc::clone(&settings.metrics),
        }
    }

    /// A token other than `current`: another replica's, else one that `own` asks for.
    ///
    /// # Errors
    /// As [`TokenClient::fetch`].
    pub(super) async fn fetch(
        &self,
        own: &TokenClient,
        current: Option<InUse<'_>>,
        span: &Span,
    ) -> Result<FetchedToken, Fault> {
        let end = Instant::now() + LEASE;
        let kept = self.kept(own);
        while !self.is_distrusted() {
            match self.look(&kept, current.as_ref()).await {
                Look::Other(fetched) => {
                    self.metrics.token_refreshes_shared.inc();
                    let now = Timestamp::now().as_second() as f64;
                    self.metrics.token_expiry.set(now + fetched.life.as_secs_f64());
                    return Ok(fetched);
                }
                Look::Theirs if Instant::now() < end => sleep(LOOK).await,
                Look::Refused => self.distrust(),
                Look::Ours | Look::Theirs | Look::Unknown => {
                    let fetched = own.fetch(span).await;
                    self.end(&kept, fetched.as_ref().ok()).await;
                    return fetched;
                }
            }
        }
        own.fetch(span).await
    }

    async fn look(&self, kept: &Kept, current: Option<&InUse<'_>>) -> Look {
        let mut commands = Commands::default();
        // First of all: whoever gets it reads the token that the one before was given.
        commands.write_new(&kept.lease, &kept.value, LEASE);
        commands.read(&kept.token);
        commands.life(&kept.token);
        let Some(mut replies) = self.client.send(RemoteOperation::Token, &commands).await else {
            return Look::Unknown;
        };
        let is_ours = replies.next().is_some_and(|taken| !taken.is_nothing());
        let sealed = replies.next().and_then(Reply::bytes);
        let left = replies.next().and_then(|reply| reply.number()).unwrap_or_default();
        let stored = sealed.and_then(|sealed| self.open(kept, &sealed, left));
        let in_use =
            current.filter(|current| stored.as_ref().is_some_and(|stored| stored.value == current.value));
        let look = match (stored, in_use) {
            (Some(other), None) => Look::Other(other),
            // It may have been refused because of the one that the other replica asks for now.
            _ if !is_ours => return Look::Theirs,
            (_, Some(in_use)) if in_use.is_refused && in_use.is_unproven => Look::Refused,
            _ => return Look::Ours,
        };
        if is_ours {
            self.end(kept, None).await;
        }
        look
    }

    fn open(&self, kept: &Kept, sealed: &[u8], left: i64) -> Option<FetchedToken> {
        let opened = self.client.readable(self.client.vaults()[0].open(&kept.token, sealed))?;
        let StoredToken { token, life } = serde_json::from_slice(&opened).ok()?;
        let left = u64::try_from(left).ok().filter(|left| (1_000..=life).contains(left))?;
        let mut value = HeaderValue::from_str(&token).ok()?;
        value.set_sensitive(true);
        Some(FetchedToken { value, life: Duration::from_millis(left), is_shared: true })
    }

    /// Writes a token, and gives up the lease, if it is held.
    async fn end(&self, kept: &Kept, fetched: Option<&FetchedToken>) {
        let mut commands = Commands::default();
        if let Some(FetchedToken { value, life, .. }) = fetched
            && let Ok(token) = value.to_str()
        {
            let stored = StoredToken { token: token.to_owned(), life: life.as_millis() as u64 };
            let text = serde_json::to_vec(&stored).unwrap_or_default();
            commands.write(&kept.token, &self.client.vaults()[0].seal(&kept.token, &text), *life);
        }
        commands.release(&kept.lease, &kept.value);
        self.client.send(RemoteOperation::Token, &commands).await;
    }

    /// Tokens belong to an account, at one token endpoint.
    fn kept(&self, own: &TokenClient) -> Kept {
        let account = own.account();
        let vaults = self.client.vaults();
        let name = vaults[0].name(&format!("token {} {} {account}", self.region, self.token_url));
        let (token, lease) = (format!("idv:{{{name}}}:token"), format!("idv:{{{name}}}:token-lease"));
        Kept { token, lease, value: rand::random() }
    }

    fn is_distrusted(&self) -> bool {
        self.distrusted_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Uses the tokens of other replicas again: that one was refused here says nothing about them.
    pub(super) fn trust(&self) {
        *self.distrusted_until.lock() = None;
    }

    fn distrust(&self) {
        *self.distrusted_until.lock() = Some(Instant::now() + DISTRUST);
        self.client.count_refused_token();
        tracing::warn!(region = %self.region, "a shared token is refused here; this replica uses its own for an hour");
    }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(StoredToken: std::fmt::Debug, std::fmt::Display);
