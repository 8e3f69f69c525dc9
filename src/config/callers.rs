//! `[[callers]]`: who may ask, and what they may see.

use std::io;
use std::num::NonZeroU32;

use strum::VariantNames;

use super::mistake::hint;
use super::reader::{Section, Unique};
use super::secret::{parsed_file, text_of};
use super::value::{Parsed, Raw, text, text_or_texts, texts, whole};
use crate::domain::region::RegionName;
use crate::domain::scope::{Scope, Scopes};
use crate::files::{self, invalid};
use crate::settings::{Caller, Region};

/// SHA-256 of nothing: what an unset shell variable hashes to.
const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Caller {
    /// The hashes of this caller's keys now: those of the configuration, then those of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is not a hash.
    pub fn read_keys(&self) -> io::Result<Vec<[u8; 32]>> {
        match &self.key_sha256_file {
            Some(path) => Ok([self.key_sha256.clone(), key_hashes(&files::read(path)?)?].concat()),
            None => Ok(self.key_sha256.clone()),
        }
    }
}

/// `regions`: those of the file, `None` for one whose name is wrong.
pub(super) fn callers(root: &mut Section<'_>, regions: &[Option<Region>]) -> Vec<Caller> {
    let (mut names, mut subjects, mut keys) = (Unique::new(), Unique::new(), Unique::new());
    root.sections("callers", |section| {
        let caller = caller(section, regions);
        if !caller.name.is_empty() {
            names.claim(section, "name", caller.name.clone());
        }
        if let Some(subject) = caller.subject.clone() {
            subjects.claim(section, "subject", subject);
        }
        for (index, key) in caller.key_sha256.iter().enumerate() {
            keys.claim(section, &format!("key_sha256[{index}]"), *key);
        }
        let all = caller.read_keys().unwrap_or_default();
        for key in all.into_iter().skip(caller.key_sha256.len()) {
            keys.claim(section, "key_sha256_file", key);
        }
        caller
    })
}

fn caller(section: &mut Section<'_>, regions: &[Option<Region>]) -> Caller {
    let limit = section.read("requests_per_second", whole(1..=1_000_000));
    Caller {
        name: section.required("name", name, "write a name for logs and metrics").unwrap_or_default(),
        key_sha256: section.list("key_sha256", text_or_texts, key_hash).unwrap_or_default(),
        key_sha256_file: section.read("key_sha256_file", |raw| parsed_file(raw, key_hashes)),
        subject: section.read("subject", text),
        scopes: section.list("scopes", texts, scope).unwrap_or_default().into_iter().collect::<Scopes>(),
        regions: own_regions(section, regions),
        requests_per_second: limit.and_then(NonZeroU32::new),
    }
}

fn name(raw: &Raw) -> Parsed<String> {
    let name = raw.text()?;
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let well_formed = (1..=64).contains(&name.len()) && name.bytes().all(is_name_byte);
    if well_formed {
        Ok(name.to_owned())
    } else {
        Err("expected 1 to 64 of A-Z, a-z, 0-9, . _ and -".to_owned())
    }
}

fn scope(text: &str) -> Parsed<Scope> {
    text.parse().map_err(|_| format!("unknown scope; {}", hint(text, Scope::VARIANTS)))
}

fn own_regions(section: &mut Section<'_>, all: &[Option<Region>]) -> Option<Vec<RegionName>> {
    let known: Vec<&str> = all.iter().flatten().map(|region| region.name.as_str()).collect();
    let parse = |text: &str| {
        // A region that is missing, or whose name is wrong, may be the one that is meant.
        let is_known = known.contains(&text) || known.len() < all.len() || all.is_empty();
        let name = RegionName::parse(text).filter(|_| is_known);
        name.ok_or_else(|| format!("is not one of [[regions]]; {}", hint(text, &known)))
    };
    let regions = section.list("regions", texts, parse)?;
    if regions.is_empty() {
        let message = "is empty, so this caller could ask nothing; leave it out to allow every region";
        let path = section.path_of("regions");
        section.notes().conflict(&path, &path, message);
    }
    Some(regions)
}

