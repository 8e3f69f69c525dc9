//! Variables `IDV__SECTION__KEY`, which override the file before it is read. Knows which keys are two spellings of one
//! setting. Knows no types: values stay text.

use toml::{Table, Value};

use super::mistake::{Mistake, Place};
use super::source::{Origins, join};

/// What each of our variables starts with.
const PREFIX: &str = "IDV__";
/// What each standard variable of OpenTelemetry starts with.
const STANDARD_PREFIX: &str = "OTEL_";

/// Keys that are two spellings of one setting: a variable for one replaces the other of the file.
const SPELLINGS: [(&str, &str); 4] = [
    ("access_key", "access_key_file"),
    ("secret_key", "secret_key_file"),
    ("jwks_url", "jwks_file"),
    ("url", "url_file"),
];

/// The variables of this process that concern the gateway. One that is not UTF-8 is a mistake.
pub(super) fn of_process() -> (Vec<(String, String)>, Vec<Mistake>) {
    let (mut variables, mut mistakes) = (Vec::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            _ if !name.starts_with(PREFIX) && !name.starts_with(STANDARD_PREFIX) => {}
            Ok(value) => variables.push((name, value)),
            Err(_) => mistakes.push(mistake(name, "is not UTF-8 text".to_owned())),
        }
    }
    (variables, mistakes)
}

/// The standard variables of OpenTelemetry as settings. An empty one counts as absent, as the standard says.
pub(super) fn standard(env: &[(String, String)], origins: &mut Origins) -> Table {
    let mut table = Table::new();
    for (name, value) in env {
        if name.starts_with(STANDARD_PREFIX) && !value.is_empty() {
            origins.give(name.clone(), name);
            table.insert(name.clone(), Value::String(value.clone()));
        }
    }
    table
}

/// Writes the variables over the file; those that fit nowhere are mistakes.
pub(super) fn overlay(root: &mut Table, origins: &mut Origins, env: &[(String, String)]) -> Vec<Mistake> {
    let ours = env.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let applied = ours.map(|(name, value)| (name, set(root, origins, name, value)));
    applied.filter_map(|(name, set)| Some(mistake(name.clone(), set.err()?))).collect()
}

fn mistake(variable: String, message: String) -> Mistake {
    Mistake { place: Place::Variable(variable), message }
}

fn set(root: &mut Table, origins: &mut Origins, name: &str, value: &str) -> Result<(), String> {
    const IS_SECTION: &str = "names a section, not a setting; name a key in it";
    let words: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    if words.iter().any(String::is_empty) {
        return Err("expected a name such as IDV__SERVER__LISTEN".to_owned());
    }
    let (mut section, mut path) = (root, String::new());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        path = join(&path, &word);
        if words.peek().is_none() {
            if section.get(&word).is_some_and(holds_sections) {
                return Err(IS_SECTION.to_owned());
            }
            return give(section, origins, &path, (name, value));
        }
        let mut below = section.entry(word).or_insert_with(|| Value::Table(Table::new()));
        if let Some(elements) = below.as_array().filter(|elements| elements.iter().all(Value::is_table)) {
            let index = find_element(&path, elements, &words.next().unwrap_or_default())?;
            path = format!("{path}[{index}]");
            below = &mut below[index];
        }
        let has_no_keys = || format!("matches nothing: {path} has no keys below it");
        section = below.as_table_mut().ok_or_else(has_no_keys)?;
    }
    Err(IS_SECTION.to_owned())
}

/// Writes one value, and removes the setting's other spelling unless another variable gave that.
fn give(
    section: &mut Table,
    origins: &mut Origins,
    path: &str,
    variable: (&str, &str),
) -> Result<(), String> {
    let (name, value) = variable;
    if let Some(other) = origins.give(path.to_owned(), name) {
        return Err(format!("says the same as {other}; keep one of them"));
    }
    let (above, key) = path.rsplit_once('.').unwrap_or(("", path));
    section.insert(key.to_owned(), Value::String(value.to_owned()));
    let pair = SPELLINGS.iter().find(|(a, b)| *a == key || *b == key);
    if let Some(other) = pair.map(|(a, b)| if *a == key { *b } else { *a })
        && !origins.is_variable(&join(above, other))
    {
        section.remove(other);
    }
    Ok(())
}

fn holds_sections(value: &Value) -> bool {
    value.is_table() || value.as_array().is_some_and(|items| items.iter().any(Value::is_table))
}

/// The element of a list of sections that `word` addresses: by its name, or by its index from 0.
fn find_element(list: &str, elements: &[Value], word: &str) -> Result<usize, String> {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name = |element: &Value| element.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let names: Vec<String> =
        elements.iter().map(|element| name(element).chars().map(fold).collect()).collect();
    let matching: Vec<usize> = (0..names.len()).filter(|index| names[*index] == word).collect();
    match matching[..] {
        [index] => Ok(index),
        [] => word.parse().ok().filter(|index| *index < names.len()).ok_or_else(|| {
            format!("matches nothing: the file's {list} are: {} (by name, or index from 0)", names.join(", "))
        }),
        _ => Err(format!("matches several {list}; use the index: IDV__{}__0__…", list.to_ascii_uppercase())),
    }
}
