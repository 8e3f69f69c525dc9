//! `[[callers]]`: who may ask, and what they may see. Knows regions by name.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;

use crate::domain::region::RegionName;
use crate::domain::scope::{Scope, Scopes};

use super::files;
use super::reader::{Section, Setting};
use super::settings::Caller;
use super::suggest;
use super::value::{Raw, text, text_or_texts, texts, whole};

/// Every caller; `None` if one of them is wrong. `regions`: the names they may use, `None` if one is wrong.
pub(super) fn callers(root: &mut Section<'_>, regions: Option<&[RegionName]>) -> Option<Vec<Caller>> {
    let sections = match root.subsections("callers") {
        Setting::Absent => return Some(Vec::new()),
        Setting::Wrong => return None,
        Setting::Given(sections) => sections,
    };
    let mut taken = Taken::default();
    let callers: Vec<_> = sections.into_iter().map(|section| caller(section, &mut taken, regions)).collect();
    callers.into_iter().collect()
}

/// What the callers above have taken, and where.
#[derive(Default)]
struct Taken {
    names: HashMap<String, String>,
    subjects: HashMap<String, String>,
    keys: HashMap<[u8; 32], String>,
}

fn caller(mut section: Section<'_>, taken: &mut Taken, regions: Option<&[RegionName]>) -> Option<Caller> {
    let name = section.required("name", name, "write a name for logs and metrics");
    let key_sha256 = section.list("key_sha256", text_or_texts, files::key_hash).or(Vec::new());
    let key_sha256_file = section.read("key_sha256_file", files::readable).optional();
    let subject = section.read("subject", text).optional();
    let scopes = section.list("scopes", texts, scope).or(Vec::new());
    let regions = own_regions(&mut section, regions);
    let limit = section.read("requests_per_second", whole(1..=1_000_000)).optional();
    let own = section.path_of("");
    if let Some(other) = name.clone().and_then(|name| taken.names.insert(name, own.clone())) {
        section.mistake("name", &format!("is the name of {other} too; give every caller its own"));
    }
    if let Some(other) = subject.clone().flatten().and_then(|subject| taken.subjects.insert(subject, own)) {
        section.mistake("subject", &format!("is that of {other} too; one subject is one caller"));
    }
    take_keys(&section, key_sha256.as_deref(), key_sha256_file.as_ref().and_then(Option::as_deref), taken);
    section.finish();
    Some(Caller {
        name: name?,
        key_sha256: key_sha256?,
        key_sha256_file: key_sha256_file?,
        subject: subject?,
        scopes: scopes?.into_iter().collect::<Scopes>(),
        regions: regions?,
        requests_per_second: limit?.and_then(NonZeroU32::new),
    })
}

fn name(raw: &Raw<'_>) -> Result<String, String> {
    let name = raw.text()?;
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let well_formed = (1..=64).contains(&name.len()) && name.bytes().all(is_name_byte);
    if well_formed {
        Ok(name.to_owned())
    } else {
        Err("expected 1 to 64 of A-Z, a-z, 0-9, . _ and -".to_owned())
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text)
        .ok_or_else(|| format!("unknown scope; {}", suggest::hint(text, &Scope::ALL.map(Scope::name))))
}

fn own_regions(section: &mut Section<'_>, known: Option<&[RegionName]>) -> Option<Option<Vec<RegionName>>> {
    let region = |text: &str| {
        let name = RegionName::parse(text);
        let name = name.filter(|name| known.is_none_or(|known| known.contains(name)));
        let known: Vec<_> = known.unwrap_or_default().iter().map(RegionName::as_str).collect();
        name.ok_or_else(|| format!("is none of [[regions]]; {}", suggest::hint(text, &known)))
    };
    let regions = section.list("regions", texts, region).optional()?;
    if regions.as_ref().is_some_and(Vec::is_empty) {
        section.mistake(
            "regions",
            "is empty, so this caller could ask nothing; leave it out to allow every region",
        );
    }
    Some(regions)
}

