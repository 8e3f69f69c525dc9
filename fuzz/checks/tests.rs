//! The corpus and mutations of it, in every run of the tests: libFuzzer needs a compiler that not every machine has.

use std::path::Path;

use proptest::prelude::*;

use super::{config_file, header_values, request_head, upstream_body};

/// What libFuzzer found worth keeping for one target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// The front of one file and the back of another, with a few bytes changed, doubled or left out.
fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let whole = || prop::sample::select(corpus(target));
    let cut = || any::<prop::sample::Index>();
    let damage = prop::collection::vec((cut(), any::<u8>(), 0..3_u8), 0..6);
    (whole(), whole(), cut(), cut(), damage).prop_map(|(front, back, end, start, damage)| {
        let (end, start) = (end.index(front.len() + 1), start.index(back.len() + 1));
        let mut bytes = [&front[..end], &back[start..]].concat();
        for (at, byte, change) in damage {
            let at = at.index(bytes.len() + 1);
            match change {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.truncate(at.max(bytes.len() - bytes.len().min(8))),
            }
        }
        bytes
    })
}

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() > 5, "{target} has a corpus");
    corpus.iter().for_each(|bytes| check(bytes));
}

fn rules() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn what_must_hold_of_foreign_bytes_holds_for_the_corpus() {
    replay("upstream_body", upstream_body);
    replay("request_head", request_head);
    replay("config_file", config_file);
    replay("header_values", header_values);
}

proptest! {
    #![proptest_config(rules())]

    #[test]
    fn it_holds_for_mutations_of_upstream_bodies(bytes in mutated("upstream_body")) {
        upstream_body(&bytes);
    }

    #[test]
    fn it_holds_for_mutations_of_request_heads(bytes in mutated("request_head")) {
        request_head(&bytes);
    }

    #[test]
    fn it_holds_for_mutations_of_config_files(bytes in mutated("config_file")) {
        config_file(&bytes);
    }

    #[test]
    fn it_holds_for_mutations_of_header_values(bytes in mutated("header_values")) {
        header_values(&bytes);
    }
}
