//! Callers' key files: followed on disk, so that a key is changed without a restart.

use crate::support::gateway::sha256;
use crate::support::issuer::{self, SigningKey};
use crate::support::process::{Scratch, Served, text};
use crate::support::{Gateway, Upstream, eventually, gateway, tls};

/// Two callers: one whose keys are in a file of `scratch`, one whose key is `other`.
fn callers(scratch: &Scratch) -> String {
    format!(
        "[[callers]]\nname = \"a\"\nkey_sha256_file = \"{}\"\n\
         [[callers]]\nname = \"b\"\nkey_sha256 = \"{}\"\nscopes = [\"identity\"]\n",
        text(&scratch.path("keys")),
        sha256("other"),
    )
}

async fn status(served: &Served, key: &str) -> u16 {
    served.get_as(key, "/idv/S1").await.status
}

async fn refused(served: &Served) -> f64 {
    served.metric("idv_reloads_total{outcome=\"refused\"}").await
}

#[tokio::test]
async fn keys_are_changed_without_a_restart_and_without_a_gap() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    scratch.write("keys", &sha256("old"));
    let served = Served::with(&[&callers(&scratch), &gateway::region("my", &upstream)]).await;
    assert_eq!((status(&served, "old").await, status(&served, "new").await), (200, 401));
    scratch.write("keys", &format!("# both, while callers change\n{}\n{}\n", sha256("old"), sha256("new")));
    served.process.signal("HUP");
    eventually("the new key", async || status(&served, "new").await == 200).await;
    assert_eq!(status(&served, "old").await, 200, "both keys count");
    scratch.write("keys", &sha256("new"));
    served.process.signal("HUP");
    eventually("the end of the old key", async || status(&served, "old").await == 401).await;
    assert_eq!((status(&served, "new").await, status(&served, "other").await), (200, 200));
    assert_eq!(served.metric("idv_reloads_total{outcome=\"used\"}").await, 2.0);
    served.process.says("keys of caller a").await;
}

#[tokio::test]
async fn a_key_file_is_followed_without_a_signal() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    scratch.write("keys", &sha256("old"));
    let gateway = Gateway::with(&[&callers(&scratch), &gateway::region("my", &upstream)]).await;
    scratch.write("keys", &sha256("new"));
    eventually("the new key", async || gateway.get_as("new", "/idv/S1").await.status == 200).await;
    assert_eq!(gateway.get_as("old", "/idv/S1").await.status, 401);
}

#[tokio::test]
async fn a_broken_key_file_keeps_the_good_keys_and_says_so_without_showing_it() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    scratch.write("keys", &sha256("old"));
    let served = Served::with(&[&callers(&scratch), &gateway::region("my", &upstream)]).await;
    let broken = [format!("{}\nthe-key-itself\n", sha256("new")), sha256(""), sha256("new")[1..].to_owned()];
    for (n, content) in broken.iter().enumerate() {
        scratch.write("keys", content);
        served.process.signal("HUP");
        eventually("the refusal", async || refused(&served).await > n as f64).await;
        assert_eq!((status(&served, "old").await, status(&served, "new").await), (200, 401), "{content:?}");
    }
    std::fs::remove_file(scratch.path("keys")).unwrap();
    served.process.signal("HUP");
    eventually("the refusal", async || refused(&served).await > broken.len() as f64).await;
    assert_eq!(status(&served, "old").await, 200, "a file that is gone");
    served.process.says("cannot reload").await;
    let log = served.process.stdout();
    assert!(log.contains("keys of caller a") && !log.contains("the-key-itself"), "{log}");
    scratch.write("keys", &sha256("new"));
    served.process.signal("HUP");
    eventually("the new key", async || status(&served, "new").await == 200).await;
}

#[tokio::test]
async fn a_key_that_would_be_two_callers_is_refused() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    scratch.write("keys", &sha256("old"));
    let served = Served::with(&[&callers(&scratch), &gateway::region("my", &upstream)]).await;
    scratch.write("keys", &format!("{}\n{}\n", sha256("old"), sha256("other")));
    served.process.signal("HUP");
    eventually("the refusal", async || refused(&served).await > 0.0).await;
    let answer = served.get_as("other", "/idv/S1").await;
    assert!(answer.json().get("identity").is_some(), "the key is still that of its caller");
    served.process.says("a key of caller a is one of b too").await;
}

