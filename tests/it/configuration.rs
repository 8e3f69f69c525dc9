//! `docs/configuration.md`: its tables are written from the comments of `src/config/settings.rs` and held to what the
//! reader accepts; the rest of it is written by hand, and its examples are read.

use std::collections::BTreeSet;
use std::fmt::Write;

use idv_gateway::config;
use serde_json::Value;

use crate::support::hold_page;
use crate::support::process::{Scratch, text};

const SETTINGS: &str = include_str!("../../src/config/settings.rs");
const START: &str = "<!-- made by tests/it/configuration.rs from src/config/settings.rs -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// In the place of a default.
const REQUIRED: &str = "**required**";
/// Regions that know their URL.
const PRESETS: [&str; 6] = ["id", "sg", "my", "th", "ph", "vn"];
/// Sections of the contract that are refused for now.
const PLANNED: [&str; 2] = ["remote", "callbacks"];

/// A table of the file, as its comments tell it.
struct Section {
    /// Such as `[server.tls]` or `[[regions]]`.
    heading: String,
    what: String,
    settings: Vec<Setting>,
}

struct Setting {
    /// Two if there are two spellings.
    keys: Vec<String>,
    kind: &'static str,
    what: String,
    /// The default and why it is that; or that there is none.
    default: String,
}

impl Section {
    fn name(&self) -> &str {
        self.heading.trim_matches(['[', ']'])
    }

    /// The variable of a key, where `element` is the name of one of several.
    fn variable(&self, key: &str, element: &str) -> String {
        let element = if self.heading.starts_with("[[") { format!("{element}__") } else { String::new() };
        format!("IDV__{}__{element}{}", self.name().replace('.', "__"), key).to_uppercase()
    }

    /// The name of the one element of `minimal`.
    fn element(&self) -> &'static str {
        if self.name() == "regions" { "my" } else { "a" }
    }
}

/// The sections in the order of their declaration.
fn sections() -> Vec<Section> {
    let (mut sections, mut comment) = (Vec::<Section>::new(), Vec::new());
    for line in SETTINGS.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if line.starts_with("pub struct") || line.starts_with("pub enum") {
            let paragraphs = comment.join(" ");
            let mut paragraphs = paragraphs.split("  ");
            let first = paragraphs.next().unwrap_or_default();
            if let Some((heading, what)) = first.strip_prefix('`').and_then(|text| text.split_once("`: ")) {
                let settings = paragraphs.map(|text| setting(text, "word")).collect();
                sections.push(Section { heading: heading.to_owned(), what: sentence(what), settings });
            }
            comment.clear();
        } else if let Some((_, kind)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
            let text = comment.join(" ");
            if text.starts_with('`') && !text.starts_with("`[") {
                let section = sections.last_mut().expect("a setting is in a section");
                section.settings.push(setting(&text, kind_of(kind.trim_end_matches(','))));
            }
            comment.clear();
        } else if !line.starts_with("#[") && !line.starts_with("// ") {
            comment.clear();
        }
    }
    sections.retain(|section| !PLANNED.contains(&section.name()));
    sections
}

/// One setting from its comment.
#[track_caller]
fn setting(comment: &str, kind: &'static str) -> Setting {
    let (keys, rest) = comment.split_once(": ").expect("a key, a colon, what it is");
    let keys = keys.split(" or ").map(|key| key.trim_matches('`').to_owned()).collect();
    let (what, default) = match rest.split_once(". Required") {
        Some((what, more)) => (what, format!("{REQUIRED}{more}")),
        None => {
            let (what, default) = rest.split_once(". Default ").expect("a default, or Required");
            (what, default.to_owned())
        }
    };
    Setting { keys, kind, what: sentence(what), default: default.trim_end_matches('.').to_owned() }
}

/// Begins large and ends with a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

