//! Callers who are nobody, who may not, or who try everything.

use futures_util::future::join_all;

use super::trial::Trial;
use crate::support::gateway::{caller, key_hash};
use crate::support::process::{Scratch, text};
use crate::support::{Answer, Reply, bodies, eventually};

/// Everything an answer says but its date.
fn said(answer: &Answer) -> (u16, Vec<&(String, String)>, &[u8]) {
    (answer.status, answer.headers.iter().filter(|(name, _)| name != "date").collect(), &answer.body)
}

/// Two thousand inventions; the invariants count the series.
#[tokio::test]
async fn f127_inventions() {
    let trial = Trial::start().await;
    let strangers = (0..4).map(async |client| {
        let mut connection = trial.gateway.connect().await;
        for n in 0..500 {
            let (method, target) = match n % 4 {
                0 => (format!("M{client}X{n}"), format!("/idv/{client}-{n}")),
                1 => ("GET".to_owned(), format!("/F127-{client}/{n}")),
                2 => (format!("X{n}"), format!("/F127/{client}/{n}?q={n}")),
                _ => ("GET".to_owned(), format!("/idv/a.b?{client}={n}")),
            };
            let agent = format!("F127-AGENT/{client}.{n}");
            connection.ask(&method, &target, &[("User-Agent", &agent), ("X-Request-Id", &agent)]).await;
            assert!(connection.answer().await.is_some_and(|answer| answer.status >= 400));
        }
    });
    join_all(strangers).await;
    trial.says_nowhere("F127").await;
    assert_eq!(trial.upstream().received().len(), 0);
    trial.invariants_hold().await;
}

/// That every key is compared, whichever it is, and in a time that says nothing, cannot be seen from outside.
#[tokio::test]
async fn f129_keys_that_do_not_open() {
    let scratch = Scratch::new();
    let keys = |keys: &[&str]| keys.iter().map(|key| format!("{}\n", key_hash(key))).collect::<String>();
    let file = scratch.write("keys", &keys(&["stays", "goes"]));
    let rotating = format!(
        "[[callers]]\nname = \"rotating\"\nkey_sha256_file = {:?}\nregions = [\"my\"]\n",
        text(&file)
    );
    let trial = Trial::with(&["my", "ph"], &rotating).await;
    trial.passes("F129");
    let id = ("X-Request-Id", "the-same");
    let ask = async |method: &str, query: &str, authorization: &str| {
        let headers = [("Authorization", authorization), id];
        trial.send(method, "F129", query, &headers).await
    };
    for key in ["Bearer stays", "Bearer goes"] {
        assert_eq!(ask("GET", "", key).await.gist(), (200, "passed".to_owned()));
    }
    scratch.write("keys", &keys(&["stays"]));
    eventually("the key's end", async || ask("GET", "", "Bearer goes").await.status == 401).await;
    let none = trial.send("GET", "F129", "", &[id]).await;
    assert_eq!(none.gist(), (401, "unauthenticated".to_owned()));
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    let hash = format!("Bearer {}", key_hash("stays"));
    for wrong in ["Bearer goes", "Bearer stay", "Bearer stayss", "Bearer ", "Basic stays", "stays", &hash] {
        for (method, query) in [("GET", ""), ("GET", "?region=ph"), ("DELETE", "")] {
            assert_eq!(said(&ask(method, query, wrong).await), said(&none), "{wrong} {method} {query}");
        }
    }
    assert_eq!(ask("DELETE", "", "Bearer stays").await.gist(), (403, "scope_missing".to_owned()));
    assert_eq!(ask("GET", "?region=ph", "Bearer stays").await.gist(), (403, "region_forbidden".to_owned()));
    let open = ask("GET", "", "Bearer stays").await.json();
    assert!(["checks", "identity", "media"].iter().all(|part| open.get(part).is_none()), "{open}");
    assert_eq!(trial.upstream().result_hits(), 1, "nobody is asked for strangers");
    trial.invariants_hold().await;
}

#[tokio::test]
async fn f130_trying_every_id() {
    let callers =
        [caller("prober", &[], "regions = [\"my\"]\nrequests_per_second = 30"), caller("both", &[], "")];
    let trial = Trial::with(&["my", "ph"], &callers.concat()).await;
    trial.passes("F130-MINE");
    trial.truly_passes("F130-THEIRS");
    trial.region("ph").answer("F130-THEIRS", [Reply::json(bodies::passed("F130-THEIRS"))]);
    let ask = async |key: &str, id: &str| {
        let headers = [("Authorization", &*format!("Bearer {key}")), ("X-Request-Id", "the-same")];
        trial.send("GET", id, "", &headers).await
    };
    for id in ["F130-MINE", "F130-THEIRS", "F130-NOBODYS"] {
        let expected = if id == "F130-NOBODYS" { 404 } else { 200 };
        assert_eq!(ask("both", id).await.status, expected, "{id}");
    }
    for asked in 0..2 {
        let theirs = ask("prober", "F130-THEIRS").await;
        assert_eq!(theirs.gist(), (404, "signature_not_found".to_owned()), "{asked}");
        let nobodys = ask("prober", "F130-NOBODYS").await;
        let but_cache = |answer: &Answer| {
            let (status, headers, body) = said(answer);
            let headers: Vec<_> =
                headers.into_iter().filter(|(name, _)| name != "cache-status").cloned().collect();
            (status, headers, body.to_vec())
        };
        assert_eq!(but_cache(&theirs), but_cache(&nobodys), "{asked}");
    }
    assert_eq!(ask("prober", "F130-MINE").await.gist(), (200, "passed".to_owned()));
    let before = trial.upstream().result_hits();
    let mut refused = 0;
    for n in 0..300 {
        let answer = ask("prober", &format!("F130-{n:03}")).await;
        if answer.status == 404 {
            // The invariants want a 404 to be every region's.
            assert_eq!(ask("both", &format!("F130-{n:03}")).await.status, 404);
            continue;
        }
        refused += 1;
        assert_eq!(answer.gist(), (429, "rate_limited".to_owned()));
        assert!(answer.header("retry-after").is_some());
    }
    assert!(refused > 0);
    assert_eq!(trial.upstream().result_hits() - before, 300 - refused, "a refused request costs no call");
    assert_eq!(trial.gateway.metric("idv_rate_limited_total{caller=\"prober\"}").await, refused as f64);
    trial.invariants_hold().await;
}
