//! `doctor`: what it finds wrong with a region, what it says to do, and what the shell gets back.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::net::TcpListener;

use crate::support::front::Front;
use crate::support::gateway::{OPEN, region, region_at};
use crate::support::process::{self, Finished, Scratch, free_address, text};
use crate::support::redis::{KEY, Redis};
use crate::support::{Reply, Upstream, bodies, tls};

/// Runs `doctor` over a configuration of these regions.
async fn doctor(regions: &[&str], more: &[&str]) -> Finished {
    let scratch = Scratch::new();
    let config = scratch.write("gateway.toml", &format!("{OPEN}{}", regions.concat()));
    process::run(&[&["doctor", "--config", text(&config)], more].concat()).await
}

/// The rows of the table: region, check, result, and what is beside the time.
fn rows(finished: &Finished) -> Vec<[String; 4]> {
    let table = finished.stdout.split("\n\n").next().unwrap_or_default();
    let mut region = String::new();
    let row = |line: &str| {
        if !line.starts_with(' ') {
            region = line.split(' ').next().unwrap_or_default().to_owned();
        }
        let words: Vec<_> = line.trim_start_matches(&region).split_whitespace().collect();
        let detail_at = if words.get(3).is_some_and(|unit| *unit == "ms") { 4 } else { 2 };
        let detail = words.get(detail_at..).unwrap_or_default().join(" ");
        [region.clone(), words[0].to_owned(), words[1].to_owned(), detail]
    };
    table.lines().skip(1).map(row).collect()
}

/// The results of the checks, in order.
fn results(finished: &Finished) -> Vec<String> {
    rows(finished).into_iter().map(|[_, check, result, _]| format!("{check} {result}")).collect()
}

#[track_caller]
fn has_row(finished: &Finished, check: &str, result: &str, detail: &str) {
    let is_it = |row: &[String; 4]| row[1] == check && row[2] == result && row[3].contains(detail);
    assert!(rows(finished).iter().any(is_it), "no {check} {result} {detail} in\n{}", finished.stdout);
}

#[track_caller]
fn advises(finished: &Finished, advice: &str) {
    let (_, all) = finished.stdout.split_once("\n\n").expect("advice below the table");
    let too_wide = all.lines().find(|line| line.chars().count() > 80);
    assert_eq!(too_wide, None, "a terminal has 80 columns");
    let whole = all.replace("\n    ", " ");
    let are_named = |line: &str| line.starts_with("regions.") || line.starts_with("remote:");
    assert!(whole.lines().all(are_named), "{all}");
    assert!(whole.lines().any(|line| line.contains(advice)), "no {advice:?} in\n{}", finished.stdout);
}

fn date_in(seconds: i64) -> String {
    let then = Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap();
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&then).unwrap()
}

/// A good token from an upstream whose clock is this many seconds from ours.
fn token_at(seconds: i64) -> Reply {
    let mut body = bodies::token(1);
    body["data"]["expiredTime"] = (Timestamp::now().as_millisecond() + (seconds + 3600) * 1000).into();
    Reply::json(body).header("date", &date_in(seconds))
}

/// A region `my` behind TLS with this certificate, trusting the test authority.
fn secured(front: &Front) -> String {
    let ca_file = tls::fixture("authority");
    let url = format!("https://{}", front.address);
    region_at("my", &url).replace("allow_http = true\n", "") + &format!("ca_file = \"{}\"\n", text(&ca_file))
}

#[tokio::test]
async fn where_all_is_well_it_says_so() {
    let (my, ph) = (Upstream::start().await, Upstream::start().await);
    my.answer_tokens([token_at(0)]);
    ph.answer_tokens([token_at(0)]);
    let front = Front::tls(&my, "upstream").await;
    let named = region_at("ph", &format!("http://localhost:{}", ph.address.port()));
    let finished = doctor(&[&secured(&front), &named], &[]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{}", finished.stdout);
    let all = ["dns ok", "connect ok", "tls ok", "token ok", "skew ok"];
    assert_eq!(results(&finished), [all, all].concat());
    let regions: Vec<_> = rows(&finished).into_iter().map(|[region, ..]| region).collect();
    assert_eq!(regions, [["my"; 5], ["ph"; 5]].concat());
    has_row(&finished, "dns", "ok", "127.0.0.1 is an address");
    has_row(&finished, "dns", "ok", "localhost is ");
    has_row(&finished, "connect", "ok", &front.address.to_string());
    has_row(&finished, "tls", "ok", "TLS 1.3, certificate good for ");
    has_row(&finished, "tls", "ok", "plain http");
    has_row(&finished, "token", "ok", "good for 60 min");
    has_row(&finished, "skew", "ok", "the clocks agree");
    assert!(!finished.stdout.contains("regions."), "there is nothing to do: {}", finished.stdout);
    assert_eq!((my.token_hits(), my.result_hits()), (1, 0));
    let alone = doctor(&[&secured(&front), &named], &["--region", "ph"]).await;
    assert_eq!((alone.code, rows(&alone).len(), my.token_hits()), (Some(0), 5, 1));
    let unknown = doctor(&[&named], &["--region", "sg"]).await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("the configuration has ph"), "{}", unknown.stderr);
}

