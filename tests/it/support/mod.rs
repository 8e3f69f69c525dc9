//! What the tests stand on: a real gateway, a scripted upstream, a plain client.

pub mod bodies;
pub mod client;
pub mod collector;
pub mod dialect;
pub mod front;
pub mod gateway;
pub mod inventory;
pub mod issuer;
pub mod process;
pub mod redis;
pub mod tls;
pub mod upstream;

pub use client::Answer;
pub use dialect::Dialect;
pub use gateway::Gateway;
pub use upstream::{Reply, Upstream};

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

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

/// Chance in a test. A test that fails shows the seed.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    #[expect(clippy::print_stdout, reason = "shown if the test fails")]
    pub fn new() -> Self {
        let seed = rand::random();
        println!("seed {seed}");
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub fn roll(&self, range: Range<u64>) -> u64 {
        self.0.lock().unwrap().random_range(range)
    }
}

/// Holds a page that is made by a test to what it should be, and else writes it again. The page as it was when the test was
/// built counts: a second try of the failed test must not pass on what the first one wrote.
#[track_caller]
pub fn hold_page(path: &str, built_in: &str, wanted: &str) {
    if built_in != wanted {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::write(file, wanted).expect("the page can be written");
        panic!("{path} was out of date and has been written again; look at it, build and commit it");
    }
}
