//! What each id does: the table of ids, and how an id is looked up in it.

use super::api::REGIONS;
use super::envelope::{self, Refusal};
use std::time::Duration;
use strum::EnumString;

/// Ids of one word: what it does, and how that is told. What follows the word is anything.
const WORDS: [(&str, Script, &str); 11] = [
    ("pass", Script::Result(PASS), "PASS"),
    ("both", Script::Result(PASS), "PASS in every region"),
    ("unrecognized", Script::Result(REVIEW), "REVIEW: a result word that nobody knows"),
    ("flaky", Script::Flaky, "envelope ERROR on the first request, PASS afterwards"),
    ("error", Script::Refused(envelope::SERVER), "envelope ERROR"),
    ("busy", Script::Busy, "envelope SERVICE_BUSY with Retry-After: 10s"),
    ("html", Script::Html, "an HTML page with status 200"),
    ("auth", Script::Refused(envelope::TOKEN), "IAM_FAILED, whatever the token"),
    ("account", Script::Refused(envelope::ACCOUNT), "INSUFFICIENT_BALANCE"),
    ("mismatch", Script::Mismatch, "PASS with the signatureId of another id"),
    ("reset", Script::Reset, "the connection is reset instead of an answer"),
];

/// Ids of several words, and the vendor's samples.
const PATTERNS: [(&str, &str); 16] = [
    ("sim-incomplete-…", "INCOMPLETE, USER_TIMEOUT"),
    ("sim-incomplete-blur-…", "INCOMPLETE, CARD_LOW_QUALITY_IMAGE; any word above from unsupported on"),
    ("sim-pending-N-…", "null result; submitted N/2 s after the first request, PASS after N"),
    ("sim-pending-N-fail-liveness-…", "the same, then FAIL; any verdict above"),
    ("sim-pending-N-incomplete-…", "never submitted, INCOMPLETE after N, no callbacks"),
    ("sim-pending-N-late-…", "as sim-pending-N-…, its callback 3 s late"),
    ("sim-pending-N-early-…", "its callback after N/2 s, before the result can be read"),
    ("sim-pending-N-twice-…", "its callback twice"),
    ("sim-pending-N-silent-…", "no callback"),
    ("sim-slow-N-…", "PASS, each answer N seconds late (60 at most)"),
    ("sim-old-…", "pass in the oldest field generation; sim-old-fail-liveness-… and so on"),
    ("sim-new-…", "PASS in the newest field generation, video PENDING; sim-new-fail-liveness-… and so on"),
    ("sim-video-…", "PASS in the newest field generation, with a link to the face video"),
    ("sim-notfound-…", "SIGNATURE_NOT_EXIST"),
    ("f302f5d2454a85c2", "the vendor's first sample: PASS with the forgery label photocopy"),
    ("681760d460df34eb", "the vendor's second sample: FAIL, LIVENESS_ATTACK"),
];

const LONGEST: usize = 128;
const LONGEST_DELAY: u64 = 60;
/// By how much a late callback is late.
const LATE: Duration = Duration::from_secs(3);

/// A known id: what it does, and where it exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) script: Script,
    pub(super) home: Home,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Script {
    Result(Outcome),
    Pending(Pending),
    Slow(Duration),
    Flaky,
    Refused(Refusal),
    Busy,
    Html,
    Mismatch,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Home {
    Everywhere,
    Region(&'static str),
    FirstAsked,
}

/// A result that becomes final while it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pending {
    pub(super) time: Duration,
    pub(super) outcome: Outcome,
    callback: Timing,
}

/// When the callback of a final result comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, EnumString)]
#[strum(serialize_all = "snake_case")]
enum Timing {
    #[default]
    OnTime,
    Late,
    Early,
    Twice,
    #[strum(serialize = "silent", serialize = "incomplete")]
    Never,
}

/// A final verdict and the form it comes in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) result: &'static str,
    pub(super) code: &'static str,
    pub(super) flaw: Flaw,
    pub(super) generation: Generation,
}

