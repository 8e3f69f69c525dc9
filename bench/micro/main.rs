//! What reading an upstream's answer and rendering ours take, apart from each other and from everything around them.

use std::hint::black_box;

use criterion::Criterion;
use idv_gateway::fuzzing::{normalise, render};

/// A pass with a face, a document and five links, 1,610 bytes.
const BODY: &[u8] = include_bytes!("../../fuzz/corpus/upstream_body/f01_pass");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("normalise", |bencher| bencher.iter(|| normalise(black_box(BODY))));
    let verification = normalise(BODY).expect("it is a clean answer");
    criterion.bench_function("render", |bencher| bencher.iter(|| render(black_box(&verification))));
    criterion.final_summary();
}
