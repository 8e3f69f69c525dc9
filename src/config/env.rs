//! Variables `IDV__SECTION__KEY` laid over the file, before it is read. Knows which parts of the file are
//! lists of named sections and which keys are two spellings of one setting. Knows no types: values stay text.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::mistake::Mistake;
use super::otlp;

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "IDV__";

/// Lists of sections whose elements are addressed by index or by name.
const LISTS: [&str; 2] = ["regions", "callers"];

/// Keys that are two spellings of one setting: a variable for one replaces the other of the file.
const SPELLINGS: [(&str, &str); 4] = [
    ("access_key", "access_key_file"),
    ("secret_key", "secret_key_file"),
    ("jwks_url", "jwks_file"),
    ("url", "url_file"),
];

/// Which settings came from which variable.
#[derive(Default)]
pub(super) struct Variables {
    /// Path of a setting to the variable that gave it.
    by_path: BTreeMap<String, String>,
    /// Sections that only variables have.
    sections: BTreeSet<String>,
}

impl Variables {
    /// Whether a variable gave the setting at `path`.
    pub(super) fn gave(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// What to name for a mistake at `path`: the variables that made it, else the path.
    pub(super) fn blame(&self, path: &str) -> Vec<String> {
        let (setting, item) = path.rsplit_once('[').unwrap_or((path, ""));
        let list = self.by_path.get(setting).filter(|_| item.ends_with(']'));
        if let Some(variable) = self.by_path.get(path).or(list) {
            return vec![variable.clone()];
        }
        if !self.sections.contains(path) {
            return vec![path.to_owned()];
        }
        let below = format!("{path}.");
        self.by_path
            .iter()
            .filter(|(path, _)| path.starts_with(&below))
            .map(|(_, name)| name.clone())
            .collect()
    }
}

/// The variables of this process that start with [`PREFIX`] or are standard ones of traces; one that is not UTF-8 is a
/// mistake.
pub(super) fn of_process() -> (Vec<(String, String)>, Vec<Mistake>) {
    let (mut variables, mut mistakes) = (Vec::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            _ if !name.starts_with(PREFIX) && !name.starts_with(otlp::PREFIX) => {}
            Ok(value) => variables.push((name, value)),
            Err(_) => mistakes.push(Mistake { key: name, message: "is not UTF-8 text".to_owned() }),
        }
    }
    (variables, mistakes)
}

/// Lays the variables over the file; those that fit nowhere are mistakes.
pub(super) fn overlay(root: &mut Table, env: &[(String, String)]) -> (Variables, Vec<Mistake>) {
    let lists = LISTS.map(|list| (list, element_names(root.get(list))));
    let (mut variables, mut mistakes) = (Variables::default(), Vec::new());
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let applied =
            parse_name(name, &lists).and_then(|steps| apply(root, &steps, name, value, &mut variables));
        mistakes.extend(applied.err().map(|message| Mistake { key: name.clone(), message }));
    }
    (variables, mistakes)
}

/// One step down the file.
enum Step {
    Key(String),
    Element(usize),
}

fn parse_name(name: &str, lists: &[(&str, Vec<String>)]) -> Result<Vec<Step>, String> {
    let words: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    if words.iter().any(String::is_empty) {
        return Err("expected a name such as IDV__SERVER__LISTEN".to_owned());
    }
    let list = lists.iter().find(|(list, _)| *list == words[0]);
    let mut steps: Vec<Step> = words.iter().cloned().map(Step::Key).collect();
    if let (Some((list, names)), Some(word)) = (list, words.get(1)) {
        steps[1] = Step::Element(find_element(list, names, word)?);
    }
    Ok(steps)
}

/// The names of a list's elements, as variables spell them.
fn element_names(list: Option<&Value>) -> Vec<String> {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name = |element: &Value| element.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let elements = list.and_then(Value::as_array).into_iter().flatten();
    elements.map(|element| name(element).chars().map(fold).collect()).collect()
}

fn find_element(list: &str, names: &[String], word: &str) -> Result<usize, String> {
    let matching: Vec<usize> = (0..names.len()).filter(|index| names[*index] == word).collect();
    if let [index] = matching[..] {
        return Ok(index);
    }
    if !matching.is_empty() {
        return Err(format!(
            "matches several {list}; use the index: IDV__{}__0__…",
            list.to_ascii_uppercase()
        ));
    }
    let index = word.parse().ok().filter(|index| *index < names.len());
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    index.ok_or_else(|| format!("matches nothing: the file's {list} are: {known} (by name, or index from 0)"))
}

fn apply(
    root: &mut Table,
    steps: &[Step],
    name: &str,
    value: &str,
    variables: &mut Variables,
) -> Result<(), String> {
    let whole_section = || "names a section, not a setting; name a key in it".to_owned();
    let Some((Step::Key(key), sections)) = steps.split_last() else { return Err(whole_section()) };
    let (section, path) = descend(root, sections, variables)?;
    if section.get(key).is_some_and(holds_sections) {
        return Err(whole_section());
    }
    let path_of = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let Some(other) = variables.by_path.insert(path_of(key), name.to_owned()) {
        return Err(format!("says the same as {other}; keep one of them"));
    }
    section.insert(key.clone(), Value::String(value.to_owned()));
    if let Some(other) = other_spelling(key).filter(|other| !variables.gave(&path_of(other))) {
        section.remove(other);
    }
    Ok(())
}

