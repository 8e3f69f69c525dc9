//! The second tier in trouble: whatever becomes of it, callers get the same answers a bounded time later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::rows::{Row, row, shown_by};
use super::trial::Trial;
use crate::support::gateway::{Gateway, OPEN, region};
use crate::support::process::{Scratch, free_address};
use crate::support::redis::{self, KEY, Redis};
use crate::support::{Reply, Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        shown_by(
            76,
            "a shared token is refused on a second replica",
            "that replica asks for its own, and shares no more for an hour; counted",
            ["remote::tokens::a_shared_token_that_is_refused_here_ends_the_sharing"],
        ),
        row(
            87,
            "Redis is down at the start, and comes later",
            "starts, serves, counts; uses it once it is there",
        ),
        row(88, "Redis ends while the gateway runs, and comes back", "answers as before; uses it again"),
        row(
            89,
            "Redis takes 2 s for each reply",
            "50 ms for one request, then nothing: skipped after five failures",
        ),
        row(90, "Redis stops, its connections stay open", "as with 2 s; a new connection once it goes on"),
        row(91, "values with changed bits, cut short, or none of ours", "a miss, counted, the value removed"),
        row(92, "the value of another id in the place of an id's", "a miss, counted"),
        row(
            93,
            "wrong password, commands not allowed, a read-only replica, out of memory, loading, replies of other kinds, \
             replies and messages without an end",
            "the same answers from the upstream; counted; skipped after five failures; a connection is closed after 2 MiB of \
             one reply, or 4 MiB of messages",
        ),
        row(
            95,
            "the encryption key is rotated",
            "the old key's values are read while it is the previous key",
        ),
        row(96, "Redis is flushed", "misses; what the upstream says is shared again"),
        row(
            97,
            format!("{FLOOD} messages of garbage and old ones again, on the channel of the replicas"),
            "ignored: no upstream call",
        ),
        row(
            98,
            format!("{CANCELLED} requests give up while Redis holds their replies back"),
            "every later answer is of its own id",
        ),
        shown_by(
            111,
            "a callback reaches a replica that knows nothing of the id",
            "the waiter on another replica is answered; one call",
            ["remote::sharing::a_callback_reaches_the_waiter_on_another_replica"],
        ),
    ]
}

const FLOOD: usize = 2_000;
const CANCELLED: usize = 200;
/// What a request may take whose upstream answers at once. A request waits 50 ms for Redis; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1_500);

fn requests(operation: &str, outcome: &str) -> String {
    format!("idv_remote_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}")
}

async fn up(trial: &Trial) {
    eventually("the second tier", async || trial.gateway.metric("idv_remote_up").await == 1.0).await;
}

