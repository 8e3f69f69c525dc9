//! What a diagnosis finds: closed words, never the upstream's. What to do about it is for others to say.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::CertificateError;

use super::envelope::{AuthHint, Refusal};
use crate::domain::failure::Kind;

/// One check of one host.
pub(crate) struct Check {
    /// What was tried.
    pub step: Step,
    /// The host that it was tried with.
    pub host: String,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub finding: Finding,
}

/// The steps, in order. Each needs the one before it, except the clock, which a refusal shows too.
#[derive(Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Step {
    /// The host's addresses.
    Dns,
    /// A connection to one of them.
    Connect,
    /// The handshake, and whom we are talking to.
    Tls,
    /// A token for our keys.
    Token,
    /// The upstream's clock against ours.
    Skew,
}

impl Step {
    pub(super) const ALL: [Self; 5] = [Self::Dns, Self::Connect, Self::Tls, Self::Token, Self::Skew];
}

/// What came of a check.
pub(crate) enum Finding {
    /// It is as it should be.
    Good(Fact),
    /// It is not.
    Bad(Problem),
    /// One before it failed.
    NotTried,
}

/// What was found where nothing is wrong.
pub(crate) enum Fact {
    /// The host is itself an address.
    IsAddress,
    /// The addresses of a name.
    Addresses(Vec<IpAddr>),
    /// The address that took the connection.
    Connected(SocketAddr),
    /// There is no TLS, as configured.
    PlainHttp,
    /// A version of TLS, and for how many days the certificate is still good, if it says so.
    Secured(&'static str, Option<i64>),
    /// The lifetime of a token.
    Token(Duration),
    /// The upstream's clock minus ours, in seconds.
    Skew(i64),
    /// The upstream does not tell the time.
    NoClock,
}

/// What was found where something is wrong.
pub(crate) enum Problem {
    /// Nothing came within the time there was.
    Silence,
    /// The name has no address; the system's reason.
    NoAddress(String),
    /// No address takes a connection; the system's reason.
    NotConnected(io::ErrorKind),
    /// The other side does not speak TLS 1.2 or 1.3.
    NoTls,
    /// The certificate has ended, or our clock runs ahead.
    Expired,
    /// The certificate is of other names.
    WrongName,
    /// No authority that we trust has signed the certificate.
    UnknownAuthority,
    /// The certificate is not good for another reason.
    Untrusted,
    /// The connection broke before or during an answer.
    Broken,
    /// The answer is none of the token endpoint's.
    NoToken,
    /// The upstream says that it failed.
    Failing,
    /// The upstream asks us to slow down.
    Busy,
    /// The timestamp is refused, even one by the upstream's own clock if it sent a `Date`.
    TimestampRefused,
    /// The signature is refused: the two keys do not go together.
    SignatureRefused,
    /// The request is refused; the upstream's code, if it is one we know.
    KeysRefused(Option<&'static str>),
    /// Balance, quota, or the account is disabled; the upstream's code, if it is one we know.
    AccountRefused(Option<&'static str>),
    /// The upstream's clock minus ours, in seconds: more than the vendor takes.
    Skew(i64),
}

impl Problem {
    /// Why there is no token.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        let code = refusal.fault.said.as_ref().and_then(|said| said.code);
        match refusal.fault.kind {
            Kind::Auth | Kind::Refused | Kind::NotFound => match refusal.hint {
                Some(AuthHint::Timestamp) => Self::TimestampRefused,
                Some(AuthHint::Signature) => Self::SignatureRefused,
                None => Self::KeysRefused(code),
            },
            Kind::Account => Self::AccountRefused(code),
            Kind::Busy => Self::Busy,
            // Without a word of the vendor's, who knows who failed there.
            Kind::Server if refusal.fault.said.is_none() => Self::NoToken,
            Kind::Server => Self::Failing,
            Kind::Timeout | Kind::Deadline => Self::Silence,
            Kind::Dns | Kind::Connect | Kind::Tls | Kind::Reset | Kind::Truncated => Self::Broken,
            Kind::Malformed | Kind::IdMismatch | Kind::Unavailable | Kind::Overloaded | Kind::Internal => {
                Self::NoToken
            }
        }
    }

    /// Why a handshake failed. Decided by type, never by text.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        use CertificateError as Certificate;
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Broken;
        };
        let rustls::Error::InvalidCertificate(reason) = error else { return Self::NoTls };
        if matches!(reason, Certificate::Expired | Certificate::ExpiredContext { .. }) {
            Self::Expired
        } else if matches!(reason, Certificate::NotValidForName | Certificate::NotValidForNameContext { .. })
        {
            Self::WrongName
        } else if matches!(reason, Certificate::UnknownIssuer) {
            Self::UnknownAuthority
        } else {
            Self::Untrusted
        }
    }
}