/// The section at the end of `steps` and its path. Sections that the file does not have are made.
fn descend<'t>(
    root: &'t mut Table,
    steps: &[Step],
    variables: &mut Variables,
) -> Result<(&'t mut Table, String), String> {
    let (mut section, mut path, mut rest) = (root, String::new(), steps);
    if let [Step::Key(list), Step::Element(index), below @ ..] = steps {
        let element =
            section.get_mut(list).and_then(|list| list.get_mut(*index)).and_then(Value::as_table_mut);
        section = element.ok_or_else(|| format!("matches nothing: {list}[{index}] is no section"))?;
        (path, rest) = (format!("{list}[{index}]"), below);
    }
    for step in rest {
        let Step::Key(key) = step else { return Err("matches nothing".to_owned()) };
        path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if !section.contains_key(key) {
            variables.sections.insert(path.clone());
        }
        let below = section.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        section =
            below.as_table_mut().ok_or_else(|| format!("matches nothing: {path} has no keys below it"))?;
    }
    Ok((section, path))
}

fn holds_sections(value: &Value) -> bool {
    value.is_table() || value.as_array().is_some_and(|items| items.iter().any(Value::is_table))
}

fn other_spelling(key: &str) -> Option<&'static str> {
    let pair = SPELLINGS.iter().find(|(a, b)| *a == key || *b == key)?;
    Some(if pair.0 == key { pair.1 } else { pair.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [server]
        listen = "127.0.0.1:8080"
        [[regions]]
        name = "my"
        access_key_file = "/keys/my"
        [[regions]]
        name = "my-two"
        [[callers]]
        name = "on.boarding"
        scopes = ["checks"]
    "#;

    fn laid_over(name: &str, value: &str) -> Result<Table, String> {
        let mut table: Table = FILE.parse().unwrap();
        let (_, mistakes) = overlay(&mut table, &[(name.to_owned(), value.to_owned())]);
        match mistakes.into_iter().next() {
            None => Ok(table),
            Some(mistake) => {
                assert_eq!(mistake.key, name);
                Err(mistake.message)
            }
        }
    }

    #[test]
    fn a_variable_sets_a_key_whether_the_file_has_it_or_not() {
        assert_eq!(laid_over("IDV__SERVER__LISTEN", "x").unwrap()["server"]["listen"].as_str(), Some("x"));
        assert_eq!(
            laid_over("IDV__SERVER__TLS__CERT_FILE", "x").unwrap()["server"]["tls"]["cert_file"].as_str(),
            Some("x")
        );
        assert_eq!(
            laid_over("IDV__CACHE__FINAL_TTL", "1h").unwrap()["cache"]["final_ttl"].as_str(),
            Some("1h")
        );
        assert!(laid_over("IDV_SERVER__LISTEN", "x").is_ok_and(|table| table == FILE.parse().unwrap()));
    }

    #[test]
    fn elements_are_found_by_name_or_index() {
        for (name, index) in [("MY", 0), ("0", 0), ("my", 0), ("MY_TWO", 1), ("1", 1)] {
            let table = laid_over(&format!("IDV__REGIONS__{name}__CONCURRENCY"), "9").unwrap();
            assert_eq!(table["regions"][index]["concurrency"].as_str(), Some("9"), "{name}");
        }
        assert!(laid_over("IDV__CALLERS__ON_BOARDING__SCOPES", "media").is_ok());
    }

    #[test]
    fn a_variable_for_one_spelling_replaces_the_other() {
        let table = laid_over("IDV__REGIONS__MY__ACCESS_KEY", "x").unwrap();
        assert!(table["regions"][0].get("access_key_file").is_none());
    }

    #[test]
    fn a_variable_that_fits_nowhere_is_a_mistake() {
        let table = [
            ("IDV__REGIONS__PH__ACCESS_KEY", "matches nothing"),
            ("IDV__REGIONS__2__ACCESS_KEY", "matches nothing"),
            ("IDV__REGIONS__MY", "names a section"),
            ("IDV__REGIONS", "names a section"),
            ("IDV__SERVER", "names a section"),
            ("IDV__SERVER__LISTEN__PORT", "matches nothing"),
            ("IDV__CALLERS__0__SCOPES__0", "matches nothing"),
            ("IDV__", "expected a name"),
            ("IDV__SERVER__", "expected a name"),
        ];
        for (name, fragment) in table {
            let message = laid_over(name, "x").unwrap_err();
            assert!(message.contains(fragment), "{name}: {message}");
        }
    }

    #[test]
    fn one_setting_takes_one_variable() {
        let env = ["IDV__REGIONS__0__CONCURRENCY", "IDV__REGIONS__MY__CONCURRENCY"]
            .map(|name| (name.to_owned(), "9".to_owned()));
        let (_, mistakes) = overlay(&mut FILE.parse().unwrap(), &env);
        assert!(mistakes[0].message.contains("the same as IDV__REGIONS__0__CONCURRENCY"), "{mistakes:?}");
    }
}
