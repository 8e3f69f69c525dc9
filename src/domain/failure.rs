//! The one vocabulary of failure. Retry, breaker, metric label and HTTP status each match the same [`Kind`].

use std::time::Duration;

use super::region::RegionId;

/// Why a lookup gave no result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What went wrong.
    pub kind: Kind,
    /// The region it went wrong in, if it was one.
    pub region: Option<RegionId>,
    /// When a new try makes sense.
    pub retry_after: Option<Duration>,
    /// What the upstream said, as far as it may be shown.
    pub upstream: Option<UpstreamSaid>,
}

/// What the upstream said with a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSaid {
    /// Its envelope code, if it is one we know.
    pub code: Option<&'static str>,
    /// Its request id.
    pub transaction_id: Option<String>,
}

/// What went wrong on the way to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every region that may hold the id says that it does not exist.
    NotFound,
    /// Two regions know the id and none was named.
    Ambiguous,
    /// Not found in some regions, and another could not be asked.
    RegionUndetermined,
    /// No connection: refused, DNS, TLS.
    Connect,
    /// The connection broke before an answer came.
    Reset,
    /// The connection broke amid the answer.
    Truncated,
    /// No answer in time.
    Timeout,
    /// The upstream says that it failed: HTTP 5xx or `ERROR`.
    Server,
    /// The upstream refuses the request, or says something we do not know.
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
    /// The breaker is open, or there is no token and none to be had now.
    Unavailable,
    /// The gateway has no room for another fill.
    Overloaded,
    /// The gateway is going away.
    ShuttingDown,
    /// A defect of ours.
    Internal,
}

impl Failure {
    /// A failure of this kind, with nothing more known.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, region: None, retry_after: None, upstream: None }
    }

    /// The same failure, in `region`.
    #[must_use]
    pub const fn in_region(mut self, region: RegionId) -> Self {
        self.region = Some(region);
        self
    }

    /// The same failure, worth another try after `delay`.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl Kind {
    /// Whether the same request can succeed later without anybody changing anything.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::RegionUndetermined
            | Self::Connect
            | Self::Reset
            | Self::Truncated
            | Self::Timeout
            | Self::Server
            | Self::Malformed
            | Self::Busy
            | Self::Unavailable
            | Self::Overloaded
            | Self::ShuttingDown
            | Self::Internal => true,
            Self::NotFound
            | Self::Ambiguous
            | Self::Refused
            | Self::IdMismatch
            | Self::Auth
            | Self::Account => false,
        }
    }
}