/// The SHA-256 of 64 hexadecimal digits.
fn key_hash(text: &str) -> Parsed<[u8; 32]> {
    let mut hash = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        let found = text.chars().count();
        return Err(format!(
            "expected 64 hexadecimal digits, found {found} characters; `idv-gateway hash-key` makes them"
        ));
    }
    if text.eq_ignore_ascii_case(HASH_OF_NOTHING) {
        return Err("is the hash of an empty key; was the key unset when it was hashed?".to_owned());
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|error| error.to_string())?;
    }
    Ok(hash)
}

/// The hashes in a key file: one a line; `#` starts a comment.
fn key_hashes(content: &[u8]) -> io::Result<Vec<[u8; 32]>> {
    let lines = text_of(content)?.trim_start_matches('\u{feff}').lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.split('#').next().unwrap_or_default().trim()));
    let hash =
        |(number, line)| key_hash(line).map_err(|message| invalid(format!("line {number}: {message}")));
    lines.filter(|(_, line)| !line.is_empty()).map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CALLER, REGION, TempFile, expect_mistakes_of, found, keys, parsed};
    use super::*;

    fn callers_of(callers: &str) -> Vec<Caller> {
        parsed(&format!("{REGION}{callers}"), &[]).unwrap().callers
    }

    fn hash(digits: &str) -> String {
        digits.repeat(32)
    }

    #[test]
    fn a_caller_may_have_one_key_or_several_and_sees_little_by_default() {
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
        let other = format!("[[callers]]\nname = \"z\"\nkey_sha256 = \"{}\"", hash("ab"));
        expect_mistakes_of(
            |lines| format!("{REGION}[[callers]]\n{lines}\n{other}"),
            &[
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
            ],
        );
    }

    #[test]
    fn callers_share_neither_name_nor_key_nor_subject() {
        let file = TempFile::new("hashes", &hash("cc"));
        let path = file.path().display();
        let text = format!(
            "{REGION}[[callers]]\nname = \"a\"\nsubject = \"s\"\nkey_sha256 = [\"{ab}\", \"{cc}\"]\n\
             [[callers]]\nname = \"a\"\nsubject = \"s\"\nkey_sha256 = [\"{dd}\", \"{ab}\"]\n\
             key_sha256_file = \"{path}\"",
            ab = hash("ab"),
            cc = hash("CC"),
            dd = hash("dd"),
        );
        let wrong =
            ["name", "subject", "key_sha256[1]", "key_sha256_file"].map(|key| format!("callers[1].{key}"));
        assert_eq!(keys(&text).into_iter().collect::<std::collections::BTreeSet<_>>(), wrong.into());
        assert!(found(&text, &[]).iter().all(|mistake| mistake.message.contains("callers[0]")));
    }

    #[test]
    fn a_key_file_has_a_hash_a_line_and_comments() {
        let text = format!("\u{feff}# rotated\n{}\n\n  {} # new\r\n", hash("ab"), hash("CD"));
        assert_eq!(key_hashes(text.as_bytes()).unwrap(), [[0xab; 32], [0xcd; 32]]);
        for bad in ["not-a-hash-but-the-key", HASH_OF_NOTHING] {
            let message = key_hashes(format!("{}\n{bad}", hash("ab")).as_bytes()).unwrap_err().to_string();
            assert!(message.contains("line 2") && !message.contains(bad), "{message}");
        }
    }

    #[test]
    fn a_region_with_a_wrong_name_causes_no_second_mistake() {
        let region = "[[regions]]\nname = \"My\"\naccess_key = \"a\"\nsecret_key = \"b\"\nbase_url = \"https://a.example\"";
        assert_eq!(keys(&format!("{region}\n{CALLER}regions = [\"my\"]\n")), ["regions[0].name"]);
    }
}
