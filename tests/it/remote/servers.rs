//! One server with TLS or a user of few rights, a cluster, sentinels.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use crate::support::gateway::{Gateway, OPEN, region};
use crate::support::process::{Scratch, Served, free_address, text};
use crate::support::redis::{self, KEY, Redis, Said, replica_of, section};
use crate::support::upstream::Upstream;
use crate::support::{eventually, tls};

async fn replica(upstream: &Upstream, section: &str) -> Gateway {
    replica_of(&[OPEN, section, &region("my", upstream)]).await
}

/// What one replica fetches is a remote hit on another.
async fn shares(upstream: &Upstream, section: &str, id: &str) {
    upstream.pass(id);
    let (one, other) = (replica(upstream, section).await, replica(upstream, section).await);
    one.get(&format!("/idv/{id}")).await;
    let answer = other.get(&format!("/idv/{id}")).await;
    assert!(answer.cache_status().ends_with("detail=remote"), "{}", answer.cache_status());
    assert_eq!(one.send("DELETE", &format!("/idv/{id}"), &[]).await.status, 204);
    eventually("the purge on the other replica", async || {
        other.metric(r#"idv_cache_evictions_total{cause="purged"}"#).await > 0.0
    })
    .await;
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own() {
    let (upstream, plain, secure) = (Upstream::start().await, free_address(), free_address());
    let path = |name: &str| text(&tls::fixture(name)).to_owned();
    let (port, certificate, key) = (secure.port().to_string(), path("upstream"), path("upstream-key"));
    let args = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let authority = path("authority");
    let more = ["--tls-ca-cert-file", &authority, "--tls-auth-clients", "no"];
    let redis = Redis::at(plain, &[&args[..], &more].concat()).await;
    let url = format!("rediss://127.0.0.1:{port}");
    let with_ca = format!("{}ca_file = \"{authority}\"\n", redis.section_at(&url, KEY));
    shares(&upstream, &with_ca, "S1").await;
    let without = Gateway::with(&[OPEN, &redis.section_at(&url, KEY), &region("my", &upstream)]).await;
    let refused = async || {
        let metrics = without.admin("/metrics").await;
        let is_counted = |line: &&str| {
            line.starts_with("idv_remote_requests_total{operation=\"connect\"") && !line.ends_with(" 0")
        };
        metrics.text().lines().find(is_counted).is_some_and(|line| !line.contains("\"ok\""))
    };
    eventually("a refused handshake", refused).await;
    assert_eq!(without.metric("idv_remote_up").await, 0.0);
}

#[tokio::test]
async fn another_url_in_the_file_is_followed() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let url = redis.scratch.write("url", &format!("redis://{}\n", free_address()));
    let section = redis
        .section()
        .replace(&format!("url = \"{}\"", redis.url()), &format!("url_file = \"{}\"", text(&url)));
    let gateway = Served::with(&[OPEN, &section, &region("my", &upstream)]).await;
    assert_eq!(gateway.metric("idv_remote_up").await, 0.0);
    redis.scratch.write("url", &format!("{}\n", redis.url()));
    gateway.process.signal("HUP");
    eventually("the other server", async || gateway.metric("idv_remote_up").await == 1.0).await;
    eventually("its messages", async || !redis.ask(&["PUBSUB", "CHANNELS"]).await.texts().is_empty()).await;
}

/// These are all the rights that the gateway needs; the operators' guide names them.
#[tokio::test]
async fn a_user_with_the_rights_of_the_guide_is_enough() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let guide = include_str!("../../../docs/operations.md");
    let rule = guide.lines().find_map(|line| line.strip_prefix("ACL SETUSER idv ")).expect("the guide says");
    let rule = rule.replace("\\", "").replace("$PASSWORD", "a-password").replace('\'', "");
    let words: Vec<&str> = ["ACL", "SETUSER", "idv"].into_iter().chain(rule.split_whitespace()).collect();
    redis.ask(&words).await;
    let section = redis.section_at(&format!("redis://idv:a-password@{}", redis.address), KEY);
    shares(&upstream, &format!("{section}share_tokens = true\n"), "S1").await;
    assert_eq!(redis.ask(&["ACL", "LOG"]).await, Said::List(Vec::new()));
}

