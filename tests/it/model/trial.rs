//! One run of the model: gateways in processes of their own, callers, chaos, and the oracle's judgement.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join_all};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use super::caller::{CALLERS, Replica, Stage, act, ids};
use super::chaos::{EVENTS, Event, NEXT_KEY, rage};
use super::oracle::Oracle;
use super::world::{REGIONS, World};
use crate::support::gateway::{EVERY_SCOPE, caller, region};
use crate::support::process::{Scratch, Served, free_address, text};
use crate::support::redis::{KEY, Redis};
use crate::support::{Upstream, client, eventually};

pub const CALLBACK_KEY: &str = "callback-key-of-the-model-0123456789";
/// How many act at a time.
const ACTORS: u64 = 40;

/// How long what is kept, and how long who waits.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub last: Duration,
    pub incomplete: Duration,
    pub pending: Duration,
    pub pending_max: Duration,
    pub not_found: Duration,
    pub stale_max: Duration,
    pub discovery_wait: Duration,
    pub timeout: Duration,
    pub attempt: Duration,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Everything ends soon.
const SHORT: Times = Times {
    last: ms(1000),
    incomplete: ms(500),
    pending: ms(100),
    pending_max: ms(500),
    not_found: ms(400),
    stale_max: ms(2000),
    discovery_wait: ms(150),
    timeout: ms(1000),
    attempt: ms(1000),
};

impl Times {
    fn section(&self, cache: &str) -> String {
        let Self { last, incomplete, pending, pending_max, not_found, stale_max, .. } = self;
        let kept = [
            ("final_ttl", last),
            ("incomplete_ttl", incomplete),
            ("pending_ttl", pending),
            ("pending_ttl_max", pending_max),
            ("not_found_ttl", not_found),
            ("stale_max", stale_max),
        ];
        let request = [("timeout", &self.timeout), ("discovery_wait", &self.discovery_wait)];
        let lines = |lines: &[(&str, &Duration)]| -> String {
            lines.iter().map(|(key, time)| format!("{key} = \"{}ms\"\n", time.as_millis())).collect()
        };
        format!("[cache]\n{cache}{}[request]\n{}", lines(&kept), lines(&request))
    }
}

/// One way to run the model.
#[derive(Debug)]
pub struct Trial {
    pub seed: u64,
    pub replicas: usize,
    times: Times,
    requests: usize,
    /// Further lines of the configuration: of the cache, of each region, and sections.
    cache: &'static str,
    region: &'static str,
    more: &'static str,
    /// Whether links end soon.
    links_die: bool,
    events: Vec<Event>,
}

impl Trial {
    /// The plain way, some seconds long.
    pub fn plain(seed: u64, replicas: usize) -> Self {
        let (cache, region, more) = ("", "", "");
        // What one replica forgets, another must not have for long either.
        let times = if replicas > 1 { Times { last: ms(5000), ..SHORT } } else { SHORT };
        Self {
            seed,
            replicas,
            times,
            requests: 1500,
            cache,
            region,
            more,
            links_die: false,
            events: Vec::new(),
        }
    }

