//! Callers and regions that take more than their share, or more bytes than an answer needs.

use std::time::Duration;

use serde_json::json;

use super::rows::{Row, row, shown_by};
use super::trial::Trial;
use crate::support::client::gist;
use crate::support::gateway::{BREAKER, region};
use crate::support::upstream::{Flow, Gate};
use crate::support::{Reply, Upstream, bodies, eventually};

/// Ids of row 165: callers who leave at once, and callers who queue behind a region that takes one at a time.
const LEFT: usize = 300;
const QUEUED: usize = 160;
/// Results of row 167, of this many bytes each, over a cache of 8 MiB.
const LARGE: usize = 24;
const LARGE_BYTES: usize = 500_000;
/// What the upstream of row 169 gets rid of at most: what is read, and what the sockets between hold.
const MOST_SENT: u64 = 16 << 20;

pub fn rows() -> Vec<Row> {
    vec![
        row(
            165,
            format!(
                "{LEFT} callers who leave at once; {QUEUED} that queue until their fills end amid an attempt"
            ),
            "queued fills are dropped; the breaker stays closed; the next caller is answered",
        ),
        shown_by(
            166,
            "several slow regions beside a healthy one",
            "each has its share of all fills; the healthy one is not refused",
            ["lookup::table::a_region_has_its_share_of_all_fills_and_no_more"],
        ),
        row(
            167,
            format!("{LARGE} results of {} kB of one region over a cache of 8 MiB", LARGE_BYTES / 1000),
            "they are answered and not kept; another region's results stay",
        ),
        row(
            169,
            "endless 1xx answers, an endless head, an endless body in tiny chunks",
            "the attempt ends at its byte limit; hits of others are served meanwhile",
        ),
        row(
            171,
            "408, or 400 without an envelope, on a kept connection as a request is written",
            "one retry over a fresh connection",
        ),
        shown_by(
            172,
            "times in seconds, zero, float form; whole numbers in float form; a BOM; invalid UTF-8",
            "the right value, or null with drift",
            [
                "upstream::number::a_time_is_in_milliseconds_or_in_seconds_and_0_is_none",
                "upstream::number::a_whole_number_is_one_however_it_is_written",
                "upstream::wire::invalid_utf8_inside_a_string_is_replaced_and_counted_and_a_byte_order_mark_is_skipped",
            ],
        ),
        shown_by(
            155,
            "PASS beside a part that fails",
            "`unrecognized`",
            ["verdict::a_pass_beside_a_part_that_fails_is_unrecognized"],
        ),
        shown_by(
            173,
            "`Retry-After` as a date, also of a server whose clock is wrong",
            "the pause that was meant, of 1 to 60 s",
            [
                "net::retry_after::every_spelling_is_read_and_clamped_to_1_to_60_seconds",
                "retry::callers_are_told_when_to_come_back_however_the_upstream_says_it",
            ],
        ),
    ]
}

#[tokio::test]
async fn f165_fills_that_nobody_waits_for_are_dropped() {
    let trial = Trial::patient(&["my"], "").await;
    let gate = Gate::default();
    let ids: Vec<String> = (0..LEFT).map(|n| format!("F165-{n:03}")).collect();
    for id in &ids {
        trial.upstream().answer(id, [Reply::absent().gated(&gate)]);
    }
    let mut callers = Vec::new();
    for id in &ids {
        callers.extend(trial.crowd(id, 1).await);
    }
    eventually("as many calls as may be", async || trial.upstream().result_hits() == 64).await;
    drop(callers);
    trial.gateway.wait_for_fills(64).await;
    gate.open();
    trial.gateway.wait_for_fills(0).await;
    assert_eq!(trial.upstream().result_hits(), 64, "what queued was never sent");
    trial.passes("F165");
    assert_eq!(trial.ask("F165").await.gist(), gist(200, "passed"));
    assert_eq!(trial.gateway.metric(BREAKER).await, 0.0);
}

