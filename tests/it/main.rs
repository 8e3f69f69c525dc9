//! The integration tests: the real gateway over real sockets, against a scripted upstream or the sandbox.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its support too")]
#![expect(clippy::too_many_lines, reason = "a table of cases is read in place")]
#![expect(clippy::type_complexity, reason = "a table of cases is read in place")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test asks for one variant and means no other")]

mod support;

mod audit;
mod cache_bounds;
mod caching;
mod callbacks;
mod callers;
mod cli;
mod coalescing;
mod configuration;
mod contract;
mod dead_links;
mod dialect;
mod distrust;
mod doctor;
mod faults;
mod identity;
mod image;
mod interleavings;
mod jwt;
mod key_files;
mod logs;
mod media;
mod model;
mod observability;
mod pages;
mod privacy;
mod purge;
mod quirks;
mod reference;
mod remote;
mod requests;
mod retry;
mod routing;
mod sandbox;
mod security_md;
mod shutdown;
mod stale;
mod tidy;
mod tls;
mod token;
mod traces;
mod verdict;
mod waiting;
