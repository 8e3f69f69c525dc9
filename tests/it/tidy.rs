//! The rules of the tree that the compiler does not hold: who may import whom, where each tool lives, how files look.
//!
//! Each rule makes complaints from text, and is tried here on text that breaks it before the tree is held to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each module of ours may name besides itself. Requests go down this list.
const MAY_NAME: [(&str, &[&str]); 16] = [
    ("main", &["cli"]),
    ("cli", &["lib", "config", "sandbox", "telemetry"]),
    (
        "lib",
        &[
            "answer",
            "app",
            "cli",
            "config",
            "domain",
            "files",
            "fuzzing",
            "http",
            "lookup",
            "net",
            "reload",
            "sandbox",
            "telemetry",
            "upstream",
        ],
    ),
    ("app", &["config", "domain", "files", "http", "lookup", "net", "reload", "telemetry", "upstream"]),
    ("reload", &["telemetry"]),
    ("http", &["answer", "domain", "files", "lookup", "net", "telemetry"]),
    ("lookup", &["answer", "domain", "telemetry", "upstream"]),
    ("upstream", &["domain", "files", "net", "telemetry"]),
    ("net", &["domain", "files"]),
    ("telemetry", &["domain"]),
    ("answer", &["domain"]),
    ("config", &["domain", "files"]),
    ("files", &[]),
    ("domain", &[]),
    ("sandbox", &[]),
    // No part of the program: it tries the readers of foreign bytes.
    ("fuzzing", &["answer", "config", "domain", "http", "lookup", "telemetry", "upstream"]),
];

/// Where each dependency lives: files, or folders ending in `/`. `src/` is everywhere.
const HOMES: [(&str, &[&str]); 46] = [
    ("arc_swap", &["src/http/", "src/upstream/"]),
    ("axum", &["src/fuzzing/request_head.rs", "src/http/", "src/sandbox/"]),
    ("base64", &["src/config/", "src/http/public/jwt/keys.rs"]),
    ("bytes", &["src/answer/", "src/http/public/body.rs", "src/net/", "src/upstream/token_request.rs"]),
    ("clap", &["src/cli/"]),
    ("futures_util", &["src/http/", "src/lookup/", "src/upstream/token.rs"]),
    ("governor", &["src/http/public/caller.rs"]),
    ("hmac", &["src/http/public/audit.rs"]),
    ("http_body", &["src/http/"]),
    ("http_body_util", &["src/http/callback.rs", "src/net/"]),
    ("hyper", &["src/fuzzing/request_head.rs", "src/http/", "src/net/", "src/sandbox/", "src/upstream/"]),
    ("hyper_util", &["src/fuzzing/request_head.rs", "src/http/", "src/net/", "src/sandbox/"]),
    ("itoa", &["src/telemetry/access.rs"]),
    (
        "jiff",
        &[
            "src/answer/",
            "src/domain/",
            "src/fuzzing/",
            "src/http/",
            "src/lookup/",
            "src/net/",
            "src/sandbox/",
            "src/telemetry/",
            "src/upstream/",
        ],
    ),
    ("libc", &["src/files.rs"]),
    ("moka", &["src/lookup/"]),
    ("opentelemetry", &["src/telemetry/traces/"]),
    ("opentelemetry_otlp", &["src/telemetry/traces/export.rs"]),
    ("opentelemetry_sdk", &["src/telemetry/traces/"]),
    ("prometheus", &["src/telemetry/metrics/"]),
    ("percent_encoding", &["src/http/callback.rs"]),
    ("procfs", &["src/telemetry/metrics/process.rs"]),
    (
        "rand",
        &["src/app.rs", "src/cli/", "src/http/", "src/lookup/", "src/net/", "src/sandbox/", "src/upstream/"],
    ),
    // In `export.rs` it is only handed on.
    ("reqwest", &["src/net/plain.rs", "src/telemetry/traces/export.rs"]),
    ("ring", &["src/http/public/jwt/keys.rs"]),
    ("rustls", &["src/http/serve/tls.rs", "src/net/", "src/upstream/"]),
    ("secrecy", &["src/config/", "src/files.rs", "src/http/callback.rs", "src/net/", "src/upstream/"]),
    (
        "serde",
        &[
            "src/config/",
            "src/answer/",
            "src/domain/verification.rs",
            "src/fuzzing/",
            "src/http/",
            "src/upstream/token_request.rs",
        ],
    ),
    (
        "serde_json",
        &[
            "src/answer/",
            "src/config/",
            "src/domain/",
            "src/fuzzing/",
            "src/http/",
            "src/sandbox/",
            "src/upstream/",
        ],
    ),
    (
        "sha2",
        &[
            "src/cli/",
            "src/domain/signature_id.rs",
            "src/fuzzing/request_head.rs",
            "src/http/",
            "src/sandbox/",
            "src/upstream/token_request.rs",
        ],
    ),
    ("strsim", &["src/config/"]),
    ("subtle", &["src/http/callback.rs", "src/http/public/caller.rs"]),
    (
        "tokio",
        &[
            "src/cli/",
            "src/files.rs",
            "src/fuzzing/request_head.rs",
            "src/http/",
            "src/lib.rs",
            "src/lookup/",
            "src/net/",
            "src/reload.rs",
            "src/sandbox/",
            "src/telemetry/traces/",
            "src/upstream/",
        ],
    ),
    ("tokio_rustls", &["src/http/", "src/net/"]),
    ("toml", &["src/config/", "src/fuzzing/config_file.rs"]),
    ("tower", &["src/http/", "src/net/connector.rs"]),
    ("tower_http", &["src/http/"]),
    (
        "tracing",
        &["src/http/", "src/lib.rs", "src/lookup/", "src/reload.rs", "src/telemetry/", "src/upstream/"],
    ),
    ("tracing_subscriber", &["src/telemetry/logs/"]),
    ("url", &["src/config/", "src/net/mod.rs", "src/upstream/normalise/media.rs"]),
    ("webpki_roots", &["src/net/"]),
    ("x509_cert", &["src/domain/certificate.rs"]),
    ("std::env", &["src/config/", "src/main.rs"]),
    ("std::fs", &["src/files.rs", "src/http/serve/limits.rs"]),
    ("std::process", &["src/cli/", "src/main.rs"]),
    ("std::thread", &["src/lookup/", "src/telemetry/logs/"]),
];