async fn cluster() -> Vec<Redis> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let (address, bus) = (free_address(), free_address().port().to_string());
        let args = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
        nodes.push((Redis::at(address, &args).await, bus));
    }
    for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
        node.0.ask(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).await;
    }
    for (node, bus) in &nodes[1..] {
        let port = node.address.port().to_string();
        nodes[0].0.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
    }
    let nodes: Vec<Redis> = nodes.into_iter().map(|(node, _)| node).collect();
    for node in &nodes {
        eventually("the cluster", async || {
            let info = node.ask(&["CLUSTER", "INFO"]).await.text();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    nodes
}

#[tokio::test]
async fn a_cluster_and_a_slot_that_moves() {
    let (upstream, nodes, scratch) = (Upstream::start().await, cluster().await, Scratch::new());
    let url = format!("redis+cluster://{},{}", nodes[0].address, nodes[1].address);
    let section = section(&scratch, &url, KEY);
    for id in ["S1", "S2", "S3", "S4"] {
        shares(&upstream, &section, id).await;
    }
    let (one, other) = (replica(&upstream, &section).await, replica(&upstream, &section).await);
    upstream.pass("S5");
    one.get("/idv/S5").await;
    let mut held = None;
    for (at, node) in nodes.iter().enumerate() {
        if let Some(key) = node.keys("*:result").await.into_iter().next() {
            held = Some((at, key));
        }
    }
    let (from, key) = held.expect("a node holds the result");
    let to = (from + 1) % 3;
    let slot = nodes[from].ask(&["CLUSTER", "KEYSLOT", &key]).await.number().to_string();
    let [source, target] = [&nodes[from], &nodes[to]];
    let (source_id, target_id) =
        (source.ask(&["CLUSTER", "MYID"]).await.text(), target.ask(&["CLUSTER", "MYID"]).await.text());
    target.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await;
    source.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await;
    let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await.texts();
    for key in &keys {
        let port = target.address.port().to_string();
        source.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    }
    for node in [target, source] {
        node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
    }
    let answer = other.get("/idv/S5").await;
    assert!(answer.cache_status().ends_with("detail=remote"), "{}", answer.cache_status());
    assert_eq!(upstream.hits("S5"), 1);
}

/// A sentinel that watches one master, and takes it for down only if it is told to.
struct Sentinel {
    process: Child,
    address: SocketAddr,
}

impl Sentinel {
    async fn of(master: &Redis, scratch: &Scratch) -> Self {
        let (address, port) = (free_address(), master.address.port());
        let config = format!("port {}\nsentinel monitor main 127.0.0.1 {port} 1\n", address.port());
        let config = scratch.write("sentinel.conf", &config);
        let mut command = Command::new("redis-server");
        command.arg(text(&config)).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("redis-server is installed");
        eventually("the sentinel", async || TcpStream::connect(address).await.is_ok()).await;
        Self { process, address }
    }

    async fn ask(&self, command: &str) -> Said {
        redis::ask(self.address, &["SENTINEL", command, "main"]).await
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn sentinels_name_the_new_master_after_a_failover() {
    let (upstream, scratch) = (Upstream::start().await, Scratch::new());
    let mut master = Redis::start().await;
    let port = master.address.port().to_string();
    let replicated =
        Redis::with(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]).await;
    let is_in_sync =
        async || replicated.ask(&["INFO", "replication"]).await.text().contains("master_link_status:up");
    eventually("the replica", is_in_sync).await;
    // A sentinel looks when it starts and then every ten seconds, so it starts when there is a replica to see.
    let sentinel = Sentinel::of(&master, &scratch).await;
    let gateway =
        replica(&upstream, &section(&scratch, &format!("redis+sentinel://{}/main", sentinel.address), KEY))
            .await;
    upstream.pass("S1");
    gateway.get("/idv/S1").await;
    eventually("a failover", async || matches!(sentinel.ask("FAILOVER").await, Said::Text(_))).await;
    let port = replicated.address.port().to_string();
    let is_master = async || sentinel.ask("GET-MASTER-ADDR-BY-NAME").await.texts()[1] == port;
    eventually("the sentinel to name the new master", is_master).await;
    master.stop();
    let mut n = 1;
    eventually("a result on the new master", async || {
        n += 1;
        let id = format!("S{n}");
        upstream.pass(&id);
        assert_eq!(gateway.get(&format!("/idv/{id}")).await.status, 200);
        replicated.keys("*:result").await.len() > 1
    })
    .await;
}