/// What a type of ours is in the file.
#[track_caller]
fn kind_of(rust: &str) -> &'static str {
    match rust {
        "SocketAddr" => "address and port",
        "usize" | "Option<NonZeroU32>" => "whole number",
        "u64" => "size",
        "Duration" => "duration",
        "PathBuf" | "Option<PathBuf>" => "file",
        "bool" => "`true` or `false`",
        "String" | "Option<String>" | "RegionName" => "text",
        "Secret" => "file, or text",
        "Option<Otlp>" => "URL",
        "Jwks" => "URL, or file",
        "LogFormat" => "word",
        "Vec<[u8; 32]>" => "one hash, or a list",
        "Vec<String>" | "Scopes" | "Option<Vec<RegionName>>" => "list of texts",
        other => panic!("what is a {other} in the file?"),
    }
}

/// A configuration with nothing in it that has a default.
fn minimal(region: &str) -> String {
    format!(
        "[[regions]]\nname = \"{region}\"\naccess_key = \"a\"\nsecret_key = \"s\"\n\
         [[callers]]\nname = \"a\"\nkey_sha256 = \"{}\"\n",
        "1".repeat(64)
    )
}

/// What is wrong with a variable laid over a minimal configuration.
fn mistakes(variable: &str, value: &str) -> Vec<String> {
    let env = [(variable.to_owned(), value.to_owned())];
    let mistakes = config::parse("gateway.toml", &minimal("my"), &env).err();
    let mistakes = mistakes.into_iter().flat_map(|mistakes| mistakes.mistakes);
    mistakes.filter(|mistake| mistake.key.starts_with(variable)).map(|mistake| mistake.message).collect()
}

/// The bounds of a number, a duration or a size, in the reader's own words.
fn bounds(variable: &str) -> Option<String> {
    let too_much = ["999999h", "4294967295", "999999TiB"];
    let told = too_much.iter().flat_map(|value| mistakes(variable, value));
    told.filter_map(|message| Some(message.split_once(" from ")?.1.to_owned()))
        .find(|told| told.contains(" to "))
}

