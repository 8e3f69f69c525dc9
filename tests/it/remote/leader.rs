//! One replica fetches an id for all, and none of them waits for it longer than is good for those who ask.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::gateway::{Gateway, OPEN, region};
use crate::support::redis::{Redis, replica_of};
use crate::support::upstream::{Gate, Reply, Upstream};

async fn replica(upstream: &Upstream, redis: &Redis, more: &str) -> Gateway {
    replica_of(&[OPEN, more, &region("my", upstream), &redis.section()]).await
}

/// The status of each answer to this many callers on each of four replicas.
async fn ask_four_replicas(upstream: &Upstream, redis: &Redis, callers: usize) -> Vec<u16> {
    let patient = "[request]\ntimeout = \"60s\"\n";
    let replicas = join_all((0..4).map(|_| replica(upstream, redis, patient))).await;
    let crowds = join_all(replicas.iter().map(|replica| replica.crowd("/idv/S1", callers))).await;
    let mut statuses = Vec::new();
    for asked in crowds.into_iter().flatten() {
        statuses.push(asked.answer().await.status);
    }
    statuses
}

#[tokio::test]
async fn four_replicas_and_a_thousand_callers_each_cost_one_upstream_call() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::passed("S1").after(Duration::from_millis(500))]);
    assert!(ask_four_replicas(&upstream, &redis, 1_000).await.iter().all(|status| *status == 200));
    assert_eq!(upstream.hits("S1"), 1);
}

#[tokio::test]
async fn an_id_that_does_not_exist_costs_each_replica_one_call_and_one_at_a_time() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    upstream.answer("S1", [Reply::absent().after(Duration::from_millis(300))]);
    let started = Instant::now();
    // A crowd would keep this machine so busy that replies about the lease come late.
    assert_eq!(ask_four_replicas(&upstream, &redis, 1).await, [404; 4]);
    assert_eq!(upstream.hits("S1"), 4, "what one replica says of absence is not enough for another");
    assert!(started.elapsed() >= Duration::from_millis(1_200), "one after the other");
}

#[tokio::test]
async fn a_replica_whose_call_fails_leaves_the_next_call_to_one_other() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = Gate::default();
    let refused = Reply::refusal("PARAMETER_ERROR", "no").gated(&gate);
    upstream.answer("S1", [refused, Reply::passed("S1").after(Duration::from_millis(300))]);
    let replicas = join_all((0..4).map(|_| replica(&upstream, &redis, ""))).await;
    let first = replicas[0].ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    let others = join_all(replicas[1..].iter().map(|replica| replica.ask("/idv/S1", &[]))).await;
    gate.open();
    assert_eq!(first.answer().await.status, 502);
    for asked in others {
        assert_eq!(asked.answer().await.status, 200);
    }
    assert_eq!(upstream.hits("S1"), 2);
}

/// The key of the lease that a fill of S1 takes.
async fn lease(gateway: &Gateway, upstream: &Upstream, redis: &Redis) -> String {
    let gate = Gate::default();
    upstream.answer("S1", [Reply::absent().gated(&gate), Reply::passed("S1")]);
    let asked = gateway.ask("/idv/S1", &[]).await;
    upstream.wait_for_hits("S1", 1).await;
    let lease = redis.key("*:lease:*").await;
    gate.open();
    assert_eq!(asked.answer().await.status, 404);
    lease
}

const NO_MEMORY: &str = "[cache]\nnot_found_ttl = \"1ms\"\n";

#[tokio::test]
async fn a_leader_that_never_comes_back_costs_three_seconds_at_most() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gateway = replica(&upstream, &redis, NO_MEMORY).await;
    let lease = lease(&gateway, &upstream, &redis).await;
    redis.ask(&["SET", &lease, "another", "PX", "2900"]).await;
    let started = Instant::now();
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_leader_that_never_comes_back_costs_no_caller_a_short_timeout() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let short = format!("{NO_MEMORY}[request]\ntimeout = \"1500ms\"\n");
    let gateway = replica(&upstream, &redis, &short).await;
    let lease = lease(&gateway, &upstream, &redis).await;
    redis.ask(&["SET", &lease, "another", "PX", "2990"]).await;
    assert_eq!(gateway.get("/idv/S1").await.status, 200);
}

#[tokio::test]
async fn a_lease_with_an_end_that_no_replica_gives_is_none() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gateway = replica(&upstream, &redis, NO_MEMORY).await;
    let lease = lease(&gateway, &upstream, &redis).await;
    for end in [&["PX", "600000"][..], &[]] {
        redis.ask(&[&["SET", &lease, "another"], end].concat()).await;
        let started = Instant::now();
        assert_eq!(gateway.send("GET", "/idv/S1", &[]).await.status, 200);
        assert!(started.elapsed() < Duration::from_secs(1), "{end:?}: {:?}", started.elapsed());
        assert!(redis.keys(&lease).await.is_empty(), "{end:?}: it is still there");
        gateway.send("DELETE", "/idv/S1", &[]).await;
    }
}

#[tokio::test]
async fn who_asks_is_answered_before_the_other_replicas_can_read_it() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let outstanding = async |n: usize| {
        let (id, gate) = (format!("S{n}"), Gate::default());
        upstream.answer(&id, [Reply::passed(&id).gated(&gate)]);
        let gateway = replica(&upstream, &redis, "").await;
        let asked = gateway.ask(&format!("/idv/{id}"), &[]).await;
        upstream.wait_for_hits(&id, 1).await;
        redis.signal("STOP");
        gate.open();
        assert_eq!(asked.answer().await.status, 200);
        let fills = gateway.fills().await;
        redis.signal("CONT");
        fills > 0.0
    };
    // The write is given up after 50 ms, which a busy machine may take for the answer, too.
    for n in 0..5 {
        if outstanding(n).await {
            return;
        }
    }
    panic!("each answer came after its write");
}