    /// Any way, as the seed draws it, with at least so many replicas.
    pub fn drawn(seed: u64, replicas: usize) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut trial = Self::plain(seed, replicas);
        trial.requests = *[1200, 1200, 3000].choose(rng).unwrap();
        trial.times.discovery_wait = ms(*[0, 30, 100, 300].choose(rng).unwrap());
        trial.times.not_found = ms(*[50, 400, 1000].choose(rng).unwrap());
        trial.times.last = ms(*[500, 1000, 5000].choose(rng).unwrap());
        trial.times.stale_max = ms(*[0, 2000, 10_000].choose(rng).unwrap());
        trial.cache = ["", "", "max_bytes = \"8KiB\"\n"].choose(rng).unwrap();
        trial.region = ["", "", "concurrency = 1\n", "concurrency = 4\n"].choose(rng).unwrap();
        trial.links_die = rng.random_ratio(1, 3);
        trial.more = ["", "", "[wait]\nmax_waiters = 2\n"].choose(rng).unwrap();
        if replicas > 1 {
            trial.replicas = rng.random_range(replicas..=3);
            let share = *[0, 1, 2].choose(rng).unwrap();
            let any = |_: &usize| rng.random_ratio(share, 4);
            let happens: Vec<usize> = (0..EVENTS.len()).filter(any).collect();
            trial.events = happens.into_iter().map(|event| EVENTS[event]).collect();
        }
        trial
    }

    /// Runs it and returns how often each kind of answer was seen.
    #[expect(clippy::print_stdout, reason = "a test that fails shows what was drawn")]
    pub async fn run(&self) -> BTreeMap<String, usize> {
        println!("{self:?}");
        let (world, upstreams) = World::start(self.seed, ids(self.requests), self.links_die).await;
        let redis = Redis::start().await;
        let remote = if self.replicas > 1 {
            redis.section_at(&redis.url(), &format!("{KEY}\n{NEXT_KEY}"))
        } else {
            String::new()
        };
        let replicas = join_all((0..self.replicas).map(|_| self.replica(&upstreams, &remote))).await;
        let (history, sent) = (Mutex::default(), 0.into());
        let stage = Arc::new(Stage { world, replicas, history, sent, requests: self.requests });
        stage.is_shared().await;
        let pause = Arc::new(AtomicU64::new(0));
        let watches = stage.replicas.iter().map(|replica| watch(replica.public(), Arc::clone(&pause)));
        let watches: Vec<_> = watches.map(tokio::spawn).collect();
        let actors = (0..ACTORS).map(|n| tokio::spawn(act(Arc::clone(&stage), self.seed * ACTORS + n)));
        let actors = join_all(actors.collect::<Vec<_>>());
        let (_redis, done) = join(rage(&stage, redis, &self.events, self.seed), actors).await;
        done.into_iter().for_each(|actor| actor.expect("what an actor checks holds"));
        watches.iter().for_each(tokio::task::JoinHandle::abort);
        let slack = ms(200) + Duration::from_micros(2 * pause.load(Ordering::Relaxed));
        let is_prompt = stage.is_prompt().await;
        let seen = self.judge(&stage, slack, is_prompt).unwrap_or_else(|wrong| panic!("{self:?}: {wrong}"));
        let Ok(stage) = Arc::try_unwrap(stage).map_err(drop) else { panic!("an actor is still there") };
        self.end(stage).await;
        seen
    }

    async fn replica(&self, upstreams: &[Upstream], remote: &str) -> Replica {
        let (folder, callbacks) = (Scratch::new(), free_address());
        let key = folder.write("callback-key", CALLBACK_KEY);
        let mut pieces = vec![
            "[telemetry]\nlog = \"trace\"\n".to_owned(),
            format!("[callbacks]\nlisten = \"{callbacks}\"\nkey_file = \"{}\"\n", text(&key)),
            self.times.section(self.cache),
            self.more.to_owned(),
            remote.to_owned(),
        ];
        for (name, upstream) in REGIONS.iter().zip(upstreams) {
            let attempt = format!("attempt_timeout = \"{}ms\"\n", self.times.attempt.as_millis());
            pieces.extend([region(name, upstream), attempt, self.region.to_owned()]);
        }
        for (name, regions) in CALLERS {
            let regions: Vec<&str> = regions.iter().map(|region| REGIONS[*region]).collect();
            pieces.push(caller(name, EVERY_SCOPE, &format!("regions = {regions:?}\n")));
        }
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        Replica { served: Served::with(&pieces).await, callbacks, _folder: folder }
    }

    fn judge(
        &self,
        stage: &Stage,
        slack: Duration,
        is_prompt: bool,
    ) -> Result<BTreeMap<String, usize>, String> {
        let (world, history) = (stage.world.lock().unwrap(), stage.history.lock().unwrap());
        let oracle = Oracle {
            times: &self.times,
            calls: &world.calls,
            history: &history,
            slack,
            // A purge that the second tier did not take is tried again after a second.
            purge_spread: self.events.is_empty().then_some(slack + ms(if is_prompt { 300 } else { 2000 })),
            conflict_spread: (self.events.is_empty() && is_prompt).then_some(slack + ms(300)),
            replicas: self.replicas,
            may_be_replayed: self.events.contains(&Event::Replay),
        };
        let (wrong, seen) = oracle.judge();
        let first: Vec<_> = wrong.iter().take(3).map(String::as_str).collect();
        if wrong.is_empty() { Ok(seen) } else { Err(format!("{} wrong:\n{}", wrong.len(), first.join("\n"))) }
    }

    /// Once everything has calmed down no flight is left, nothing leaked, and each process ends well.
    async fn end(&self, stage: Stage) {
        stage.world.lock().unwrap().calm_down();
        for (number, replica) in stage.replicas.iter().enumerate() {
            for gauge in ["idv_fills_in_flight", "idv_waiters", "idv_pollers"] {
                eventually(gauge, async || replica.served.metric(gauge).await == 0.0).await;
            }
            assert_eq!(replica.served.metric("idv_panics_total").await, 0.0);
            for id in (0..ids(self.requests)).rev().take(8) {
                eventually("an answer where all is well", async || stage.is_well(id, number).await).await;
            }
        }
        for replica in stage.replicas {
            let ended = replica.served.stop().await;
            assert_eq!(ended.code, Some(0));
            // Promise 4: no personal data in logs at any level; section 11: an id appears only as its hash.
            for private in ["Modelled", "AMINAH", "Jalan"] {
                let is_logged = ended.stdout.contains(private) || ended.stderr.contains(private);
                assert!(!is_logged, "{private} is logged");
            }
        }
    }
}

/// Measures the worst pause of a gateway and of this test, for as long as it runs.
async fn watch(public: SocketAddr, worst: Arc<AtomicU64>) {
    loop {
        let start = Instant::now();
        client::request(public, "GET", "/livez", &[]).await;
        worst.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        sleep(ms(10)).await;
    }
}