/// What the words of the domain do without.
const NO_IO: [&str; 8] =
    ["std::fs", "std::net", "std::io", "std::env", "std::process", "std::thread", "tokio", "tracing"];

/// What holds a person's data or a secret, and so has no `Debug`.
const PRIVATE: [&str; 30] = [
    "Verification",
    "Identity",
    "Medium",
    "FaceCheck",
    "DocumentCheck",
    "Event",
    "Sides",
    "Rendered",
    "Record",
    "Entry",
    "Landed",
    "Found",
    "SignatureId",
    "Json",
    "Answer",
    "Success",
    "Keys",
    "Token",
    "Secret",
    "Region",
    "Config",
    "UpstreamWords",
    "TokenRequest",
    "JwksEndpoint",
    "Claims",
    "Caller",
    "CallerSettings",
    "Remote",
    "RedisServers",
    "EncryptionKeys",
];

/// Lines of a file before its tests, and of a function.
const MOST_LINES: usize = 300;
const MOST_LINES_OF_FUNCTION: usize = 60;
/// One file of the source tree.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module at the top of the tree that it belongs to.
    fn module(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// How many modules deep it is: 0 is the root.
    fn depth(&self) -> usize {
        let below = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        if matches!(below, "lib" | "main") { 0 } else { below.split('/').count() }
    }

    /// Whether it is made of tests alone.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("/testing.rs")
    }

    /// Its text before its tests.
    fn before_tests(&self) -> &str {
        let end = if self.text.starts_with("#[cfg(test)]\n") {
            Some(0)
        } else {
            self.text.find("\n#[cfg(test)]\n")
        };
        &self.text[..end.unwrap_or(self.text.len())]
    }

    /// Its code before its tests: no comment, nothing within quotes.
    fn code(&self) -> String {
        code_of(self.before_tests())
    }
}