#[tokio::test]
async fn what_comes_after_a_failure_is_not_tried_and_other_regions_are() {
    let upstream = Upstream::start().await;
    upstream.answer_tokens([token_at(0)]);
    let nowhere = region_at("th", "https://nowhere.invalid");
    let refused = region_at("sg", &format!("http://{}", free_address()));
    let finished = doctor(&[&nowhere, &refused, &region("my", &upstream)], &[]).await;
    assert_eq!(finished.code, Some(1));
    let rest = ["tls -", "token -", "skew -"];
    let expected = [&["dns FAILED", "connect -"][..], &rest, &["dns ok", "connect FAILED"], &rest].concat();
    assert_eq!(results(&finished)[..10], expected);
    assert_eq!(results(&finished)[10..], ["dns ok", "connect ok", "tls ok", "token ok", "skew ok"]);
    has_row(&finished, "dns", "FAILED", "nowhere.invalid: ");
    has_row(&finished, "connect", "FAILED", "connection refused");
    has_row(&finished, "tls", "-", "not tried");
    // What a name server says of it, if it says anything, is the machine's own.
    advises(&finished, "regions.th: dns: ");
    advises(&finished, "regions.sg: connect: check host and port of the URL");
    assert_eq!(finished.stderr.trim(), "regions that failed: 2 of 3");
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_is_named_for_what_it_is() {
    let upstream = Upstream::start().await;
    let table = [
        ("upstream-expired", "has expired", "this machine's clock"),
        ("upstream-elsewhere", "is not for 127.0.0.1", "who answers for it"),
        ("upstream-strange", "unknown authority", "ca_file"),
    ];
    for (certificate, detail, advice) in table {
        let front = Front::tls(&upstream, certificate).await;
        let finished = doctor(&[&secured(&front)], &[]).await;
        assert_eq!(finished.code, Some(1), "{certificate}");
        assert_eq!(results(&finished)[1..], ["connect ok", "tls FAILED", "token -", "skew -"]);
        has_row(&finished, "tls", "FAILED", detail);
        advises(&finished, advice);
    }
    assert_eq!(upstream.token_hits(), 0, "who is not trusted is told nothing");
    // A port without TLS: it waits for the end of a request that it cannot read, or says something else.
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", web.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = web.accept().await {
            let bad = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, bad).await;
        }
    });
    let finished = doctor(&[&region_at("my", &url)], &[]).await;
    has_row(&finished, "tls", "FAILED", "no TLS 1.2 or 1.3");
    advises(&finished, "check scheme and port");
}

#[tokio::test]
async fn a_refused_token_is_put_down_to_keys_clock_account_or_vendor() {
    let html = Reply::Http(404, vec![("content-type", "text/html".to_owned())], b"<html>".to_vec());
    let refusal = Reply::refusal;
    let table = [
        (
            refusal("PARAMETER_ERROR", "Signature error"),
            "signature refused",
            "check secret_key: it does not go",
        ),
        (refusal("PARAMETER_ERROR", "Timestamp error"), "timestamp refused", "set this machine's clock"),
        (refusal("IAM_FAILED", "Access Key not found"), "refused: IAM_FAILED", "check access_key, and that"),
        (
            refusal("ACCOUNT_DISABLED", "x"),
            "account refused: ACCOUNT_DISABLED",
            "ask the vendor about balance",
        ),
        (refusal("SERVICE_BUSY", "x"), "busy", "wait a minute"),
        (refusal("NEVER_SEEN", "hunter2-never"), "refused", "check access_key"),
        (refusal("ERROR", "hunter2"), "says that it failed", "try again; if it stays so, ask the vendor"),
        (Reply::text(501, "hunter2"), "not from a token endpoint", "check token_url (else base_url)"),
        (html, "not from a token endpoint", "check token_url"),
        (Reply::Reset, "connection broke", "firewall or proxy"),
    ];
    for (reply, detail, advice) in table {
        let upstream = Upstream::start().await;
        upstream.answer_tokens([reply]);
        let finished = doctor(&[&region("my", &upstream)], &[]).await;
        assert_eq!(finished.code, Some(1), "{detail}");
        assert_eq!(results(&finished)[2..4], ["tls ok", "token FAILED"]);
        has_row(&finished, "token", "FAILED", detail);
        advises(&finished, advice);
        let shown = finished.stdout + &finished.stderr;
        assert!(!shown.contains("hunter2") && !shown.contains("NEVER_SEEN"), "{shown}");
    }
}

