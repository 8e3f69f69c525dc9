//! The outcome of one request to a region.

use std::sync::Arc;

use hyper::StatusCode;
use jiff::Timestamp;

use super::breaker::Evidence;
use super::envelope::{self, Refusal, Success};
use super::normalise::{self, AllowedHosts, Echo};
use super::wire;
use crate::domain::drift::{Drift, DriftKind};
use crate::domain::failure::{Fault, Kind, UpstreamSaid};
use crate::domain::region::RegionId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::{Verdict, Verification};
use crate::net::Answer;

/// The outcome of one request.
pub(super) enum Reply {
    /// An answer about the id.
    Found(Box<Verification>),
    /// A verdict that may be about another id: it names none, and its connection had carried others.
    Doubtful,
    /// A kept connection ended as it was taken, which says nothing about the region.
    Stale(Fault),
    /// Anything else.
    Failed(Fault),
}

impl Reply {
    pub(super) fn into_result(self) -> Result<Box<Verification>, Fault> {
        match self {
            Self::Found(verification) => Ok(verification),
            Self::Doubtful => Err(Fault::new(Kind::IdMismatch)),
            Self::Stale(fault) | Self::Failed(fault) => Err(fault),
        }
    }

    /// What went wrong, for metrics and spans.
    pub(super) const fn failure(&self) -> Option<Kind> {
        match self {
            Self::Found(_) | Self::Doubtful => None,
            Self::Stale(fault) | Self::Failed(fault) => Some(fault.kind),
        }
    }

    /// What it says about the region, if anything.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        match self {
            Self::Found(_) | Self::Doubtful => Some(Evidence::Answers),
            Self::Stale(_) => None,
            Self::Failed(Fault { kind: Kind::Deadline | Kind::Unavailable | Kind::Internal, .. }) => None,
            Self::Failed(fault) if fault.kind.is_region_fault() => Some(Evidence::Fails),
            Self::Failed(_) => Some(Evidence::Answers),
        }
    }
}

/// Reads the answers of one region.
#[derive(Clone)]
pub(super) struct Reader {
    region: RegionId,
    pub(super) media_hosts: Arc<AllowedHosts>,
}

impl Reader {
    pub(super) fn new(region: RegionId, media_hosts: Vec<String>) -> Self {
        Self { region, media_hosts: Arc::new(AllowedHosts::new(media_hosts)) }
    }

    /// Reads an answer to a request for `id`.
    pub(super) fn read(&self, id: SignatureId, answer: &Answer) -> (Reply, Drift) {
        let (status, is_first) = (answer.status, answer.is_first);
        let mut drift = Drift::default();
        let text = wire::text(&answer.body, &mut drift);
        let reply = match envelope::open(answer, &text, &mut drift) {
            Ok(success) => self.understand(id, success, is_first, &mut drift),
            Err(Refusal { fault, .. }) if !is_first && is_stale(status, &fault) => Reply::Stale(fault),
            Err(Refusal { named: Some(named), .. }) if !named.eq_ignore_ascii_case(id.as_str()) => {
                drift.add(DriftKind::IdMismatch);
                Reply::Failed(Fault::new(Kind::IdMismatch))
            }
            Err(Refusal { fault, .. }) => Reply::Failed(fault),
        };
        (reply, drift)
    }

    fn understand(&self, id: SignatureId, success: Success<'_>, is_first: bool, drift: &mut Drift) -> Reply {
        let Success { data, transaction_id } = success;
        let echo = normalise::echo(&data, &id, drift);
        if echo == Echo::Other {
            drift.add(DriftKind::IdMismatch);
            let said = UpstreamSaid { code: Some("SUCCESS"), transaction_id };
            return Reply::Failed(Fault { said: Some(said), ..Fault::new(Kind::IdMismatch) });
        }
        let context = normalise::Context {
            id,
            region: self.region,
            observed_at: Timestamp::now(),
            transaction_id,
            allowed_hosts: &self.media_hosts,
        };
        let verification = Box::new(normalise::normalise(&data, context, drift));
        // The vendor names no id while a result is pending.
        let needs_id = verification.verdict != Verdict::Pending;
        if echo == Echo::Missing && needs_id && !is_first {
            // What else is odd about it is counted when it is read again.
            *drift = Drift::default();
            drift.add(DriftKind::MissingId);
            return Reply::Doubtful;
        }
        Reply::Found(verification)
    }
}

/// Whether a refusal over a kept connection is what some servers say before they close it: 408, or 400 without an envelope.
fn is_stale(status: StatusCode, fault: &Fault) -> bool {
    fault.said.is_none() && matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_REQUEST)
}
