//! A section of the file being read: hands out its settings one by one and notes every mistake. A setting that is wrong
//! reads like one that is absent, so that reading goes on and no mistake hides another. Knows no setting.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use toml::{Table, Value};

use super::mistake::{Mistake, hint, nearest};
use super::source::{Origins, join};
use super::value::{Parsed, Raw};
use crate::settings::duration_text;

/// The mistakes found so far.
pub(super) struct Notes {
    origins: Origins,
    mistakes: RefCell<Vec<Mistake>>,
    conflicts: RefCell<Vec<Conflict>>,
    wrong_paths: RefCell<BTreeSet<String>>,
}

/// A mistake unless one of two settings is wrong by itself, which is known when the whole file has been read.
struct Conflict {
    path: String,
    other: String,
    message: String,
}

impl Notes {
    pub(super) fn new(origins: Origins, mistakes: Vec<Mistake>) -> Self {
        let (conflicts, wrong_paths) = (RefCell::default(), RefCell::default());
        Self { origins, mistakes: RefCell::new(mistakes), conflicts, wrong_paths }
    }

    /// All mistakes in the order of the file, then those that have no line.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        for Conflict { path, other, message } in self.conflicts.take() {
            if !self.is_wrong(&path) && !self.is_wrong(&other) {
                self.add(&path, &message);
            }
        }
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| mistake.place.line().unwrap_or(usize::MAX));
        mistakes
    }

    /// Notes a mistake at `path`.
    pub(super) fn add(&self, path: &str, message: &str) {
        let mistake = |place| Mistake { place, message: message.to_owned() };
        self.mistakes.borrow_mut().extend(self.origins.places(path).into_iter().map(mistake));
        self.wrong_paths.borrow_mut().insert(path.to_owned());
    }

    /// Notes at `path` that it does not go together with the setting at `other`, unless one of them is
    /// wrong by itself.
    pub(super) fn conflict(&self, path: &str, other: &str, message: &str) {
        let (path, other, message) = (path.to_owned(), other.to_owned(), message.to_owned());
        self.conflicts.borrow_mut().push(Conflict { path, other, message });
    }

    /// Whether the setting at `path`, or something below it, is wrong.
    fn is_wrong(&self, path: &str) -> bool {
        let is_below = |wrong: &String| {
            wrong.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.wrong_paths.borrow().iter().any(is_below)
    }

    /// Notes at `path` that `time` is longer than `limit`, which is the setting at `other`.
    pub(super) fn at_most(&self, (path, time): (&str, Duration), (other, limit): (&str, Duration)) {
        if time > limit {
            let limit = duration_text(limit);
            self.conflict(path, other, &format!("is longer than {other} ({limit}); lower it, or raise that"));
        }
    }
}

/// A section of the file.
pub(super) struct Section<'n> {
    notes: &'n Notes,
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// Reads the sections and keys at the top of a table.
    pub(super) fn root<T>(table: Table, notes: &'n Notes, read: impl FnOnce(&mut Self) -> T) -> T {
        Section::read_all(notes, String::new(), table, read)
    }

    /// A table whose unknown keys are no mistakes.
    pub(super) fn unchecked(path: &str, table: Table, notes: &'n Notes) -> Self {
        Self { notes, path: path.to_owned(), table, known: Vec::new() }
    }

    fn read_all<T>(notes: &'n Notes, path: String, table: Table, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut section = Section { notes, path, table, known: Vec::new() };
        let settings = read(&mut section);
        for key in section.table.keys() {
            section.mistake(key, &format!("unknown key; {}", hint(key, &section.known)));
            // The key that was meant is not missing, too.
            let meant = nearest(key, &section.known).map(|known| section.path_of(known));
            notes.wrong_paths.borrow_mut().extend(meant);
        }
        settings
    }

    /// One value; `None` if it is absent or wrong.
    pub(super) fn read<T>(&mut self, key: &'static str, parse: impl FnOnce(&Raw) -> Parsed<T>) -> Option<T> {
        let value = self.take(key)?;
        let from_env = self.notes.origins.is_variable(&self.path_of(key));
        parse(&Raw { value: &value, from_env }).map_err(|message| self.mistake(key, &message)).ok()
    }

    /// Whether a key is there and not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// One value that must be there; `what` says what to write.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Raw) -> Parsed<T>,
        what: &str,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key, what);
        }
        self.read(key, parse)
    }

    /// A list of texts, each parsed by itself so that every bad one is named; bad ones are left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        split: impl FnOnce(&Raw) -> Parsed<Vec<String>>,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<Vec<T>> {
        let texts = self.read(key, split)?;
        let items = texts.iter().enumerate().filter_map(|(index, text)| {
            parse(text).map_err(|message| self.mistake(&format!("{key}[{index}]"), &message)).ok()
        });
        Some(items.collect())
    }

    /// The one of two settings that is given.
    pub(super) fn one_of<T>(
        &mut self,
        (first, parse_first): (&'static str, impl FnOnce(&Raw) -> Parsed<T>),
        (second, parse_second): (&'static str, impl FnOnce(&Raw) -> Parsed<T>),
    ) -> Option<T> {
        match (self.has(first), self.has(second)) {
            (true, true) => self.mistake(first, &format!("given together with {second}; keep one of them")),
            (false, false) => {
                let message = format!("missing; write {first} or {second}");
                self.notes.conflict(&self.path_of(first), &self.path_of(second), &message);
            }
            (true, false) | (false, true) => {}
        }
        let (one, other) = (self.read(first, parse_first), self.read(second, parse_second));
        one.or(other)
    }

    /// A section whose keys all have defaults; the defaults if it is absent.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let table = self.take_table(key).unwrap_or_default();
        Section::read_all(self.notes, self.path_of(key), table, read)
    }

    /// A section that may be absent.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let table = self.take_table(key)?;
        Some(Section::read_all(self.notes, self.path_of(key), table, read))
    }

    /// Several sections of one name, `[[key]]` in the file.
    pub(super) fn sections<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let tables = self.take(key).map_or_else(|| Ok(Vec::new()), Value::try_into::<Vec<Table>>);
        let tables = tables.unwrap_or_else(|_| {
            let message = format!("expected sections: write [[{key}]], in two brackets, and its keys below");
            self.mistake(key, &message);
            Vec::new()
        });
        let read = |(index, table)| {
            Section::read_all(self.notes, format!("{}[{index}]", self.path_of(key)), table, &mut read)
        };
        tables.into_iter().enumerate().map(read).collect()
    }

    /// Notes that a key is missing; `what` says what to write.
    pub(super) fn missing(&self, key: &'static str, what: &str) {
        self.notes.conflict(&self.path_of(key), &self.path_of(key), &format!("missing; {what}"));
    }

    /// Notes a mistake at a key of this section, or at the section itself if `key` is empty.
    pub(super) fn mistake(&self, key: &str, message: &str) {
        self.notes.add(&self.path_of(key), message);
    }

    /// The mistakes found so far, for those that concern several sections.
    pub(super) const fn notes(&self) -> &'n Notes {
        self.notes
    }

    /// The path of a key of this section, or of the section itself if `key` is empty.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn take_table(&mut self, key: &'static str) -> Option<Table> {
        let message = format!("expected a section: write [{}] and its keys below", self.path_of(key));
        self.take(key)?.try_into().map_err(|_| self.mistake(key, &message)).ok()
    }
}

