//! The upstream: `Upstream::enter` waits for a place in a region, `Upstream::fetch` asks it for one id, within a deadline.
//!
//! Inside: bulkhead( retry( breaker( attempt ) ) ), all of it within the fill's deadline. Each region has its own client, token,
//! breaker and limits, so that a failing region does not slow the others. Nothing above this module knows the vendor's words.

mod backoff;
mod breaker;
mod bulkhead;
mod diagnose;
mod envelope;
#[cfg(any(test, fuzzing))]
#[path = "../../fuzz/checks/doors.rs"]
pub(crate) mod fuzzing;
mod json;
mod normalise;
mod number;
mod region;
mod reply;
mod retry;
mod settings;
mod shared_token;
mod token;
mod token_client;
mod token_messages;
mod wire;

use std::io;

use tokio::time::Instant;

use crate::domain::failure::Fault;
use crate::domain::region::RegionId;
use crate::domain::scope::CallerId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::net::Check;
use crate::telemetry::traces::Span;

use bulkhead::Permit;
use region::Region;
pub(crate) use settings::{Keys, RegionSettings};

/// A place among those that ask one region at once; left when dropped.
pub(crate) struct Place {
    region: RegionId,
    _permit: Permit,
}

/// Every region's upstream.
pub(crate) struct Upstream {
    regions: Box<[Region]>,
}

impl Upstream {
    /// Prepares every region; connects to nothing yet.
    ///
    /// # Errors
    /// A CA file cannot be read, a URL is not valid, or TLS cannot be set up.
    pub(crate) fn new(regions: Vec<RegionSettings>) -> io::Result<Self> {
        let regions = regions.into_iter().map(Region::new).collect::<io::Result<_>>()?;
        Ok(Self { regions })
    }

    /// Waits for a place among those that ask `region`, for the caller who started the fill; `None` where callers are not
    /// distinguished. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The region's queue is full (`Kind::Overloaded`).
    pub(crate) async fn enter(&self, region: RegionId, caller: Option<CallerId>) -> Result<Place, Fault> {
        let permit = self.regions[region.index()].bulkhead.enter(caller).await?;
        Ok(Place { region, _permit: permit })
    }

    /// Asks the region of `place` for `id`, for a fill with that span.
    ///
    /// # Errors
    /// The region has no such id (`Kind::NotFound`), or it could not be asked, or not by `deadline`.
    pub(crate) async fn fetch(
        &self,
        place: Place,
        id: SignatureId,
        deadline: Instant,
        fill: &Span,
    ) -> Result<Box<Verification>, Fault> {
        self.regions[place.region.index()].fetch(id, deadline, fill).await
    }

    /// What distinguishes the answers of `region` from those of others: its name, its host, its account, and the hosts that
    /// links may point at.
    pub(crate) fn source(&self, region: RegionId) -> String {
        self.regions[region.index()].source()
    }

    /// Checks what a request to `region` needs, until `deadline`. The configuration holds its access key and its secret
    /// key under `keys`.
    pub(crate) async fn diagnose(
        &self,
        region: RegionId,
        keys: [&'static str; 2],
        deadline: Instant,
    ) -> Vec<Check> {
        self.regions[region.index()].diagnose(keys, deadline).await
    }

    /// Uses these keys for `region` from now on. Returns whether they are others than before.
    ///
    /// # Errors
    /// They are those of another region of the same host: every id would be found twice. The configuration refuses that
    /// at the start; files change later.
    pub(crate) fn rotate_keys(&self, region: RegionId, keys: Keys) -> io::Result<bool> {
        let rotated = &self.regions[region.index()];
        let mut others = self.regions.iter().filter(|other| !std::ptr::eq(*other, rotated));
        if others.any(|other| other.is_account(rotated, &keys)) {
            return Err(io::Error::other("another region of this host has this access key"));
        }
        Ok(rotated.rotate_keys(keys))
    }
}
