//! A process with little: memory, processor, open files, a place to write, rights.

use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::rows::{Row, row};
use crate::support::client::{self, Connection};
use crate::support::gateway::{OPEN, region};
use crate::support::process::{Process, Scratch, Served, free_address, run, text};
use crate::support::upstream::Gate;
use crate::support::{Reply, Upstream, bodies, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            138,
            format!(
                "{SCANNED} results of {} kB, an address space of 1 GB and a cache of 1 MiB",
                RESULT_BYTES / 1000
            ),
            "the process grows by less than 16 MiB and lives",
        ),
        row(
            139,
            format!("{BUSY} busy processes on the gateway's only processor"),
            "health is told within a second; what takes too long is refused",
        ),
        row(142, "listeners with IPv6 addresses alone; no rights, no writable directory", "it works"),
        row(
            144,
            format!("{MEASURED} requests of every kind, nobody reads the metrics"),
            "memory grows by less than 4 MiB, open files do not",
        ),
        row(
            148,
            format!("{HOSTILE} bodies of 1 MB of deeply nested JSON at once"),
            "health is told within a second",
        ),
    ]
}

/// A passed result with a long text in it.
fn long(id: &str) -> Reply {
    let mut body = bodies::passed(id);
    body["data"]["docDetail"]["ocrInfo"]["front"]["remarks"] = json!("x".repeat(RESULT_BYTES));
    Reply::json(body)
}

/// Asks for these ids on one connection; every one of them passes.
async fn ask_all(served: &Served, ids: impl Iterator<Item = usize>) {
    let mut connection = Connection::open(served.public).await;
    for n in ids {
        connection.ask("GET", &format!("/idv/S{n:04}"), &[]).await;
        let answer = connection.answer().await.expect("an answer");
        assert_eq!(answer.gist(), (200, "passed".to_owned()));
    }
}

/// The ids of row 138, and the size of each result.
const SCANNED: usize = 1_000;
const RESULT_BYTES: usize = 40_000;

#[tokio::test]
async fn f138_a_scan_of_many_ids_stays_within_little_memory() {
    let upstream = Upstream::start().await;
    for n in 0..SCANNED {
        let id = format!("S{n:04}");
        upstream.answer(&id, [long(&id)]);
    }
    let limited = ["bash", "-c", "ulimit -v 1000000; exec \"$@\"", "limited"];
    let small = "[cache]\nmax_bytes = \"1MiB\"\n";
    let mut served = Served::by(&limited, &[OPEN, small, &region("my", &upstream)], &[]).await;
    ask_all(&served, 0..200).await;
    let before = served.process.resident_kb();
    ask_all(&served, 200..SCANNED).await;
    let grown = served.process.resident_kb().saturating_sub(before);
    assert!(grown < 16 * 1024, "{} results left {grown} kB behind", SCANNED - 200);
    eventually("a cache within its bound", async || {
        served.metric("idv_cache_bytes").await <= 1024.0 * 1024.0
    })
    .await;
    assert!(served.process.is_running());
    ask_all(&served, 0..1).await;
    assert_eq!(served.stop().await.code, Some(0));
}

/// Processes that want all of one processor.
struct Hogs(Vec<Child>);

impl Hogs {
    fn on_processor_0(count: usize) -> Self {
        let hog = |_| {
            let mut command = Command::new("taskset");
            command.args(["-c", "0", "sh", "-c", "while :; do :; done"]);
            command.spawn().expect("there is taskset")
        };
        Self((0..count).map(hog).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            let _ = hog.kill();
            let _ = hog.wait();
        }
    }
}

/// The busy processes of row 139, on one processor with the gateway.
const BUSY: usize = 4;