#[tokio::test]
async fn the_upstreams_clock_is_compared_with_ours() {
    let table = [
        (-20, Some(0), "ok", "20 s ahead"),
        (120, Some(0), "warn", "120 s behind"),
        (-900, Some(1), "FAILED", "900 s ahead"),
    ];
    for (seconds, code, result, detail) in table {
        let upstream = Upstream::start().await;
        let timestamp = bodies::refusal("PARAMETER_ERROR", "Timestamp error");
        let refusal = Reply::json(timestamp).header("date", &date_in(seconds));
        // As the vendor does: a clock too far off is refused, and then the gateway asks by the vendor's.
        let replies =
            if seconds.abs() > 300 { vec![refusal, token_at(seconds)] } else { vec![token_at(seconds)] };
        upstream.answer_tokens(replies);
        let finished = doctor(&[&region("my", &upstream)], &[]).await;
        assert_eq!(finished.code, code, "{}", finished.stdout);
        let [_, _, found, shown] = rows(&finished).pop().unwrap();
        // Seconds pass while it runs, and dates are cut to them.
        let near = |shown: &str| {
            (-2..=2).any(|n: i64| {
                let (number, side) = detail.split_once(' ').unwrap();
                shown.contains(&format!("{} {side}", number.parse::<i64>().unwrap() + n))
            })
        };
        assert!(found == result && near(&shown), "{seconds}: {}", finished.stdout);
        has_row(&finished, "token", "ok", "good for 60 min");
        if result != "ok" {
            advises(&finished, "regions.my: skew: set this machine's clock");
        }
    }
    // A refusal tells the time too.
    let upstream = Upstream::start().await;
    let signature = Reply::refusal("PARAMETER_ERROR", "Signature error");
    upstream.answer_tokens([signature.header("date", &date_in(0))]);
    let finished = doctor(&[&region("my", &upstream)], &[]).await;
    assert_eq!(results(&finished)[3..], ["token FAILED", "skew ok"]);
    // And who tells no time is not called wrong.
    let upstream = Upstream::start().await;
    let finished = doctor(&[&region("my", &upstream)], &[]).await;
    assert_eq!((finished.code, results(&finished)[3..].concat()), (Some(0), "token okskew -".to_owned()));
}

#[tokio::test]
async fn tokens_from_another_host_are_a_host_more_to_try() {
    let (results_host, tokens) = (Upstream::start().await, Upstream::start().await);
    tokens.answer_tokens([token_at(0)]);
    let apart = region("my", &results_host) + &format!("token_url = \"{}\"\n", tokens.base_url());
    let finished = doctor(&[&apart], &[]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    let connects: Vec<_> = rows(&finished).into_iter().filter(|row| row[1] == "connect").collect();
    assert_eq!(connects[0][3], results_host.address.to_string());
    assert_eq!(connects[1][3], tokens.address.to_string());
    assert_eq!((rows(&finished).len(), results_host.token_hits(), tokens.token_hits()), (8, 0, 1));
    // The one being away does not keep the other from being tried.
    let gone = region_at("my", &format!("http://{}", free_address()));
    let finished = doctor(&[&(gone + &format!("token_url = \"{}\"\n", tokens.base_url()))], &[]).await;
    assert_eq!(results(&finished)[..3], ["dns ok", "connect FAILED", "tls -"]);
    assert_eq!(results(&finished)[6..], ["token ok", "skew ok"]);
    assert_eq!(finished.code, Some(1));
}

#[tokio::test]
async fn silence_is_waited_for_no_longer_than_asked() {
    // Its queue takes connections, and nobody takes them from there.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let (https, http) = (format!("https://{address}"), format!("http://{address}"));
    let regions = [region_at("my", &https), region_at("ph", &http)];
    let began = Instant::now();
    let finished = doctor(&regions.each_ref().map(String::as_str), &["--timeout", "2"]).await;
    assert!(began.elapsed() < Duration::from_secs(6), "all regions at once: {:?}", began.elapsed());
    assert_eq!(finished.code, Some(1));
    has_row(&finished, "tls", "FAILED", "no answer in time");
    has_row(&finished, "token", "FAILED", "no answer in time");
    advises(&finished, "regions.my: tls: let traffic out to 127.0.0.1");
    advises(&finished, "regions.ph: token: try again with a longer --timeout");
}

#[tokio::test]
async fn no_key_and_no_token_is_shown() {
    let upstream = Upstream::start().await;
    let (scratch, canary) = (Scratch::new(), "canary-5e0c");
    let mut token = bodies::token(1);
    token["data"]["token"] = format!("{canary}-token").into();
    let refusal = Reply::refusal("PARAMETER_ERROR", &format!("Signature error {canary}"));
    let secret = scratch.write("secret", &format!("{canary}-secret"));
    let keys = format!("access_key = \"{canary}-access\"\nsecret_key_file = \"{}\"\n", text(&secret));
    let region = format!(
        "[[regions]]\nname = \"my\"\nbase_url = \"{}\"\nallow_http = true\n{keys}",
        upstream.base_url()
    );
    for reply in [Reply::json(token), refusal] {
        upstream.answer_tokens([reply]);
        let finished = doctor(&[&region], &[]).await;
        let shown = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!shown.contains(canary), "{shown}");
        let key = upstream.token_requests().pop().unwrap().body;
        assert!(key.contains(&format!("{canary}-access")), "the canary went where it belongs: {key}");
    }
    let finished = doctor(&[&region], &[]).await;
    advises(&finished, "check secret_key_file: it does not go with access_key");
}

