//! The words of the documents: examples, tables of codes and reasons, and a form that generators can read.

use std::collections::{BTreeMap, BTreeSet};

use idv_gateway::domain::reason::Reason;
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use super::document::{ADMIN, API, Document, table};
use super::{Ledger, rules};

/// The title, detail and `retryable` of each example of a problem are those of a problem that was answered.
pub(super) fn examples_are_live(ledger: &Ledger) {
    let problems = ledger.problems.borrow();
    for document in [&ledger.api, &ledger.admin] {
        for (response, _, content) in document.contents() {
            for (name, example) in document.examples(content) {
                let texts = ["title", "detail", "retryable"];
                let Some(live) = problems.get(name) else { continue };
                let is_live = live.iter().any(|problem| texts.iter().all(|key| problem[key] == example[key]));
                assert!(is_live, "{response}: example {name} is not as answered: {live:?}");
            }
        }
    }
    for row in
        table(&ledger.api.root["components"]["schemas"]["Problem"]["properties"]["code"]["description"])
    {
        for problem in problems.get(row[1]).into_iter().flatten() {
            let is_so = row[0].parse().ok() == problem["status"].as_u64()
                && match row[2] {
                    "yes" => problem["retryable"] == true,
                    "no" => problem["retryable"] == false,
                    _ => true,
                };
            assert!(is_so, "{row:?} is not as answered: {problem}");
        }
    }
}

#[test]
fn the_table_of_problems_lists_the_codes_of_the_source_and_of_the_examples() {
    let source = include_str!("../../../src/http/code.rs");
    let parts = source.split("const fn parts(").nth(1).and_then(|rest| rest.split("\n    }\n").next());
    let rows = parts.expect("the table of codes").split("(\"").skip(1);
    let coded: BTreeMap<&str, &str> =
        rows.filter_map(|row| row.split_once("\", ")).map(|(code, rest)| (code, &rest[..3])).collect();
    for (name, text) in [API, ADMIN] {
        let document = Document::read((name, text));
        let rows =
            table(&document.root["components"]["schemas"]["Problem"]["properties"]["code"]["description"]);
        let listed: BTreeMap<&str, &str> = rows.iter().map(|row| (row[1], row[0])).collect();
        let promised = document.promised();
        let words = promised.iter().filter_map(|line| line.split(' ').nth(3).map(|word| (word, line)));
        let problems: BTreeSet<&str> =
            words.filter(|(_, line)| line.split(' ').nth(2) >= Some("4")).map(|(word, _)| word).collect();
        let problems: BTreeSet<&str> =
            problems.into_iter().filter(|word| !["starting", "draining"].contains(word)).collect();
        assert_eq!(listed.keys().copied().collect::<BTreeSet<_>>(), problems, "{name}: table and examples");
        for (code, status) in &listed {
            assert_eq!(coded.get(code), Some(status), "{name}: {code} in the source");
        }
        let is_unlisted = |code: &&&str| name == API.0 && !listed.contains_key(**code);
        assert_eq!(
            coded.keys().filter(is_unlisted).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "{name}: not listed"
        );
    }
}

#[test]
fn the_table_of_reasons_is_that_of_the_source() {
    let document = Document::read(API);
    let listed = table(&document.root["components"]["schemas"]["Reason"]["description"]);
    let coded: Vec<_> = Reason::iter()
        .map(|reason| {
            let can_retry = if reason.user_can_retry() { "true" } else { "false" };
            vec![reason.code(), reason.category().into(), can_retry, reason.message()]
        })
        .collect();
    assert_eq!(listed, coded);
}

#[test]
fn examples_are_valid_and_all_in_use() {
    for file in [API, ADMIN] {
        let document = Document::read(file);
        let mut used = BTreeSet::new();
        for (response, kind, content) in document.contents() {
            for (name, value) in document.examples(content) {
                used.insert(name.clone());
                let valid =
                    document.validate(&content["schema"], value).and_then(|()| rules::body(kind, value));
                assert_eq!(valid, Ok(()), "{response}: example {name}");
            }
        }
        let components = &document.root["components"];
        for name in components["examples"].as_object().expect("examples").keys() {
            assert!(used.contains(name), "{}: example {name} is not in use", file.0);
        }
        for kind in ["headers", "parameters"] {
            for (name, holder) in components[kind].as_object().into_iter().flatten() {
                let valid = document.validate(&holder["schema"], &holder["example"]);
                assert_eq!(valid, Ok(()), "{kind}: example of {name}");
            }
        }
    }
}

#[test]
fn the_schemas_and_rules_refuse_what_is_not_promised() {
    let document = Document::read(API);
    let schema = json!({ "$ref": "#/components/schemas/Verification" });
    let check = |value: &Value| {
        document.validate(&schema, value).and_then(|()| rules::body("application/json", value))
    };
    let example = &document.root["components"]["examples"]["pending"]["value"];
    let medium = json!([{ "kind": "face", "url": "http://a.example/", "expiresAt": "2026-11-23T09:00:00Z" }]);
    assert_eq!(check(example), Ok(()));
    for (key, value) in [
        ("status", json!("passed")),
        ("status", json!("approved")),
        ("final", json!(true)),
        ("stale", json!(true)),
        ("retryAfterSeconds", json!(null)),
        ("observedAt", json!("yesterday")),
        ("reason", json!({ "code": "OTHER", "category": "other", "userCanRetry": false, "message": "no" })),
        ("identity", json!(null)),
        ("media", medium),
        ("secret", json!("x")),
    ] {
        let mut wrong = example.clone();
        wrong[key] = value;
        assert!(check(&wrong).is_err(), "{wrong}");
    }
}

/// What breaks clients that are generated: found with the generators of `scripts/check-clients`.
#[test]
fn the_documents_are_in_a_form_that_generators_can_read() {
    for (name, text) in [API, ADMIN] {
        let document = Document::read((name, text));
        for (word, why) in [
            ("allOf", "generators merge or drop its parts"),
            ("anyOf", "generators make untyped values of it"),
            ("if", "generators take it for a type"),
        ] {
            assert!(!text.contains(&format!("{word}:")), "{name}: {word}: {why}");
        }
        assert!(
            !text.contains("additionalProperties: false"),
            "{name}: a member that is added breaks clients"
        );
        for (response, kind, content) in document.contents() {
            let is_plain = content["schema"] == json!({ "$ref": "#/components/schemas/Problem" });
            assert!(
                is_plain || kind != "application/problem+json",
                "{response}: one schema for every problem"
            );
        }
        let mut open = Vec::new();
        enumerations(&document.root["components"]["schemas"], "", &mut open);
        let closed =
            ["VerificationStatus", "CheckResult", "StatusReport.stage", "RegionReport.breaker.state"];
        let unknown: Vec<_> = open.iter().filter(|at| !closed.contains(&at.as_str())).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{name}: a word that is added breaks clients");
        for (method, path, operation) in document.operations() {
            for key in ["operationId", "summary", "description"] {
                assert!(operation[key].is_string(), "{name}: {method} {path} has no {key}");
            }
        }
        for key in ["contact", "license"] {
            assert!(document.root["info"][key].is_object(), "{name}: {key}");
        }
    }
}

/// The places of enumerations in schemas.
fn enumerations(schemas: &Value, above: &str, found: &mut Vec<String>) {
    for (key, schema) in schemas.as_object().into_iter().flatten() {
        let at = format!("{above}{key}");
        if schema.get("enum").is_some() {
            found.push(at.clone());
        }
        enumerations(&schema["properties"], &format!("{at}."), found);
        enumerations(&schema["items"]["properties"], &format!("{at}[]."), found);
    }
}
