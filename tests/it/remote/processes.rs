//! Three gateway processes and one redis-server, ended and started again in turn, under load all the time.

use futures_util::future::join_all;

use crate::support::eventually;
use crate::support::gateway::{OPEN, QUICK_DRAIN, region};
use crate::support::process::Served;
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

const IDS: usize = 40;

struct Fleet {
    upstream: Upstream,
    replicas: Vec<Served>,
    /// How many ids there are so far.
    ids: usize,
    /// How many upstream calls they may have cost.
    allowed: usize,
}

impl Fleet {
    /// New ids, each read by every replica; each may cost so many upstream calls.
    async fn read_new(&mut self, calls: usize) {
        let new = self.ids..self.ids + IDS;
        self.ids += IDS;
        self.allowed += IDS * calls;
        for n in new.clone() {
            let id = format!("S{n:04}");
            self.upstream.pass(&id);
        }
        for n in new {
            // At once, so that they meet.
            self.read(n).await;
        }
    }

    async fn read(&self, n: usize) {
        let target = format!("/idv/S{n:04}");
        for answer in join_all(self.replicas.iter().map(|replica| replica.get(&target))).await {
            assert_eq!(answer.gist(), (200, "passed".to_owned()));
            assert!(answer.text().contains(&format!("AMINAH CONTOH S{n:04}")), "its own person");
        }
    }

    async fn read_all(&self) {
        for n in 0..self.ids {
            self.read(n).await;
        }
    }

    async fn up(&self) {
        for replica in &self.replicas {
            eventually("the second tier", async || replica.metric("idv_remote_up").await == 1.0).await;
        }
    }

    /// No more calls than allowed, but for requests that the second tier was too slow for.
    async fn calls_are_few(&mut self) {
        for replica in &self.replicas {
            for operation in ["read", "lease", "write"] {
                let series =
                    format!("idv_remote_requests_total{{operation=\"{operation}\",outcome=\"timeout\"}}");
                self.allowed += 3 * replica.metric(&series).await as usize;
            }
        }
        let calls = self.upstream.result_hits();
        assert!(calls <= self.allowed, "{calls} calls, {} allowed", self.allowed);
    }
}

#[tokio::test]
async fn replicas_and_redis_end_and_come_back_in_turn() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let (section, region) = (redis.section(), region("my", &upstream));
    let pieces = [OPEN, &section, &region];
    let replicas = join_all((0..3).map(|_| Served::with(&pieces))).await;
    let mut fleet = Fleet { upstream, replicas, ids: 0, allowed: 0 };
    fleet.up().await;
    fleet.read_new(1).await;
    fleet.calls_are_few().await;
    for n in 0..3 {
        fleet.replicas[n].process.signal("KILL");
        fleet.replicas[n].process.exit().await;
        fleet.replicas[n].restart().await;
        fleet.up().await;
        // What it forgot, it has from the others.
        fleet.read_all().await;
        fleet.calls_are_few().await;
    }
    redis.stop();
    fleet.read_all().await;
    fleet.read_new(3).await;
    fleet.calls_are_few().await;
    redis.restart().await;
    fleet.up().await;
    // Reads show that it is there again; the first may still be alone.
    fleet.read_new(3).await;
    fleet.read_new(1).await;
    fleet.calls_are_few().await;
}

#[tokio::test]
async fn a_purge_that_the_others_did_not_get_is_tried_once_more_at_the_end_and_then_named() {
    let upstream = Upstream::start().await;
    for comes_back in [true, false] {
        let redis = Redis::start().await;
        let (section, region) = (redis.section(), region("my", &upstream));
        let mut served = Served::with(&[OPEN, QUICK_DRAIN, &section, &region]).await;
        eventually("the second tier", async || served.metric("idv_remote_up").await == 1.0).await;
        redis.signal("STOP");
        assert_eq!(served.send("DELETE", "/idv/S1", &[]).await.status, 204);
        served.process.signal("TERM");
        if comes_back {
            redis.signal("CONT");
        }
        let said = served.process.exit().await.stdout;
        assert_eq!(said.contains("other replicas did not get these purges"), !comes_back, "{said}");
        redis.signal("CONT");
        assert_eq!(!redis.keys("*:index").await.is_empty(), comes_back);
    }
}
