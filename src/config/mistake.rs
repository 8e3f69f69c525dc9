//! What is wrong with a configuration, as told to the person who wrote it.
//! Knows nothing of TOML and never holds a value of the file that may be a secret.

use std::fmt;

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where: a key path such as `regions[1].base_url`, the variable that gave the value, or nothing if it is
    /// the file as a whole.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Every mistake of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file, as the user named it.
    pub file: String,
    /// At least one, in the order of the settings.
    pub mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// A mistake of the file as a whole.
    pub(super) fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), mistakes: vec![Mistake { key: String::new(), message }] }
    }
}

impl fmt::Display for Mistakes {
    /// One line a mistake: file (or `environment`), key, message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { key, message }) in self.mistakes.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let (key, message) = (visible(key), visible(message));
            if key.is_empty() {
                write!(f, "{}: {message}", self.file)?;
            } else if key.starts_with(super::env::PREFIX) || key.starts_with(super::otlp::PREFIX) {
                write!(f, "environment: {key}: {message}")?;
            } else {
                write!(f, "{}: {key}: {message}", self.file)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Text with its control characters spelled out: a key that nobody knows is shown, and may hold any.
fn visible(text: &str) -> String {
    let spelled = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(spelled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_one_line_that_says_where() {
        let mistake = |key: &str| Mistake { key: key.to_owned(), message: "wrong".to_owned() };
        let keys = ["regions[0].name", "IDV__SERVER__LISTEN", "OTEL_A", "", "a\nb\u{1b}"];
        let mistakes = keys.map(mistake).to_vec();
        let shown = Mistakes { file: "gateway.toml".to_owned(), mistakes }.to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "gateway.toml: regions[0].name: wrong",
                "environment: IDV__SERVER__LISTEN: wrong",
                "environment: OTEL_A: wrong",
                "gateway.toml: wrong",
                "gateway.toml: a\\nb\\u{1b}: wrong"
            ]
        );
    }
}
