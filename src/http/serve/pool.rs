//! The open connections of one listener, and which of them is closed when there are too many.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use super::state::{Closable, ConnectionState};
use crate::telemetry::Limit;
use crate::telemetry::metrics::{CloseReason, ConnectionMetrics};

/// While no connection may be closed: how long until that is looked at again.
const RETRY: Duration = Duration::from_millis(20);

/// The open connections, each a task.
pub(super) struct ConnectionPool {
    max: usize,
    limit: Limit,
    epoch: Instant,
    tasks: JoinSet<()>,
    open: HashMap<Id, (AbortHandle, Arc<ConnectionState>)>,
    /// Connections that could be closed when all were last looked at; the last one is closed first.
    closable: Vec<(Closable, Id)>,
    metrics: Arc<ConnectionMetrics>,
}

impl ConnectionPool {
    /// A pool of at most `max` connections.
    pub(super) fn new(max: usize, metrics: Arc<ConnectionMetrics>) -> Self {
        metrics.max.set(max as i64);
        let setting = metrics.listener.limit_setting().map(str::to_owned);
        Self {
            max,
            limit: Limit::new(setting, Some(max)),
            epoch: Instant::now(),
            tasks: JoinSet::new(),
            open: HashMap::new(),
            closable: Vec::new(),
            metrics,
        }
    }

    /// The state of a new connection, which is old at about `max_age`.
    pub(super) fn new_state(&self, max_age: Duration) -> Arc<ConnectionState> {
        Arc::new(ConnectionState::new(self.epoch, max_age, Arc::clone(&self.metrics)))
    }

    /// Serves a new connection in a task of its own.
    pub(super) fn open(
        &mut self,
        state: Arc<ConnectionState>,
        serving: impl Future<Output = ()> + Send + 'static,
    ) {
        let open = self.metrics.open();
        let task = self.tasks.spawn(async move {
            serving.await;
            drop(open);
        });
        self.open.insert(task.id(), (task, state));
    }

    /// Whether another connection may be opened now.
    pub(super) fn has_room(&mut self) -> bool {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(ended);
        }
        self.open.len() < self.max
    }

    /// Waits until another connection may be opened; closes one if that is what it takes.
    pub(super) async fn make_room(&mut self) {
        while !self.has_room() {
            let listener: &str = self.metrics.listener.into();
            self.limit.warn(format_args!(
                "for each new connection to the {listener} listener the one that has waited longest is closed"
            ));
            self.close_one();
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                () = sleep(RETRY) => {}
            }
        }
    }

    /// Waits until every connection has ended. From the end of `grace` on those that idle are closed; the others end after
    /// the answer that is being made or read.
    pub(super) async fn end(mut self, grace: impl Future<Output = ()>) {
        tokio::select! {
            () = async { while self.tasks.join_next().await.is_some() {} } => return,
            () = grace => {}
        }
        while !self.tasks.is_empty() {
            self.close_idle();
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = sleep(RETRY) => {}
            }
        }
    }

    fn close_idle(&self) {
        for (task, state) in self.open.values() {
            if state.take_if_idle() {
                task.abort();
            }
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.open.remove(&id);
    }

    /// Closes the connection whose client has waited longest for its first request or idled longest after an error; if
    /// there is none, the caller's that has idled longest.
    fn close_one(&mut self) {
        if !self.close_known() {
            self.find_closable();
            self.close_known();
        }
    }

    /// Closes the first connection that was found closable and still is.
    fn close_known(&mut self) -> bool {
        while let Some((found, id)) = self.closable.pop() {
            let Some((task, state)) = self.open.get(&id) else { continue };
            if state.take(found) {
                task.abort();
                self.metrics.closed[CloseReason::Limit].inc();
                return true;
            }
        }
        false
    }

    /// Looks at all connections. What becomes closable later has waited less, so the list is good until it is used up:
    /// but for connections of callers, which go after those of unknown clients.
    fn find_closable(&mut self) {
        let all = self.open.iter();
        self.closable = all.filter_map(|(id, (_, state))| Some((state.closable()?, *id))).collect();
        self.closable.sort_unstable_by_key(|(found, _)| std::cmp::Reverse(*found));
        if self.closable.last().is_some_and(|(found, _)| found.is_caller) {
            self.closable.drain(..self.closable.len() - 1);
        } else {
            self.closable.retain(|(found, _)| !found.is_caller);
        }
    }
}
