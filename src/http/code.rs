//! The closed list of problem codes, each with its HTTP status, and what an answer says of its client.

/// A problem code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidSignatureId,
    UnknownRegion,
    BadRequest,
    Unauthenticated,
    ScopeMissing,
    RegionForbidden,
    SignatureNotFound,
    RouteNotFound,
    MethodNotAllowed,
    MisdirectedRequest,
    AmbiguousSignature,
    RateLimited,
    Internal,
    UpstreamError,
    UpstreamMalformed,
    UpstreamAuth,
    UpstreamAccount,
    UpstreamIdMismatch,
    UpstreamBusy,
    UpstreamUnavailable,
    RegionUndetermined,
    Overloaded,
    ShuttingDown,
    AuthenticationUnavailable,
    UpstreamTimeout,
}

impl Code {
    /// The code, its status and its title.
    pub(super) const fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidSignatureId => ("invalid_signature_id", 400, "Not a signature id"),
            Self::UnknownRegion => ("unknown_region", 400, "No such region"),
            Self::BadRequest => ("bad_request", 400, "Bad request"),
            Self::Unauthenticated => ("unauthenticated", 401, "Not authenticated"),
            Self::ScopeMissing => ("scope_missing", 403, "Scope missing"),
            Self::RegionForbidden => ("region_forbidden", 403, "Region not allowed"),
            Self::SignatureNotFound => ("signature_not_found", 404, "Signature id not found"),
            Self::RouteNotFound => ("route_not_found", 404, "No such route"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::MisdirectedRequest => ("misdirected_request", 421, "Misdirected request"),
            Self::AmbiguousSignature => ("ambiguous_signature", 409, "Known in more than one region"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::Internal => ("internal", 500, "Internal error"),
            Self::UpstreamError => ("upstream_error", 502, "Upstream error"),
            Self::UpstreamMalformed => ("upstream_malformed", 502, "Upstream answer unreadable"),
            Self::UpstreamAuth => ("upstream_auth", 502, "Upstream refuses our credentials"),
            Self::UpstreamAccount => ("upstream_account", 502, "Upstream account problem"),
            Self::UpstreamIdMismatch => ("upstream_id_mismatch", 502, "Upstream answered for another id"),
            Self::UpstreamBusy => ("upstream_busy", 503, "Upstream busy"),
            Self::UpstreamUnavailable => ("upstream_unavailable", 503, "Upstream unavailable"),
            Self::RegionUndetermined => ("region_undetermined", 503, "Region could not be determined"),
            Self::Overloaded => ("overloaded", 503, "Overloaded"),
            Self::ShuttingDown => ("shutting_down", 503, "Shutting down"),
            Self::AuthenticationUnavailable => {
                ("authentication_unavailable", 503, "Authentication unavailable")
            }
            Self::UpstreamTimeout => ("upstream_timeout", 504, "Upstream timed out"),
        }
    }

    /// The code as callers read it.
    pub(super) const fn name(self) -> &'static str {
        self.parts().0
    }

    /// Whether a client without any rights can cause it.
    pub(super) const fn takes_no_rights(self) -> bool {
        matches!(self.status(), 400 | 401 | 405 | 421) || matches!(self, Self::RouteNotFound)
    }

    /// The HTTP status.
    pub(super) const fn status(self) -> u16 {
        self.parts().1
    }
}

/// The class of an answer's client: it decides how long the connection may idle, and how soon it is closed for a new one. An answer
/// carries it as an extension; without one, the client is a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClientClass {
    /// A caller who proved who it is.
    #[default]
    Caller,
    /// Nobody in particular: a probe, or a connection without a request yet.
    Anonymous,
    /// Somebody whose request was wrong in a way that takes no rights.
    Faulty,
}
