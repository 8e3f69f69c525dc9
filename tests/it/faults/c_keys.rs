//! Keys and tokens that change hands: rotation, one country only, callers who leave, replicas.

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::c_tokens::{iam_failed, tokens_carried};
use super::trial::Trial;
use crate::support::bodies::refusal;
use crate::support::client::{gist, pass};
use crate::support::gateway::{OPEN, region};
use crate::support::process::Scratch;
use crate::support::upstream::Gate;
use crate::support::{Gateway, Reply, Upstream, bodies, eventually};

/// The access key that the `n`th token request was made with.
fn access_key(upstream: &Upstream, n: usize) -> String {
    let body: Value = serde_json::from_str(&upstream.token_requests()[n].body).unwrap();
    body["accessKey"].as_str().unwrap().to_owned()
}

/// Files are looked at every five seconds, which is what this test takes.
#[tokio::test]
async fn f072_keys_are_rotated_on_disk() {
    let (upstream, scratch) = (Upstream::start().await, Scratch::new());
    let write = |word: &str| {
        scratch.write("access", &format!("test-access-key-{word}\n"));
        scratch.write("secret", &format!("test-secret-key-{word}\n"));
    };
    write("old");
    let mut toml = region("my", &upstream);
    for key in ["access", "secret"] {
        let file = format!("{key}_key_file = \"{}\"", scratch.path(key).display());
        toml = toml.replace(&format!("{key}_key = \"test-{key}-key\""), &file);
    }
    let trial = Trial::over(vec![("my", upstream, toml)], "").await;
    let ids = ["F072-A", "F072-B", "F072-C", "F072-D"];
    ids.iter().for_each(|id| trial.passes(id));
    for id in ["F072-C", "F072-D"] {
        trial.upstream().answer(id, [iam_failed(), Reply::json(bodies::passed(id))]);
    }
    let refused = Reply::json(refusal("PARAMETER_ERROR", "Signature error"));
    let tokens = [1, 2, 3].map(|number| Reply::json(bodies::token(number)));
    let [first, second, third] = tokens;
    trial.upstream().answer_tokens([first, refused, second, third]);
    assert_eq!(trial.ask("F072-A").await.gist(), pass());

    write("new");
    let reloads = "idv_reloads_total{outcome=\"used\"}";
    eventually("the new keys", async || trial.gateway.metric(reloads).await >= 1.0).await;
    assert_eq!(trial.ask("F072-B").await.gist(), pass());
    assert_eq!(tokens_carried(trial.upstream(), "F072-B"), ["test-token-1"], "used to its end");
    assert_eq!(trial.upstream().token_hits(), 1);
    // The upstream does not know the new keys yet; then it does.
    assert_eq!(trial.ask("F072-C").await.gist(), pass());
    assert_eq!(trial.ask("F072-D").await.gist(), pass());
    let keys: Vec<String> = (0..4).map(|n| access_key(trial.upstream(), n)).collect();
    let keys: Vec<&str> = keys.iter().map(|key| key.trim_start_matches("test-access-key-")).collect();
    assert_eq!(keys, ["old", "new", "old", "new"]);
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f074_one_country_refuses_every_token() {
    let trial = Trial::with(&["my", "ph"], "").await;
    for n in 0..10 {
        let (refused, good) = (format!("F074-MY-{n}"), format!("F074-PH-{n}"));
        trial.region("my").answer(&refused, [iam_failed()]);
        trial.passes_in("ph", &good);
        assert_eq!(trial.send("GET", &refused, "?region=my", &[]).await.gist(), gist(502, "upstream_auth"));
        assert_eq!(trial.send("GET", &good, "?region=ph", &[]).await.gist(), pass());
    }
    assert_eq!(trial.region("ph").token_hits(), 1);
    assert!(trial.region("my").token_hits() <= 5, "{} token calls", trial.region("my").token_hits());
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f075_a_caller_hangs_up_while_his_call_refreshes_the_token() {
    let upstream = Upstream::start().await;
    let toml = region("my", &upstream);
    let trial = Trial::over(vec![("my", upstream, toml)], "").await;
    let gate = Gate::default();
    trial.upstream().answer_tokens([Reply::json(bodies::token(1)).gated(&gate)]);
    trial.passes("F075-LEADER");
    trial.passes("F075");
    let mut leader = TcpStream::connect(trial.gateway.public).await.unwrap();
    leader.write_all(b"GET /idv/F075-LEADER HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    trial.upstream().wait_for_token_hits(1).await;
    drop(leader);
    let open = async {
        trial.gateway.wait_for_fills(2).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(trial.ask("F075"), open);
    assert_eq!(answer.gist(), pass());
    assert_eq!(trial.upstream().token_hits(), 1);
    trial.invariants_hold().await;
}

/// Replicas share no token, so there is no sharing to turn off: each has its own, and what is refused to one is no
/// business of the other's.
#[tokio::test]
async fn f076_a_token_is_good_for_one_replica_only() {
    let trial = Trial::start().await;
    let other = Gateway::with(&[OPEN, &region("my", trial.upstream())]).await;
    for id in ["F076-A", "F076-B", "F076-C"] {
        trial.passes(id);
    }
    assert_eq!(trial.ask("F076-A").await.gist(), pass());
    assert_eq!(other.get("/idv/F076-A").await.gist(), pass());
    assert_eq!(tokens_carried(trial.upstream(), "F076-A"), ["test-token-1", "test-token-2"], "one each");
    let replies = [iam_failed(), Reply::json(bodies::passed("F076-B"))];
    trial.upstream().answer("F076-B", replies);
    assert_eq!(trial.ask("F076-B").await.gist(), pass());
    assert_eq!(tokens_carried(trial.upstream(), "F076-B"), ["test-token-1", "test-token-3"]);
    assert_eq!(other.get("/idv/F076-C").await.gist(), pass());
    assert_eq!(tokens_carried(trial.upstream(), "F076-C"), ["test-token-2"], "undisturbed");
    assert_eq!(trial.upstream().token_hits(), 3);
    trial.invariants_hold().await;
}
