//! The integration tests: the real gateway over real sockets, against a scripted upstream or the sandbox.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod support;

mod callers;
mod cli;
mod contract;
mod dialect;
mod distrust;
mod identity;
mod media;
mod observability;
mod privacy;
mod quirks;
mod requests;
mod retry;
mod routing;
mod shutdown;
mod smoke;
mod tidy;
mod token;
mod verdict;
