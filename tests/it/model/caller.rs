//! The callers of the model: what they draw to do next, and what became of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::trial::CALLBACK_KEY;
use super::world::{REGIONS, World, name};
use crate::support::process::{Scratch, Served};
use crate::support::{Answer, client, eventually};

/// Callers by name, each with its regions.
pub const CALLERS: [(&str, &[usize]); 4] =
    [("all", &[0, 1, 2]), ("a", &[0]), ("ab", &[0, 1]), ("bc", &[1, 2])];

/// A read, and its answer.
pub struct Read {
    pub id: usize,
    pub replica: usize,
    /// The regions that may be asked.
    pub route: Vec<usize>,
    pub is_pinned: bool,
    pub is_refresh: bool,
    pub is_cut: bool,
    pub wait: Option<u64>,
    /// Before it was sent, and when it was answered.
    pub start: Instant,
    pub end: Instant,
    pub answer: Answer,
}

impl Read {
    /// A plain read that is still to be sent.
    fn of(id: usize, replica: usize, route: Vec<usize>) -> Self {
        let answer = Answer { status: 0, headers: Vec::new(), body: Vec::new() };
        let (start, end) = (Instant::now(), Instant::now());
        let (is_pinned, is_refresh, is_cut, wait) = (false, false, false, None);
        Self { id, replica, route, is_pinned, is_refresh, is_cut, wait, start, end, answer }
    }

    /// The number of the call that the answer is of.
    pub fn call(&self) -> Option<usize> {
        let body = self.answer.json();
        let number = body["upstream"]["transactionId"].as_str()?.strip_prefix("call-")?;
        number.parse().ok().filter(|_| self.answer.status == 200)
    }

    /// Whether the answer shows that memory keeps that call's result.
    fn is_kept(&self) -> bool {
        self.answer.is_hit() || self.answer.cache_status().contains("; stored")
    }
}

/// A purge, from before it was sent to its answer.
pub struct Purge {
    pub id: usize,
    pub replica: usize,
    pub regions: &'static [usize],
    pub start: Instant,
    pub end: Instant,
}

/// All that callers did.
#[derive(Default)]
pub struct History {
    pub reads: Vec<Read>,
    /// The calls whose results memory kept, by what was answered: the replica, the call and the end of the read.
    pub kept: Vec<(usize, usize, Instant)>,
    pub purges: Vec<Purge>,
}

/// One gateway process.
pub struct Replica {
    pub served: Served,
    pub callbacks: SocketAddr,
    pub _folder: Scratch,
}

impl Replica {
    pub fn public(&self) -> SocketAddr {
        self.served.public
    }
}

/// What all callers share.
pub struct Stage {
    pub world: Arc<Mutex<World>>,
    pub replicas: Vec<Replica>,
    pub history: Mutex<History>,
    /// How many requests were sent.
    pub sent: AtomicUsize,
    /// How many there will be.
    pub requests: usize,
}

/// Ids that are asked for all the time: they grow old.
const OLD: usize = 2;
/// Ids at a time that are new: the first requests for an id are the ones that race.
const NEW: usize = 4;
/// How many requests there are for a new id, about.
const REQUESTS_PER_ID: usize = 25;

/// How many ids so many requests need.
pub const fn ids(requests: usize) -> usize {
    OLD + NEW + requests / REQUESTS_PER_ID + 1
}

/// Draws and sends requests until there were enough.
pub async fn act(stage: Arc<Stage>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        let sent = stage.sent.fetch_add(1, Ordering::Relaxed);
        if sent >= stage.requests {
            return;
        }
        let nth = rng.random_range(0..OLD + NEW);
        let id = if nth < OLD { nth } else { nth + sent / REQUESTS_PER_ID };
        stage.world.lock().unwrap().turn(id);
        let replica = rng.random_range(0..stage.replicas.len());
        match rng.random_range(0..100) {
            0..4 => stage.purge(&mut rng, id, replica).await,
            4..8 => stage.call_back(&mut rng, id, replica).await,
            8..11 => {
                let (target, key) = (format!("/idv/{}", name(id)), authorization(CALLERS[0].0));
                let headers = [("Authorization", key.as_str())];
                client::Asked::get(stage.replicas[replica].public(), &target, &headers).await.leave();
            }
            _ => stage.read(&mut rng, id, replica).await,
        }
    }
}

fn authorization(caller: &str) -> String {
    format!("Bearer {caller}")
}

