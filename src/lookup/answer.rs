//! The question and the answers of a lookup.

use std::sync::Arc;

use super::entry::Entry;
use crate::domain::failure::Failure;
use crate::domain::region::Route;
use crate::domain::signature_id::SignatureId;

/// What a lookup asks for.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    /// The id.
    pub id: SignatureId,
    /// The regions that may be asked.
    pub route: Route,
    /// Whether to ask the upstream even if memory has an answer.
    pub refresh: bool,
    /// Whether the caller will see media, so that dead links matter.
    pub wants_media: bool,
}

/// A result, and where it came from.
pub(crate) struct Found {
    /// The result.
    pub entry: Arc<Entry>,
    /// Where it came from.
    pub source: Source,
}

/// No result, and where that came from.
pub(crate) struct Missed {
    /// Why there is none.
    pub failure: Failure,
    /// Where that came from.
    pub source: Source,
}

/// Where an answer came from, as `Cache-Status` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From memory; fresh for this long.
    Hit {
        /// Whole seconds left.
        ttl: u64,
    },
    /// From memory past its time, because no region could answer.
    Stale {
        /// Whole seconds since it was fresh; 0 if a refresh failed while it still was.
        age: u64,
    },
    /// From the upstream.
    Fetched {
        /// The caller asked for a refresh.
        requested: bool,
        /// The answer is kept.
        stored: bool,
        /// Somebody else had asked already.
        joined: bool,
    },
    /// From what is known of the id, without an entry.
    Known,
}
