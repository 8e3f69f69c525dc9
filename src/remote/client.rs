//! The client of the servers: commands in a bounded time, and none at all for a while after several have failed.
//!
//! No command waits for a connection longer than for a reply: one task connects, and without a connection commands fail at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use enum_map::EnumMap;
use redis::{Pipeline, RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::commands::{Commands, Replies, Reply};
use super::seal::{Unreadable, Vault};
use super::servers::{Connection, Driver, Servers};
use crate::telemetry::metrics::{RemoteMetrics, RemoteOperation, RemoteOutcome};

/// How long one reply may take.
const REPLY: Duration = Duration::from_millis(50);
/// A timer that fires later than this shows that this process is too busy to see the reply.
const LATE: Duration = Duration::from_millis(5);
/// How often a busy process waits once more.
const MAX_TRIES: u32 = 4;
/// After this many failures in a row nothing is sent for a while.
const MAX_FAILURES: u32 = 5;
/// How long that is.
const OFF: Duration = Duration::from_secs(5);
/// How long it may take to find the servers and connect to them.
const CONNECT: Duration = Duration::from_secs(1);

/// The encryption keys, newest first: the first seals, all open.
pub(crate) type Vaults = Arc<[Vault]>;

/// The shared servers.
pub(crate) struct Client {
    pub(super) servers: watch::Sender<Arc<Servers>>,
    pub(super) vaults: watch::Sender<Vaults>,
    stage: watch::Sender<Stage>,
    /// Failures in a row, by operation: a server that answers reads and refuses writes is of no use either.
    failures: EnumMap<RemoteOperation, AtomicU32>,
    /// Notified when there were too many.
    broken: Notify,
    /// Whether the last command was answered, whatever it was.
    is_healthy: AtomicBool,
    pub(super) metrics: Arc<RemoteMetrics>,
}

#[derive(Clone)]
enum Stage {
    /// For the first time. Later, nobody waits for a connection.
    Connecting,
    Up(Connection),
    Off,
}

/// Why a connection is given up.
enum End {
    Closed,
    /// There are other servers to connect to.
    Replaced,
    /// Too many commands have failed.
    Failing,
}

impl Client {
    /// A client of the servers, which connects when it is kept.
    pub(crate) fn new(servers: Servers, vaults: Vec<Vault>, metrics: Arc<RemoteMetrics>) -> Self {
        Self {
            servers: watch::Sender::new(Arc::new(servers)),
            vaults: watch::Sender::new(vaults.into()),
            stage: watch::Sender::new(Stage::Connecting),
            failures: EnumMap::default(),
            broken: Notify::new(),
            is_healthy: AtomicBool::new(true),
            metrics,
        }
    }

    /// The vaults in use, newest first.
    pub(crate) fn vaults(&self) -> Vaults {
        Arc::clone(&self.vaults.borrow())
    }

    /// Uses these vaults from now on.
    pub(crate) fn replace_vaults(&self, vaults: Vec<Vault>) {
        self.vaults.send_replace(vaults.into());
    }

    /// Uses these servers from now on.
    pub(crate) fn replace_servers(&self, servers: Servers) {
        self.servers.send_replace(Arc::new(servers));
    }

    /// Whether the servers answered the last command. While they did not, only reads are worth a try.
    pub(crate) fn is_healthy(&self) -> bool {
        self.is_healthy.load(Ordering::Relaxed)
    }

    /// The value that was opened; one that cannot be opened is counted.
    pub(crate) fn readable(&self, opened: Result<Option<Vec<u8>>, Unreadable>) -> Option<Vec<u8>> {
        opened.unwrap_or_else(|Unreadable| {
            self.metrics.observe(RemoteOperation::Read, RemoteOutcome::Unreadable);
            None
        })
    }

    /// Counts a shared token that the upstream refused.
    pub(crate) fn count_refused_token(&self) {
        self.metrics.observe(RemoteOperation::Token, RemoteOutcome::Refused);
    }

    /// Sends commands together. `None`: there are no replies in time, for a reason that is counted.
    pub(crate) async fn send(&self, operation: RemoteOperation, commands: &Commands) -> Option<Replies> {
        let sent = in_time(self.send_when_up(&commands.0)).await;
        let (outcome, replies) = match sent {
            Some(Some(Ok(replies))) => (RemoteOutcome::Ok, Some(replies)),
            Some(Some(Err(error))) => (outcome(&error), None),
            Some(None) => (RemoteOutcome::Skipped, None),
            None => (RemoteOutcome::Timeout, None),
        };
        self.metrics.observe(operation, outcome);
        self.count(operation, outcome);
        Some(replies?.into_iter().map(Reply).collect::<Vec<_>>().into_iter())
    }

    async fn send_when_up(&self, commands: &Pipeline) -> Option<Result<Vec<Value>, RedisError>> {
        let mut stages = self.stage.subscribe();
        let stage = stages.wait_for(|stage| !matches!(stage, Stage::Connecting)).await.ok()?.clone();
        match stage {
            Stage::Up(mut connection) => Some(connection.send(commands).await),
            Stage::Connecting | Stage::Off => None,
        }
    }

    fn count(&self, operation: RemoteOperation, outcome: RemoteOutcome) {
        let failures = &self.failures[operation];
        match outcome {
            RemoteOutcome::Ok => {
                failures.store(0, Ordering::Relaxed);
                self.is_healthy.store(true, Ordering::Relaxed);
            }
            RemoteOutcome::Timeout | RemoteOutcome::Unavailable | RemoteOutcome::Refused => {
                self.is_healthy.store(false, Ordering::Relaxed);
                if failures.fetch_add(1, Ordering::Relaxed) + 1 == MAX_FAILURES {
                    self.broken.notify_one();
                }
            }
            RemoteOutcome::Skipped | RemoteOutcome::Unreadable => {}
        }
    }

    /// Keeps a connection for as long as it is polled.
    pub(crate) async fn keep(&self) -> Infallible {
        let mut servers = self.servers.subscribe();
        let mut was_up = true;
        loop {
            let (current, started) = (Arc::clone(&servers.borrow_and_update()), Instant::now());
            if let Some((connection, driver)) = self.connect(&current).await {
                if !was_up {
                    tracing::info!("the second tier is connected again");
                }
                was_up = true;
                let end = self.use_while_good(connection, driver, &mut servers).await;
                self.stage.send_replace(Stage::Off);
                self.metrics.up.set(0);
                match end {
                    End::Replaced => continue,
                    // Such as one that was idle for too long.
                    End::Closed if started.elapsed() > OFF => continue,
                    End::Closed | End::Failing => {}
                }
            }
            if std::mem::replace(&mut was_up, false) {
                tracing::warn!("the second tier is unavailable; this replica works alone");
            }
            self.stage.send_replace(Stage::Off);
            let _ = timeout(OFF, servers.changed()).await;
        }
    }

    async fn connect(&self, servers: &Servers) -> Option<(Connection, Driver)> {
        let (outcome, connected) = match timeout(CONNECT, servers.connect()).await {
            Ok(Ok(connected)) => (RemoteOutcome::Ok, Some(connected)),
            Ok(Err(error)) => (outcome(&error), None),
            Err(_) => (RemoteOutcome::Timeout, None),
        };
        self.metrics.observe(RemoteOperation::Connect, outcome);
        connected
    }

    /// Uses a connection while it is good.
    async fn use_while_good(
        &self,
        connection: Connection,
        driver: Driver,
        servers: &mut watch::Receiver<Arc<Servers>>,
    ) -> End {
        // Aborted when it is dropped.
        let mut driving = JoinSet::new();
        driving.spawn(driver);
        self.failures.values().for_each(|failures| failures.store(0, Ordering::Relaxed));
        self.is_healthy.store(true, Ordering::Relaxed);
        self.stage.send_replace(Stage::Up(connection));
        self.metrics.up.set(1);
        tokio::select! {
            _ = driving.join_next() => End::Closed,
            _ = servers.changed() => End::Replaced,
            () = self.too_many_failures() => End::Failing,
        }
    }

    async fn too_many_failures(&self) {
        // A notification of an earlier connection does not count.
        while self.failures.values().all(|failures| failures.load(Ordering::Relaxed) < MAX_FAILURES) {
            self.broken.notified().await;
        }
    }
}

/// What the servers reply, if they do so in time. Delays of this process itself do not count.
async fn in_time<T>(reply: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(reply);
    for _ in 0..MAX_TRIES {
        let end = Instant::now() + REPLY;
        tokio::select! {
            biased;
            reply = &mut reply => return Some(reply),
            () = sleep_until(end) => {}
        }
        if Instant::now() < end + LATE {
            break;
        }
    }
    None
}

/// What went wrong, without the text of the error.
pub(super) fn outcome(error: &RedisError) -> RemoteOutcome {
    if error.is_timeout() {
        RemoteOutcome::Timeout
    } else if error.is_io_error() {
        RemoteOutcome::Unavailable
    } else {
        RemoteOutcome::Refused
    }
}
