//! Access tokens that replicas share, for accounts where a new token ends the one before: one replica asks, all use what it
//! was given. Where others' tokens are refused, as those bound to an address are, a replica soon asks for its own again.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::settings::RegionSettings;
use super::token_client::{Fetched, TokenClient};
use crate::domain::failure::Fault;
use crate::domain::region::RegionName;
use crate::remote::{Client, Commands, Reply, Unreadable, Vault};
use crate::telemetry::metrics::{RegionMetrics, RemoteOperation};
use crate::telemetry::traces::Span;

/// How long one replica may ask for a token before another does, and how long that one waits.
const LEASE: Duration = Duration::from_secs(5);
/// How often a replica looks whether another was given one.
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

/// What a look at the second tier came to.
enum Look {
    /// Another token than the one in use here.
    Other(Fetched),
    /// None, and this replica is to ask for one.
    Ours(Kept),
    /// None, and another replica is asking.
    Theirs,
    /// The one in use here came from another replica, and was refused before it was ever accepted.
    Refused,
    /// The second tier does not say.
    Unknown,
}

/// Where a token is kept, under one encryption key.
struct Place {
    token: String,
    lease: String,
}

/// The lease of a replica that asks for a token.
struct Kept {
    place: Place,
    value: [u8; 16],
}

impl SharedToken {
    pub(super) fn new(client: Arc<Client>, settings: &RegionSettings) -> Self {
        Self {
            client,
            region: settings.name.clone(),
            token_url: settings.token_url.clone(),
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
    ) -> Result<Fetched, Fault> {
        let end = Instant::now() + LEASE;
        while !self.is_distrusted() {
            match self.look(own, current.as_ref()).await {
                Look::Other(fetched) => {
                    self.metrics.token_refreshes_shared.inc();
                    let now = Timestamp::now().as_second() as f64;
                    self.metrics.token_expiry.set(now + fetched.life.as_secs_f64());
                    return Ok(fetched);
                }
                Look::Ours(kept) => {
                    let fetched = own.fetch(span).await;
                    self.end(&kept, fetched.as_ref().ok()).await;
                    return fetched;
                }
                Look::Theirs if Instant::now() < end => sleep(LOOK).await,
                Look::Refused => self.distrust(),
                Look::Theirs | Look::Unknown => break,
            }
        }
        own.fetch(span).await
    }

    async fn look(&self, own: &TokenClient, current: Option<&InUse<'_>>) -> Look {
        let vaults = self.client.vaults();
        let (place, value) = (self.place(&vaults[0], own), rand::random::<[u8; 16]>());
        let mut commands = Commands::default();
        commands.read(&place.token);
        commands.life(&place.token);
        let Some(replies) = self.client.send(RemoteOperation::Token, &commands).await else {
            return Look::Unknown;
        };
        let mut replies = replies.into_iter();
        let sealed = replies.next().and_then(Reply::bytes);
        let left = replies.next().and_then(|reply| reply.number()).unwrap_or_default();
        if let Some(fetched) = sealed.and_then(|sealed| self.open(&vaults[0], &place, &sealed, left)) {
            match current.filter(|current| *current.value == fetched.value) {
                None => return Look::Other(fetched),
                Some(current) if current.is_refused && current.is_unproven => return Look::Refused,
                Some(_) => {}
            }
        }
        let mut commands = Commands::default();
        commands.write_new(&place.lease, &value, LEASE);
        let replies = self.client.send(RemoteOperation::Token, &commands).await;
        match replies.and_then(|replies| replies.into_iter().next()) {
            None => Look::Unknown,
            Some(taken) if taken.is_nothing() => Look::Theirs,
            Some(_) => Look::Ours(Kept { place, value }),
        }
    }

    fn open(&self, vault: &Vault, place: &Place, sealed: &[u8], left: i64) -> Option<Fetched> {
        let opened = vault.open(&place.token, sealed).unwrap_or_else(|Unreadable| {
            self.client.count_unreadable();
            None
        });
        let StoredToken { token, life } = serde_json::from_slice(&opened?).ok()?;
        let left = u64::try_from(left).ok().filter(|left| (1_000..=life).contains(left))?;
        let mut value = HeaderValue::from_str(&token).ok()?;
        value.set_sensitive(true);
        Some(Fetched { value, life: Duration::from_millis(left), is_shared: true })
    }

    /// Writes a token, and gives up the lease.
    async fn end(&self, kept: &Kept, fetched: Option<&Fetched>) {
        let vaults = self.client.vaults();
        let mut commands = Commands::default();
        if let Some(Fetched { value, life, .. }) = fetched
            && let Ok(token) = value.to_str()
        {
            let stored = StoredToken { token: token.to_owned(), life: life.as_millis() as u64 };
            let text = serde_json::to_vec(&stored).unwrap_or_default();
            commands.write(&kept.place.token, &vaults[0].seal(&kept.place.token, &text), *life);
        }
        commands.release(&kept.place.lease, &kept.value);
        self.client.send(RemoteOperation::Token, &commands).await;
    }

    /// Tokens belong to an account, at one token endpoint.
    fn place(&self, vault: &Vault, own: &TokenClient) -> Place {
        let account = own.account();
        let name = vault.name(&format!("token {} {} {account}", self.region, self.token_url));
        Place { token: format!("idv:{{{name}}}:token"), lease: format!("idv:{{{name}}}:token-lease") }
    }

    fn is_distrusted(&self) -> bool {
        self.distrusted_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn distrust(&self) {
        *self.distrusted_until.lock() = Some(Instant::now() + DISTRUST);
        self.client.count_refused_token();
        tracing::warn!(region = %self.region, "a shared token is refused here; this replica uses its own for an hour");
    }
}
