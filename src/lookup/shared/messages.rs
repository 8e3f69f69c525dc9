//! What replicas tell each other: that an id was purged, or that one of them has brought what ends a wait for it.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{PAUSE, Purge, Shared, now_micros};
use crate::domain::region::RegionId;
use crate::domain::signature_id::SignatureId;
use crate::lookup::fill::Fills;
use crate::remote::{Commands, Received, Vault};
use crate::telemetry::metrics::RemoteOperation;

/// The most messages that wait to be applied.
const MAX_RECEIVED: usize = 1_000;
/// The most purges in the log: what a replica can catch up on.
const MAX_PURGES: usize = 1_000;

/// What one replica tells the others of an id.
#[derive(Serialize, Deserialize)]
enum Message {
    /// It was purged, in the regions of these names, whatever host and account each replica asks there: forgetting too much
    /// is a miss, forgetting too little is a broken promise.
    Purged { id: String, regions: Vec<String>, epoch: u64 },
    /// Its final result can be read.
    Landed(String),
    /// A second region has it.
    Conflict(String),
    /// It was pending, and does not exist any more.
    Gone { id: String, region: String },
}

/// The log of purges, newest first, as it is stored.
type Newest = Vec<Option<Vec<u8>>>;

/// What a message, or the log of purges, says.
enum Notice {
    Purged(Purge),
    Landed(SignatureId),
    /// Two regions have it.
    Conflict(SignatureId),
    /// It does not exist in this region any more.
    Gone(SignatureId, RegionId),
    /// Older purges than can be read may have been missed.
    TooMany,
}

impl Fills {
    /// Keeps the second tier connected, and applies what other replicas publish, for as long as it is polled.
    pub(in crate::lookup) async fn keep_up(&self, shared: &Shared) {
        let (sender, mut received) = mpsc::channel(MAX_RECEIVED);
        let take_in = async {
            let mut newest = Newest::default();
            while let Some(received) = received.recv().await {
                self.take_in(shared, received, &mut newest).await;
            }
        };
        tokio::join!(shared.client.keep(), shared.client.receive(sender), shared.keep_purging(), take_in);
    }

    async fn take_in(&self, shared: &Shared, received: Received, newest: &mut Newest) {
        let notices = match received {
            Received::Subscribed => loop {
                if let Some(missed) = shared.missed_purges().await {
                    break missed;
                }
                sleep(PAUSE).await;
            },
            Received::Heartbeat => shared.new_purges(newest).await.unwrap_or_default(),
            Received::Message(text) => shared.notice(&text).into_iter().collect(),
        };
        for notice in notices {
            match notice {
                Notice::Purged(purge) => self.store.purge_if_new(purge),
                Notice::Landed(id) if !self.store.wants_final(&id) => {}
                // A read that is under way may be older than the notice.
                Notice::Landed(id) | Notice::Conflict(id) => {
                    self.read_shared(shared, id).await;
                }
                Notice::Gone(id, region) => self.store.note_gone(&id, region, Instant::now()),
                Notice::TooMany => self.store.forget_all(),
            }
        }
    }
}

impl Shared {
    /// Tells the other replicas that the final result of an id can be read.
    pub(in crate::lookup) async fn publish_landed(&self, id: &SignatureId) {
        self.publish_if_healthy(&Message::Landed(id.as_str().to_owned())).await;
    }

    /// Tells the other replicas that a second region has the id.
    pub(in crate::lookup) async fn publish_conflict(&self, id: &SignatureId) {
        self.publish_if_healthy(&Message::Conflict(id.as_str().to_owned())).await;
    }

    /// Tells the other replicas that an id, which was pending, does not exist any more.
    pub(in crate::lookup) async fn publish_gone(&self, id: &SignatureId, region: RegionId) {
        let (id, region) = (id.as_str().to_owned(), self.regions.name(region).to_string());
        self.publish_if_healthy(&Message::Gone { id, region }).await;
    }

    async fn publish_if_healthy(&self, message: &Message) {
        if self.client.is_healthy() {
            self.client.publish(&message.text()).await;
        }
    }

    /// Tells the other replicas of a purge.
    pub(super) async fn publish_purge(&self, purge: &Purge) -> Option<()> {
        self.client.publish(&self.purge_message(purge)).await
    }

    fn purge_message(&self, Purge { id, regions, epoch }: &Purge) -> Vec<u8> {
        let regions =
            regions.and(self.regions.all()).iter().map(|region| self.regions.name(region).to_string());
        let (id, regions) = (id.as_str().to_owned(), regions.collect());
        Message::Purged { id, regions, epoch: *epoch }.text()
    }

    /// Adds a purge to the log, for replicas that are not subscribed now.
    pub(super) async fn log_purge(&self, purge: &Purge) -> Option<()> {
        let text = self.purge_message(purge);
        for vault in self.client.vaults().iter() {
            let (log, mut commands) = (purge_log(vault), Commands::default());
            commands.push(&log, &vault.seal(&log, &text), MAX_PURGES, self.life);
            self.client.send(RemoteOperation::Purge, &commands).await?;
        }
        Some(())
    }

    /// As [`Self::missed_purges`], if there was another purge since the last time: a server may say that this replica listens,
    /// and pass nothing on.
    async fn new_purges(&self, newest: &mut Newest) -> Option<Vec<Notice>> {
        let mut now = Newest::default();
        for vault in self.client.vaults().iter() {
            now.extend(self.read_log(&purge_log(vault), 1).await?);
        }
        if *newest == now {
            return Some(Vec::new());
        }
        let missed = self.missed_purges().await?;
        *newest = now;
        Some(missed)
    }

    async fn read_log(&self, log: &str, most: usize) -> Option<Newest> {
        let mut commands = Commands::default();
        commands.list(log, most);
        Some(self.client.send(RemoteOperation::Read, &commands).await?.next()?.list())
    }

    /// The last purges, of which this replica may not have received, oldest first. `None`: the second tier does not say.
    async fn missed_purges(&self) -> Option<Vec<Notice>> {
        let mut missed = Vec::new();
        for vault in self.client.vaults().iter() {
            let log = purge_log(vault);
            let list = self.read_log(&log, MAX_PURGES).await?;
            if list.len() >= MAX_PURGES {
                missed.push(Notice::TooMany);
            }
            let texts =
                list.into_iter().rev().flatten().filter_map(|sealed| vault.open(&log, &sealed).ok()?);
            missed.extend(texts.filter_map(|text| self.notice(&text)));
        }
        Some(missed)
    }

    /// Whether anything older than this purge could still be read.
    fn is_recent(&self, epoch: u64) -> bool {
        epoch.saturating_add(self.life.as_micros() as u64) > now_micros()
    }

    fn notice(&self, text: &[u8]) -> Option<Notice> {
        match serde_json::from_slice(text).ok()? {
            Message::Landed(id) => SignatureId::parse(&id).map(Notice::Landed),
            Message::Conflict(id) => SignatureId::parse(&id).map(Notice::Conflict),
            Message::Gone { id, region } => {
                Some(Notice::Gone(SignatureId::parse(&id)?, self.regions.find(&region)?))
            }
            Message::Purged { id, regions, epoch } => {
                let regions = regions.iter().filter_map(|name| self.regions.find(name)).collect();
                let purge = Purge { id: SignatureId::parse(&id)?, regions, epoch };
                self.is_recent(epoch).then_some(Notice::Purged(purge))
            }
        }
    }
}

impl Message {
    fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn purge_log(vault: &Vault) -> String {
    format!("idv:{}:purges", vault.name("log of purges"))
}
