//! What happens to the second tier, and to processes, while callers go on.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use super::caller::Stage;
use crate::support::redis::{KEY, Redis};

/// A key beside the first one.
pub const NEXT_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

/// One thing that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It forgets everything.
    Flush,
    /// It ends, and is started again.
    Kill,
    /// It does not reply for a while.
    Pause,
    /// Connections to it are closed.
    Disconnect,
    /// Somebody puts back what it held before.
    Replay,
    /// Somebody exchanges what it holds.
    Swap,
    /// The encryption key is rotated, or rotated back; every replica re-reads its files.
    Rotate,
}

pub const EVENTS: [Event; 7] =
    [Event::Flush, Event::Kill, Event::Pause, Event::Disconnect, Event::Replay, Event::Swap, Event::Rotate];

/// Lets these events happen in any order until all requests are sent, then leaves everything in order.
pub async fn rage(stage: &Stage, mut redis: Redis, events: &[Event], seed: u64) -> Redis {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut held, mut is_rotated) = (Vec::new(), false);
    while !stage.is_over() {
        sleep(Duration::from_millis(rng.random_range(100..600))).await;
        match events.choose(&mut rng) {
            None => {}
            Some(Event::Flush) => drop(redis.ask(&["FLUSHALL"]).await),
            Some(Event::Kill) => {
                redis.stop();
                sleep(Duration::from_millis(rng.random_range(0..1500))).await;
                redis.restart().await;
            }
            Some(Event::Pause) => {
                redis.signal("STOP");
                sleep(Duration::from_millis(rng.random_range(0..1000))).await;
                redis.signal("CONT");
            }
            Some(Event::Disconnect) => {
                for kind in ["normal", "pubsub"] {
                    redis.ask(&["CLIENT", "KILL", "TYPE", kind]).await;
                }
            }
            Some(Event::Replay) => replay(&redis, &mut held, &mut rng).await,
            Some(Event::Swap) => {
                let keys = redis.keys("idv:*:result").await;
                for pair in keys.windows(2) {
                    put(&redis, &pair[1], redis.ask(&["DUMP", &pair[0]]).await.bytes_if_any()).await;
                }
            }
            Some(Event::Rotate) => {
                is_rotated = !is_rotated;
                let keys = if is_rotated { [NEXT_KEY, KEY] } else { [KEY, NEXT_KEY] };
                redis.section_at(&redis.url(), &keys.join("\n"));
                stage.replicas.iter().for_each(|replica| replica.served.process.signal("HUP"));
            }
        }
    }
    redis
}

/// Puts back some of what was held before, and takes note of what is held now.
async fn replay(redis: &Redis, held: &mut Vec<(String, Vec<u8>)>, rng: &mut StdRng) {
    for (key, value) in held.iter().filter(|_| rng.random_ratio(1, 3)) {
        put(redis, key, Some(value.clone())).await;
    }
    held.clear();
    for key in redis.keys("idv:*").await.into_iter().filter(|key| !key.ends_with(":turns")) {
        if let Some(value) = redis.ask(&["DUMP", &key]).await.bytes_if_any() {
            held.push((key, value));
        }
    }
}

async fn put(redis: &Redis, key: &str, value: Option<Vec<u8>>) {
    if let Some(value) = value {
        let words: [&[u8]; 5] = [b"RESTORE", key.as_bytes(), b"3000", &value, b"REPLACE"];
        redis.ask_bytes(&words).await;
    }
}
