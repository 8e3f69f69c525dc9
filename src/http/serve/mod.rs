//! Connections: the accept loop, limits, timeouts and TLS.

mod limits;
mod pool;
mod server;
mod state;
mod stream;
mod tls;

pub(crate) use limits::ConnectionLimits;
pub(crate) use server::Server;
pub(crate) use tls::Tls;
