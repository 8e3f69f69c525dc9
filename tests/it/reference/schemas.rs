//! Schemas: what a value may be, and how parts of an object hang together.

use serde_json::Value;

use super::markdown::{block, code};
use super::{coded, listed};
use crate::contract::document::Document;

/// Every schema of the document.
pub(super) fn all(document: &Document) -> String {
    let mut html = String::from(
        "<section id=\"schemas\">\n<h2>Schemas</h2>\n<p>Objects have no keys but those that are listed, unless it is said that they may.</p>\n",
    );
    for (name, schema) in document.root["components"]["schemas"].as_object().expect("schemas") {
        html += &format!(
            "<article class=\"schema\" id=\"schema-{name}\">\n<h3>{name}</h3>\n<p class=\"fine\">{}</p>\n{}{}{}</article>\n",
            kind(document, schema),
            block(schema["description"].as_str().unwrap_or_default()),
            properties(document, schema),
            rules(schema),
        );
    }
    html + "</section>\n"
}

/// What a value may be, in one line.
pub(super) fn kind(document: &Document, schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(value) = schema.get("const") {
        return coded(value);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return listed(&choices.iter().map(|choice| kind(document, choice)).collect::<Vec<_>>());
    }
    if let Some(base) =
        schema["allOf"].as_array().and_then(|parts| parts.first()).filter(|base| base.get("$ref").is_some())
    {
        let narrowed = words(document, schema, "status").iter().map(|word| code(word)).collect::<Vec<_>>();
        return format!("{}, <code>status</code> {}", kind(document, base), listed(&narrowed));
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().map(super::markdown::plain).collect(),
        _ => vec!["any value".to_owned()],
    };
    let types: Vec<String> = types
        .into_iter()
        .map(|name| match &schema["items"] {
            items @ Value::Object(_) if name == "array" => format!("array of {}", kind(document, items)),
            _ => name,
        })
        .collect();
    let limits: String = limits(schema).iter().map(|limit| format!(", {limit}")).collect();
    listed(&types) + &limits
}

/// What narrows a type down.
fn limits(schema: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    if let Some(words) = schema["enum"].as_array() {
        limits.push(format!("one of {}", words.iter().map(coded).collect::<Vec<_>>().join(" ")));
    }
    for (key, says) in [
        ("format", "format"),
        ("pattern", "pattern"),
        ("minimum", "at least"),
        ("maxItems", "members at most"),
    ] {
        if let Some(value) = schema.get(key) {
            limits.push(format!("{says} {}", coded(value)));
        }
    }
    for key in ["minLength", "minProperties"] {
        if let Some(least) = schema.get(key) {
            assert_eq!(*least, 1, "there are no words for another {key} yet");
            limits.push("not empty".to_owned());
        }
    }
    if schema["additionalProperties"] == true {
        limits.push("any keys".to_owned());
    }
    limits
}

/// The words that a property may have, after all that narrows it down.
pub(super) fn words(document: &Document, schema: &Value, key: &str) -> Vec<String> {
    document.words(schema, key).unwrap_or_default().into_iter().collect()
}

fn properties(document: &Document, schema: &Value) -> String {
    let rows = rows(document, schema, "");
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr><th>Key</th><th>Type</th><th>Meaning</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// A row for each property, and for each of theirs.
fn rows(document: &Document, schema: &Value, above: &str) -> String {
    let mut html = String::new();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = schema["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|name| name == key.as_str()));
        let may_be_absent = if is_required { "" } else { "<br><span class=\"fine\">may be absent</span>" };
        html += &format!(
            "<tr><td><code>{above}{key}</code>{may_be_absent}</td><td>{}</td><td>{}</td></tr>\n",
            kind(document, property),
            block(property["description"].as_str().unwrap_or_default()),
        );
        html += &rows(document, property, &format!("{above}{key}."));
        html += &rows(document, &property["items"], &format!("{above}{key}[]."));
    }
    html
}

/// What must hold between the parts of an object.
fn rules(schema: &Value) -> String {
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let rules: String = parts
        .filter_map(|part| {
            let when = facts(part.get("if")?, "").join(" and ");
            let then = facts(&part["then"], "").join(" and ");
            let other = facts(&part["else"], "").join(" and ");
            let other = if other.is_empty() { other } else { format!(", else {other}") };
            Some(format!("<li>If {when}, then {then}{other}.</li>\n"))
        })
        .collect();
    if rules.is_empty() { rules } else { format!("<ul class=\"rules\">\n{rules}</ul>\n") }
}

/// What a schema says of properties, in words.
fn facts(schema: &Value, above: &str) -> Vec<String> {
    let mut facts = Vec::new();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = code(&format!("{above}{key}"));
        if let Some(value) = property.get("const") {
            facts.push(format!("{name} is {}", coded(value)));
        } else if let Some(values) = property["enum"].as_array() {
            facts.push(format!("{name} is {}", listed(&values.iter().map(coded).collect::<Vec<_>>())));
        } else if let Some(kind) = property["type"].as_str() {
            let article = if kind == "null" {
                "null"
            } else {
                &format!("{} {kind}", if kind.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" })
            };
            facts.push(format!("{name} is {article}"));
        }
        facts.extend(self::facts(property, &format!("{above}{key}.")));
    }
    facts
}
