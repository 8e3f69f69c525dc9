//! A model of the contract: regions whose truth changes at random, callers who do anything at random, and an oracle that
//! judges every answer by what the upstreams really said, and when.
//!
//! A seed fixes what is drawn, not the order in which sockets answer: the same seed may find another defect. `./test` runs
//! one fixed seed for seconds. With `MODEL_SECONDS` new seeds are tried for that long, each of which draws a configuration
//! and what happens to the second tier, too; `scripts/check-heavy` does that. `MODEL_SEED` tries one again.

mod caller;
mod chaos;
mod oracle;
mod report;
mod trial;
mod world;

use std::time::Duration;

use tokio::time::Instant;
use trial::Trial;

/// What every run of the fixed seed sees.
const SEEN: [&str; 14] = [
    "passed",
    "failed",
    "pending",
    "incomplete",
    "hit",
    "miss",
    "joined",
    "refresh",
    "waited",
    "purge",
    "signature_not_found",
    "ambiguous_signature",
    "region_undetermined",
    "upstream_",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_replica_answers_what_the_upstreams_said_in_time() {
    hold(1, "stale").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_share_answer_what_the_upstreams_said_in_time() {
    hold(2, "remote").await;
}

async fn hold(replicas: usize, kind_of_its_own: &str) {
    if let Some(seed) = number("MODEL_SEED") {
        Trial::drawn(seed, replicas).run().await;
        return;
    }
    let seen = Trial::plain(1, replicas).run().await;
    for kind in SEEN.into_iter().chain([kind_of_its_own]) {
        assert!(seen.keys().any(|seen| seen.contains(kind)), "no {kind}: {seen:#?}");
    }
    let end = Instant::now() + Duration::from_secs(number("MODEL_SECONDS").unwrap_or_default());
    while Instant::now() < end {
        Trial::drawn(rand::random_range(2..1 << 32), replicas).run().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the gateway")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("it is a number"))
}