/// Where the verification went wrong, which decides how much of a result there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flaw {
    None,
    /// A label that alone decides nothing.
    Label,
    Liveness,
    Similarity,
    /// The document was read and did not hold.
    Document,
    Forgery,
    /// A rule of the account.
    Policy,
    /// The card could not be read: no OCR, no face step.
    Card,
    /// The session ended before anything was taken.
    Session,
    /// The sample with every part there and every field null.
    Nulls,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Generation {
    /// As `Old`, with the lower-case words of some samples.
    Oldest,
    Old,
    Current,
    /// The flag: whether the video has become a link.
    New {
        video: bool,
    },
}

struct Code {
    word: &'static str,
    code: &'static str,
    flaw: Flaw,
}

pub(super) const PASS: Outcome =
    Outcome { result: "PASS", code: "SUCCESS", flaw: Flaw::None, generation: Generation::Current };

const REVIEW: Outcome = Outcome { result: "REVIEW", ..PASS };

const CODES: &[Code] = &[
    Code { word: "liveness", code: "LIVENESS_ATTACK", flaw: Flaw::Liveness },
    Code { word: "similarity", code: "SIMILARITY_FAIL", flaw: Flaw::Similarity },
    Code { word: "noface", code: "NO_FACE_DETECTED", flaw: Flaw::Document },
    Code { word: "card", code: "CARD_INFO_MISMATCH", flaw: Flaw::Document },
    Code { word: "forgery", code: "ID_FORGERY_DETECTED", flaw: Flaw::Forgery },
    Code { word: "strategy", code: "STRATEGY_HIT", flaw: Flaw::Policy },
    Code { word: "notsupported", code: "NOT_SUPPORTED_CARD", flaw: Flaw::Nulls },
    Code { word: "unsupported", code: "NO_SUPPORTED_CARD", flaw: Flaw::Card },
    Code { word: "custom", code: "NO_SUPPORTED_CARD_CUSTOMIZED", flaw: Flaw::Card },
    Code { word: "type", code: "CARD_TYPE_MISMATCH", flaw: Flaw::Card },
    Code { word: "blur", code: "CARD_LOW_QUALITY_IMAGE", flaw: Flaw::Card },
    Code { word: "cut", code: "INCOMPLETED_CARD", flaw: Flaw::Card },
    Code { word: "many", code: "TOO_MANY_CARDS", flaw: Flaw::Card },
    Code { word: "nocard", code: "CARD_NOT_FOUND", flaw: Flaw::Card },
    Code { word: "noocr", code: "OCR_NO_RESULT", flaw: Flaw::Card },
    Code { word: "parameter", code: "PARAMETER_ERROR", flaw: Flaw::Session },
    Code { word: "timeout", code: "USER_TIMEOUT", flaw: Flaw::Session },
    Code { word: "error", code: "ERROR", flaw: Flaw::Session },
    Code { word: "other", code: "NEW_VENDOR_CODE", flaw: Flaw::Policy },
];

/// Pattern and meaning of every id the simulator knows; `N` stands for seconds, `…` for anything.
pub fn ids() -> Vec<(String, String)> {
    let words = WORDS.iter().map(|(word, _, meaning)| (format!("sim-{word}-…"), (*meaning).to_owned()));
    let fails = CODES.iter().map(|Code { word, code, .. }| {
        let remark = match *word {
            "notsupported" => " and nulls in lower case, as in the vendor's sample",
            "other" => ": a code that the vendor's table does not have",
            _ => "",
        };
        (format!("sim-fail-{word}-…"), format!("FAIL, {code}{remark}"))
    });
    let others = PATTERNS.iter().map(|(id, meaning)| ((*id).to_owned(), (*meaning).to_owned()));
    words.chain(fails).chain(others).collect()
}

