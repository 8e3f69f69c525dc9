//! The text of the file as a TOML table, and where each of its values comes from: a line of the file or a variable.

use std::collections::BTreeMap;

use toml::Table;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistakes, Place};

/// Where values come from, by path such as `regions[1].base_url`.
#[derive(Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// The name of a variable.
    Variable(String),
}

/// The file as a table. A syntax error is reported by its place and without the text around it: that may be a key.
pub(super) fn parse(file: &str, text: &str) -> Result<(Table, Origins), Mistakes> {
    let parsed = text.parse().and_then(|table: Table| Ok((table, DeTable::parse(text)?)));
    let (table, spans) = parsed.map_err(|error| syntax_error(file, text, &error))?;
    let mut origins = Origins::default();
    origins.record_table(spans.get_ref(), "", &|at| line_of(text, at));
    Ok((table, origins))
}

fn syntax_error(file: &str, text: &str, error: &toml::de::Error) -> Mistakes {
    let at = error.span().map_or(0, |span| text.floor_char_boundary(span.start));
    let column = text[..at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    // The parser's message about a number that is too large shows its digits.
    let message = error.message();
    let message = if message.contains('`') && message.starts_with("invalid") {
        "a value that is too large; write text in quotes".to_owned()
    } else {
        message.replace('\n', ", ")
    };
    Mistakes::of_file(file, Some(line_of(text, at)), format!("not TOML at column {column}: {message}"))
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The path of `key` in the section at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_owned(),
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

impl Origins {
    fn record_table(&mut self, table: &DeTable<'_>, path: &str, line: &impl Fn(usize) -> usize) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.0.insert(path.clone(), Origin::Line(line(key.span().start)));
            self.record(value.get_ref(), &path, line);
        }
    }

    fn record(&mut self, value: &DeValue<'_>, path: &str, line: &impl Fn(usize) -> usize) {
        if let DeValue::Table(table) = value {
            self.record_table(table, path, line);
        } else if let DeValue::Array(items) = value {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                self.0.insert(path.clone(), Origin::Line(line(item.span().start)));
                self.record(item.get_ref(), &path, line);
            }
        }
    }

    /// Records that a variable gave the value at `path`, and names the one that gave it before.
    pub(super) fn give(&mut self, path: String, variable: &str) -> Option<String> {
        match self.0.insert(path, Origin::Variable(variable.to_owned())) {
            Some(Origin::Variable(name)) => Some(name),
            Some(Origin::Line(_)) | None => None,
        }
    }

    /// Whether a variable gave the value at `path`.
    pub(super) fn is_variable(&self, path: &str) -> bool {
        matches!(self.0.get(path), Some(Origin::Variable(_)))
    }

    /// The places to name for a mistake at `path`: the variable that gave it or the list that it is in, or all variables
    /// that gave a section which the file does not have, or the key.
    pub(super) fn places(&self, path: &str) -> Vec<Place> {
        let list =
            path.strip_suffix(']').and_then(|path| path.rsplit_once('[')).map_or(path, |(list, _)| list);
        let below = format!("{path}.");
        let names = self.0.iter().filter_map(|(at, origin)| match origin {
            Origin::Variable(name) if at == path || at == list => Some(name),
            Origin::Variable(name) if !self.0.contains_key(path) && at.starts_with(&below) => Some(name),
            Origin::Variable(_) | Origin::Line(_) => None,
        });
        let variables: Vec<Place> = names.cloned().map(Place::Variable).collect();
        if variables.is_empty() {
            return vec![Place::Key { path: path.to_owned(), line: self.line(path) }];
        }
        variables
    }

    /// The line of the value at `path`, or of the nearest section around it.
    fn line(&self, path: &str) -> Option<usize> {
        match self.0.get(path) {
            Some(Origin::Line(line)) => Some(*line),
            Some(Origin::Variable(_)) | None => self.line(&path[..path.rfind(['.', '['])?]),
        }
    }
}