/// Blanks comments and what is within quotes.
fn code_of(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_text_length(rest)
        } else if first == '"' {
            quoted_length(rest)
        } else if first == '\'' {
            character_length(rest)
        } else {
            0
        };
        let length = if skipped > 0 { skipped } else { first.len_utf8() };
        let (head, tail) = rest.split_at(length);
        if skipped > 0 {
            code.extend(head.chars().filter(|c| *c == '\n'))
        } else {
            code.push(first)
        }
        rest = tail;
    }
    code
}

fn raw_text_length(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let (start, end) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

fn quoted_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// A lifetime is none.
fn character_length(text: &str) -> usize {
    let is_escaped = text[1..].starts_with('\\');
    let within = if is_escaped { 2 } else { text[1..].chars().next().map_or(0, char::len_utf8) };
    let end = text[1..].char_indices().find(|(at, c)| *c == '\'' && *at >= within).map(|(at, _)| at + 2);
    end.filter(|end| is_escaped || *end == within + 2).unwrap_or(0)
}

/// Whether `at` is where a path begins: not amid a name, not below another path.
fn is_start(code: &str, at: usize) -> bool {
    let before = code[..at].chars().next_back();
    before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | ':' | '$' | '.'))
}

/// Where `path` is named in code, as a whole and from its beginning.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let after = code[at + path.len()..].chars().next();
        let is_whole = after.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let leads_on = code[at + path.len()..].starts_with("::");
        let is_import = code[..at].trim_end().ends_with("use");
        is_start(code, at) && is_whole && (leads_on || is_import || path.contains("::"))
    })
}

/// The first names in what follows a path: one, or those within braces.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut names, mut item) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.push(name(&item));
    names.retain(|name| !name.is_empty());
    names
}

/// What is named from the root of the crate, by `crate::` or by enough of `super::`.
fn named_from_root(source: &Source) -> Vec<String> {
    let code = source.code();
    let up = "super::".repeat(source.depth().max(1));
    let from = |start: &str| {
        let found = code.match_indices(start).filter(|(at, _)| is_start(&code, *at));
        found.flat_map(|(at, _)| first_names(&code[at + start.len()..])).collect::<Vec<_>>()
    };
    let mut named = [from("crate::"), from("idv_gateway::")].concat();
    if source.depth() > 0 {
        named.extend(from(&up).into_iter().filter(|name| name != "super"));
    }
    named
}

fn modules() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    MAY_NAME.iter().map(|(module, others)| (*module, others.iter().copied().collect())).collect()
}

/// Rule: a module names only those that it may.
fn wrong_imports(source: &Source) -> Vec<String> {
    let modules = modules();
    let module = source.module();
    let Some(allowed) = modules.get(module) else {
        return vec![format!("{}: no rule says what {module} may name", source.path)];
    };
    let named = named_from_root(source).into_iter().map(|name| {
        // What is no module is an item of the root.
        if modules.contains_key(name.as_str()) { name } else { "lib".to_owned() }
    });
    let is_wrong = |name: &String| name != module && !allowed.contains(name.as_str());
    named.filter(is_wrong).map(|name| format!("{}: {module} names {name}", source.path)).collect()
}

/// Rule: a tool is used at its home.
fn strays(source: &Source) -> Vec<String> {
    if source.is_test() {
        return Vec::new();
    }
    let code = source.code();
    let is_home = |homes: &[&str]| {
        homes.iter().any(|home| source.path == *home || home.ends_with('/') && source.path.starts_with(home))
    };
    let strays = HOMES.iter().filter(|(tool, homes)| names(&code, tool) && !is_home(homes));
    strays.map(|(tool, homes)| format!("{}: {tool} lives in {homes:?}", source.path)).collect()
}

/// Rule: the domain is pure.
fn io_in_domain(source: &Source) -> Vec<String> {
    if source.module() != "domain" {
        return Vec::new();
    }
    let code = source.code();
    let io = NO_IO.iter().filter(|tool| names(&code, tool));
    io.map(|tool| format!("{}: the domain does without {tool}", source.path)).collect()
}

/// Rule: a file says what it owns.
fn without_purpose(source: &Source) -> Vec<String> {
    let says = source.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 20);
    if says { Vec::new() } else { vec![format!("{}: does not open with //! and what it owns", source.path)] }
}

