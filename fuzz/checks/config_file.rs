//! A configuration: the text of a file and, after a zero byte, variables, one `NAME=value` a line.

use crate::config;
use crate::domain::text::is_hidden;

/// Reads the bytes as a configuration.
pub fn config_file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Files that a machine happens to have would decide the outcome.
    let lower = text.to_ascii_lowercase();
    if lower.contains("_file") || lower.contains("certificate") {
        return;
    }
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let env: Vec<(String, String)> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut secrets = secrets(file);
    // A secret that is a variable's name as well may be shown as such.
    secrets.retain(|secret| env.iter().all(|(name, _)| !name.contains(secret)));
    let is_shown = |page: &str| secrets.iter().any(|secret| page.contains(secret));
    match config::parse("gateway.toml", file, &env) {
        Ok(config) => {
            let page = config.masked();
            assert!(!is_shown(&page), "a secret on the page of the configuration");
            let page: serde_json::Value = serde_json::from_str(&page).expect("the page is JSON");
            assert!(page["regions"].as_array().is_some_and(|regions| !regions.is_empty()));
        }
        Err(mistakes) => {
            let page = mistakes.to_string();
            assert!(!is_shown(&page), "a secret in the text of a mistake");
            assert!(!mistakes.mistakes.is_empty(), "refused without a reason");
            assert_eq!(page.lines().count(), mistakes.mistakes.len(), "one line for each mistake");
            assert!(!page.replace('\n', "").contains(is_hidden), "a line that cannot be read");
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
    values.filter(|secret| secret.len() >= 12 && file.matches(*secret).count() == 1).collect()
}
