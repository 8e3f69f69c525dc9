//! Files that may change while the gateway runs: read again every few seconds and on SIGHUP.
//!
//! What counts is the content, not the file's dates or inode: Kubernetes swaps a link above mounted secrets. New content
//! that cannot be used never replaces what is in use. Each reloader runs by itself, so that one that hangs, fails or
//! panics stops no other.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::telemetry::metrics::{FileRead, ReloadMetrics};

/// How often files are read: changes are followed within this time.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long reading may take before it counts as failed. A hung read is waited for, and not started a second time.
const TIME_LIMIT: Duration = Duration::from_secs(5);

type Reload = dyn FnMut() -> io::Result<bool> + Send;

/// One thing that is made of files.
pub(crate) struct Reloader {
    /// What it is, for logs.
    name: String,
    /// When each of its files was last read.
    files: Vec<FileRead>,
    /// Reads the files and uses what they hold, if that is new. Returns whether it was.
    reload: Arc<Mutex<Reload>>,
    metrics: Arc<ReloadMetrics>,
    is_failing: bool,
}

impl Reloader {
    /// A reloader called `name`, whose files were just read; `files` are their keys in the configuration.
    pub(crate) fn new(
        name: &str,
        files: &[&str],
        metrics: &Arc<ReloadMetrics>,
        reload: impl FnMut() -> io::Result<bool> + Send + 'static,
    ) -> Self {
        let files: Vec<_> = files.iter().map(|key| metrics.file(key)).collect();
        files.iter().for_each(FileRead::just_now);
        let (name, metrics) = (name.to_owned(), Arc::clone(metrics));
        Self { name, files, reload: Arc::new(Mutex::new(reload)), metrics, is_failing: false }
    }

    async fn follow(mut self, mut hangup: Signal) {
        let mut running = None;
        loop {
            tokio::select! {
                () = sleep(INTERVAL) => {}
                _ = hangup.recv() => {}
            }
            let task = running.get_or_insert_with(|| self.start());
            let outcome = match timeout(TIME_LIMIT, task).await {
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "reading the files takes too long")),
                Ok(ended) => {
                    running = None;
                    ended.unwrap_or_else(|_| Err(io::Error::other("panicked while reading the files")))
                }
            };
            self.record(outcome);
        }
    }

    fn start(&self) -> JoinHandle<io::Result<bool>> {
        let reload = Arc::clone(&self.reload);
        spawn_blocking(move || (reload.lock())())
    }

    fn record(&mut self, outcome: io::Result<bool>) {
        let was_failing = std::mem::replace(&mut self.is_failing, outcome.is_err());
        match outcome {
            Ok(is_new) => {
                self.files.iter().for_each(FileRead::just_now);
                if is_new {
                    self.metrics.used.inc();
                    tracing::info!(what = self.name, "reloaded");
                } else if was_failing {
                    tracing::info!(what = self.name, "readable again, and unchanged");
                }
            }
            Err(error) => {
                self.metrics.refused.inc();
                if !was_failing {
                    tracing::error!(what = self.name, %error, "cannot reload; the old content stays in use");
                }
            }
        }
    }
}

/// Runs the reloaders for as long as it is polled. From the call on, SIGHUP no longer ends the process.
///
/// # Errors
/// SIGHUP cannot be listened for.
pub(crate) fn run(reloaders: Vec<Reloader>) -> impl Future<Output = io::Result<Infallible>> {
    let hangup = || signal(SignalKind::hangup());
    let with_signal = |reloader| Ok((reloader, hangup()?));
    let own = hangup();
    let reloaders: io::Result<Vec<(Reloader, Signal)>> = reloaders.into_iter().map(with_signal).collect();
    async move {
        let _own = own?;
        let mut tasks: JoinSet<()> =
            reloaders?.into_iter().map(|(reloader, hangup)| reloader.follow(hangup)).collect();
        while tasks.join_next().await.is_some() {}
        std::future::pending().await
    }
}