/// Values that no two sections may share, and the section that has each.
pub(super) struct Unique<T>(HashMap<T, String>);

impl<T: Eq + Hash> Unique<T> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Notes a mistake at `key` of `section` if another section has `value`.
    pub(super) fn claim(&mut self, section: &Section<'_>, key: &str, value: T) {
        let own = section.path_of("");
        let owner = self.0.entry(value).or_insert_with(|| own.clone());
        if *owner != own {
            section.mistake(key, &format!("is that of {owner} too; each needs its own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::super::{mistake::Place, source};
    use super::*;

    fn mistakes(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<(String, String)> {
        let (table, origins) = source::parse("gateway.toml", text).unwrap();
        let notes = Notes::new(origins, Vec::new());
        Section::root(table, &notes, read);
        let of_key = |mistake: Mistake| match mistake.place {
            Place::Key { path, .. } => (path, mistake.message),
            place @ (Place::File { .. } | Place::Variable(_)) => panic!("{place:?}"),
        };
        notes.into_mistakes().into_iter().map(of_key).collect()
    }

    #[test]
    fn unknown_keys_are_mistakes_with_a_hint() {
        let found = mistakes("[server]\nlisten = \"a\"\nlistn = \"b\"", |root| {
            let listen = root.section("server", |server| server.read("listen", value::text));
            assert_eq!(listen.as_deref(), Some("a"));
        });
        assert_eq!(found, [("server.listn".to_owned(), "unknown key; did you mean `listen`?".to_owned())]);
    }

    #[test]
    fn sections_and_lists_of_sections_are_told_apart() {
        let found = mistakes("[regions]\n[[server]]", |root| {
            assert!(root.sections("regions", |_| ()).is_empty());
            assert!(root.optional("server", |_| ()).is_none());
        });
        assert!(found[0].0 == "regions" && found[0].1.contains("[[regions]]"), "{found:?}");
        assert!(found[1].0 == "server" && found[1].1.contains("[server]"), "{found:?}");
    }

    #[test]
    fn every_bad_item_of_a_list_is_named() {
        let found = mistakes("words = [\"good\", \"bad\", \"worse\"]", |root| {
            let parse = |word: &str| if word == "good" { Ok(()) } else { Err("not good".to_owned()) };
            assert_eq!(root.list("words", value::texts, parse), Some(vec![()]));
        });
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["words[1]", "words[2]"]);
    }

    #[test]
    fn exactly_one_of_two_settings_is_given() {
        let one = |text| {
            mistakes(text, |root| {
                root.one_of(("a", value::text), ("b", value::text));
            })
        };
        assert!(one("a = \"x\"").is_empty() && one("b = \"x\"").is_empty());
        assert!(one("")[0].1.contains("missing; write a or b"));
        assert!(one("a = \"x\"\nb = \"x\"")[0].1.contains("together with b"));
        assert_eq!(one("b = 1").len(), 1, "a wrong setting is not also missing");
    }

    #[test]
    fn a_wrong_setting_conflicts_with_no_other() {
        let found = mistakes("a = \"x\"", |root| {
            root.mistake("a", "wrong");
            root.read("a", value::text);
            root.notes().at_most(("b", Duration::from_secs(2)), ("a", Duration::from_secs(1)));
            root.notes().at_most(("b", Duration::from_secs(2)), ("c", Duration::from_secs(1)));
        });
        assert_eq!(
            found[1..],
            [("b".to_owned(), "is longer than c (1s); lower it, or raise that".to_owned())]
        );
    }
}
