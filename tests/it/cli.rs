//! The commands: what a person types, reads and gets back from the shell.

use std::time::Duration;

use crate::support::client;
use crate::support::gateway::{self, OPEN, metric_at, region, sha256};
use crate::support::process::{Process, Scratch, Served, free_address, run, run_with, text};
use crate::support::{Gateway, Upstream};

/// Where a demo that is killed leaves the file of its callback key.
const DEMO: &[(&str, &str)] = &[("TMPDIR", env!("CARGO_TARGET_TMPDIR"))];

/// A demo on ports of its own, once it has said what to try.
async fn demo() -> Process {
    let [public, admin, sandbox] = [(); 3].map(|()| free_address().to_string());
    let args = ["demo", "--listen", &public, "--admin-listen", &admin, "--sandbox-listen", &sandbox];
    let process = Process::start_with(&args, DEMO);
    process.says("gateway started").await;
    process
}

/// The addresses and targets of the curl lines that a demo printed.
fn printed_requests(stdout: &str) -> Vec<(std::net::SocketAddr, String)> {
    let urls = stdout.lines().filter_map(|line| line.trim().strip_prefix("curl -s 'http://"));
    let split = |url: &str| {
        let (url, _) = url.split_once('\'').expect("a quoted URL");
        let (address, path) = url.split_once('/').expect("a URL has a path");
        (address.parse().expect("an address"), format!("/{path}"))
    };
    urls.map(split).collect()
}