/// Each id is answered soon, by the upstream.
async fn works_alone(trial: &Trial, ids: std::ops::Range<usize>) {
    for n in ids {
        let id = format!("ALONE-{n}");
        trial.passes(&id);
        let started = Instant::now();
        assert_eq!(trial.ask(&id).await.gist(), (200, "passed".to_owned()));
        assert!(started.elapsed() < SOON, "{id} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn f087_redis_is_down_at_the_start() {
    let (address, scratch) = (free_address(), Scratch::new());
    let section = redis::section(&scratch, &format!("redis://{address}"), KEY);
    let trial = Trial::with(&["my"], &section).await;
    works_alone(&trial, 0..3).await;
    assert!(trial.gateway.metric(&requests("connect", "unavailable")).await >= 1.0);
    assert!(trial.gateway.metric(&requests("read", "skipped")).await >= 3.0);
    let redis = Redis::at(address, &[]).await;
    up(&trial).await;
    works_alone(&trial, 3..4).await;
    assert!(!redis.keys("*:result").await.is_empty());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f088_redis_ends_and_comes_back() {
    let mut redis = Redis::start().await;
    let trial = Trial::with(&["my"], &redis.section()).await;
    up(&trial).await;
    works_alone(&trial, 0..2).await;
    redis.stop();
    works_alone(&trial, 2..12).await;
    redis.restart().await;
    up(&trial).await;
    eventually("a result in it", async || {
        trial.passes("AGAIN");
        trial.send("GET", "AGAIN", "", &[("Cache-Control", "no-cache")]).await;
        trial.ask("ALONE-13").await;
        !redis.keys("*:result").await.is_empty()
    })
    .await;
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f089_redis_takes_two_seconds_for_each_reply() {
    let redis = Redis::start().await;
    let trial = Trial::with(&["my"], &redis.section()).await;
    up(&trial).await;
    works_alone(&trial, 0..1).await;
    redis.ask(&["CLIENT", "PAUSE", "60000"]).await;
    works_alone(&trial, 1..12).await;
    assert!(trial.gateway.metric(&requests("read", "timeout")).await >= 4.0);
    assert!(trial.gateway.metric(&requests("read", "skipped")).await >= 1.0, "skipped after five");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f090_redis_stops_and_goes_on() {
    let redis = Redis::start().await;
    let trial = Trial::with(&["my"], &redis.section()).await;
    up(&trial).await;
    redis.signal("STOP");
    works_alone(&trial, 0..12).await;
    redis.signal("CONT");
    up(&trial).await;
    works_alone(&trial, 12..13).await;
    assert!(!redis.keys("*:result").await.is_empty());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f093_redis_refuses() {
    let refused = async |redis: &Redis, url: &str| {
        let trial = Trial::with(&["my"], &redis.section_at(url, KEY)).await;
        works_alone(&trial, 0..8).await;
        let metrics = trial.gateway.admin("/metrics").await;
        let counted = metrics.text().lines().any(|line| {
            line.starts_with("idv_remote_requests_total") && line.contains("refused") && !line.ends_with(" 0")
        });
        assert!(counted, "{url}: {}", metrics.text());
        trial.says_nowhere("a-wrong-password").await;
        trial.invariants_hold().await;
    };
    let locked = Redis::with(&["--requirepass", "the-password"]).await;
    refused(&locked, &format!("redis://:a-wrong-password@{}", locked.address)).await;
    let redis = Redis::start().await;
    for rule in ["-hmget", "-get", "-set", "-eval", "-hset", "-getrange"] {
        let user = ["ACL", "SETUSER", "u", "reset", "on", ">p", "~*", "&*", "+@all", rule];
        redis.ask(&user).await;
        if rule != "-get" {
            refused(&redis, &format!("redis://u:p@{}", redis.address)).await;
        }
    }
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    refused(&redis, &redis.url()).await;
    redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    refused(&redis, &redis.url()).await;
}

/// A server that replies to whatever is sent with the same bytes.
async fn parrot(reply: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    // As many replies as commands, as far as that can be told.
                    let commands = buffer.iter().filter(|byte| **byte == b'*').count().clamp(1, 8);
                    if stream.write_all(&reply.repeat(commands)).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

#[tokio::test]
async fn f093_a_server_says_anything() {
    let replies: [&[u8]; 10] = [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MOVED 3999 127.0.0.1:1\r\n",
        b"+OK\r\n",
        b":7\r\n",
        b"$-1\r\n",
        b"$5\r\nhello\r\n",
        b"*2\r\n:1\r\n$1\r\nx\r\n",
        b"*-1\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\xff\r\n",
    ];
    for reply in replies {
        let scratch = Scratch::new();
        let trial = Trial::with(&["my"], &redis::section(&scratch, &parrot(reply).await, KEY)).await;
        works_alone(&trial, 0..7).await;
        trial.invariants_hold().await;
    }
}

/// A server that replies to every command, and to what it is told when a connection begins, with these bytes again and
/// again. The number is that of bytes that it got rid of, on one connection at the most.
async fn endless(reply: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let most = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (reply, counted) = (reply.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let request = String::from_utf8_lossy(&buffer[..length]);
                    let introductions = request.matches("SETINFO").count();
                    if introductions > 0 && stream.write_all(&b"+OK\r\n".repeat(introductions)).await.is_ok()
                    {
                        continue;
                    }
                    let (piece, mut sent) = (reply.repeat(65_536 / reply.len()), 0);
                    while let Ok(written) = stream.write(&piece).await {
                        sent += written;
                        counted.fetch_max(sent, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    (format!("redis://{address}"), most)
}

#[tokio::test]
async fn f093_a_reply_has_no_end() {
    let messages =
        [b"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$4096\r\n".as_slice(), &[b'.'; 4096], b"\r\n"].concat();
    for reply in [b"$536870912\r\nxxxx".as_slice(), b"+", b"*1000000\r\n", b"*1\r\n", &messages] {
        let (scratch, (url, most)) = (Scratch::new(), endless(reply.to_vec()).await);
        let trial = Trial::with(&["my"], &redis::section(&scratch, &url, KEY)).await;
        eventually("a reply", async || most.load(Ordering::Relaxed) > 0).await;
        works_alone(&trial, 0..7).await;
        let cut = async || trial.gateway.metric(&requests("subscribe", "unavailable")).await >= 1.0;
        eventually("the end of a subscription", cut).await;
        let most = most.load(Ordering::Relaxed);
        assert!(most < 16 << 20, "{most} bytes of {:?}", String::from_utf8_lossy(reply));
        trial.invariants_hold().await;
    }
}

#[tokio::test]
async fn f096_redis_is_flushed() {
    let redis = Redis::start().await;
    let trial = Trial::with(&["my"], &redis.section()).await;
    up(&trial).await;
    works_alone(&trial, 0..2).await;
    redis.ask(&["FLUSHALL"]).await;
    let other = Gateway::with(&[OPEN, &region("my", trial.upstream()), &redis.section()]).await;
    assert_eq!(other.get("/idv/ALONE-0").await.cache_status(), "idv-gateway; fwd=miss; stored");
    assert_eq!(redis.keys("*:result").await.len(), 1);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f097_messages_are_forged_repeated_and_too_many() {
    let redis = Redis::start().await;
    let pending = "[cache]\npending_ttl = \"30s\"\n";
    let trial = Trial::with(&["my"], &[pending, &redis.section()].concat()).await;
    up(&trial).await;
    trial.upstream().answer("S1", [Reply::pending("S1")]);
    trial.ask("S1").await;
    let channels = redis.ask(&["PUBSUB", "CHANNELS"]).await.texts();
    let [channel] = &channels[..] else { panic!("one channel: {channels:?}") };
    let sealed = redis.ask(&["GET", &redis.key("*:result").await]).await.bytes();
    for n in 0..FLOOD / 4 {
        let garbage = format!("{{\"said\":\"Landed\",\"id\":\"S1\",\"n\":{n}}}");
        for message in [b"S1".as_slice(), b"", garbage.as_bytes(), &sealed] {
            redis.ask_bytes(&[b"PUBLISH", channel.as_bytes(), message]).await;
        }
    }
    assert!(trial.ask("S1").await.is_hit());
    assert_eq!(trial.upstream().hits("S1"), 1);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f098_requests_give_up_while_redis_holds_replies_back() {
    let redis = Redis::start().await;
    let upstream = Upstream::start().await;
    for n in 0..CANCELLED {
        let id = format!("F098-{n:04}");
        upstream.pass(&id);
    }
    let pieces = [OPEN, &region("my", &upstream), &redis.section()];
    let (one, other) = (Gateway::with(&pieces).await, Gateway::with(&pieces).await);
    for round in 0..4 {
        redis.ask(&["CLIENT", "PAUSE", "120"]).await;
        let ids = (round * CANCELLED / 4)..((round + 1) * CANCELLED / 4);
        let answers = join_all(ids.clone().map(|n| {
            let gateway = if n % 2 == 0 { &one } else { &other };
            async move { (n, gateway.get(&format!("/idv/F098-{n:04}")).await) }
        }))
        .await;
        for (n, answer) in answers {
            assert_eq!(answer.json()["signatureId"], format!("F098-{n:04}"));
        }
    }
    for gateway in [&one, &other] {
        for n in 0..CANCELLED {
            let answer = gateway.get(&format!("/idv/F098-{n:04}")).await;
            assert_eq!(answer.json()["signatureId"], format!("F098-{n:04}"));
        }
        let unreadable = gateway.metric(&requests("read", "undecryptable")).await;
        assert_eq!(unreadable, 0.0, "no reply was taken for another");
    }
}
