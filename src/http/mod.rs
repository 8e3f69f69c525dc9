//! The HTTP servers: how connections are accepted, and what each listener serves.

mod admin;
mod error;
mod exchange;
mod public;
mod serve;
mod site;

pub(crate) use admin::{Admin, History};
pub(crate) use public::{Audit, CallerSettings, Callers, JwksSource, JwtSettings, Public, Verifier};
pub(crate) use serve::{ConnectionLimits, Lifecycle, Server, Stage, Tls, TlsFiles};
pub(crate) use site::Site;
