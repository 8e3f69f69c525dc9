//! The three regions of the model: what is true of each id there changes all the time, and so does how they feel.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Reply, Upstream, bodies};

pub const REGIONS: [&str; 3] = ["ra", "rb", "rc"];

/// What a region says of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    No,
    Pass,
    Fail,
    Pending,
    Incomplete,
    /// Nothing that could be used.
    Fault,
}

/// What a region may say of an id that it has.
const HAS: [Said; 4] = [Said::Pass, Said::Fail, Said::Pending, Said::Incomplete];

/// How a region feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    Slow,
    Hangs,
    Errs,
    Resets,
}

/// One call as the upstream saw it. Its number stands in everything that it answered with.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: usize,
    pub region: usize,
    /// When it was received.
    pub start: Instant,
    /// The earliest moment at which it was answered.
    pub end: Instant,
    pub said: Said,
    /// Whether the answer carries the id: a final one that does not is asked for again.
    pub is_named: bool,
}

/// What is true, and what was asked.
pub struct World {
    rng: StdRng,
    truth: Vec<[Said; 3]>,
    moods: [Mood; 3],
    is_calm: bool,
    links_die: bool,
    pub calls: Vec<Call>,
}

/// The name of an id.
pub fn name(id: usize) -> String {
    format!("Modelled{id:05}")
}

impl World {
    /// A world of so many ids, behind upstreams that act it.
    pub async fn start(seed: u64, ids: usize, links_die: bool) -> (Arc<Mutex<Self>>, Vec<Upstream>) {
        let mut rng = StdRng::seed_from_u64(seed);
        let moods = [Mood::Fine; 3];
        let truth = (0..ids).map(|_| first_truth(&mut rng)).collect();
        let world =
            Arc::new(Mutex::new(Self { rng, truth, moods, is_calm: false, links_die, calls: Vec::new() }));
        let mut upstreams = Vec::new();
        for region in 0..REGIONS.len() {
            let upstream = Upstream::start().await;
            for id in 0..ids {
                let world = Arc::clone(&world);
                upstream.answer_by(&name(id), move || world.lock().unwrap().call(id, region));
            }
            upstreams.push(upstream);
        }
        (world, upstreams)
    }

    /// Changes what is true of an id, mostly where it is, and now and then how a region feels.
    pub fn turn(&mut self, id: usize) {
        let Self { rng, truth, moods, .. } = self;
        let known = &mut truth[id];
        let holders: Vec<usize> = (0..REGIONS.len()).filter(|region| known[*region] != Said::No).collect();
        let anywhere = rng.random_range(0..REGIONS.len());
        if let Some(holder) = holders.choose(rng).filter(|_| rng.random_ratio(1, 3)) {
            known[*holder] = if rng.random_ratio(1, 3) { Said::No } else { *HAS.choose(rng).unwrap() };
        } else if rng.random_ratio(1, if holders.is_empty() { 3 } else { 25 }) {
            known[anywhere] = *HAS.choose(rng).unwrap();
        }
        if rng.random_ratio(1, 20) {
            let moods_there_are = [Mood::Slow, Mood::Hangs, Mood::Errs, Mood::Resets];
            let is_fine = rng.random_ratio(2, 3);
            moods[anywhere] = if is_fine { Mood::Fine } else { *moods_there_are.choose(rng).unwrap() };
        }
    }

    /// From now on everything stays as it is, and every region answers.
    pub fn calm_down(&mut self) {
        (self.moods, self.is_calm) = ([Mood::Fine; 3], true);
    }

    fn call(&mut self, id: usize, region: usize) -> Reply {
        let rng = &mut self.rng;
        let (number, mood) = (self.calls.len(), self.moods[region]);
        let delay = Duration::from_millis(match mood {
            Mood::Slow => *[300, 500].choose(rng).unwrap(),
            _ if self.is_calm => 0,
            _ => *[0, 0, 0, 5, 20, 60, 250].choose(rng).unwrap(),
        });
        let (said, is_named) = (self.truth[id][region], !rng.random_ratio(1, 40));
        let of_another = rng
            .random_ratio(1, if self.is_calm { u32::MAX } else { 40 })
            .then(|| rng.random_range(0..self.truth.len()));
        let (said, reply) = match (mood, said) {
            (Mood::Hangs, _) => (Said::Fault, Reply::Stall(Vec::new())),
            (Mood::Errs, _) => (Said::Fault, Reply::refusal("ERROR", "no")),
            (Mood::Resets, _) => (Said::Fault, Reply::Reset),
            (_, Said::No) => (said, Reply::absent()),
            (_, _) => match of_another.filter(|other| *other != id) {
                Some(other) => (Said::Fault, Reply::json(body(other, region, number, said, true))),
                None => {
                    let mut body = body(id, region, number, said, is_named);
                    if self.links_die {
                        let end = Timestamp::now().as_second() + 2;
                        body["data"]["docDetail"]["docFrontImage"] =
                            format!("https://media.example/{}?Expires={end}", name(id)).into();
                    }
                    (said, Reply::json(body))
                }
            },
        };
        let start = Instant::now();
        self.calls.push(Call { id, region, start, end: start + delay, said, is_named });
        reply.after(delay)
    }
}

/// Most ids are in one region, some in none or in two.
fn first_truth(rng: &mut StdRng) -> [Said; 3] {
    let mut known = [Said::No; 3];
    for _ in 0..*[0, 1, 1, 1, 1, 1, 1, 2].choose(rng).unwrap() {
        *known.choose_mut(rng).unwrap() = *HAS.choose(rng).unwrap();
    }
    known
}

/// A result that names id, region and call in everything it holds.
fn body(id: usize, region: usize, number: usize, said: Said, is_named: bool) -> Value {
    let name = name(id);
    let mut body = match said {
        Said::Pass => bodies::passed(&name),
        Said::Fail => bodies::failed(&name, "LIVENESS_ATTACK"),
        Said::Incomplete => bodies::verdict(&name, json!("INCOMPLETE"), json!("OCR_NO_RESULT")),
        _ => bodies::pending(&name),
    };
    let data = body["data"].as_object_mut().unwrap();
    data.insert("inputParameters".to_owned(), json!({ "userId": mark(id, region, number) }));
    if !is_named {
        data.remove("signatureId");
    }
    body["transactionId"] = format!("call-{number}").into();
    body
}

/// What stands for a call in its answer.
pub fn mark(id: usize, region: usize, number: usize) -> String {
    format!("{} {} {number}", name(id), REGIONS[region])
}
