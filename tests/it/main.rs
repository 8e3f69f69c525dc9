//! The integration tests: the real gateway over real sockets, against a scripted upstream or the sandbox.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod faults;
mod support;

mod smoke;
