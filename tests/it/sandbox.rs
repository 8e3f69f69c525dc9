//! The sandbox as consumers use it: ids that say what they do, and callbacks.

use std::collections::BTreeMap;

use crate::support::client::Connection;
use crate::support::collector::Collector;
use crate::support::gateway::OPEN;
use crate::support::process::{Process, free_address, run};
use crate::support::{Gateway, eventually};

/// A sandbox, and a gateway over its region `my`.
async fn sandbox(args: &[&str]) -> (Process, Gateway) {
    let address = free_address().to_string();
    let process = Process::start(&[&["sandbox", "--listen", &address], args].concat());
    process.says(&format!("sandbox at http://{address}/<region>")).await;
    let piece = format!(
        "[[regions]]\nname = \"my\"\nbase_url = \"http://{address}/my\"\nallow_http = true\n\
         access_key = \"sandbox-access-key\"\nsecret_key = \"sandbox-secret-key\"\n"
    );
    (process, Gateway::with(&[OPEN, &piece]).await)
}

#[tokio::test]
async fn the_sandbox_has_an_id_for_every_status_and_every_failure_of_an_upstream() {
    let (_process, gateway) = sandbox(&[]).await;
    let ids = [
        ("sim-pass-1", 200, "passed"),
        ("sim-fail-other-1", 200, "failed"),
        ("sim-incomplete-1", 200, "incomplete"),
        ("sim-pending-60-1", 200, "pending"),
        ("sim-unrecognized-1", 200, "unrecognized"),
        ("sim-notfound-1", 404, "signature_not_found"),
        ("sim-error-1", 502, "upstream_error"),
        ("sim-html-1", 502, "upstream_malformed"),
        ("sim-account-1", 502, "upstream_account"),
        ("sim-mismatch-1", 502, "upstream_id_mismatch"),
        ("sim-auth-1", 502, "upstream_auth"),
        ("sim-busy-1", 503, "upstream_busy"),
    ];
    for (id, status, word) in ids {
        let answer = gateway.get(&format!("/idv/{id}")).await;
        assert_eq!(answer.gist(), (status, word.to_owned()), "{id}");
    }
    let pending = gateway.get("/idv/sim-pending-60-1").await.json();
    assert_eq!(pending["submitted"], false, "the person is still in the flow");
}

#[tokio::test]
async fn the_sandbox_alone_serves_and_stops_when_asked() {
    let (mut process, gateway) = sandbox(&[]).await;
    let said = process.stdout();
    assert!(said.contains("sandbox-access-key") && said.contains("sandbox-secret-key"), "{said}");
    let address = said.split(['/', ' ']).find_map(|word| word.parse().ok()).expect("an address");
    assert_eq!(gateway.get("/idv/sim-pass-1").await.gist(), (200, "passed".to_owned()));
    let mut kept = Connection::open(address).await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code, Some(0));
    kept.closed().await;
}

#[tokio::test]
async fn the_sandbox_calls_back_on_time_twice_or_not_at_all() {
    let receiver = Collector::start().await;
    let url = format!("{}/callbacks/{{region}}?key=k", receiver.base_url());
    let (_process, gateway) = sandbox(&["--callback-url", &url]).await;
    for id in ["0-silent-1", "0-incomplete-1", "1-1", "1-twice-1", "1-early-1"] {
        gateway.get(&format!("/idv/sim-pending-{id}")).await;
    }
    let called = || {
        let mut called = BTreeMap::<_, Vec<String>>::new();
        for batch in receiver.batches() {
            assert_eq!(batch.path, "/callbacks/my?key=k");
            let body: serde_json::Value = serde_json::from_slice(&batch.body).expect("a callback is JSON");
            let [id, kind] = ["signatureId", "type"].map(|key| body[key].as_str().expect("text").to_owned());
            called.entry(id).or_default().push(kind);
        }
        called
    };
    eventually("seven callbacks", async || receiver.batches().len() >= 7).await;
    let (submitted, completed) = ("SUBMIT_COMPLETED".to_owned(), "COMPLETED".to_owned());
    let mut expected = BTreeMap::from([
        ("sim-pending-1-1".to_owned(), vec![submitted.clone(), completed.clone()]),
        ("sim-pending-1-twice-1".to_owned(), vec![submitted.clone(), completed.clone(), completed.clone()]),
        ("sim-pending-1-early-1".to_owned(), vec![submitted, completed]),
    ]);
    let mut called = called();
    expected.values_mut().chain(called.values_mut()).for_each(|kinds| kinds.sort());
    assert_eq!(called, expected);
}

#[tokio::test]
async fn a_url_that_no_callback_can_be_sent_to_is_refused() {
    let finished = run(&["sandbox", "--callback-url", "https://gateway/"]).await;
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("expected a URL such as http://"), "{}", finished.stderr);
}