impl Stage {
    /// Whether all requests are sent.
    pub fn is_over(&self) -> bool {
        self.sent.load(Ordering::Relaxed) >= self.requests
    }

    /// Waits until all replicas use the second tier, if there are several.
    pub async fn is_shared(&self) {
        for Replica { served, .. } in self.replicas.iter().filter(|_| self.replicas.len() > 1) {
            eventually("the second tier", async || served.metric("idv_remote_up").await == 1.0).await;
        }
    }

    /// Whether the second tier replied in time to everything, so that all replicas know what they should.
    pub async fn is_prompt(&self) -> bool {
        for replica in &self.replicas {
            let metrics = replica.served.admin("/metrics").await;
            let is_late = |line: &str| {
                line.starts_with("idv_remote_requests_total")
                    && line.contains("timeout")
                    && !line.ends_with(" 0")
            };
            if metrics.text().lines().any(is_late) {
                return false;
            }
        }
        true
    }

    async fn purge(&self, rng: &mut StdRng, id: usize, replica: usize) {
        let (caller, regions) = *CALLERS.choose(rng).unwrap();
        let (key, start) = (authorization(caller), Instant::now());
        let headers = [("Authorization", key.as_str())];
        let to = self.replicas[replica].public();
        let answer = client::request(to, "DELETE", &format!("/idv/{}", name(id)), &headers).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let purge = Purge { id, replica, regions, start, end: Instant::now() };
        self.history.lock().unwrap().purges.push(purge);
    }

    async fn call_back(&self, rng: &mut StdRng, id: usize, replica: usize) {
        let body = format!(r#"{{"signatureId":"{}","type":"COMPLETED"}}"#, name(id));
        let (region, length) = (REGIONS.choose(rng).unwrap(), body.len());
        let request = format!(
            "POST /callbacks/{region}?key={} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}",
            CALLBACK_KEY
        );
        let answer = client::raw(self.replicas[replica].callbacks, request.as_bytes()).await;
        assert_eq!(client::parse(&answer).map(|answer| answer.status), Some(200));
    }

    async fn read(&self, rng: &mut StdRng, id: usize, replica: usize) {
        let (caller, regions) = *CALLERS.choose(rng).unwrap();
        let pin = rng.random_ratio(1, 5).then(|| *regions.choose(rng).unwrap());
        let wait = rng.random_ratio(1, 12).then_some(1);
        let route = pin.map_or_else(|| regions.to_vec(), |pin| vec![pin]);
        let mut read = Read {
            is_pinned: pin.is_some(),
            is_refresh: rng.random_ratio(1, 7),
            is_cut: rng.random_ratio(1, 10),
            wait,
            ..Read::of(id, replica, route)
        };
        self.send(caller, &mut read).await;
        let mut history = self.history.lock().unwrap();
        let kept = read.call().filter(|_| read.is_kept());
        history.kept.extend(kept.map(|call| (replica, call, read.end)));
        history.reads.push(read);
    }

    /// Asks for an id again, where everything has calmed down. Returns whether the answer is one that was asked for now.
    pub async fn is_well(&self, id: usize, replica: usize) -> bool {
        let before = self.world.lock().unwrap().calls.len();
        let (caller, route) = (CALLERS[0].0, CALLERS[0].1.to_vec());
        let mut read = Read { is_refresh: true, ..Read::of(id, replica, route) };
        self.send(caller, &mut read).await;
        match read.answer.status {
            200 => read.call().is_some_and(|call| call >= before),
            status => [404, 409].contains(&status),
        }
    }

    async fn send(&self, caller: &str, read: &mut Read) {
        let mut query = Vec::new();
        if read.is_pinned {
            query.push(format!("region={}", REGIONS[read.route[0]]));
        }
        if read.is_cut {
            query.push("view=decision".to_owned());
        }
        let target = format!("/idv/{}?{}", name(read.id), query.join("&"));
        let target = target.trim_end_matches('?');
        let (key, wait) = (authorization(caller), read.wait.map(|seconds| format!("wait={seconds}")));
        let mut headers = vec![("Authorization", key.as_str())];
        headers.extend(read.is_refresh.then_some(("Cache-Control", "no-cache")));
        headers.extend(wait.as_deref().map(|wait| ("Prefer", wait)));
        read.start = Instant::now();
        read.answer = client::request(self.replicas[read.replica].public(), "GET", target, &headers).await;
        read.end = Instant::now();
    }
}
