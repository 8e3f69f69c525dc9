//! Judges every answer by what the upstreams really said, and when. Each rule is one of the contract.
//!
//! Times are those of the test: a call's answer is sent at its end or later, a read was sent at its start or later. What
//! the gateway may have learned of them late is allowed for by `slack`, which grows with the worst pause that was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::caller::{History, Purge, Read};
use super::report::kind;
use super::trial::Times;
use super::world::{Call, REGIONS, Said, mark, name};

pub struct Oracle<'a> {
    pub times: &'a Times,
    pub calls: &'a [Call],
    pub history: &'a History,
    /// How long after it was sent an answer has surely been taken in.
    pub slack: Duration,
    /// How long it takes other replicas to learn of a purge, and of the second region that has an id. `None`: not certain.
    pub purge_spread: Option<Duration>,
    pub conflict_spread: Option<Duration>,
    pub replicas: usize,
    /// Whether somebody may make what is old look new.
    pub may_be_replayed: bool,
}

/// What is wrong with an answer.
type Verdict = Result<(), String>;

fn hold(holds: bool, wrong: impl Into<String>) -> Verdict {
    if holds { Ok(()) } else { Err(wrong.into()) }
}

impl Oracle<'_> {
    /// What is wrong, and how often each kind of answer was seen.
    pub fn judge(&self) -> (Vec<String>, BTreeMap<String, usize>) {
        let (mut wrong, mut seen) = (Vec::new(), BTreeMap::new());
        for read in &self.history.reads {
            *seen.entry(kind(read)).or_default() += 1;
            if let Err(rule) = self.read(read) {
                wrong.push(self.tell(read, &rule));
            }
        }
        seen.insert("purge".to_owned(), self.history.purges.len());
        wrong.extend(self.overlaps());
        (wrong, seen)
    }

    fn read(&self, read: &Read) -> Verdict {
        // "Callers wait at most `request.timeout`", and with Prefer: wait=N up to N seconds for a final result.
        let most = self.times.timeout + Duration::from_secs(read.wait.unwrap_or_default()) + self.slack * 3;
        hold(read.end - read.start <= most, "it took too long")?;
        match read.answer.status {
            200 => self.found(read),
            404 => self.not_found(read),
            409 => self.ambiguous(read),
            502..=504 => Ok(()),
            other => Err(format!("nothing gives reason for {other}")),
        }
    }

    fn found(&self, read: &Read) -> Verdict {
        let body = read.answer.json();
        let call = self.call_of(read, &body)?;
        // Promise 2: `passed` only if the upstream says PASS; and so for the other words.
        let word = match call.said {
            Said::Pass => "passed",
            Said::Fail => "failed",
            Said::Pending => "pending",
            Said::Incomplete => "incomplete",
            Said::No | Said::Fault => "nothing",
        };
        hold(body["status"] == word, format!("the upstream said {:?}", call.said))?;
        hold(read.route.contains(&call.region), "its region is not of the route")?;
        // 3.1: `view=decision` cuts the answer to the decision.
        let has_more = ["checks", "identity", "media"].iter().any(|part| body.get(part).is_some());
        hold(has_more != read.is_cut, "the wrong part of it is shown")?;
        let is_stale = body["stale"] == true;
        // 3.1: a refresh is answered from an upstream request that was sent after it arrived; section 11: or, if that
        // fails, by a stale final result. Once it waits, it is answered by what any region of the route answers then.
        let was_told = read.wait.is_some() && read.route.len() > 1;
        let is_anew = call.start >= read.start;
        hold(!read.is_refresh || is_stale || was_told || is_anew, "a refresh joined what was older")?;
        self.has_waited(read, &body)?;
        self.is_young(read, call, is_stale)?;
        hold(self.replicas > 1 || !self.is_older_than_before(read, call), "a newer result was there before")?;
        // "Media": a link is shown until its own end, less a margin; in whole seconds.
        let second_before = Timestamp::now() - read.start.elapsed() - Duration::from_secs(1);
        let links = body["media"].as_array().into_iter().flatten();
        let is_dead = |link: &Value| {
            let end = link["expiresAt"].as_str().and_then(|end| end.parse::<Timestamp>().ok());
            end.is_none_or(|end| end <= second_before)
        };
        hold(!links.into_iter().any(is_dead), "a link is dead")?;
        // 3.2: a purge forgets results, and a fill under way does not put them back.
        let is_gone = |purge: &&Purge| call.start < purge.start && self.is_known(read, purge);
        hold(!self.purges(read.id, call.region).any(|p| is_gone(&p)), "it was purged")?;
        // "Route": a second SUCCESS drops the entry, and the unpinned id is 409 from then on.
        let others = read.route.iter().filter(|region| **region != call.region);
        match others.copied().find(|other| !read.is_pinned && self.surely_has(read, *other).is_some()) {
            Some(other) => Err(format!("{} has it, too", REGIONS[other])),
            None => Ok(()),
        }
    }

    /// Promise 1: an answer for an id holds nothing of another one; and nothing of two answers.
    fn call_of(&self, read: &Read, body: &Value) -> Result<&Call, String> {
        let text = read.answer.text();
        let of_another =
            text.match_indices("Modelled").any(|(at, _)| !text[at..].starts_with(&name(read.id)));
        hold(!of_another && body["signatureId"] == name(read.id), "it holds something of another id")?;
        let number = read.call().ok_or("it is of no call")?;
        let call = &self.calls[number];
        let reference = body["identity"].get("reference").unwrap_or(&Value::Null);
        let is_whole = reference.is_null() || *reference == mark(call.id, call.region, number);
        hold(is_whole && body["region"] == REGIONS[call.region], "it mixes two answers")?;
        Ok(call)
    }

    /// 3.1: `Prefer: wait=N` holds what is not final for N seconds.
    fn has_waited(&self, read: &Read, body: &Value) -> Verdict {
        let applied = read.answer.header("preference-applied").is_some();
        let waited = read.end - read.start >= Duration::from_secs(read.wait.unwrap_or_default());
        hold(!applied || body["final"] == true || waited, "it did not wait")
    }

    /// "Cache": lifetimes by the status, ±10 %; final results are served stale for `stale_max`, others never.
    fn is_young(&self, read: &Read, call: &Call, is_stale: bool) -> Verdict {
        let Times { last, incomplete, pending_max, stale_max, attempt, .. } = self.times;
        let is_final = call.said != Said::Pending;
        let fresh = match call.said {
            Said::Incomplete => *incomplete,
            Said::Pending => *pending_max,
            _ => *last,
        };
        let stale = if is_stale { *stale_max } else { Duration::ZERO };
        hold(is_final || !is_stale, "a pending result is stale")?;
        // It was received before the attempt's time was up.
        let most = fresh.mul_f64(1.1) + stale + *attempt + self.slack;
        let age = read.start.saturating_duration_since(call.start);
        hold(age <= most || self.may_be_replayed, format!("it is {age:?} old"))
    }

    /// Promise 3: every region that may have the id has said "does not exist", in this request or not longer ago than
    /// `cache.not_found_ttl`; a refresh asks again; a purge forgets that it was said; and nothing was found there since.
    fn not_found(&self, read: &Read) -> Verdict {
        let oldest = self.times.not_found + self.slack;
        for region in &read.route {
            let purged = self.purges(read.id, *region).filter(|purge| self.is_known(read, purge));
            let purged = purged.map(|purge| purge.start).max();
            let has_said = |call: &&Call| {
                call.said == Said::No
                    && call.start <= read.end
                    && call.end + oldest >= read.start
                    && (!read.is_refresh || read.wait.is_some() || call.start >= read.start)
                    && purged.is_none_or(|purged| call.start >= purged)
            };
            let said = self.calls_of(read.id, *region).any(|call| has_said(&call));
            hold(said, format!("{} did not say so", REGIONS[*region]))?;
            let has = self.replicas == 1 && self.surely_has(read, *region).is_some();
            hold(!has, format!("{} has it", REGIONS[*region]))?;
        }
        Ok(())
    }

    /// "Route": 409 is for an id that two regions of the route have answered SUCCESS for, and none was named.
    fn ambiguous(&self, read: &Read) -> Verdict {
        hold(!read.is_pinned, "a region was named")?;
        let holders = read.route.iter().filter(|region| self.may_have(read, **region));
        hold(holders.count() > 1, "no two regions have it")
    }

    /// "One upstream call": no second one for an id and region while the first is under way, but after a purge.
    fn overlaps(&self) -> Vec<String> {
        if self.replicas > 1 {
            return Vec::new();
        }
        let calls = self.calls.iter().enumerate().filter(|(_, call)| call.said != Said::Fault);
        let mut wrong = Vec::new();
        for (number, call) in calls {
            // The gateway may have given up on one that it had to wait for.
            let is_prompt = call.end - call.start + self.slack < self.times.attempt;
            let is_second = |second: &&Call| second.start < call.end && call.start < second.start;
            let second = self.calls[number + 1..].iter();
            let second = second.filter(|second| (second.id, second.region) == (call.id, call.region));
            // What waited behind a purged fill starts when that has ended.
            let late = self.times.attempt * 2 + self.slack;
            let is_purged = |p: &Purge| p.start <= call.end + self.slack && call.start <= p.end + late;
            if is_prompt
                && second.take(1).any(|second| is_second(&second))
                && !self.purges(call.id, call.region).any(is_purged)
            {
                let told = self.around(call.id, call.start, call.end);
                wrong.push(format!("two calls at once, the first is number {number}\n{told}"));
            }
        }
        wrong
    }

    fn calls_of(&self, id: usize, region: usize) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter().filter(move |call| (call.id, call.region) == (id, region))
    }

    fn purges(&self, id: usize, region: usize) -> impl Iterator<Item = &Purge> {
        self.history.purges.iter().filter(move |purge| purge.id == id && purge.regions.contains(&region))
    }

    /// Whether the replica of a read knew of a purge when the read was sent.
    fn is_known(&self, read: &Read, purge: &Purge) -> bool {
        let late = if purge.replica == read.replica { Some(Duration::ZERO) } else { self.purge_spread };
        late.is_some_and(|late| purge.end + late < read.start)
    }

    /// The SUCCESS by which a region is known to have the id when a read is sent, unless it may have been forgotten since.
    fn surely_has(&self, read: &Read, region: usize) -> Option<&Call> {
        let spread = if self.replicas > 1 { self.conflict_spread? } else { Duration::ZERO };
        let was_shown = |number: usize| {
            self.history.kept.iter().any(|(replica, kept, end)| {
                let late = if *replica == read.replica { Duration::ZERO } else { spread };
                *kept == number && *end + late < read.start
            })
        };
        let late = self.slack + spread;
        let was_taken_in = |call: &Call| {
            let is_in_time = call.end - call.start + self.slack < self.times.attempt;
            call.is_named && is_in_time && call.end + late < read.start
        };
        let mut found = self.calls.iter().enumerate().rev();
        let is_it = |call: &Call| (call.id, call.region) == (read.id, region) && has(call);
        let (_, call) =
            found.find(|(number, call)| is_it(call) && (was_taken_in(call) || was_shown(*number)))?;
        let mut calls = self.calls_of(read.id, region);
        let is_denied = calls.any(|no| no.said == Said::No && no.end >= call.start && no.start <= read.end);
        // A fill that still queued when its id was purged keeps nothing, though its call starts later.
        let queued = self.times.attempt * 2;
        let is_purged =
            self.purges(read.id, region).any(|p| p.end + late + queued >= call.start && p.start <= read.end);
        (!is_denied && !is_purged).then_some(call)
    }

    /// Whether memory had a newer result before a read was sent. What a purge took off the table is not kept.
    fn is_older_than_before(&self, read: &Read, call: &Call) -> bool {
        let late = self.times.attempt * 2 + self.slack;
        let mut purges = self.purges(read.id, call.region);
        let is_purged = purges.any(|purge| purge.start <= read.end && purge.end + late >= call.start);
        let is_newer =
            |kept: &Call| (kept.id, kept.region) == (call.id, call.region) && kept.start > call.start;
        let mut kept = self.history.kept.iter();
        !is_purged && kept.any(|(_, kept, end)| *end < read.start && is_newer(&self.calls[*kept]))
    }

    /// Whether a region may be known to have the id.
    fn may_have(&self, read: &Read, region: usize) -> bool {
        let mut found = self.calls_of(read.id, region).filter(|call| has(call) && call.start <= read.end);
        found.any(|call| {
            let mut purges = self.purges(read.id, region);
            let is_purged = purges.any(|purge| call.start < purge.start && self.is_known(read, purge));
            let is_denied = |no: &Call| {
                let was_taken_in = no.end - no.start + self.slack < self.times.attempt
                    && no.end + self.slack < read.start
                    && !self
                        .purges(read.id, region)
                        .any(|p| p.end >= no.start && p.start <= no.end + self.slack);
                no.said == Said::No && no.start > call.end + self.slack && was_taken_in
            };
            !is_purged && (self.replicas > 1 || !self.calls_of(read.id, region).any(is_denied))
        })
    }
}

fn has(call: &Call) -> bool {
    !matches!(call.said, Said::No | Said::Fault)
}