/// Claims the caller's keys, those in its file too: whose a request is must be certain.
fn take_keys(section: &Section<'_>, inline: Option<&[[u8; 32]]>, file: Option<&Path>, taken: &mut Taken) {
    let from_file = file.map_or(Ok(Vec::new()), files::key_file).unwrap_or_else(|error| {
        section.mistake("key_sha256_file", &error.to_string());
        Vec::new()
    });
    let inline = inline.unwrap_or_default().iter().enumerate();
    let inline = inline.map(|(index, key)| (format!("key_sha256[{index}]"), *key));
    let from_file = from_file.into_iter().map(|key| ("key_sha256_file".to_owned(), key));
    let own = section.path_of("");
    for (at, key) in inline.chain(from_file) {
        let other = taken.keys.entry(key).or_insert_with(|| own.clone());
        if *other != own {
            section.mistake(&at, &format!("is a key of {other} too; give every caller its own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{REGION, TempFile, found, parsed};
    use super::*;

    fn callers_of(callers: &str) -> Vec<Caller> {
        parsed(&format!("{REGION}{callers}"), &[]).unwrap().callers
    }

    fn keys_of(callers: &str) -> Vec<(String, String)> {
        let mistakes = found(&format!("{REGION}{callers}"), &[]);
        mistakes.into_iter().map(|mistake| (mistake.key, mistake.message)).collect()
    }

    fn hash(digits: &str) -> String {
        digits.repeat(32)
    }

    #[test]
    fn a_caller_may_have_one_key_or_several_and_sees_little_unless_told() {
        let text = format!(
            "[[callers]]\nname = \"a.b\"\nkey_sha256 = \"{}\"\n\
             [[callers]]\nname = \"c\"\nkey_sha256 = [\"{}\", \"{}\"]\n\
             scopes = [\"media\"]\nregions = [\"my\"]\nrequests_per_second = 50",
            hash("aA"),
            hash("bb"),
            hash("cc")
        );
        let callers = callers_of(&text);
        assert_eq!(
            (callers[0].key_sha256.as_slice(), callers[0].scopes),
            ([[0xaa; 32]].as_slice(), Scopes::NONE)
        );
        assert!(callers[0].regions.is_none() && callers[0].requests_per_second.is_none());
        assert_eq!((callers[1].key_sha256.len(), callers[1].scopes), (2, Scopes::NONE.with(Scope::Media)));
        assert_eq!(callers[1].requests_per_second.map(NonZeroU32::get), Some(50));
    }

    #[test]
    fn bad_callers_are_named() {
        let good = hash("ab");
        let table = [
            ("scopes = []", "callers[0].name", "missing"),
            ("name = \"a b\"", "callers[0].name", "1 to 64"),
            ("key_sha256 = \"abc\"", "callers[0].key_sha256[0]", "64 hexadecimal digits, found 3"),
            ("key_sha256 = [1]", "callers[0].key_sha256", "list of texts"),
            ("key_sha256_file = \"/nonexistent\"", "callers[0].key_sha256_file", "No such file"),
            ("scopes = [\"media\", \"check\"]", "callers[0].scopes[1]", "did you mean `checks`?"),
            ("scopes = \"media\"", "callers[0].scopes", "list"),
            ("regions = [\"sg\"]", "callers[0].regions[0]", "known are my"),
            ("regions = []", "callers[0].regions", "leave it out"),
            ("requests_per_second = 0", "callers[0].requests_per_second", "from 1"),
            ("subject = \"\"", "callers[0].subject", "is empty"),
            ("scope = [\"media\"]", "callers[0].scope", "did you mean `scopes`?"),
        ];
        for (lines, key, fragment) in table {
            let other = format!("[[callers]]\nname = \"z\"\nkey_sha256 = \"{good}\"");
            let mistakes = keys_of(&format!("[[callers]]\n{lines}\n{other}"));
            let hit = mistakes.iter().any(|(at, message)| at == key && message.contains(fragment));
            assert!(hit, "{lines}: expected {key}: {fragment}, found {mistakes:?}");
        }
    }

    #[test]
    fn callers_share_neither_name_nor_key_nor_subject() {
        let file = TempFile::new("hashes", &hash("cc"));
        let path = file.path().display();
        let text = format!(
            "[[callers]]\nname = \"a\"\nsubject = \"s\"\nkey_sha256 = [\"{ab}\", \"{cc}\"]\n\
             [[callers]]\nname = \"a\"\nsubject = \"s\"\nkey_sha256 = [\"{dd}\", \"{ab}\"]\n\
             key_sha256_file = \"{path}\"",
            ab = hash("ab"),
            cc = hash("CC"),
            dd = hash("dd"),
        );
        let mistakes = keys_of(&text);
        let keys: Vec<_> = mistakes.iter().map(|(key, _)| key.trim_start_matches("callers[1].")).collect();
        assert_eq!(keys, ["name", "subject", "key_sha256[1]", "key_sha256_file"]);
        assert!(mistakes.iter().all(|(_, message)| message.contains("callers[0]")));
    }

    #[test]
    fn a_bad_line_of_a_key_file_is_told_by_number() {
        let file = TempFile::new("bad-hashes", "# keys\nhunter2\n");
        let text = format!("[[callers]]\nname = \"a\"\nkey_sha256_file = \"{}\"", file.path().display());
        let mistakes = keys_of(&text);
        assert!(mistakes[0].1.contains("line 2") && !mistakes[0].1.contains("hunter2"), "{mistakes:?}");
    }

    #[test]
    fn regions_that_could_not_be_read_cause_no_second_mistake() {
        let text = "[[regions]]\nname = \"My\"\naccess_key = \"a\"\nsecret_key = \"b\"\n\
                    [[callers]]\nname = \"a\"\nregions = [\"my\"]\n";
        let mistakes = found(text, &[]);
        assert!(mistakes.iter().all(|mistake| !mistake.key.starts_with("callers[0]")), "{mistakes:?}");
    }
}