#[test]
fn the_page_has_every_setting_that_the_reader_knows_and_no_other() {
    let sections = sections();
    let known_at = |variable: &str| {
        let told = mistakes(variable, "x");
        let known = told.iter().find_map(|message| message.split_once("known are "));
        let (_, known) = known.unwrap_or_else(|| panic!("{variable}: {told:?}"));
        known.split(", ").map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let mut below_root = BTreeSet::new();
    for section in &sections {
        let mut documented: BTreeSet<_> =
            section.settings.iter().flat_map(|setting| setting.keys.clone()).collect();
        let within = sections.iter().filter_map(|other| other.name().split_once('.'));
        documented
            .extend(within.filter(|(outer, _)| *outer == section.name()).map(|(_, name)| name.to_owned()));
        let unknown = section.variable("zzzzzzzzzzzzzzzzzzzz", section.element());
        assert_eq!(documented, known_at(&unknown), "{}", section.heading);
        below_root.extend((!section.name().contains('.')).then(|| section.name().to_owned()));
        for key in section.settings.iter().flat_map(|setting| &setting.keys) {
            let variable = section.variable(key, section.element());
            let told = mistakes(&variable, "\u{7}").concat();
            assert!(!told.is_empty() && !told.contains("unknown key"), "{variable} is not read: {told}");
        }
    }
    let known = known_at("IDV__ZZZZZZZZZZZZZZZZZZZZ");
    assert!(below_root.is_subset(&known), "{known:?}");
    for section in known.difference(&below_root) {
        let told = mistakes(&format!("IDV__{section}__X").to_uppercase(), "x").concat();
        assert!(told.contains("does not have it yet"), "{section} is no longer refused: {told}");
    }
}

#[test]
fn the_defaults_of_the_page_are_the_real_ones() {
    let config = config::parse("gateway.toml", &minimal("my"), &[]);
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let effective: Value = serde_json::from_str(&config.masked()).expect("JSON");
    for section in sections() {
        let at = section.name().split('.').fold(&effective, |at, name| &at[name]);
        let at = if section.heading.starts_with("[[") { &at[0] } else { at };
        for setting in &section.settings {
            let (key, real) = (&setting.keys[0], &at[&setting.keys[0]]);
            if setting.default.starts_with(REQUIRED) {
                continue;
            }
            let real = match real {
                Value::String(text) => Some(text.clone()),
                Value::Array(items) => items.first().map(Value::to_string),
                Value::Null => None,
                other => Some(other.to_string()),
            };
            let quoted = setting.default.strip_prefix('`').and_then(|text| text.split('`').next());
            // One setting may be the default of another.
            let quoted = quoted.map(|text| at[text].as_str().unwrap_or(text).to_owned());
            let is_given_by_minimal = ["key_sha256", "base_url"].contains(&key.as_str());
            if !is_given_by_minimal {
                assert_eq!(quoted, real, "{} {key}", section.heading);
            }
        }
    }
}

/// What stands between the marks.
fn tables() -> String {
    let mut page = String::new();
    for section in sections() {
        // Writing to a string does not fail.
        let _ = write!(page, "\n### `{}`\n\n{}\n\n", section.heading, section.what);
        page.push_str("| key and variable | value | what it is | default, and why |\n|---|---|---|---|\n");
        for setting in &section.settings {
            let spelt = |key: &String| format!("`{key}`<br>`{}`", section.variable(key, "<name>"));
            let keys = setting.keys.iter().map(spelt).collect::<Vec<_>>().join("<br>or ");
            let bounds = bounds(&section.variable(&setting.keys[0], section.element()));
            let bounds = bounds.map(|bounds| format!(", {bounds}")).unwrap_or_default();
            let (kind, what, default) = (setting.kind, &setting.what, &setting.default);
            let _ = writeln!(page, "| {keys} | {kind}{bounds} | {what} | {default} |");
        }
    }
    page + &presets() + "\n"
}

fn presets() -> String {
    let mut page = "\n### Presets\n\nA region of one of these names needs no `base_url`:\n\n| name | base_url |\n|---|---|\n".to_owned();
    for name in PRESETS {
        let config = config::parse("gateway.toml", &minimal(name), &[]);
        let url =
            config.map_or_else(|mistakes| panic!("{mistakes}"), |config| config.regions[0].base_url.clone());
        let _ = writeln!(page, "| `{name}` | `{url}` |");
    }
    let other = config::parse("gateway.toml", &minimal("xx"), &[]).err().expect("no preset").to_string();
    let [first @ .., last] = PRESETS;
    assert!(other.contains(&format!("only {} and {last} know theirs", first.join(", "))), "{other}");
    page
}

const PAGE: &str = include_str!("../../docs/configuration.md");

#[test]
fn the_page_is_up_to_date() {
    let (before, rest) = PAGE.split_once(START).expect("the page says where the tables start");
    let (_, after) = rest.split_once(END).expect("the page says where the tables end");
    let wanted = format!("{before}{START}{}{END}{after}", tables());
    hold_page("docs/configuration.md", PAGE, &wanted);
}

#[test]
fn the_examples_of_the_page_are_good_and_the_complete_one_is_complete() {
    let examples: Vec<&str> =
        PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2, "there are examples");
    let scratch = Scratch::new();
    // What the files of the examples hold matters to the gateway, and not to the reader of the configuration.
    let file = scratch.write("file", &format!("{}\n", "2".repeat(64)));
    for example in &examples {
        let mut here = (*example).to_owned();
        for path in example.split('"').filter(|text| text.starts_with('/')) {
            here = here.replace(&format!("\"{path}\""), &format!("\"{}\"", text(&file)));
        }
        if let Err(mistakes) = config::parse("example.toml", &here, &[]) {
            panic!("{mistakes}\n{example}");
        }
    }
    let complete = examples.iter().max_by_key(|example| example.len()).expect("there is one");
    for section in sections() {
        assert!(complete.contains(&section.heading), "the complete example has no {}", section.heading);
        for setting in &section.settings {
            let is_there = |key: &String| complete.lines().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(setting.keys.iter().any(is_there), "{} has no {:?}", section.heading, setting.keys);
        }
    }
}
