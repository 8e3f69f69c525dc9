//! What is wrong with a configuration, as reported to the person who wrote it. Never holds a value of the file: it may
//! be a secret.

use std::fmt;

use crate::domain::text::escape_hidden;

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole, or a line of it that is not TOML.
    File {
        /// Counted from 1.
        line: Option<usize>,
    },
    /// A key of the file.
    Key {
        /// Such as `regions[1].base_url`.
        path: String,
        /// The key's line, or its section's if the key is missing.
        line: Option<usize>,
    },
    /// The environment variable that gave the value.
    Variable(String),
}

impl Place {
    /// The line of the file, if it is known.
    pub(super) const fn line(&self) -> Option<usize> {
        match self {
            Self::File { line } | Self::Key { line, .. } => *line,
            Self::Variable(_) => None,
        }
    }
}

/// Every mistake of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file, as the user named it.
    pub file: String,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// One mistake of the file as a whole.
    pub(super) fn of_file(file: &str, line: Option<usize>, message: String) -> Self {
        Self { file: file.to_owned(), mistakes: vec![Mistake { place: Place::File { line }, message }] }
    }
}

impl fmt::Display for Mistakes {
    /// One line per mistake: file and line (or `environment`), key, message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { place, message }) in self.mistakes.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let line = |line: &Option<usize>| line.map(|line| format!(":{line}")).unwrap_or_default();
            let place = match place {
                Place::File { line: at } => format!("{}{}", self.file, line(at)),
                Place::Key { path, line: at } => format!("{}{}: {path}", self.file, line(at)),
                Place::Variable(name) => format!("environment: {name}"),
            };
            write!(f, "{}", escape_hidden(&format!("{place}: {message}")))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The end of a message about an unknown word: the nearest of `known`, else all of them.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

/// The one of `known` that `word` is probably a misspelling of.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let most_typos = (word.chars().count() / 3).max(1);
    let distance = |known: &str| strsim::osa_distance(&word, &known.replace('-', "_"));
    let nearest = known.iter().map(|known| (distance(known), *known)).min();
    nearest.filter(|(typos, _)| *typos <= most_typos).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_one_line_that_names_its_place() {
        let key = |path: &str, line| Place::Key { path: path.to_owned(), line };
        let places = [
            Place::File { line: None },
            Place::File { line: Some(3) },
            key("callers", None),
            key("regions[0].name", Some(12)),
            key("a\nb\u{1b}\u{ad}\u{feff}\u{e0041}", Some(1)),
            Place::Variable("IDV__SERVER__LISTEN".to_owned()),
        ];
        let mistakes = places.map(|place| Mistake { place, message: "wrong".to_owned() }).to_vec();
        let shown = Mistakes { file: "gateway.toml".to_owned(), mistakes }.to_string();
        assert_eq!(
            shown.lines().collect::<Vec<_>>(),
            [
                "gateway.toml: wrong",
                "gateway.toml:3: wrong",
                "gateway.toml: callers: wrong",
                "gateway.toml:12: regions[0].name: wrong",
                "gateway.toml:1: a\\nb\\u{1b}\\u{ad}\\u{feff}\\u{e0041}: wrong",
                "environment: IDV__SERVER__LISTEN: wrong",
            ]
        );
    }

    #[test]
    fn a_near_miss_gets_a_suggestion_and_a_stranger_gets_the_list() {
        let known = ["listen", "admin_listen", "max_connections"];
        assert_eq!(hint("listn", &known), "did you mean `listen`?");
        assert_eq!(hint("Admin-Listen", &known), "did you mean `admin_listen`?");
        assert_eq!(hint("inof", &["info", "warn"]), "did you mean `info`?");
        assert_eq!(hint("colour", &known), "known are listen, admin_listen, max_connections");
    }
}
