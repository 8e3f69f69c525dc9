//! One fault, tried: a gateway over scripted regions, everything it answers recorded, and the invariants at the end.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use idv_gateway::settings::LogFormat;
use idv_gateway::telemetry::logs;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tokio::time::Instant;

use crate::support::{Answer, Gateway, PATIENCE, Upstream, client, eventually, gateway};

/// What no log, metric or error may ever hold. `bodies` gives every person one of these words.
const CANARIES: &[&str] = &[
    "AMINAH CONTOH",
    "770101-",
    "1 Jalan",
    "media.example/",
    "test-token-",
    "test-access-key",
    "test-secret-key",
];

/// The slack on top of `request.timeout` within which every answer comes.
const SLACK: Duration = Duration::from_millis(750);

/// One fault, tried.
pub struct Trial {
    pub gateway: Gateway,
    /// The regions' upstreams, in the order of the configuration.
    pub regions: Vec<(&'static str, Upstream)>,
    /// What a caller waits at most.
    pub timeout: Duration,
    series: usize,
    answers: Mutex<Vec<Asked>>,
    /// How long the logs were at the start: what is before was searched by others.
    logged: usize,
    /// The ids that some region truly passes.
    passing: Mutex<HashSet<String>>,
}

struct Asked {
    id: String,
    answer: Answer,
    took: Duration,
}

impl Trial {
    /// One region, `my`, and settings that keep tests short.
    pub async fn start() -> Self {
        Self::with(&["my"], "").await
    }