#[tokio::test]
async fn a_bad_configuration_is_told_as_check_config_tells_it() {
    let scratch = Scratch::new();
    let bad = scratch.write("bad.toml", "[[regions]]\nname = \"my\"\n");
    let half = scratch.write("half.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let region = region_at("my", "http://127.0.0.1:9");
    let ca = scratch.write("ca.toml", &format!("{OPEN}{region}ca_file = \"{}\"\n", text(&half)));
    for path in [bad, ca, scratch.path("none.toml")] {
        let checked = process::run(&["check-config", "--config", text(&path)]).await;
        let finished = process::run(&["doctor", "--config", text(&path)]).await;
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(78), ""));
        assert!(!finished.stderr.is_empty());
        assert_eq!(finished.stderr, checked.stderr);
    }
}

/// What `doctor` says of the second tier at this URL.
async fn of_second_tier(redis: &Redis, url: &str) -> Finished {
    let upstream = Upstream::start().await;
    upstream.answer_tokens([token_at(0)]);
    doctor(&[&region("my", &upstream), &redis.section_at(url, KEY)], &[]).await
}

#[tokio::test]
async fn the_second_tier_is_tried_with_every_command_and_a_message() {
    let redis = Redis::start().await;
    let finished = of_second_tier(&redis, &redis.url()).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{}", finished.stdout);
    assert_eq!(results(&finished)[5..], ["connect ok", "values ok", "pubsub ok"]);
    assert!(redis.keys("*").await.is_empty(), "nothing stays there");
    let guide = include_str!("../../docs/operations.md");
    let rule = guide.lines().find_map(|line| line.strip_prefix("ACL SETUSER idv ")).expect("the guide says");
    let rule = rule.replace("$PASSWORD", "p").replace('\'', "");
    let words = ["ACL", "SETUSER", "idv"].into_iter().chain(rule.split_whitespace());
    redis.ask(&words.collect::<Vec<_>>()).await;
    let user = format!("redis://idv:p@{}", redis.address);
    assert_eq!(of_second_tier(&redis, &user).await.code, Some(0), "the rights of the guide are enough");
    for (without, checks, advice) in [
        ("-hmget", ["connect ok", "values FAILED", "pubsub ok"], "docs/operations.md lists"),
        ("-publish", ["connect ok", "values ok", "pubsub FAILED"], "publish, subscribe and ping"),
        ("-ping", ["connect ok", "values ok", "pubsub FAILED"], "publish, subscribe and ping"),
    ] {
        redis.ask(&["ACL", "SETUSER", "idv", without]).await;
        let finished = of_second_tier(&redis, &user).await;
        redis.ask(&["ACL", "SETUSER", "idv", &without.replace('-', "+")]).await;
        assert_eq!((finished.code, finished.stderr.trim()), (Some(1), "the second tier failed"));
        assert_eq!(results(&finished)[5..], checks, "{}", finished.stdout);
        advises(&finished, advice);
    }
    let wrong = of_second_tier(&redis, &format!("redis://idv:hunter2@{}", redis.address)).await;
    assert_eq!(results(&wrong)[5..], ["connect FAILED", "values -", "pubsub -"]);
    advises(&wrong, "check user and password");
    assert!(!(wrong.stdout + &wrong.stderr).contains("hunter2"));
    let nobody = of_second_tier(&redis, &format!("redis://{}", free_address())).await;
    advises(&nobody, "check host, port and scheme");
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    advises(&of_second_tier(&redis, &redis.url()).await, "point the URL at the primary");
    redis.ask(&["CONFIG", "SET", "requirepass", "p"]).await;
    advises(&of_second_tier(&redis, &redis.url()).await, "check user and password");
}