#[tokio::test]
async fn an_access_key_that_would_be_two_regions_of_a_host_is_refused() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    scratch.write("access", "one");
    let file = format!("access_key_file = \"{}\"", scratch.path("access").display());
    let first = gateway::region("my", &upstream).replace("access_key = \"test-access-key\"", &file);
    let served = Served::with(&[gateway::OPEN, &first, &gateway::region("my-2", &upstream)]).await;
    scratch.write("access", "test-access-key");
    served.process.signal("HUP");
    eventually("the refusal", async || refused(&served).await > 0.0).await;
    served.process.says("another region of this host has this access key").await;
}

#[tokio::test]
async fn sighup_from_the_first_ready_moment_on_ends_nothing() {
    let (upstream, scratch) = (Upstream::passing("S1").await, Scratch::new());
    scratch.write("keys", &sha256("old"));
    let mut served = Served::with(&[&callers(&scratch), &gateway::region("my", &upstream)]).await;
    for _ in 0..5 {
        served.process.signal("HUP");
    }
    assert_eq!(status(&served, "old").await, 200);
    assert!(served.process.is_running());
}

#[tokio::test]
async fn every_watched_file_says_when_it_was_last_read() {
    let scratch = Scratch::new();
    scratch.write("keys", &sha256("key"));
    let secret = text(&scratch.write("secret", "a-secret-of-twenty-four-letters")).to_owned();
    let jwks = text(&scratch.write("jwks", &issuer::jwks(&[&SigningKey::ec()]).to_string())).to_owned();
    let region = gateway::region_at("my", "http://127.0.0.1:1")
        .replace("access_key = \"test-access-key\"", &format!("access_key_file = \"{secret}\""))
        .replace("secret_key = \"test-secret-key\"", &format!("secret_key_file = \"{secret}\""));
    let jwt =
        "[auth]\nmode = \"keys+jwt\"\n[auth.jwt]\nissuer = \"https://issuer.example\"\naudience = \"idv\"\n";
    let endpoint = format!("{jwt}jwks_url = \"http://127.0.0.1:1\"\njwks_token_file = \"{secret}\"\n");
    let callbacks = format!("[callbacks]\nlisten = \"127.0.0.1:8082\"\nkey_file = \"{secret}\"\n");
    let tls = tls::section("server", "server-key", Some("callers"));
    let common = [region, callers(&scratch), callbacks].concat();
    let with_endpoint = Gateway::with(&[&tls, &endpoint, &common]).await;
    let with_file = Gateway::with(&[&format!("{jwt}jwks_file = \"{jwks}\"\n"), &common]).await;
    let everywhere = [
        "callbacks.key_file",
        "callers.a.key_sha256_file",
        "regions.my.access_key_file",
        "regions.my.secret_key_file",
    ];
    let of_endpoint = [
        "auth.jwt.jwks_token_file",
        "server.tls.cert_file",
        "server.tls.client_ca_file",
        "server.tls.key_file",
    ];
    assert_eq!(files_read(&with_endpoint).await, sorted(&[&everywhere[..], &of_endpoint].concat()));
    assert_eq!(files_read(&with_file).await, sorted(&[&everywhere[..], &["auth.jwt.jwks_file"]].concat()));
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names
}

/// The files that were read in the last minute.
async fn files_read(gateway: &Gateway) -> Vec<String> {
    let metrics = gateway.admin("/metrics").await;
    let lines = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("idv_file_read_timestamp_seconds{file=\""));
    let files = lines.map(|line| line.split_once("\"} ").expect("a value"));
    let now = jiff::Timestamp::now().as_second() as f64;
    let mut fresh: Vec<_> = files
        .filter(|(_, read)| (0.0..=60.0).contains(&(now - read.parse::<f64>().expect("a time"))))
        .map(|(file, _)| file.to_owned())
        .collect();
    fresh.sort_unstable();
    fresh
}
