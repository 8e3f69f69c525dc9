//! Starting, serving, draining, gone: the stages of the process, for those who must act on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// A stage of the process's life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Not serving yet.
    Starting,
    /// Serving.
    Ready,
    /// Asked to stop: not ready for new traffic, still serving what comes.
    Draining,
    /// Accepts no connection; ends those it has after the request under way.
    Closing,
    /// The deadline is near: requests still under way are answered now, whatever they wait for.
    GivingUp,
}

impl Stage {
    /// The stage in a word, for operators.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining | Self::Closing | Self::GivingUp => "draining",
        }
    }
}

/// The current stage, shared.
#[derive(Clone)]
pub(crate) struct Lifecycle {
    stage: watch::Sender<Stage>,
    /// Every answer looks at it, so it takes no lock.
    is_draining: Arc<AtomicBool>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { stage: watch::Sender::new(Stage::Starting), is_draining: Arc::default() }
    }
}

impl Lifecycle {
    /// Goes on to `stage`; never back.
    pub(crate) fn enter(&self, stage: Stage) {
        if stage >= Stage::Draining {
            self.is_draining.store(true, Ordering::Relaxed);
        }
        self.stage.send_if_modified(|current| {
            let goes_on = stage > *current;
            *current = stage.max(*current);
            goes_on
        });
    }

    /// The stage now.
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Whether it was asked to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Waits until `stage` is reached.
    pub(crate) async fn reached(&self, stage: Stage) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.stage.subscribe().wait_for(|current| *current >= stage).await;
    }
}