    /// These regions, and more TOML: pieces for sections that are not given here ([request], [cache], …).
    pub async fn with(names: &[&'static str], more: &str) -> Self {
        Self::start_with(names, more, Duration::from_millis(400), Duration::from_secs(2)).await
    }

    /// The same, but nobody runs out of time while a test holds answers back.
    pub async fn patient(names: &[&'static str], more: &str) -> Self {
        Self::start_with(names, more, PATIENCE, PATIENCE).await
    }

    async fn start_with(names: &[&'static str], more: &str, attempt: Duration, timeout: Duration) -> Self {
        let mut regions = Vec::new();
        for name in names {
            let upstream = Upstream::start().await;
            let attempt = format!("attempt_timeout = \"{}ms\"\n", attempt.as_millis());
            let toml = gateway::region(name, &upstream) + &attempt;
            regions.push((*name, upstream, toml));
        }
        Self::start_over(regions, more, timeout).await
    }

    /// Regions of any settings, each with the upstream that is, in the end, asked for its ids.
    pub async fn over(regions: Vec<(&'static str, Upstream, String)>, more: &str) -> Self {
        Self::start_over(regions, more, Duration::from_secs(2)).await
    }

    async fn start_over(
        regions: Vec<(&'static str, Upstream, String)>,
        more: &str,
        timeout: Duration,
    ) -> Self {
        capture_logs();
        let toml: Vec<String> = regions.iter().map(|(_, _, toml)| toml.clone()).collect();
        let regions = regions.into_iter().map(|(name, upstream, _)| (name, upstream)).collect();
        let (wait, fill) = (timeout.as_secs(), timeout.as_secs() + 1);
        let request = format!("[request]\ntimeout = \"{wait}s\"\nfill_timeout = \"{fill}s\"\n");
        let request = if more.contains("[request]") { "" } else { &request };
        let open = if more.contains("[[callers]]") { "" } else { gateway::OPEN };
        // Sections first: what follows a [[regions]] header belongs to that region.
        let pieces = format!("{open}\n{request}\n{more}\n{}", toml.join("\n"));
        let logged = LOGS.lock().unwrap().len();
        let gateway = Gateway::with(&[&pieces]).await;
        let series = series(&gateway).await;
        Self {
            gateway,
            regions,
            timeout,
            series,
            answers: Mutex::default(),
            logged,
            passing: Mutex::default(),
        }
    }

    /// The upstream of the first region.
    pub fn upstream(&self) -> &Upstream {
        &self.regions[0].1
    }

    /// The upstream of a region.
    pub fn region(&self, name: &str) -> &Upstream {
        &self.regions.iter().find(|(known, _)| *known == name).expect("a region of this trial").1
    }

    /// Scripts `id` to pass in the first region.
    pub fn passes(&self, id: &str) {
        self.truly_passes(id);
        self.upstream().pass(id);
    }

    /// Notes that `passed` is the truth for `id`, however it is scripted.
    pub fn truly_passes(&self, id: &str) {
        self.passing.lock().unwrap().insert(id.to_owned());
    }

    /// Asks for an id, and keeps the answer for the invariants.
    pub async fn ask(&self, id: &str) -> Answer {
        self.send("GET", id, "", &[]).await
    }

    /// Asks for an id in any way; `query` with its question mark.
    pub async fn send(&self, method: &str, id: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
        let started = Instant::now();
        let answer = self.gateway.send(method, &format!("/idv/{id}{query}"), headers).await;
        let asked = Asked { id: id.to_owned(), answer: answer.clone(), took: started.elapsed() };
        self.answers.lock().unwrap().push(asked);
        answer
    }

    /// Has an id fetched again over a connection that is kept.
    pub async fn refresh_over(&self, connection: &mut client::Connection, id: &str) -> Answer {
        let started = Instant::now();
        connection.ask("GET", &format!("/idv/{id}"), &[("Cache-Control", "no-cache")]).await;
        let answer = connection.answer().await.expect("the gateway keeps the connection");
        let asked = Asked { id: id.to_owned(), answer: answer.clone(), took: started.elapsed() };
        self.answers.lock().unwrap().push(asked);
        answer
    }

    /// Sends requests for an id and returns when the gateway works on all of them.
    pub async fn crowd(&self, id: &str, n: usize) -> Vec<client::Asked> {
        self.gateway.crowd(&format!("/idv/{id}"), n).await
    }

    /// What a crowd is answered, kept for the invariants. How long that takes is the test's own business.
    pub async fn answers(&self, id: &str, crowd: Vec<client::Asked>) -> Vec<Answer> {
        let answers = client::answers(crowd).await;
        for answer in &answers {
            let asked = Asked { id: id.to_owned(), answer: answer.clone(), took: Duration::ZERO };
            self.answers.lock().unwrap().push(asked);
        }
        answers
    }

    /// Scripts `id` to pass in a region.
    pub fn passes_in(&self, region: &str, id: &str) {
        self.truly_passes(id);
        self.region(region).pass(id);
    }

    /// One line of the logs of this process holds all these words.
    pub async fn has_logged(&self, words: &[&str]) -> bool {
        let logs = self.logs().await;
        logs.lines().any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// What this process has logged since the start of this trial. Lines are written in batches: a last one shows that
    /// all before it were.
    async fn logs(&self) -> String {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("mark {} of the trials", MARKS.fetch_add(1, Ordering::Relaxed));
        tracing::info!(target: "trial", "{mark}");
        let logs = || String::from_utf8_lossy(&LOGS.lock().unwrap()[self.logged..]).into_owned();
        eventually("the lines so far", async || logs().contains(&mark)).await;
        logs()
    }

    /// No log of this process, and no metric, holds this word.
    pub async fn says_nowhere(&self, word: &str) {
        assert!(!self.gateway.admin("/metrics").await.text().contains(word), "{word} is in the metrics");
        let logs = self.logs().await;
        assert!(!logs.contains(word), "{word} is in the logs");
    }

    /// The invariants, after every fault.
    pub async fn invariants_hold(&self) {
        self.gateway.wait_for_fills(0).await;
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        let ids: HashSet<String> = answers.iter().map(|asked| asked.id.clone()).collect();
        for asked in &answers {
            self.answer_is_sound(asked, &ids);
        }
        self.calls_are_bounded(answers.len()).await;
        self.nothing_leaked(&answers).await;
        assert_eq!(series(&self.gateway).await, self.series, "the number of metric series changed");
        assert_eq!(self.gateway.admin("/livez").await.status, 200);
    }

    fn answer_is_sound(&self, asked: &Asked, ids: &HashSet<String>) {
        let Asked { id, answer, took } = asked;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{id}");
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{id}");
        assert!(*took <= self.timeout + SLACK, "{id} took {took:?}");
        let body = String::from_utf8_lossy(&answer.body);
        for other in ids
            .iter()
            .filter(|other| *other != id && !other.contains(id.as_str()) && !id.contains(other.as_str()))
        {
            assert!(!body.contains(other.as_str()), "the answer for {id} holds {other}");
        }
        if answer.body.is_empty() {
            return;
        }
        let gist = answer.gist();
        if gist == (200, "passed".to_owned()) {
            assert!(self.passing.lock().unwrap().contains(id), "{id} passed, and the upstream never said so");
        }
        if gist.0 == 404 {
            let never: Vec<_> = self.regions.iter().filter(|(_, upstream)| upstream.hits(id) == 0).collect();
            let never: Vec<_> = never.iter().map(|(name, _)| name).collect();
            assert!(never.is_empty(), "{id} is 404, and these regions were never asked: {never:?}");
        }
    }

    /// No more upstream calls than one per answer and region, and the second attempts that the gateway counted.
    async fn calls_are_bounded(&self, answers: usize) {
        for (name, upstream) in &self.regions {
            let retries =
                self.gateway.metric(&format!("idv_upstream_retries_total{{region=\"{name}\"}}")).await;
            // A refused token costs one more call each.
            let replays = upstream.token_hits();
            let allowed = answers * 2 + retries as usize + replays;
            assert!(
                upstream.result_hits() <= allowed,
                "{name}: {} calls, {allowed} allowed",
                upstream.result_hits()
            );
        }
    }

    async fn nothing_leaked(&self, answers: &[Asked]) {
        let metrics = self.gateway.admin("/metrics").await;
        let config = self.gateway.admin("/config").await;
        let logs = self.logs().await;
        let errors = answers.iter().map(|asked| &asked.answer).filter(|answer| answer.status != 200);
        let errors: Vec<String> =
            errors.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).collect();
        for canary in CANARIES {
            assert!(!metrics.text().contains(canary), "{canary} is in the metrics");
            assert!(!config.text().contains(canary), "{canary} is in /config");
            assert!(!logs.contains(canary), "{canary} is in the logs");
            assert!(!errors.iter().any(|error| error.contains(canary)), "{canary} is in an error");
        }
    }
}

/// As many values as asked for, the same ones in every run.
pub fn generated<T>(count: usize, strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

async fn series(gateway: &Gateway) -> usize {
    gateway.admin("/metrics").await.text().lines().filter(|line| !line.starts_with('#')).count()
}

static LOGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Everything this process logs, at trace level, is kept for the invariants.
fn capture_logs() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let logs = logs::start(Capture, "trace", LogFormat::Json).expect("logging starts once");
        // It writes to the end of the process.
        std::mem::forget(logs);
    });
}

struct Capture;

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGS.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