/// Rule: files are short.
fn too_long(source: &Source) -> Vec<String> {
    let lines = source.before_tests().lines().count();
    if source.is_test() || lines <= MOST_LINES {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines before its tests, more than {MOST_LINES}", source.path)]
}

/// Rule: functions are short. Formatted code ends a function with a brace under its first letter.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.before_tests().lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_function = |line: &str| {
        let words =
            line.split_whitespace().take_while(|word| !word.contains('(') || word.starts_with("pub("));
        let words: Vec<&str> = words.collect();
        !line.trim_start().starts_with("//")
            && (words.contains(&"fn") || line.trim_start().starts_with("fn "))
    };
    let mut complaints = Vec::new();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
        let ends = |other: &&str| indent(other) == indent(line) && other.trim_start().starts_with('}');
        let length = lines[start..].iter().position(ends).unwrap_or_default() + 1;
        if length > MOST_LINES_OF_FUNCTION && !line.trim_end().ends_with(';') {
            complaints.push(format!("{}:{}: a function of {length} lines", source.path, start + 1));
        }
    }
    complaints
}

/// Rule: a new kind of failure is a compile error wherever kinds are told apart.
fn kinds_with_a_rest(source: &Source) -> Vec<String> {
    let code = source.code();
    let lines: Vec<&str> = code.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_match = |line: &str| line.trim_end().ends_with('{') && (line.contains("match "));
    let mut complaints = Vec::new();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| is_match(line)) {
        let body = lines[start + 1..]
            .iter()
            .take_while(|other| other.trim().is_empty() || indent(other) > indent(line));
        let arms: Vec<&str> =
            body.filter(|other| indent(other) == indent(line) + 4).map(|other| other.trim_start()).collect();
        let pattern = |arm: &&str| {
            let pattern = arm.split("=>").next().unwrap_or_default().split(" if ").next().unwrap_or_default();
            names(pattern, "Kind")
        };
        let has_rest = arms.iter().any(|arm| arm.starts_with("_ =>") || arm.starts_with("_ if "));
        if arms.iter().any(pattern) && has_rest {
            complaints.push(format!("{}:{}: a match of Kind with a _ arm", source.path, start + 1));
        }
    }
    complaints
}

/// Rule: what is private cannot be printed by accident. The sandbox knows nobody.
fn printable(source: &Source) -> Vec<String> {
    if source.module() == "sandbox" {
        return Vec::new();
    }
    let code = source.code();
    let lines: Vec<&str> = code.lines().collect();
    let mut complaints = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let defined = words.windows(2).find(|pair| matches!(pair[0], "struct" | "enum")).map(|pair| pair[1]);
        if defined.is_some_and(|name| PRIVATE.contains(&name)) {
            let attributes = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with("#["));
            if attributes.into_iter().any(|line| line.contains("Debug")) {
                complaints.push(format!(
                    "{}:{}: Debug of {}",
                    source.path,
                    at + 1,
                    defined.unwrap_or_default()
                ));
            }
        }
        let is_implemented = line.contains("Debug for ") && words.iter().any(|word| PRIVATE.contains(word));
        if is_implemented {
            complaints.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
        }
    }
    complaints
}

/// Rule: logs hold chosen fields. `#[instrument]` takes every argument, and a failure's text may hold an address.
fn careless_logs(source: &Source) -> Vec<String> {
    let careless =
        ["#[instrument", "#[tracing::instrument", "?failure,", "?error,", "?refusal,", "= ?failure)"];
    let printed = ["{failure:?}", "{error:?}", "{refusal:?}", "{verification:?}", "{answer:?}", "{body:?}"];
    let code = source.code();
    let in_code = careless.iter().filter(|word| code.contains(*word));
    let in_text = printed.iter().filter(|word| source.before_tests().contains(*word));
    in_code.chain(in_text).map(|word| format!("{}: {word}", source.path)).collect()
}

/// Rule: what is left to do is done or written down elsewhere, and nothing depends on one machine.
fn left_behind(source: &Source) -> Vec<String> {
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("todo", "!(")];
    let machine =
        [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    let unfinished = unfinished.iter().filter(|word| source.text.contains(*word));
    let is_path = |place: &&&str| {
        source.text.match_indices(**place).any(|(at, _)| {
            let before = source.text[..at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | '=' | ':' | '<'))
        })
    };
    let machine = machine.iter().filter(is_path);
    unfinished.chain(machine).map(|word| format!("{}: {word}", source.path)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below a folder of the repository, but what is built or fetched.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = !matches!(name.as_str(), "target" | "node_modules" | ".git" | ".tools");
        if path.is_dir() && is_ours {
            files_below(&path, files);
        } else if path.is_file() && is_ours {
            files.push(path);
        }
    }
}

