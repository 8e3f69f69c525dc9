//! Why there is no result. A region gives back a [`Fault`]; a lookup gives back a [`Failure`]. Retry, breaker, metric
//! label and HTTP status all match the same [`Kind`].

use std::time::Duration;

use serde::Serialize;
use strum::IntoStaticStr;

use super::region::RegionId;

/// What a region gave back instead of a verification.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What went wrong.
    pub kind: Kind,
    /// Why the call behind it failed, if there was one.
    pub cause: Option<Cause>,
    /// When another attempt makes sense.
    pub retry_after: Option<Duration>,
    /// What the upstream said, as far as callers may see it.
    pub said: Option<UpstreamSaid>,
}

/// The part of an upstream answer that callers may see with a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamSaid {
    /// Its envelope code, if it is one we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Its request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
}

/// How one exchange with a region ended, other than with a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The region does not have the id.
    NotFound,
    /// The host name has no address.
    Dns,
    /// No address accepts a connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke before an answer came.
    Reset,
    /// The connection broke in the middle of the answer.
    Truncated,
    /// No answer within the time of one attempt.
    Timeout,
    /// The fill's deadline came before the attempt's own time was up.
    Deadline,
    /// The upstream reports a failure of its own: HTTP 5xx or `ERROR`.
    Server,
    /// The upstream rejects the request, or its answer has a code we do not know.
    Refused,
    /// The answer cannot be read.
    Malformed,
    /// The answer is about another id.
    IdMismatch,
    /// The upstream does not accept our keys or token.
    Auth,
    /// Balance, quota, or the account is disabled.
    Account,
    /// The upstream asks us to slow down.
    Busy,
    /// The region is not asked at present: the breaker is open, or no token can be had.
    Unavailable,
    /// The region's queue is full.
    Overloaded,
    /// Our own defect.
    Internal,
}

/// Why a call to the upstream failed, for logs. It stays what it was when a fault of the token endpoint becomes one of the
/// region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Cause {
    Dns,
    Connect,
    Tls,
    Timeout,
    Reset,
    /// An answer came, and it is an error or cannot be used.
    Http,
}

/// Why a lookup has no result.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Every region that may hold the id says that it does not exist; the region, if it is one.
    NotFound(Option<RegionId>),
    /// Two regions know the id and the request named none.
    Ambiguous,
    /// Not found in some regions, and this other one could not be asked.
    RegionUndetermined(RegionId, Fault),
    /// The only region that was asked has no answer.
    Upstream(RegionId, Fault),
}

impl Fault {
    /// A fault of this kind, with nothing more known.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, cause: kind.cause(), retry_after: None, said: None }
    }

    /// The same fault, worth another attempt after `delay`.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The failure of a lookup that asked `region` alone.
    pub fn in_region(self, region: RegionId) -> Failure {
        if self.kind == Kind::NotFound {
            return Failure::NotFound(Some(region));
        }
        Failure::Upstream(region, self)
    }
}

impl Failure {
    /// Whether the same request can succeed later without a change.
    pub const fn is_retryable(&self) -> bool {
        match self {
            // A region may know the id a moment later.
            Self::NotFound(_) | Self::RegionUndetermined(..) => true,
            Self::Ambiguous => false,
            Self::Upstream(_, fault) => fault.kind.is_retryable(),
        }
    }

    /// Whether no region could answer, so that an old result may be served. A region that says "not found", or answers for
    /// another id, did answer.
    pub fn is_no_answer(&self) -> bool {
        match self {
            Self::RegionUndetermined(..) => true,
            Self::NotFound(_) | Self::Ambiguous => false,
            Self::Upstream(_, fault) => !matches!(fault.kind, Kind::IdMismatch | Kind::Internal),
        }
    }

    /// Whether the region was not asked at all: it is busy or given up, or has no room for another fill.
    pub fn was_not_asked(&self) -> bool {
        let is_refusal =
            |fault: &Fault| matches!(fault.kind, Kind::Busy | Kind::Unavailable | Kind::Overloaded);
        self.fault().is_some_and(is_refusal)
    }

    /// The region it is about, if it is one.
    pub const fn region(&self) -> Option<RegionId> {
        match self {
            Self::NotFound(region) => *region,
            Self::RegionUndetermined(region, _) | Self::Upstream(region, _) => Some(*region),
            Self::Ambiguous => None,
        }
    }

    /// What the region gave back that could not be asked, or has no answer.
    pub const fn fault(&self) -> Option<&Fault> {
        match self {
            Self::RegionUndetermined(_, fault) | Self::Upstream(_, fault) => Some(fault),
            Self::NotFound(_) | Self::Ambiguous => None,
        }
    }

    /// What the upstream said, as far as callers may see it.
    pub fn said(&self) -> Option<&UpstreamSaid> {
        if let Self::Upstream(_, fault) = self { fault.said.as_ref() } else { None }
    }
}

/// What follows from a kind, so that all that depends on it stands in one table.
struct Consequences {
    cause: Option<Cause>,
    is_region_fault: bool,
    is_retryable: bool,
}

impl Kind {
    /// Whether the region as a whole may be at fault, rather than this request, our account or the answer's content. Only
    /// such a fault is worth a second attempt, and only such faults open the breaker.
    pub const fn is_region_fault(self) -> bool {
        self.consequences().is_region_fault
    }

    /// Why the call failed, if this is how one ends.
    const fn cause(self) -> Option<Cause> {
        self.consequences().cause
    }

    const fn is_retryable(self) -> bool {
        self.consequences().is_retryable
    }

    const fn consequences(self) -> Consequences {
        let (cause, is_region_fault, is_retryable) = match self {
            Self::Dns => (Some(Cause::Dns), true, true),
            Self::Connect => (Some(Cause::Connect), true, true),
            Self::Tls => (Some(Cause::Tls), true, true),
            Self::Reset | Self::Truncated => (Some(Cause::Reset), true, true),
            Self::Timeout => (Some(Cause::Timeout), true, true),
            Self::Deadline => (Some(Cause::Timeout), false, true),
            Self::Server => (Some(Cause::Http), true, true),
            Self::Malformed | Self::Busy => (Some(Cause::Http), false, true),
            Self::Refused | Self::IdMismatch | Self::Auth | Self::Account => {
                (Some(Cause::Http), false, false)
            }
            Self::Unavailable | Self::Overloaded | Self::Internal => (None, false, true),
            Self::NotFound => (None, false, false),
        };
        Consequences { cause, is_region_fault, is_retryable }
    }
}
