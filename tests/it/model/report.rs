//! What a run of the model shows: which kinds of answers there were, and all that led to a wrong one.

use tokio::time::Instant;

use super::caller::{Purge, Read};
use super::oracle::Oracle;
use super::world::{Call, REGIONS};

impl Oracle<'_> {
    /// A wrong answer, and what happened.
    pub fn tell(&self, read: &Read, rule: &str) -> String {
        let Read { replica, route, is_pinned, is_refresh, wait, answer, .. } = read;
        let asked =
            format!("replica {replica}, {route:?}, pinned {is_pinned}, refresh {is_refresh}, wait {wait:?}");
        let told = self.around(read.id, read.start, read.end);
        format!("{rule}: {asked}: {} {} {}\n{told}", answer.status, answer.cache_status(), answer.text())
    }

    /// All that happened to an id about that time, in milliseconds before and after it.
    pub fn around(&self, id: usize, start: Instant, end: Instant) -> String {
        let at = |moment: Instant| {
            let (after, before) =
                (moment.saturating_duration_since(start), start.saturating_duration_since(moment));
            after.as_millis() as i64 - before.as_millis() as i64
        };
        let mut lines = vec![(0, format!("from here until {}:", at(end)))];
        for (number, call) in self.calls.iter().enumerate().filter(|(_, call)| call.id == id) {
            let Call { region, said, is_named, .. } = call;
            let said = format!("call {number}: {} {said:?}, named {is_named}", REGIONS[*region]);
            lines.push((at(call.start), format!("{said}, until {}", at(call.end))));
        }
        for purge in self.history.purges.iter().filter(|purge| purge.id == id) {
            let Purge { replica, regions, .. } = purge;
            lines.push((
                at(purge.start),
                format!("purge by {replica} of {regions:?}, until {}", at(purge.end)),
            ));
        }
        for read in self.history.reads.iter().filter(|read| read.id == id) {
            let Read { replica, route, is_refresh, wait, answer, .. } = read;
            let asked = format!("replica {replica}, {route:?}, refresh {is_refresh}, wait {wait:?}");
            let told = format!("{:?} {}, until {}", answer.gist(), answer.cache_status(), at(read.end));
            lines.push((at(read.start), format!("read: {asked}: {told}")));
        }
        lines.retain(|(from, _)| (-4000..=at(end)).contains(from));
        lines.sort();
        lines.iter().map(|(from, line)| format!("  {from} {line}\n")).collect()
    }
}

/// The kind of an answer: its word, and where it came from.
pub fn kind(read: &Read) -> String {
    let (status, word) = read.answer.gist();
    let waited = if read.answer.header("preference-applied").is_some() { " waited" } else { "" };
    if status != 200 {
        return word + waited;
    }
    let cache = read.answer.cache_status();
    let source = match read.answer.ttl() {
        Some(..0) => "stale",
        Some(_) if cache.contains("remote") => "remote",
        Some(_) => "hit",
        None if cache.contains("collapsed") => "joined",
        None if cache.contains("request") => "refresh",
        None => "miss",
    };
    format!("{word} {source}{waited}")
}