#[tokio::test]
async fn the_demo_prints_requests_that_work_as_printed() {
    let process = demo().await;
    let printed = printed_requests(&process.stdout());
    let get = async |n: usize| client::request(printed[n].0, "GET", printed[n].1.as_str(), &[]).await;
    assert_eq!(printed.len(), 7, "{}", process.stdout());

    assert_eq!(printed[1].1, "/idv/f302f5d2454a85c2");
    assert_eq!(get(0).await.gist(), (200, "passed".to_owned()));
    assert!(get(0).await.json().get("identity").is_none(), "the decision is enough for a first look");
    assert!(get(1).await.json()["identity"].is_object(), "and every part is there for a second");
    let failure = get(2).await.json();
    assert_eq!(failure["status"], "failed");
    assert_eq!(failure["reason"]["code"], "LIVENESS_ATTACK");
    assert!(failure["reason"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    let wait = [("Prefer", "wait=10")];
    let waited = client::request(printed[3].0, "GET", printed[3].1.as_str(), &wait).await;
    assert_eq!(waited.gist(), (200, "passed".to_owned()), "one request waits until the result is final");
    let fetched = metric_at(printed[6].0, "idv_callbacks_total{outcome=\"fetched\"}").await;
    let polled = metric_at(printed[6].0, "idv_polls_total{outcome=\"final\"}").await;
    assert!(fetched >= 1.0 && polled == 0.0, "and the upstream's callback ends the wait");
    assert_eq!(get(4).await.gist(), (404, "signature_not_found".to_owned()));
    assert_eq!(get(5).await.gist(), (502, "upstream_error".to_owned()));
    assert!(get(6).await.text().contains("\nidv_build_info{"));
    let admin = printed[6].0;
    for page in [format!("http://{admin}/ "), format!("http://{admin}/docs\n")] {
        assert!(process.stdout().contains(&page), "{page}: {}", process.stdout());
    }
}

#[tokio::test]
async fn the_log_says_which_ports_the_system_chose() {
    let scratch = Scratch::new();
    let addresses = "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
    let region = gateway::region_at("my", "http://127.0.0.1:9");
    let config = scratch.write("gateway.toml", &format!("{addresses}{OPEN}{region}"));
    let process = Process::start(&["serve", "--config", text(&config)]);
    process.says("gateway started").await;
    let line: serde_json::Value = serde_json::from_str(process.stdout().lines().next().unwrap()).unwrap();
    for (listener, path) in [("listen", "/livez"), ("admin_listen", "/metrics")] {
        let address = line[listener].as_str().and_then(|address| address.parse().ok()).expect("an address");
        assert_eq!(client::request(address, "GET", path, &[]).await.status, 200, "{listener}");
    }
}

#[tokio::test]
async fn two_demos_without_flags_find_free_ports_of_their_own() {
    let demos = [Process::start_with(&["demo"], DEMO), Process::start_with(&["demo"], DEMO)];
    let mut used = std::collections::BTreeSet::new();
    for demo in &demos {
        demo.says("gateway started").await;
        let (address, target) = printed_requests(&demo.stdout()).swap_remove(0);
        assert_eq!(client::request(address, "GET", &target, &[]).await.gist(), (200, "passed".to_owned()));
        used.insert(address.port());
    }
    assert_eq!(used.len(), 2, "{used:?}");
}

#[tokio::test]
async fn the_demo_stops_at_once_on_the_first_interrupt() {
    let mut process = demo().await;
    process.signal("INT");
    let asked = tokio::time::Instant::now();
    assert_eq!(process.exit().await.code, Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "nobody balances load over a demo: {:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn the_demo_asks_nobody_for_a_key_so_it_refuses_to_listen_to_the_network() {
    let finished = run(&["demo", "--listen", "0.0.0.0:0"]).await;
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
    assert!(
        finished.stderr.contains("--listen") && finished.stderr.contains("loopback"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn a_demo_whose_port_is_taken_says_which_and_how_to_choose_another() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("bound");
    let [admin, sandbox] = [(); 2].map(|()| free_address().to_string());
    let address = taken.1.to_string();
    let args = ["demo", "--listen", &address, "--admin-listen", &admin, "--sandbox-listen", &sandbox];
    let finished = run(&args).await;
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains(&format!("cannot listen on {address}")), "{}", finished.stderr);
    assert!(finished.stderr.contains("--sandbox-listen"), "{}", finished.stderr);
}

const BAD: &str = r#"
[server]
listen = "localhost"
[request]
timeout = "8"
[[regions]]
name = "my"
base_url = "http://upstream.example"
access_key = "hunter2"
[[callers]]
name = "onboarding"
key_sha256 = ["abc"]
scopes = ["medai"]
[cahce]
max_bytes = 1
"#;

/// The line and key of each mistake, and what would be right.
const COMPLAINTS: [(&str, &str); 7] = [
    ("3: server.listen", "IP address and a port"),
    ("5: request.timeout", "a unit, in quotes: \"250ms\""),
    ("8: regions[0].base_url", "write https"),
    ("6: regions[0].secret_key_file", "missing"),
    ("12: callers[0].key_sha256[0]", "64 hexadecimal digits"),
    ("13: callers[0].scopes[0]", "did you mean `media`?"),
    ("14: cahce", "did you mean `cache`?"),
];

#[tokio::test]
async fn every_mistake_is_reported_at_once_with_file_line_key_and_what_would_be_right() {
    let scratch = Scratch::new();
    let config = scratch.write("bad.toml", BAD);
    for command in ["check-config", "serve"] {
        let finished = run(&[command, "--config", text(&config)]).await;
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(78), ""), "{command}");
        for (key, right) in COMPLAINTS {
            let start = format!("{}:{key}: ", text(&config));
            let line = finished.stderr.lines().find(|line| line.starts_with(&start));
            let line = line.unwrap_or_else(|| panic!("{command} says nothing of {key}: {}", finished.stderr));
            assert!(line.contains(right), "{line}");
        }
        assert_eq!(finished.stderr.lines().count(), COMPLAINTS.len(), "{}", finished.stderr);
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_mistaken_variable_is_named_itself() {
    let scratch = Scratch::new();
    let config =
        scratch.write("gateway.toml", &format!("{OPEN}{}", gateway::region_at("my", "http://127.0.0.1:1")));
    let env = [("IDV__CACHE__MAX_BYTES", "much"), ("IDV__CAHCE__MAX_BYTES", "1MiB")];
    let finished = run_with(&["check-config", "--config", text(&config)], &env, "").await;
    assert_eq!(finished.code, Some(78));
    for (name, _) in env {
        assert!(finished.stderr.contains(&format!("environment: {name}: ")), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_good_file_is_called_good() {
    let scratch = Scratch::new();
    let config =
        scratch.write("gateway.toml", &format!("{OPEN}{}", gateway::region_at("my", "http://127.0.0.1:1")));
    let finished = run(&["check-config", "--config", text(&config)]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert_eq!(finished.stdout, format!("{}: good\n", text(&config)));
}

#[tokio::test]
async fn a_missing_file_is_a_bad_configuration() {
    let scratch = Scratch::new();
    let config = scratch.path("gateway.toml");
    for command in ["check-config", "serve"] {
        let finished = run(&[command, "--config", text(&config)]).await;
        assert_eq!(finished.code, Some(78));
        assert!(finished.stderr.contains(text(&config)) && finished.stderr.contains("No such file"));
    }
}

#[tokio::test]
async fn a_url_that_no_client_takes_is_named_by_its_key() {
    let scratch = Scratch::new();
    let region = gateway::region_at("my", "https://xn--a.example");
    let config = scratch.write("gateway.toml", &format!("{OPEN}{region}"));
    let finished = run(&["check-config", "--config", text(&config)]).await;
    assert_eq!(finished.code, Some(78));
    assert!(finished.stderr.contains(": regions[0].base_url: "), "{}", finished.stderr);
}

#[tokio::test]
async fn with_a_bad_configuration_nothing_is_listened_on() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let scratch = Scratch::new();
    let config = scratch
        .write("gateway.toml", &format!("[server]\nlisten = \"{address}\"\n[auth]\nmode = \"none\"\n"));
    let finished = run(&["serve", "--config", text(&config)]).await;
    assert_eq!(finished.code, Some(78), "had it tried to listen, the taken port would be the complaint");
    assert!(finished.stderr.contains("regions: missing; ") && !finished.stderr.contains("listen on"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_is_no_mistake_of_the_file() {
    for key in ["listen", "admin_listen"] {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let taken_address = taken.local_addr().expect("bound");
        let other = if key == "listen" { "admin_listen" } else { "listen" };
        let server = format!("[server]\n{key} = \"{taken_address}\"\n{other} = \"{}\"\n", free_address());
        let scratch = Scratch::new();
        let region = gateway::region_at("my", "http://127.0.0.1:1");
        let config = scratch.write("gateway.toml", &format!("{server}{OPEN}{region}"));
        let finished = run(&["serve", "--config", text(&config)]).await;
        assert_eq!(finished.code, Some(1));
        assert!(
            finished.stderr.contains(&format!("cannot listen on {taken_address}: Address already in use"))
        );
    }
}

/// The value that a line of `hash-key` gives.
fn value<'a>(stdout: &'a str, name: &str) -> Option<&'a str> {
    stdout.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[tokio::test]
async fn a_made_key_opens_the_gateway_that_holds_its_hash() {
    let finished = run(&["hash-key"]).await;
    assert_eq!(finished.code, Some(0));
    let key = value(&finished.stdout, "key ").expect("a key is printed");
    let hash = value(&finished.stdout, "key_sha256 ").expect("a hash is printed");
    assert_eq!(hash, sha256(key));
    assert_ne!(run(&["hash-key"]).await.stdout, finished.stdout, "a key is made once");

    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let caller = format!("[[callers]]\nname = \"a\"\nkey_sha256 = [\"{hash}\"]\n");
    let gateway = Gateway::with(&[&region("my", &upstream), &caller]).await;
    assert_eq!(gateway.get_as(key, "/idv/S1").await.gist(), (200, "passed".to_owned()));
    assert_eq!(gateway.get_as(hash, "/idv/S1").await.code(), "unauthenticated");
}

#[tokio::test]
async fn a_given_key_is_hashed_without_its_line_end_and_not_repeated() {
    for input in ["a-key-of-ours", "a-key-of-ours\n", "a-key-of-ours\r\n"] {
        let finished = run_with(&["hash-key", "--stdin"], &[], input).await;
        assert_eq!(finished.code, Some(0));
        assert_eq!(finished.stdout, format!("key_sha256  {}\n", sha256("a-key-of-ours")));
    }
}

#[tokio::test]
async fn what_could_not_be_sent_as_a_key_is_not_hashed() {
    let endless = "a".repeat(8193);
    for input in ["", "\n", "two\nlines\n", "a key", "schl\u{fc}ssel", &endless] {
        let finished = run_with(&["hash-key", "--stdin"], &[], input).await;
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{input:?}");
        assert!(finished.stderr.contains("one line of visible ASCII"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_key_that_could_not_be_written_down_is_a_failure() {
    let into_a_full_disk = ["sh", "-c", "exec \"$@\" >/dev/full", "sh"];
    let finished = Process::start_by(&into_a_full_disk, &["hash-key"], &[]).exit().await;
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("cannot write the output: No space left"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_living_gateway_is_healthy_however_its_address_is_given() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::over(&upstream).await;
    let admin = gateway.admin.to_string();
    let scratch = Scratch::new();
    let config = scratch.write("gateway.toml", &format!("[server]\nadmin_listen = \"{admin}\"\n"));
    let elsewhere =
        scratch.write("other.toml", &format!("[server]\nadmin_listen = \"{}\"\n", free_address()));
    let env = [("IDV__SERVER__ADMIN_LISTEN", admin.as_str())];
    let by_name = format!("localhost:{}", gateway.admin.port());
    let cases: [(&[&str], &[(&str, &str)]); 5] = [
        (&["healthcheck", "--admin", &admin], &[]),
        (&["healthcheck", "--admin", &by_name], &[]),
        (&["healthcheck", "--config", text(&config)], &[]),
        (&["healthcheck"], &env),
        (&["healthcheck", "--config", text(&elsewhere)], &env),
    ];
    for (args, env) in cases {
        let finished = run_with(args, env, "").await;
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{args:?} {env:?}");
    }
}

#[tokio::test]
async fn whatever_does_not_live_is_not_healthy() {
    let upstream = Upstream::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let cases = [
        (free_address(), "cannot ask"),
        (upstream.address, "does not answer 200"),
        (silent.local_addr().expect("bound"), "does not answer within"),
    ];
    for (address, why) in cases {
        let finished = run(&["healthcheck", "--admin", &address.to_string()]).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains(&format!("http://{address}/livez")), "{}", finished.stderr);
        assert!(finished.stderr.contains(why), "{}", finished.stderr);
    }
    let env = [("IDV__SERVER__ADMIN_LISTEN", "8081")];
    assert_eq!(run_with(&["healthcheck"], &env, "").await.code, Some(78));
}

#[tokio::test]
async fn what_is_no_host_and_port_is_asked_nothing() {
    for admin in ["", "8081", ":8081", "gateway", "gateway:", "gateway:99999", "http://gateway:1", "a\r\nb:1"]
    {
        let finished = run(&["healthcheck", "--admin", admin]).await;
        assert_eq!(finished.code, Some(2), "{admin:?}");
        assert!(finished.stderr.contains("expected a host and a port"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn variables_override_the_file_that_is_served() {
    let upstream = Upstream::start().await;
    upstream.pass("S1");
    let public = free_address();
    let env = [
        ("IDV__SERVER__LISTEN", public.to_string()),
        ("IDV__REGIONS__MY__BASE_URL", upstream.base_url()),
        ("IDV__REGIONS__0__SECRET_KEY", "from-the-environment".to_owned()),
        ("IDV__CACHE__FINAL_TTL", "1h".to_owned()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let served = Served::with_env(&[OPEN, &gateway::region_at("my", "http://127.0.0.1:1")], &env).await;
    let answer = client::request(public, "GET", "/idv/S1", &[]).await;
    assert_eq!(answer.gist(), (200, "passed".to_owned()));
    assert!(tokio::net::TcpStream::connect(served.public).await.is_err(), "the file's address is overridden");
    let config = served.admin("/config").await;
    assert_eq!(config.json()["cache"]["final_ttl"], "1h");
    assert_eq!(config.json()["server"]["listen"], public.to_string());
    assert!(!config.text().contains("from-the-environment"));
}

#[tokio::test]
async fn help_says_what_every_command_does() {
    let commands = [
        ("serve", ["Run the gateway", "--config"]),
        ("demo", ["nothing to configure", "--sandbox-listen"]),
        ("sandbox", ["simulated upstream", "region_undetermined unless ?region="]),
        ("check-config", ["every mistake", "78"]),
        ("doctor", ["DNS, connection, TLS, token, clock", "--region"]),
        ("hash-key", ["key_sha256", "--stdin"]),
        ("healthcheck", ["/livez", "--admin"]),
    ];
    let overview = run(&["--help"]).await;
    assert_eq!(overview.code, Some(0));
    assert!(overview.stdout.contains("idv-gateway demo"), "the way in is shown: {}", overview.stdout);
    for (command, facts) in commands {
        let listed =
            overview.stdout.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert!(listed, "{command}: {}", overview.stdout);
        let help = run(&[command, "--help"]).await;
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
        for fact in facts {
            assert!(
                help.stdout.contains(fact),
                "{command} --help says nothing of {fact:?}:\n{}",
                help.stdout
            );
        }
        let too_wide = help.stdout.lines().find(|line| line.chars().count() > 120);
        assert_eq!(too_wide, None, "{command} --help fits a terminal");
    }
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_refused_with_usage() {
    for args in [&["serv"][..], &["serve"], &["serve", "--confg", "x"], &[]] {
        let finished = run(args).await;
        assert_eq!(finished.code, Some(2), "{args:?}");
        assert!(finished.stderr.contains("Usage: idv-gateway"), "{}", finished.stderr);
    }
    for args in [["sandbox", "--listen", "8090"], ["demo", "--admin-listen", "localhost:8081"]] {
        let finished = run(&args).await;
        assert_eq!(finished.code, Some(2), "{args:?}");
        assert!(finished.stderr.contains("expected an IP address and a port"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_configured_file_that_is_not_regular_is_refused_without_waiting_for_it() {
    let scratch = Scratch::new();
    let (pipe, large) = (scratch.path("pipe"), scratch.path("large"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("there is mkfifo").success());
    std::fs::File::create(&large).and_then(|file| file.set_len((1 << 20) + 1)).expect("a file can be made");
    let link = scratch.path("link");
    std::os::unix::fs::symlink(&pipe, &link).expect("a link can be made");
    let table = [(text(&pipe), "is not a regular file"), (text(&link), "is not a regular file")];
    let table =
        [&table[..], &[("/dev/zero", "is not a regular file"), (text(&large), "larger than 1 MiB")]].concat();
    for (path, why) in table {
        let config = format!(
            "{OPEN}[server.tls]\ncert_file = \"{path}\"\nkey_file = \"{path}\"\n\
             [[regions]]\nname = \"my\"\naccess_key_file = \"{path}\"\nsecret_key_file = \"{path}\"\n\
             ca_file = \"{path}\"\n[[callers]]\nname = \"a\"\nkey_sha256_file = \"{path}\"\n\
             [telemetry]\naudit_key_file = \"{path}\"\n"
        );
        let config = scratch.write("gateway.toml", &config);
        for command in ["check-config", "serve"] {
            let finished = run(&[command, "--config", text(&config)]).await;
            assert_eq!(finished.code, Some(78), "{command} {path}");
            let named = |line: &&str| line.contains(why) && line.contains(&format!("cannot use {path}"));
            let count = finished.stderr.lines().filter(named).count();
            assert_eq!(count, 7, "{command} {path}: {}", finished.stderr);
            let finished = run(&[command, "--config", path]).await;
            assert_eq!(finished.code, Some(78), "{command} --config {path}");
            assert!(finished.stderr.contains(why) && finished.stderr.contains(path), "{}", finished.stderr);
        }
    }
}
