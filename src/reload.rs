//! Files that may change while the gateway runs: read again every few seconds and on SIGHUP.
//!
//! What counts is the content, not the file's dates or inode: Kubernetes swaps a link above mounted secrets. A new
//! content that cannot be used never replaces what is in use.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry::metrics::ReloadMetrics;

/// How often files are looked at: they are followed within this time.
const INTERVAL: Duration = Duration::from_secs(5);

/// One thing that is made of files.
pub(crate) struct Reloader {
    /// What it is, for logs.
    name: String,
    /// Reads the files and uses what they hold, if that is new. Returns whether it was.
    reload: Box<dyn FnMut() -> io::Result<bool> + Send>,
    metrics: Arc<ReloadMetrics>,
    is_failing: bool,
}

impl Reloader {
    /// A reloader called `name`.
    pub(crate) fn new(
        name: String,
        metrics: Arc<ReloadMetrics>,
        reload: impl FnMut() -> io::Result<bool> + Send + 'static,
    ) -> Self {
        Self { name, reload: Box::new(reload), metrics, is_failing: false }
    }

    fn run(&mut self) {
        match (self.reload)() {
            Ok(false) if self.is_failing => {
                self.is_failing = false;
                tracing::info!(what = self.name, "in order again");
            }
            Ok(false) => {}
            Ok(true) => {
                self.is_failing = false;
                self.metrics.used.inc();
                tracing::info!(what = self.name, "reloaded");
            }
            Err(error) => {
                self.metrics.refused.inc();
                if !self.is_failing {
                    tracing::error!(what = self.name, %error, "cannot reload; what was in use stays in use");
                }
                self.is_failing = true;
            }
        }
    }
}

/// Runs the reloaders for as long as it is polled. SIGHUP, which else ends the process, is listened for from now on.
///
/// # Errors
/// SIGHUP cannot be listened for. A reloader that panics ends here too: it would not be safe to run again.
pub(crate) fn run(reloaders: Vec<Reloader>) -> impl Future<Output = io::Result<Infallible>> {
    let hangup = signal(SignalKind::hangup());
    async move { follow(reloaders, hangup?).await }
}

async fn follow(mut reloaders: Vec<Reloader>, mut hangup: Signal) -> io::Result<Infallible> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = hangup.recv() => {}
        }
        let ran = tokio::task::spawn_blocking(move || {
            reloaders.iter_mut().for_each(Reloader::run);
            reloaders
        });
        reloaders = ran.await.map_err(io::Error::other)?;
    }
}
