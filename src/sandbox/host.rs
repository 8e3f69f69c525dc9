//! What a handler works with: the region it speaks for, the books all regions share, and the way to callbacks. The only
//! lock of the simulator.

use super::callbacks::Callback;
use super::faults::Faults;
use super::hits::Hits;
use super::ledger::Ledger;
use super::token::Tokens;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::Sender;

/// One of the vendor's hosts.
#[derive(Clone, Default)]
pub(super) struct Host {
    pub(super) region: &'static str,
    books: Arc<Mutex<Books>>,
    callbacks: Option<Sender<Callback>>,
}

/// All that is remembered, each book bounded by itself.
#[derive(Default)]
pub(super) struct Books {
    pub(super) tokens: Tokens,
    pub(super) ledger: Ledger,
    pub(super) faults: Faults,
    pub(super) hits: Hits,
}

/// The two calls the API has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Token,
    GetResult,
}

impl Host {
    /// A host whose callbacks are sent by whoever receives them, if anybody does.
    pub(super) fn new(callbacks: Option<Sender<Callback>>) -> Self {
        Self { callbacks, ..Self::default() }
    }

    /// The host of `region`, with the same books.
    pub(super) fn of(&self, region: &'static str) -> Self {
        Self { region, ..self.clone() }
    }

    /// Has a callback sent. It is not sent if too many wait already.
    pub(super) fn call_back(&self, callback: Callback) {
        if let Some(callbacks) = &self.callbacks {
            let _ = callbacks.try_send(callback);
        }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
