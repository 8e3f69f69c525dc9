//! A section of the file being read: gives out its settings one by one, notes every mistake, and at the end
//! names the keys nobody asked for. Knows no setting.

use std::cell::RefCell;

use toml::{Table, Value};

use super::env::Variables;
use super::mistake::Mistake;
use super::suggest;
use super::value::Raw;

/// What one reading has found wrong so far.
pub(super) struct Notes {
    variables: Variables,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Notes {
    pub(super) const fn new(variables: Variables, mistakes: Vec<Mistake>) -> Self {
        Self { variables, mistakes: RefCell::new(mistakes) }
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    /// Notes a mistake at `path`, or at the variables that made it.
    fn add(&self, path: &str, message: &str) {
        let note = |key: String| Mistake { key, message: message.to_owned() };
        self.mistakes.borrow_mut().extend(self.variables.blame(path).into_iter().map(note));
    }
}

/// A setting as found.
pub(super) enum Setting<T> {
    /// Not there.
    Absent,
    /// There, but wrong: the mistake is noted.
    Wrong,
    /// There.
    Given(T),
}

impl<T> Setting<T> {
    /// The setting, or `default` if it is absent. `None`: it is wrong.
    pub(super) fn or(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Wrong => None,
            Self::Given(value) => Some(value),
        }
    }

    /// A setting that may be absent. The outer `None`: it is wrong.
    pub(super) fn optional(self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Wrong => None,
            Self::Given(value) => Some(Some(value)),
        }
    }
}

