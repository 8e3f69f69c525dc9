//! A fill or a token's refresh that panics: those who wait are told, what it held is free again, and what it panicked
//! with is said nowhere.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use idv_gateway::settings::LogFormat;
use idv_gateway::telemetry::logs;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::rows::{Row, row};
use super::trial::Trial;
use crate::support::upstream::Gate;
use crate::support::{Reply, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            80,
            "the task of a fill or of a token refresh panics",
            "those who wait get 500, the id is free again, a metric, nothing of the payload in the logs",
        ),
        row(135, "a handler panics", "500, counted, everything else goes on"),
    ]
}

/// What a panic of these tests holds.
const PAYLOAD: &str = "AMINAH CONTOH F080, 770101-F080";

/// Panics, once, in whatever task logs from that module: a fill does where its region's breaker trips, a refresh of a
/// token where it fails.
struct Saboteur(&'static str, AtomicBool);

impl Subscriber for Saboteur {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == self.0
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        assert!(self.1.swap(true, Ordering::Relaxed), "{PAYLOAD}");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Everything runs on this thread, so the log that panics is this test's alone.
#[tokio::test(flavor = "current_thread")]
async fn f080_the_fill_panics() {
    let trial = Trial::patient(&["my"], "").await;
    let gate = Gate::default();
    let ids: Vec<String> = (0..40).map(|n| format!("F080-{n:02}")).collect();
    let mut crowds = Vec::new();
    for id in &ids {
        let error = Reply::refusal("ERROR", "Internal error");
        trial.upstream().answer(id, [error.gated(&gate)]);
        crowds.push((id, trial.crowd(id, 3).await));
    }
    let saboteur = Saboteur("idv_gateway::upstream::region", AtomicBool::new(false));
    let sabotage = tracing::subscriber::set_default(saboteur);
    gate.open();
    let mut victims = Vec::new();
    for (id, crowd) in crowds {
        let answers = trial.answers(id, crowd).await;
        assert!(answers.iter().all(|answer| answer.gist() == answers[0].gist()), "{answers:?}");
        if answers[0].status == 500 {
            assert_eq!(answers[0].code(), "internal");
            victims.push(id);
        }
    }
    drop(sabotage);
    assert_eq!(victims.len(), 1, "the breaker trips once");
    assert_eq!(trial.gateway.metric("idv_panics_total").await, 1.0);
    trial.gateway.wait_for_fills(0).await;
    trial.passes(victims[0]);
    eventually("the breaker's probe", async || trial.ask(victims[0]).await.status == 200).await;
    trial.says_nowhere("770101-F080").await;
    trial.invariants_hold().await;
}

#[tokio::test(flavor = "current_thread")]
async fn f080_a_refresh_of_a_token_panics() {
    let trial = Trial::patient(&["my"], "").await;
    trial.upstream().answer_tokens([Reply::refusal("ACCOUNT_DISABLED", "no")]);
    trial.passes("F080");
    let saboteur = Saboteur("idv_gateway::upstream::token_client", AtomicBool::new(false));
    let sabotage = tracing::subscriber::set_default(saboteur);
    let crowd = trial.crowd("F080", 3).await;
    for answer in trial.answers("F080", crowd).await {
        assert_eq!((answer.status, answer.code()), (500, "internal".to_owned()));
    }
    drop(sabotage);
    assert_eq!(trial.gateway.metric("idv_panics_total").await, 1.0);
    trial.gateway.wait_for_fills(0).await;
    assert_eq!(trial.upstream().token_hits(), 1, "the next refresh waits its time");
    trial.upstream().answer_tokens([Reply::token(2)]);
    eventually("a token", async || trial.ask("F080").await.status == 200).await;
    trial.says_nowhere("770101-F080").await;
    trial.invariants_hold().await;
}

/// The panic, in a process of its own: what is done about it holds for the whole process.
#[test]
fn f080_what_a_panic_held_is_said_nowhere() {
    const VARIABLE: &str = "IDV_TEST_MAY_PANIC";
    if std::env::var_os(VARIABLE).is_some() {
        let logs = logs::start(std::io::stdout(), "trace", LogFormat::Json).expect("logging starts once");
        logs::hide_panic_payloads();
        assert!(std::thread::spawn(|| panic!("{PAYLOAD}")).join().is_err());
        return drop(logs);
    }
    let mut command = Command::new(std::env::current_exe().expect("this test has a binary"));
    command.args(["--exact", "faults::panics::f080_what_a_panic_held_is_said_nowhere", "--nocapture"]);
    let output = command.env(VARIABLE, "yes").output().expect("this test can be run");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.contains("\"panic\"")).expect("the panic is logged");
    assert!(line.contains("panics.rs"), "it says where: {line}");
    assert!(!said.contains("AMINAH") && !said.contains("770101"), "{said}");
}
