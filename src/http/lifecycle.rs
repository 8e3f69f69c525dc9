//! Starting, serving, draining, gone: the stages of the process, for those who must act on them.

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
pub(crate) struct Lifecycle(watch::Sender<Stage>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Starting))
    }
}

impl Lifecycle {
    /// Goes on to `stage`; never back.
    pub(crate) fn enter(&self, stage: Stage) {
        self.0.send_if_modified(|current| {
            let goes_on = stage > *current;
            *current = stage.max(*current);
            goes_on
        });
    }

    /// The stage now.
    pub(crate) fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Waits until `stage` is reached.
    pub(crate) async fn reached(&self, stage: Stage) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|current| *current >= stage).await;
    }
}