/// A section of the file. Call [`Section::finish`] when all its keys are read.
pub(super) struct Section<'n> {
    notes: &'n Notes,
    path: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    pub(super) const fn root(table: Table, notes: &'n Notes) -> Self {
        Self { notes, path: String::new(), table, known: Vec::new() }
    }

    /// One value.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Raw<'_>) -> Result<T, String>,
    ) -> Setting<T> {
        let Some(value) = self.take(key) else { return Setting::Absent };
        let from_env = self.notes.variables.gave(&self.path_of(key));
        match parse(&Raw { value: &value, from_env }) {
            Ok(parsed) => Setting::Given(parsed),
            Err(message) => self.wrong(key, &message),
        }
    }

    /// One value that must be there; `what` says what to write. `None`: the mistake is noted.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Raw<'_>) -> Result<T, String>,
        what: &str,
    ) -> Option<T> {
        match self.read(key, parse) {
            Setting::Absent => {
                self.mistake(key, &format!("missing; {what}"));
                None
            }
            Setting::Wrong => None,
            Setting::Given(value) => Some(value),
        }
    }

    /// A list of texts, each parsed by itself so that every bad one is named.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        split: impl FnOnce(&Raw<'_>) -> Result<Vec<String>, String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Setting<Vec<T>> {
        let texts = match self.read(key, split) {
            Setting::Absent => return Setting::Absent,
            Setting::Wrong => return Setting::Wrong,
            Setting::Given(texts) => texts,
        };
        let mut parsed = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match parse(text) {
                Ok(item) => parsed.push(item),
                Err(message) => self.mistake(&format!("{key}[{index}]"), &message),
            }
        }
        if parsed.len() == texts.len() { Setting::Given(parsed) } else { Setting::Wrong }
    }

    /// The one of two settings that is given. `None`: neither or both, which is noted, or a wrong one.
    pub(super) fn one_of<T>(&self, first: (&str, Setting<T>), second: (&str, Setting<T>)) -> Option<T> {
        match (first.1, second.1) {
            (Setting::Given(value), Setting::Absent) | (Setting::Absent, Setting::Given(value)) => {
                Some(value)
            }
            (Setting::Wrong, Setting::Absent) | (Setting::Absent, Setting::Wrong) => None,
            (Setting::Absent, Setting::Absent) => {
                self.mistake(first.0, &format!("missing; write {} or {}", first.0, second.0));
                None
            }
            (Setting::Given(_) | Setting::Wrong, Setting::Given(_) | Setting::Wrong) => {
                self.mistake(first.0, &format!("given together with {}; keep one of them", second.0));
                None
            }
        }
    }

    /// A section below this one.
    pub(super) fn subsection(&mut self, key: &'static str) -> Setting<Section<'n>> {
        let path = self.path_of(key);
        match self.take(key) {
            None => Setting::Absent,
            Some(Value::Table(table)) => Setting::Given(Section { path, ..Section::root(table, self.notes) }),
            Some(_) => self.wrong(key, &format!("expected a section: write [{path}] and its keys below")),
        }
    }

    /// A section below this one, empty if it is absent or wrong: for sections whose keys all have defaults.
    pub(super) fn subsection_or_empty(&mut self, key: &'static str) -> Section<'n> {
        let path = self.path_of(key);
        match self.subsection(key) {
            Setting::Given(section) => section,
            Setting::Absent | Setting::Wrong => Section { path, ..Section::root(Table::new(), self.notes) },
        }
    }

    /// Several sections of one name, `[[key]]` in the file.
    pub(super) fn subsections(&mut self, key: &'static str) -> Setting<Vec<Section<'n>>> {
        let expected =
            format!("expected sections: write [[{key}]], in two brackets, and the keys of one below");
        let values = match self.take(key) {
            None => return Setting::Absent,
            Some(Value::Array(values)) => values,
            Some(_) => return self.wrong(key, &expected),
        };
        let mut sections = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let Value::Table(table) = value else { return self.wrong(key, &expected) };
            let path = format!("{}[{index}]", self.path_of(key));
            sections.push(Section { path, ..Section::root(table, self.notes) });
        }
        Setting::Given(sections)
    }

    /// Refuses a key that may not be here, with the reason.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str) {
        if self.table.remove(key).is_some() {
            self.mistake(key, message);
        }
    }

    /// Notes a mistake at a key of this section, or at the section itself if `key` is empty.
    pub(super) fn mistake(&self, key: &str, message: &str) {
        self.notes.add(&self.path_of(key), message);
    }

    /// Notes a mistake of a variable that stands for no key of the file.
    pub(super) fn mistake_of_variable(&self, name: &str, message: &str) {
        self.notes.add(name, message);
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            // A key in quotes may hold anything, and a mistake is one line.
            self.mistake(
                &key.escape_debug().to_string(),
                &format!("unknown key; {}", suggest::hint(key, &self.known)),
            );
        }
    }

    /// The path of a key of this section.
    pub(super) fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn wrong<T>(&self, key: &str, message: &str) -> Setting<T> {
        self.mistake(key, message);
        Setting::Wrong
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;

    fn mistakes(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<(String, String)> {
        let notes = Notes::new(Variables::default(), Vec::new());
        let mut root = Section::root(text.parse().unwrap(), &notes);
        read(&mut root);
        root.finish();
        notes.into_mistakes().into_iter().map(|mistake| (mistake.key, mistake.message)).collect()
    }

    #[test]
    fn keys_nobody_asked_for_are_mistakes_with_a_hint() {
        let found = mistakes("[server]\nlisten = \"a\"\nlistn = \"b\"", |root| {
            let mut server = root.subsection_or_empty("server");
            assert!(matches!(server.read("listen", value::text), Setting::Given(_)));
            server.finish();
        });
        assert_eq!(found, [("server.listn".to_owned(), "unknown key; did you mean `listen`?".to_owned())]);
    }

    #[test]
    fn sections_and_lists_of_sections_are_told_apart() {
        let found = mistakes("[regions]\n[[server]]", |root| {
            assert!(matches!(root.subsections("regions"), Setting::Wrong));
            assert!(matches!(root.subsection("server"), Setting::Wrong));
        });
        assert!(found[0].0 == "regions" && found[0].1.contains("[[regions]]"), "{found:?}");
        assert!(found[1].0 == "server" && found[1].1.contains("[server]"), "{found:?}");
    }

    #[test]
    fn every_bad_item_of_a_list_is_named() {
        let found = mistakes("words = [\"good\", \"bad\", \"worse\"]", |root| {
            let parse = |word: &str| if word == "good" { Ok(()) } else { Err("not good".to_owned()) };
            assert!(matches!(root.list("words", value::texts, parse), Setting::Wrong));
        });
        assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["words[1]", "words[2]"]);
    }

    #[test]
    fn exactly_one_of_two() {
        let one = |text| {
            mistakes(text, |root| {
                let (first, second) = (root.read("a", value::text), root.read("b", value::text));
                root.one_of(("a", first), ("b", second));
            })
        };
        assert!(one("a = \"x\"").is_empty() && one("b = \"x\"").is_empty());
        assert!(one("")[0].1.contains("missing; write a or b"));
        assert!(one("a = \"x\"\nb = \"x\"")[0].1.contains("together with b"));
    }
}
