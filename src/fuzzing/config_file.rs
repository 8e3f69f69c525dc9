//! A configuration: the text of a file and, after a zero byte, variables, one `NAME=value` a line.

use toml::{Table, Value};

use crate::config::{self, Place};
use crate::domain::text::is_hidden;

/// Reads the bytes as a configuration.
pub fn config_file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let env: Vec<(String, String)> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if leads_elsewhere(file, &env) {
        return;
    }
    let mut secrets = secrets(file);
    // Nor is it the name of a variable, which is told.
    secrets.retain(|secret| env.iter().all(|(name, _)| !name.contains(secret)));
    let is_told = |page: &str| secrets.iter().any(|secret| page.contains(secret));
    match config::parse("gateway.toml", file, &env) {
        Ok(config) => {
            let page = config.masked();
            assert!(!is_told(&page), "a secret on the page of the configuration");
            let page: serde_json::Value = serde_json::from_str(&page).expect("the page is JSON");
            assert!(page["regions"].as_array().is_some_and(|regions| !regions.is_empty()));
        }
        Err(mistakes) => {
            let page = mistakes.to_string();
            assert!(!is_told(&page), "a secret in what is said of a mistake");
            assert!(!mistakes.mistakes.is_empty(), "refused without a reason");
            assert_eq!(page.lines().count(), mistakes.mistakes.len(), "one line a mistake");
            assert!(!page.replace('\n', "").contains(is_hidden), "a line that cannot be read");
            for mistake in &mistakes.mistakes {
                assert!(!mistake.message.is_empty(), "a mistake that is not explained");
                let is_syntax = mistake.message.starts_with("not TOML");
                let is_of_file = matches!(mistake.place, Place::File { .. });
                assert_eq!(is_of_file, is_syntax, "a mistake without a place");
            }
        }
    }
}

/// What is written as a key of a region, on a line of its own and nowhere else in the file.
fn secrets(file: &str) -> Vec<&str> {
    let values = file.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let is_key = matches!(name.trim(), "access_key" | "secret_key");
        value.trim().trim_matches('"').split('"').next().filter(|_| is_key)
    });
    let is_told_apart = |secret: &&str| secret.len() >= 12 && file.matches(*secret).count() == 1;
    values.filter(is_told_apart).collect()
}

/// Whether it names files outside the working directory: what a machine happens to have there would decide the run.
fn leads_elsewhere(file: &str, env: &[(String, String)]) -> bool {
    let is_path = |key: &str, value: &str| {
        let key = key.to_ascii_lowercase();
        (key.ends_with("_file") || key.ends_with("certificate")) && value.contains('/')
    };
    let table: Table = file.parse().unwrap_or_default();
    table.values().any(|value| has_path(value, &is_path))
        || env.iter().any(|(name, value)| is_path(name, value))
}

fn has_path(value: &Value, is_path: &impl Fn(&str, &str) -> bool) -> bool {
    match value {
        Value::Table(table) => table.iter().any(|(key, value)| {
            value.as_str().is_some_and(|text| is_path(key, text)) || has_path(value, is_path)
        }),
        Value::Array(items) => items.iter().any(|item| has_path(item, is_path)),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            false
        }
    }
}