/// The region takes 16 at a time, for a third of what a fill may take: some are sent late and cut short.
#[tokio::test]
async fn f165_an_attempt_that_its_fill_cuts_short_says_nothing_about_the_region() {
    let upstream = Upstream::start().await;
    let region = region("my", &upstream) + "attempt_timeout = \"1s\"\nconcurrency = 16\n";
    let times = "[request]\ntimeout = \"900ms\"\nfill_timeout = \"1s\"\n";
    let trial = Trial::over(vec![("my", upstream, region)], times).await;
    let ids: Vec<String> = (0..QUEUED).map(|n| format!("F165-{n:03}")).collect();
    let mut callers = Vec::new();
    for id in &ids {
        trial.upstream().answer(id, [Reply::absent().after(Duration::from_millis(310))]);
    }
    for id in &ids {
        callers.push((id, trial.crowd(id, 1).await));
    }
    let mut answered = 0;
    for (id, crowd) in callers {
        let answers = trial.answers(id, crowd).await;
        answered += usize::from(answers[0].status == 404);
    }
    trial.gateway.wait_for_fills(0).await;
    let sent = trial.upstream().result_hits();
    assert!(sent >= answered + 8, "{sent} were sent, {answered} answered: the others were cut short");
    assert_eq!(trial.gateway.metric(BREAKER).await, 0.0);
    trial.passes("F165");
    assert_eq!(trial.ask("F165").await.gist(), gist(200, "passed"));
}

#[tokio::test]
async fn f167_large_results_of_one_region_push_out_nothing() {
    let trial = Trial::patient(&["my", "ph"], "[cache]\nmax_bytes = \"8MiB\"\n").await;
    let kept: Vec<String> = (0..20).map(|n| format!("F167-MY-{n:02}")).collect();
    for id in &kept {
        trial.passes_in("my", id);
        trial.ask(id).await;
    }
    let padding = "x".repeat(LARGE_BYTES);
    for n in 0..LARGE {
        let id = format!("F167-PH-{n:03}");
        let data = json!({
            "signatureId": id, "idvResult": "PASS",
            "docDetail": { "ocrInfo": { "front": { "address": padding } } },
        });
        trial.truly_passes(&id);
        trial.region("ph").answer(&id, [Reply::json(bodies::success(data))]);
        assert_eq!(trial.send("GET", &id, "?region=ph&view=decision", &[]).await.gist(), gist(200, "passed"));
    }
    for id in &kept {
        assert!(trial.ask(id).await.is_hit(), "{id} stays");
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f169_an_answer_without_an_end() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let cases = [
        ("F169-INTERIM", String::new(), "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100)),
        ("F169-HEAD", ok.to_owned(), "x-more: y\r\n".repeat(100)),
        ("F169-ONE-HEADER", format!("{ok}x-more: "), "y".repeat(4096)),
        ("F169-CHUNKS", format!("{ok}transfer-encoding: chunked\r\n\r\n"), "1\r\n \r\n".repeat(100)),
        ("F169-EXTENSION", format!("{ok}transfer-encoding: chunked\r\n\r\n1;"), "y".repeat(4096)),
    ];
    let trial = Trial::patient(&["my"], "").await;
    trial.passes("F169");
    trial.ask("F169").await;
    for (id, head, piece) in cases {
        let flow = Flow::default();
        let reply = Reply::Endless(head.into_bytes(), piece.into_bytes(), flow.clone());
        trial.upstream().answer(id, [reply]);
        let (answer, hit) = tokio::join!(trial.ask(id), trial.ask("F169"));
        assert!([502, 503].contains(&answer.status), "{id} ends at the limit, not at its time: {answer:?}");
        assert!(hit.is_hit(), "{id}");
        eventually("the end of the connection", async || flow.is_cut()).await;
        assert!(flow.taken() < MOST_SENT, "{id}: {} bytes", flow.taken());
    }
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f171_what_a_server_says_before_it_closes_a_kept_connection() {
    let trial = Trial::start().await;
    for status in [408, 400] {
        let kept = format!("F171-KEPT-{status}");
        trial.passes(&kept);
        trial.ask(&kept).await;
        let id = format!("F171-{status}");
        trial.truly_passes(&id);
        let last = Reply::Http(status, vec![("connection", "close".to_owned())], Vec::new()).then_close();
        trial.upstream().answer(&id, [last, Reply::passed(&id)]);
        assert_eq!(trial.ask(&id).await.gist(), gist(200, "passed"), "{status}");
        assert_eq!(trial.upstream().hits(&id), 2, "{status}");
    }
    trial.invariants_hold().await;
}
