//! The integration tests: the real gateway over real sockets, against a scripted upstream or the sandbox.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod support;

mod audit;
mod callers;
mod cli;
mod contract;
mod dialect;
mod distrust;
mod identity;
mod jwt;
mod key_files;
mod media;
mod observability;
mod privacy;
mod quirks;
mod requests;
mod retry;
mod routing;
mod security_md;
mod shutdown;
mod smoke;
mod tidy;
mod tls;
mod token;
mod verdict;
