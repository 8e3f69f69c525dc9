//! The HTTP servers: how connections are accepted, and what each listener serves.

mod admin;
mod callback;
mod code;
mod error;
mod exchange;
mod head;
mod lifecycle;
mod public;
mod serve;
mod site;

pub(crate) use admin::{Admin, History, ReportedRegion, StatusReport};
pub(crate) use callback::Callbacks;
pub(crate) use head::TrustedHosts;
pub(crate) use lifecycle::{Lifecycle, Stage};
#[cfg(any(test, fuzzing))]
pub(crate) use public::preferred_wait;
pub(crate) use public::{Audit, Callers, Public, Verifier};
pub(crate) use serve::{ConnectionLimits, Server, Tls};
pub(crate) use site::Site;