/// As a probe does, the test allows one late answer, not two in a row.
#[tokio::test]
async fn f139_with_a_fifth_of_a_processor_health_is_told_in_time_and_so_is_what_takes_too_long() {
    let upstream = Upstream::start().await;
    for n in 0..50 {
        upstream.answer(&format!("S{n}"), [Reply::passed("S").gated(&Gate::default())]);
    }
    let pinned = ["taskset", "-c", "0"];
    let quick = "[request]\ntimeout = \"1s\"\nfill_timeout = \"2s\"\n";
    let served = Served::by(&pinned, &[OPEN, quick, &region("my", &upstream)], &[]).await;
    let _hogs = Hogs::on_processor_0(BUSY);
    let mut asked = JoinSet::new();
    for n in 0..50 {
        let public = served.public;
        asked.spawn(async move { client::request(public, "GET", &format!("/idv/S{n}"), &[]).await });
    }
    let mut late_in_a_row = 0;
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(served.admin("/livez").await.status, 200);
        late_in_a_row = if began.elapsed() < Duration::from_secs(1) { 0 } else { late_in_a_row + 1 };
        assert!(late_in_a_row < 2, "health was told after {:?}", began.elapsed());
    }
    let began = Instant::now();
    for answer in asked.join_all().await {
        assert!([503, 504].contains(&answer.status), "{answer:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(8), "refused after {:?}", began.elapsed());
}

#[tokio::test]
async fn f142_it_listens_on_ipv6_alone() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let scratch = Scratch::new();
    let [public, admin] = [(); 2].map(|()| free_address().port()).map(|port| format!("[::1]:{port}"));
    let server = format!("[server]\nlisten = \"{public}\"\nadmin_listen = \"{admin}\"\n");
    let config = scratch.write("gateway.toml", &format!("{server}{OPEN}{}", region("my", &upstream)));
    let mut process = Process::start(&["serve", "--config", text(&config)]);
    process.says("gateway started").await;
    let public = public.parse().expect("an address");
    assert_eq!(client::request(public, "GET", "/idv/S1", &[]).await.status, 200);
    let healthy = run(&["healthcheck", "--admin", &admin]).await;
    assert_eq!(healthy.code, Some(0), "{}", healthy.stderr);
    process.signal("KILL");
    process.exit().await;
}

/// The user `nobody` runs the binary, in a directory where not even root can write.
#[tokio::test]
async fn f142_it_needs_no_rights_and_no_place_to_write() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let pieces = [OPEN, &region("my", &upstream)];
    let is_root = std::fs::metadata("/proc/self").expect("there is /proc").uid() == 0;
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --no-new-privs";
    // The binary may lie where nobody may look: it is opened before the rights are gone.
    let script = format!(
        "cd /proc; exec 9<\"$1\"; shift; exec {} /proc/self/fd/9 \"$@\"",
        if is_root { nobody } else { "env" }
    );
    let served = Served::by(&["bash", "-c", &script, "limited"], &pieces, &[]).await;
    let uid = std::fs::metadata(format!("/proc/{}", served.process.id())).expect("it runs").uid();
    assert_ne!(uid, 0);
    assert_eq!(served.get("/idv/S1").await.status, 200);
    assert_eq!(served.stop().await.code, Some(0));
}

/// The requests of row 144 before and while memory is measured.
const WARM_UP: usize = 1_000;
const MEASURED: usize = 4_000;

#[tokio::test]
async fn f144_with_nobody_who_reads_the_metrics_memory_and_files_stay_flat() {
    let upstream = Upstream::start().await;
    for n in 0..20 {
        upstream.pass(&format!("S{n:04}"));
    }
    let served = Served::with(&[OPEN, &region("my", &upstream)]).await;
    let round = async |requests: usize| {
        let mut connection = Connection::open(served.public).await;
        for n in 0..requests {
            let target = match n % 4 {
                0 => format!("/nowhere/{n}"),
                1 => "/idv/not%20an%20id".to_owned(),
                _ => format!("/idv/S{:04}", n % 40),
            };
            connection.ask("GET", &target, &[]).await;
            assert!([200, 400, 404].contains(&connection.answer().await.expect("an answer").status));
        }
    };
    round(WARM_UP).await;
    let (memory, files) = (served.process.resident_kb(), served.process.open_files());
    round(MEASURED).await;
    let grown = served.process.resident_kb().saturating_sub(memory);
    assert!(grown < 4 * 1024, "{MEASURED} requests left {grown} kB behind");
    assert!(
        served.process.open_files() <= files + 4,
        "{} files, {files} before",
        served.process.open_files()
    );
    assert_eq!(served.stop().await.code, Some(0));
}

