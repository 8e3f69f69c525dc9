//! What the tests stand on: a real gateway, a scripted upstream, a plain client.

pub mod bodies;
pub mod client;
pub mod collector;
pub mod dialect;
pub mod front;
pub mod gateway;
pub mod issuer;
pub mod process;
pub mod tls;
pub mod upstream;

pub use client::Answer;
pub use dialect::Dialect;
pub use gateway::Gateway;
pub use upstream::{Reply, Upstream};

use std::time::Duration;

/// How long a test waits for what must happen. Never how long something takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must happen, and fails the test if it does not.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Asks again until `is_so`: for what the gateway does after it has answered.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