/// None for every id that exists nowhere.
pub(super) fn parse(id: &str) -> Option<Known> {
    match id {
        "f302f5d2454a85c2" => return Some(sample(Outcome { flaw: Flaw::Label, ..PASS })),
        "681760d460df34eb" => {
            let outcome = Outcome { generation: Generation::Old, ..failed(&CODES[0]) };
            return Some(sample(outcome));
        }
        _ if id.len() > LONGEST || !id.bytes().all(is_id_byte) => return None,
        _ => {}
    }
    let parts: Vec<&str> = id.split('-').collect();
    let ["sim", words @ ..] = parts.as_slice() else { return None };
    Some(Known { script: script(words)?, home: home(words) })
}

fn sample(outcome: Outcome) -> Known {
    Known { script: Script::Result(outcome), home: Home::FirstAsked }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

fn home(words: &[&str]) -> Home {
    if words.first() == Some(&"both") {
        return Home::Everywhere;
    }
    let named = REGIONS.iter().find(|region| words.contains(region));
    named.map_or(Home::FirstAsked, |region| Home::Region(region))
}

fn script(words: &[&str]) -> Option<Script> {
    let script = match words {
        ["fail" | "incomplete", ..] => Script::Result(verdict(words)?),
        ["old", rest @ ..] => in_generation(Generation::Oldest, rest),
        ["new", rest @ ..] => in_generation(Generation::New { video: false }, rest),
        ["video", rest @ ..] => in_generation(Generation::New { video: true }, rest),
        ["pending", seconds, rest @ ..] => Script::Pending(pending(seconds, rest)?),
        ["slow", seconds, ..] => {
            Script::Slow(Duration::from_secs(seconds.parse::<u64>().ok()?.min(LONGEST_DELAY)))
        }
        [word, ..] => WORDS.iter().find(|(known, ..)| known == word)?.1,
        [] => return None,
    };
    Some(script)
}

fn pending(seconds: &str, words: &[&str]) -> Option<Pending> {
    let time = Duration::from_secs(seconds.parse::<u32>().ok()?.into());
    let callback = words.first().and_then(|word| word.parse().ok()).unwrap_or_default();
    Some(Pending { time, outcome: verdict(words).unwrap_or(PASS), callback })
}

impl Pending {
    /// Whether the person has submitted everything at that age.
    pub(super) fn is_submitted(&self, age: Duration) -> bool {
        age >= self.time / 2 && self.outcome.result != "INCOMPLETE"
    }

    /// Type and age of each callback.
    pub(super) fn callbacks(&self) -> Vec<(&'static str, Duration)> {
        let submitted = ("SUBMIT_COMPLETED", self.time / 2);
        let completed = |age| ("COMPLETED", age);
        match self.callback {
            Timing::OnTime => vec![submitted, completed(self.time)],
            Timing::Late => vec![submitted, completed(self.time + LATE)],
            Timing::Early => vec![submitted, completed(self.time / 2)],
            Timing::Twice => vec![submitted, completed(self.time), completed(self.time)],
            Timing::Never => vec![],
        }
    }
}

/// The verdict that the words name, else PASS, in that generation.
fn in_generation(generation: Generation, words: &[&str]) -> Script {
    Script::Result(Outcome { generation, ..verdict(words).unwrap_or(PASS) })
}

fn verdict(words: &[&str]) -> Option<Outcome> {
    match words {
        ["fail", word, ..] => CODES.iter().find(|code| code.word == *word).map(failed),
        ["incomplete", rest @ ..] => Some(incomplete(rest)),
        _ => None,
    }
}

fn failed(code: &Code) -> Outcome {
    Outcome { result: "FAIL", code: code.code, flaw: code.flaw, generation: Generation::Current }
}

/// Only what stops a person on the way can be incomplete; by default, the time ran out.
fn incomplete(words: &[&str]) -> Outcome {
    let stops = |code: &&Code| matches!(code.flaw, Flaw::Card | Flaw::Session);
    let named = words.first().and_then(|word| CODES.iter().filter(stops).find(|code| code.word == *word));
    let (code, flaw) = named.map_or(("USER_TIMEOUT", Flaw::Session), |named| (named.code, named.flaw));
    Outcome { result: "INCOMPLETE", code, flaw, generation: Generation::Current }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(id: &str) -> Option<(&'static str, &'static str)> {
        match parse(id)?.script {
            Script::Result(outcome) => Some((outcome.result, outcome.code)),
            Script::Pending(_) | Script::Slow(_) | Script::Flaky => None,
            Script::Refused(_) | Script::Busy | Script::Html | Script::Reset | Script::Mismatch => None,
        }
    }

    #[test]
    fn the_table_tells_what_each_id_does() {
        for code in CODES {
            assert_eq!(outcome(&format!("sim-fail-{}-1", code.word)), Some(("FAIL", code.code)));
        }
        for (pattern, _) in ids() {
            let id = pattern.replace('…', "1").replace("-N-", "-1-");
            assert_eq!(parse(&id).is_none(), id.starts_with("sim-notfound"), "{id}");
        }
    }

    #[test]
    fn an_incomplete_id_names_its_code_or_timed_out() {
        assert_eq!(outcome("sim-incomplete-7"), Some(("INCOMPLETE", "USER_TIMEOUT")));
        assert_eq!(outcome("sim-incomplete-blur-7"), Some(("INCOMPLETE", "CARD_LOW_QUALITY_IMAGE")));
        assert_eq!(outcome("sim-incomplete-liveness-7"), Some(("INCOMPLETE", "USER_TIMEOUT")));
    }

    #[test]
    fn what_the_table_does_not_name_does_not_exist() {
        for id in [
            "",
            "sim",
            "sim-",
            "sim-passport-1",
            "sim-fail-1",
            "sim-pending-x",
            "sim-pass-ä",
            "a",
            "sim-notfound-1",
        ] {
            assert_eq!(parse(id), None, "{id}");
        }
        assert_eq!(parse(&format!("sim-pass-{}", "x".repeat(LONGEST))), None);
    }

    #[test]
    fn a_part_that_names_a_region_is_the_home() {
        assert_eq!(parse("sim-pass-ph-7").unwrap().home, Home::Region("ph"));
        assert_eq!(parse("sim-pass-7").unwrap().home, Home::FirstAsked);
        assert_eq!(parse("sim-both-ph").unwrap().home, Home::Everywhere);
    }

    #[test]
    fn a_pending_id_says_how_it_ends_and_when_its_callbacks_come() {
        for (id, result, callbacks) in [
            ("sim-pending-4-a", "PASS", vec![("SUBMIT_COMPLETED", 2), ("COMPLETED", 4)]),
            ("sim-pending-4-fail-liveness-a", "FAIL", vec![("SUBMIT_COMPLETED", 2), ("COMPLETED", 4)]),
            ("sim-pending-4-late-a", "PASS", vec![("SUBMIT_COMPLETED", 2), ("COMPLETED", 7)]),
            ("sim-pending-4-early-a", "PASS", vec![("SUBMIT_COMPLETED", 2), ("COMPLETED", 2)]),
            (
                "sim-pending-4-twice-a",
                "PASS",
                vec![("SUBMIT_COMPLETED", 2), ("COMPLETED", 4), ("COMPLETED", 4)],
            ),
            ("sim-pending-4-silent-a", "PASS", vec![]),
            ("sim-pending-4-incomplete-a", "INCOMPLETE", vec![]),
        ] {
            let Some(Script::Pending(pending)) = parse(id).map(|known| known.script) else { panic!("{id}") };
            assert_eq!((pending.time.as_secs(), pending.outcome.result), (4, result), "{id}");
            let sent = pending.callbacks().into_iter().map(|(kind, age)| (kind, age.as_secs()));
            assert_eq!(sent.collect::<Vec<_>>(), callbacks, "{id}");
            assert_eq!(pending.is_submitted(pending.time), result != "INCOMPLETE", "{id}");
            assert!(!pending.is_submitted(Duration::from_secs(1)), "{id}");
        }
    }

    #[test]
    fn delays_are_capped() {
        assert_eq!(parse("sim-slow-999-a").unwrap().script, Script::Slow(Duration::from_secs(60)));
    }
}