/// Something of a megabyte that is a lot of work: objects in objects, as deep as the parser goes, over and over.
fn hostile() -> Reply {
    let deep = "{\"a\":[".repeat(60) + "1" + &"]}".repeat(60);
    let many = vec![deep; 1_000_000 / 500].join(",");
    Reply::text(200, &format!("{{\"code\":\"SUCCESS\",\"data\":{{\"signatureId\":\"S\",\"odd\":[{many}]}}}}"))
}

/// The bodies of row 148, all at once, each of a megabyte.
const HOSTILE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn f148_health_is_told_in_time_beside_a_lot_of_hostile_json() {
    let upstream = Upstream::start().await;
    for n in 0..HOSTILE {
        upstream.answer(&format!("S{n}"), [hostile()]);
    }
    let served = Served::with(&[OPEN, &region("my", &upstream)]).await;
    let mut asked = JoinSet::new();
    for n in 0..HOSTILE {
        let public = served.public;
        asked.spawn(async move { client::request(public, "GET", &format!("/idv/S{n}"), &[]).await });
    }
    upstream.wait_for_hits("S0", 1).await;
    let mut late_in_a_row = 0;
    while !asked.is_empty() {
        let began = Instant::now();
        assert_eq!(served.admin("/livez").await.status, 200);
        late_in_a_row = if began.elapsed() < Duration::from_secs(1) { 0 } else { late_in_a_row + 1 };
        assert!(late_in_a_row < 2, "health was told after {:?}", began.elapsed());
        while let Some(answer) = asked.try_join_next() {
            assert!([502, 503, 504].contains(&answer.unwrap().status));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(served.stop().await.code, Some(0));
}

#[tokio::test]
async fn callers_who_take_all_open_files_leave_some_for_upstreams() {
    let upstream = Upstream::start().await;
    for id in ["S1", "S2"] {
        upstream.pass(id);
    }
    let limited = ["bash", "-c", "ulimit -n 256; exec \"$@\"", "limited"];
    let mut served = Served::by(&limited, &[OPEN, &region("my", &upstream)], &[]).await;
    served.process.says("\"open_files\":256").await;
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(Connection::open(served.public).await);
    }
    let last = crowd.last_mut().expect("a crowd");
    last.ask("GET", "/idv/S1", &[]).await;
    assert_eq!(last.answer().await.expect("an answer").gist(), (200, "passed".to_owned()));
    assert_eq!(served.admin("/livez").await.status, 200, "operators get in beside them");
    drop(crowd);
    assert_eq!(served.get("/idv/S2").await.gist(), (200, "passed".to_owned()));
    assert!(served.process.is_running());
    let finished = served.stop().await;
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.contains("accept failed"), "{}", finished.stdout);
}

#[tokio::test]
async fn a_burst_of_connections_waits_in_the_kernels_queue() {
    let bound = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("there is /proc");
    let burst = bound.trim().parse::<usize>().expect("a number").min(1_500);
    let upstream = Upstream::start().await;
    let served = Served::with(&[OPEN, &region("my", &upstream)]).await;
    served.process.signal("STOP");
    let mut crowd = Vec::new();
    for n in 0..burst {
        let connected = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(served.public)).await;
        crowd.push(
            connected.unwrap_or_else(|_| panic!("connection {n} finds no room")).expect("a connection"),
        );
    }
    served.process.signal("CONT");
    drop(crowd);
    assert_eq!(served.get("/idv/S1").await.status, 404);
    assert_eq!(served.stop().await.code, Some(0));
}
