//! Flights at close range: what a request through the gateway cannot time or reach. All else is tested from outside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::flight::{Arrivals, Boarding, Flights, Landing, MAX_FLIGHTS, Seat, Version};
use super::{Lifetimes, Settings};
use crate::domain::document::{Document, Ends};
use crate::domain::failure::Failure;
use crate::domain::region::{RegionId, RegionName, Regions};
use crate::domain::signature_id::SignatureId;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Span;
use crate::upstream::{Keys, RegionSettings, Upstream};

const HOUR: Duration = Duration::from_secs(3600);
const FOUND: &str = r#"{"code":"SUCCESS","data":{"idvResult":"PASS","token":"test-token"}}"#;
const ABSENT: &str = r#"{"code":"SIGNATURE_NOT_EXIST","data":null}"#;

/// Flights to one region, and what they count.
struct Airport {
    flights: Arc<Flights>,
    metrics: Arc<Metrics>,
    region: RegionId,
}

impl Airport {
    /// Over an upstream that answers everything but the token with `body`. The first `panics` renderings panic.
    async fn over(body: &'static str, panics: usize) -> Self {
        let regions = Regions::new(RegionName::parse("my"));
        let region = regions.find("my").unwrap();
        let metrics = Arc::new(Metrics::new(regions.names(), &[]).unwrap());
        let base_url = format!("http://{}", upstream(body).await);
        let upstream = Upstream::new(vec![RegionSettings {
            id: region,
            name: regions.name(region).clone(),
            base_url: base_url.clone(),
            token_url: base_url,
            keys: Keys { access: "test-access-key".into(), secret: "test-secret-key".into() },
            token_period: HOUR,
            concurrency: 4,
            attempt_timeout: HOUR,
            ca_file: None,
            allow_http: true,
            media_hosts: Vec::new(),
            metrics: Arc::clone(metrics.region(region)),
        }]);
        let panics = AtomicUsize::new(panics);
        let settings = Settings {
            timeout: HOUR,
            fill_timeout: HOUR,
            max_bytes: 1 << 20,
            lifetimes: Lifetimes::all(HOUR),
            regions: regions.all(),
            render: Box::new(move |_| {
                let left = panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                assert!(left.is_err(), "a rendering that was told to panic");
                Document::new(b"{}{".to_vec(), Ends { decision: 1, checks: 1, identity: 1, media: 1 })
            }),
        };
        let flights = Flights::new(settings, Arc::new(upstream.unwrap()), Arc::clone(&metrics));
        Self { flights, metrics, region }
    }

    fn board(&self, id: &str, seen: Option<Version>) -> Boarding {
        self.flights.board(SignatureId::parse(id).unwrap(), self.region, seen, &Span::none())
    }

    /// Boards what must not have landed.
    fn take_off(&self, id: &str, seen: Option<Version>) -> (Arrivals, Seat) {
        match self.board(id, seen) {
            Boarding::Flying(arrivals, seat) => (arrivals, seat),
            Boarding::Landed(_) => panic!("{id} has landed"),
        }
    }

    /// Flies from start to end.
    async fn fly(&self, id: &str) -> Option<Landing> {
        let (mut arrivals, seat) = self.take_off(id, None);
        assert_eq!(seat, Seat::First, "{id}");
        arrivals.wait_for(Option::is_some).await.ok().and_then(|landing| landing.clone())
    }

    fn is_in_flight(&self, id: &str) -> bool {
        self.flights.is_in_flight(&SignatureId::parse(id).unwrap(), self.region)
    }
}

/// An upstream that answers one request per connection.
async fn upstream(body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, body));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, body: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    let wants_token = request.windows(14).any(|window| window == b"generate-token");
    let body = if wants_token { FOUND } else { body };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
}

#[tokio::test]
async fn what_landed_since_the_look_is_taken_and_what_landed_before_is_not() {
    let airport = Airport::over(FOUND, 0).await;
    let nothing = Version::of(None);
    let Some(Landing::Found(first, true)) = airport.fly("S1").await else { panic!("it lands") };
    assert!(matches!(airport.board("S1", Some(nothing)), Boarding::Landed(Landing::Found(..))));
    let it = Version::of(Some(&first));
    assert_eq!(airport.take_off("S1", Some(it)).1, Seat::First, "it was there and would not do");
    assert_eq!(airport.take_off("S1", None).1, Seat::Joined, "a refresh joins too");
}

#[tokio::test]
async fn an_absence_that_landed_since_the_look_is_taken() {
    let airport = Airport::over(ABSENT, 0).await;
    assert!(matches!(airport.fly("S1").await, Some(Landing::Failed(Failure::NotFound(_), true))));
    let landing = airport.board("S1", Some(Version::of(None)));
    assert!(matches!(landing, Boarding::Landed(Landing::Failed(Failure::NotFound(_), true))));
}

#[tokio::test]
async fn a_purged_flight_lands_beside_the_one_that_took_its_place() {
    let airport = Airport::over(FOUND, 0).await;
    let (mut first, _) = airport.take_off("S1", None);
    airport.flights.purge(&SignatureId::parse("S1").unwrap());
    let (mut second, seat) = airport.take_off("S1", None);
    assert_eq!(seat, Seat::First);
    let first = first.wait_for(Option::is_some).await.unwrap().clone();
    assert!(matches!(first, Some(Landing::Found(_, false))), "not kept");
    let second = second.wait_for(Option::is_some).await.unwrap().clone();
    assert!(matches!(second, Some(Landing::Found(_, true))), "kept");
    assert!(!airport.is_in_flight("S1"));
    assert_eq!(airport.metrics.lookups.fills_in_flight.get(), 0);
}

#[tokio::test]
async fn a_flight_that_panics_tells_its_passengers_and_frees_its_key() {
    let airport = Airport::over(FOUND, 1).await;
    let (mut arrivals, _) = airport.take_off("S1", None);
    let mut others = airport.take_off("S1", None).0;
    assert!(arrivals.wait_for(Option::is_some).await.is_err());
    assert!(others.wait_for(Option::is_some).await.is_err());
    assert!(!airport.is_in_flight("S1"));
    assert_eq!((airport.metrics.panics.get(), airport.metrics.lookups.fills_in_flight.get()), (1, 0));
    assert!(matches!(airport.fly("S1").await, Some(Landing::Found(_, true))), "the next one flies");
}

#[tokio::test]
async fn beyond_the_most_flights_nobody_starts_another_but_all_may_join() {
    let airport = Airport::over(FOUND, 0).await;
    // Nothing is awaited here, so nothing lands.
    for n in 0..MAX_FLIGHTS {
        assert_eq!(airport.take_off(&format!("S{n}"), None).1, Seat::First);
    }
    let refused = airport.board("one-more", None);
    assert!(matches!(refused, Boarding::Landed(Landing::Failed(Failure::Overloaded, false))));
    assert_eq!(airport.take_off("S0", None).1, Seat::Joined);
    assert_eq!(airport.metrics.lookups.fills_in_flight.get(), MAX_FLIGHTS as i64);
}
