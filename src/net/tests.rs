//! Names that move, fail or hang, and the connections behind them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::connector::{Connector, tls};
use super::dns::{MAX_LOOKUPS, Resolver};
use super::endpoint::{Endpoint, Over};

/// What one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A name server that does what it is told.
#[derive(Clone, Copy)]
enum Names {
    Say(IpAddr),
    Fail,
    Hang,
}

fn resolver(names: &Arc<Mutex<Names>>, asked: &Arc<AtomicUsize>) -> Resolver {
    let (names, asked) = (Arc::clone(names), Arc::clone(asked));
    Resolver::over(move |_| {
        asked.fetch_add(1, Ordering::Relaxed);
        let names = *names.lock();
        Box::pin(async move {
            match names {
                Names::Say(address) => Ok(vec![address]),
                Names::Fail => Err(io::ErrorKind::NotFound.into()),
                Names::Hang => std::future::pending().await,
            }
        })
    })
}

#[tokio::test]
async fn f058_the_last_good_address_serves_while_names_fail_or_hang() {
    let good = IpAddr::from([127, 0, 0, 1]);
    let names = Arc::new(Mutex::new(Names::Say(good)));
    let resolver = resolver(&names, &Arc::default());
    let find = async |host: &str| {
        let started = Instant::now();
        let found = resolver.addresses(host).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        found.ok()
    };
    assert_eq!(find("known.test").await, Some(vec![good]));
    for broken in [Names::Fail, Names::Hang] {
        *names.lock() = broken;
        assert_eq!(find("known.test").await, Some(vec![good]));
        assert_eq!(find("unknown.test").await, None);
    }
    let moved = IpAddr::from([127, 0, 0, 2]);
    *names.lock() = Names::Say(moved);
    assert_eq!(find("known.test").await, Some(vec![moved]), "a new answer replaces the old one");
}

#[tokio::test]
async fn f058_lookups_that_hang_take_few_threads() {
    let asked = Arc::default();
    let resolver = resolver(&Arc::new(Mutex::new(Names::Hang)), &asked);
    let lookups = (0..100).map(|_| {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.addresses("hangs.test").await })
    });
    for lookup in lookups.collect::<Vec<_>>() {
        assert!(lookup.await.unwrap().is_err());
    }
    assert!(resolver.addresses("hangs.test").await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), MAX_LOOKUPS);
}

/// A server that answers everything with its name, over connections that stay open.
async fn server(address: &str, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

/// A server whose connections end with their second answer, and how many it has had.
async fn server_of_two_answers() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                for header in ["", "connection: close\r\n"] {
                    let answer = format!("HTTP/1.1 200 OK\r\n{header}content-length: 0\r\n\r\n");
                    if stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_connection_is_kept_until_it_ends_and_a_fresh_one_is_for_one_request() {
    let (address, connections) = server_of_two_answers().await;
    let connector = Connector::new(None).unwrap();
    let endpoint = Endpoint::new(&format!("http://{address}/"), connector).unwrap();
    let is_first = async |over| {
        let answer = endpoint.send(endpoint.post(Bytes::new()), over, PATIENCE).await;
        answer.ok().expect("it answers").is_first
    };
    for expected in [true, false, true] {
        assert_eq!(is_first(Over::Kept).await, expected);
    }
    assert!(is_first(Over::Fresh).await);
    assert!(!is_first(Over::Kept).await, "the one before the fresh one");
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_kept_connection_ends_if_it_is_not_used() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let connector = Connector::new(None).unwrap();
    let endpoint = Endpoint::with_ages(PATIENCE, Duration::from_millis(50), &url, connector).unwrap();
    for _ in 0..2 {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let request = endpoint.send(endpoint.post(Bytes::new()), Over::Kept, PATIENCE);
        let (mut stream, answer) = tokio::join!(serve, request);
        assert!(answer.is_ok());
        let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 8])).await;
        assert_eq!(end.expect("it ends").unwrap(), 0);
    }
}

/// With the default period this takes ten minutes; the test does not show that the gateway uses it.
#[tokio::test]
async fn f059_all_traffic_follows_a_moved_name_although_connections_are_kept() {
    let old = server("127.0.0.1:0", "old").await;
    let new = server(&format!("127.0.0.2:{}", old.port()), "new").await;
    let names = Arc::new(Mutex::new(Names::Say(old.ip())));
    let connector = Connector::over(resolver(&names, &Arc::default()), tls(None).unwrap());
    let url = format!("http://upstream.test:{}/", old.port());
    let endpoint = Endpoint::with_ages(Duration::from_millis(300), PATIENCE, &url, connector).unwrap();
    let ask = async || {
        let answer = endpoint.send(endpoint.post(Bytes::new()), Over::Kept, PATIENCE).await;
        String::from_utf8(answer.ok().expect("it answers").body).unwrap()
    };
    assert_eq!(ask().await, "old");
    *names.lock() = Names::Say(new.ip());
    // A steady load keeps the old connection in use, so that nothing but renewal can end it.
    let moved = async {
        while ask().await == "old" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.expect("it moves");
    for _ in 0..100 {
        assert_eq!(ask().await, "new");
    }
}
