//! What a handler works with: the region it speaks for and the books all regions share. The only lock of the simulator.

use super::faults::Faults;
use super::hits::Hits;
use super::ledger::Ledger;
use super::token::Tokens;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of the vendor's hosts.
#[derive(Clone, Default)]
pub(super) struct Host {
    pub(super) region: &'static str,
    books: Arc<Mutex<Books>>,
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
    /// The host of `region`, with the same books.
    pub(super) fn of(&self, region: &'static str) -> Self {
        Self { region, books: Arc::clone(&self.books) }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