fn texts(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    files_below(&root().join(folder), &mut files);
    files.sort();
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        Some(Source { path, text })
    };
    files.into_iter().filter_map(source).collect()
}

/// Holds every Rust file of `src/` to a rule.
#[track_caller]
fn hold_to(rule: fn(&Source) -> Vec<String>) {
    let mut sources = texts("src");
    sources.retain(|source| source.path.ends_with(".rs"));
    assert!(sources.len() > 50, "the tree was found");
    let complaints: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Tries a rule: text that keeps it, and text that breaks it, at some path.
#[track_caller]
fn try_rule(rule: fn(&Source) -> Vec<String>, path: &str, keeps: &[&str], breaks: &[&str]) {
    let complaints = |text: &str| rule(&Source { path: path.to_owned(), text: text.to_owned() });
    for text in keeps {
        assert_eq!(complaints(text), Vec::<String>::new(), "{path}: {text}");
    }
    for text in breaks {
        assert_eq!(complaints(text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn modules_name_only_those_they_may() {
    let good = [
        "use crate::domain::region::Route;",
        "use super::super::super::lookup::Lookup;",
        "// crate::app",
        "\"crate::app\"",
        "use super::error;",
        "use crate::{domain::x, lookup};",
        "#[cfg(test)]\nmod tests { use crate::app; }",
    ];
    let bad = [
        "use crate::app::App;",
        "use super::super::super::upstream::Upstream;",
        "use crate::{domain, config::Config};",
        "let x = crate::run();",
        "fn f<'a>(c: char) { c == '\"'; crate::upstream::f() }",
    ];
    try_rule(wrong_imports, "src/http/public/idv.rs", &good, &bad);
    try_rule(wrong_imports, "src/http/mod.rs", &["use super::lookup;"], &["use super::upstream;"]);
    try_rule(
        wrong_imports,
        "src/http/public/jwt/issuer.rs",
        &["use crate::net::JwksEndpoint;"],
        &["use crate::app;"],
    );
    try_rule(wrong_imports, "src/domain/x.rs", &["use super::region;"], &["use crate::telemetry::metrics;"]);
    try_rule(
        wrong_imports,
        "src/sandbox/x.rs",
        &["use super::ids;"],
        &["use crate::domain::x;", "use idv_gateway::domain;"],
    );
    try_rule(wrong_imports, "src/new.rs", &[], &["fn f() {}"]);
    hold_to(wrong_imports);
}

#[test]
fn tools_stay_at_home() {
    let good =
        ["use tokio::io;", "let hyper = 1;", "my_reqwest::get()", "// reqwest::get", "self.moka::<u8>()"];
    let bad = [
        "use reqwest::Client;",
        "use moka;",
        "prometheus::Counter::new()",
        "std::env::var(\"X\")",
        "fn f() -> std::fs::File {}",
    ];
    try_rule(strays, "src/http/public/idv.rs", &good, &bad);
    try_rule(strays, "src/net/exchange.rs", &["hyper::Error", "jiff::Timestamp"], &["axum::Router"]);
    hold_to(strays);
}

#[test]
fn every_dependency_has_a_home_and_every_home_a_dependency() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("there is a manifest");
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let named = manifest["dependencies"].as_table().expect("there are dependencies").keys();
    let named: BTreeSet<String> = named.map(|name| name.replace('-', "_")).collect();
    let housed = HOMES.iter().map(|(tool, _)| (*tool).to_owned()).filter(|tool| !tool.starts_with("std::"));
    let housed: BTreeSet<String> = housed.collect();
    assert_eq!(named, housed, "HOMES of this file says where each dependency of Cargo.toml lives");
    let code: Vec<String> = texts("src").iter().map(Source::code).collect();
    let unused: Vec<_> = named.iter().filter(|tool| !code.iter().any(|code| names(code, tool))).collect();
    assert!(unused.is_empty(), "nobody is at home: {unused:?}");
}

#[test]
fn the_domain_is_pure() {
    let good = ["use std::sync::Arc;", "use std::collections::HashMap;"];
    try_rule(
        io_in_domain,
        "src/domain/x.rs",
        &good,
        &["use std::fs;", "use tokio::time::Instant;", "use std::io::Read;"],
    );
    try_rule(io_in_domain, "src/http/x.rs", &["use std::io;"], &[]);
    hold_to(io_in_domain);
}

#[test]
fn every_file_says_what_it_owns() {
    let good = ["//! The one lock of the table.\n\nuse x;"];
    try_rule(
        without_purpose,
        "src/x.rs",
        &good,
        &["use x;", "", "\n//! Too late, if only by a line.", "//! Stuff."],
    );
    hold_to(without_purpose);
}

#[test]
fn files_are_short() {
    let (long, longer) = ("fn f() {}\n".repeat(300), "fn f() {}\n".repeat(301));
    let with_tests = format!("{long}\n#[cfg(test)]\nmod tests {{}}\n{longer}");
    try_rule(too_long, "src/x.rs", &[&long, &with_tests], &[&longer]);
    try_rule(too_long, "src/config/tests.rs", &[&longer], &[]);
    hold_to(too_long);
}

#[test]
fn functions_are_short() {
    let function = |lines: usize| {
        format!("impl X {{\n    pub(super) async fn f(\n{}    }}\n}}", "        x();\n".repeat(lines))
    };
    try_rule(long_functions, "src/x.rs", &[&function(58), "// fn f(\n"], &[&function(59)]);
    hold_to(long_functions);
}

#[test]
fn no_match_of_a_kind_has_a_rest() {
    let arms = |pattern: &str, rest: &str| {
        format!("    match x {{\n        {pattern} => 1,\n        {rest} => 2,\n    }}\n")
    };
    let keeps = [
        arms("Kind::Busy", "Kind::Auth"),
        arms("Some(1)", "_"),
        arms("ErrorKind::NotFound", "_"),
        arms("Err(e) if e == Kind::Auth", "_"),
    ];
    let breaks = [arms("Kind::Busy", "_"), arms("Some(Kind::Busy)", "_"), arms("Kind::Busy", "_ if y")];
    try_rule(
        kinds_with_a_rest,
        "src/x.rs",
        &keeps.each_ref().map(String::as_str),
        &breaks.each_ref().map(String::as_str),
    );
    hold_to(kinds_with_a_rest);
}

#[test]
fn what_is_private_cannot_be_printed() {
    let good = [
        "#[derive(Clone)]\npub struct Verification {",
        "#[derive(Debug)]\nenum Kind {",
        "// Debug for Entry",
    ];
    let bad = [
        "#[derive(Clone, Debug)]\npub struct Verification {",
        "#[derive(Debug)]\n#[expect(x)]\nenum Secret {",
        "impl fmt::Debug for Entry {",
    ];
    try_rule(printable, "src/x.rs", &good, &bad);
    try_rule(printable, "src/sandbox/x.rs", &bad, &[]);
    hold_to(printable);
    let code: String = texts("src").iter().map(Source::code).collect();
    for name in PRIVATE {
        let is_defined = ["struct", "enum"].iter().any(|kind| code.contains(&format!("{kind} {name}")));
        assert!(is_defined, "{name} is gone: strike it out, or name what took its place");
    }
}

#[test]
fn logs_hold_chosen_fields() {
    let good = ["tracing::warn!(kind = ?failure.kind, \"x\");", "// #[instrument]"];
    let bad = ["#[instrument]\nfn f() {}", "tracing::warn!(?failure, \"x\");", "format!(\"{failure:?}\")"];
    try_rule(careless_logs, "src/x.rs", &good, &bad);
    hold_to(careless_logs);
}

#[test]
fn nothing_is_left_behind() {
    let unfinished = format!("// {}{}: later", "TO", "DO");
    let machine = format!("open(\"{}me/me/x\")", "/ho");
    try_rule(left_behind, "src/x.rs", &["https://host.example/home/x", "a/work/b"], &[&unfinished, &machine]);
    let complaints: Vec<String> = texts("").iter().flat_map(left_behind).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
