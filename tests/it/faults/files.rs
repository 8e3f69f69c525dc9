//! Watched and configured files that are not what they should be.

use super::rows::{Row, row};
use crate::support::gateway::{caller, metric_at, region, sha256};
use crate::support::process::{Scratch, Served, run, text};
use crate::support::{Upstream, eventually};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            162,
            "FIFO, device, directory, endless file in place of each watched or configured file",
            "refused with a message; other reloads and all requests go on",
        ),
        row(
            163,
            "key files with BOM, blanks, several lines, invisible characters",
            "trimmed, or refused at start and reload",
        ),
    ]
}

/// Puts something in the place of `path` that is not a regular file of at most 1 MiB.
fn replace(path: &std::path::Path, with: &str) {
    let _ = std::fs::remove_file(path);
    let made = match with {
        "fifo" => std::process::Command::new("mkfifo").arg(path).status().map(drop),
        "device" => std::os::unix::fs::symlink("/dev/zero", path),
        "directory" => std::os::unix::fs::symlink("/", path),
        _ => std::fs::File::create(path).and_then(|file| file.set_len((1 << 20) + 1)),
    };
    made.expect("the file can be replaced");
}

async fn status(served: &Served, key: &str) -> u16 {
    served.get_as(key, "/idv/F162").await.status
}

#[tokio::test]
async fn f162_a_file_that_cannot_be_read_stops_no_other_reload() {
    let (upstream, scratch) = (Upstream::start().await, Scratch::new());
    upstream.pass("F162");
    for (name, content) in [("access", "test-access-key"), ("a", &sha256("a-old")), ("b", &sha256("b0"))] {
        scratch.write(name, content);
    }
    let access = format!("access_key_file = \"{}\"", text(&scratch.path("access")));
    let region = region("my", &upstream).replace("access_key = \"test-access-key\"", &access);
    let callers = ["a", "b"].map(|name| {
        format!("[[callers]]\nname = \"{name}\"\nkey_sha256_file = \"{}\"\n", text(&scratch.path(name)))
    });
    let served = Served::with(&[&region, &callers.concat()]).await;
    let refused = async || metric_at(served.admin, "idv_reloads_total{outcome=\"refused\"}").await;
    let read = async |file: &str| {
        metric_at(served.admin, &format!("idv_file_read_timestamp_seconds{{file=\"{file}\"}}")).await
    };
    let started = read("callers.a.key_sha256_file").await;
    assert!(started > 0.0 && read("regions.my.access_key_file").await > 0.0);
    for (round, what) in ["fifo", "device", "directory", "large"].into_iter().enumerate() {
        let before = refused().await;
        replace(&scratch.path("access"), what);
        replace(&scratch.path("a"), what);
        let new = format!("b{}", round + 1);
        scratch.write("b", &sha256(&new));
        served.process.signal("HUP");
        eventually("the other caller's new key", async || status(&served, &new).await == 200).await;
        eventually("both refusals", async || refused().await >= before + 2.0).await;
        assert_eq!(status(&served, &format!("b{round}")).await, 401, "{what}");
        assert_eq!(status(&served, "a-old").await, 200, "{what}: the old content stays in use");
    }
    for name in ["access", "a"] {
        std::fs::remove_file(scratch.path(name)).expect("it is there");
    }
    scratch.write("access", "test-access-key");
    scratch.write("a", &sha256("a-new"));
    served.process.signal("HUP");
    eventually("the file that is well again", async || status(&served, "a-new").await == 200).await;
}

#[tokio::test]
async fn f163_a_key_file_is_trimmed_or_refused_at_start_and_at_reload() {
    let (upstream, scratch) = (Upstream::start().await, Scratch::new());
    let access = format!("access_key_file = \"{}\"", text(&scratch.path("access")));
    let region = region("my", &upstream).replace("access_key = \"test-access-key\"", &access);
    let pieces = [region.as_str(), &caller("a", &[], "")];
    let config = scratch.write("gateway.toml", &pieces.join("\n"));
    let good = ["test-access-key", "\u{feff} test-access-key \r\n"];
    let bad = ["", "one\ntwo\n", "zero\u{200b}width", "nul\0", "soft\u{ad}hyphen", "tag\u{e0041}"];
    for (content, code) in good.map(|good| (good, 0)).into_iter().chain(bad.map(|bad| (bad, 78))) {
        scratch.write("access", content);
        let finished = run(&["check-config", "--config", text(&config)]).await;
        assert_eq!(finished.code, Some(code), "{content:?}: {}", finished.stderr);
    }
    scratch.write("access", good[1]);
    let served = Served::with(&pieces).await;
    for (n, content) in bad.into_iter().enumerate() {
        scratch.write("access", content);
        served.process.signal("HUP");
        let refused = async || metric_at(served.admin, "idv_reloads_total{outcome=\"refused\"}").await;
        eventually("the refusal", async || refused().await > n as f64).await;
    }
    upstream.pass("F163");
    assert_eq!(served.get_as("a", "/idv/F163").await.status, 200);
    assert!(upstream.token_requests()[0].body.contains("\"test-access-key\""), "the trimmed key is in use");
}
