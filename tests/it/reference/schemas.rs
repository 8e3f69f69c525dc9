//! Schemas: what a value may be, and the members of an object.

use serde_json::Value;

use super::markdown::{block, code, plain, prose};

/// Every schema of a document.
pub(super) fn all(schemas: &Value) -> String {
    let mut html = String::from("<section id=\"schemas\">\n<h2>Schemas</h2>\n");
    for (name, schema) in schemas.as_object().expect("schemas") {
        html += &format!(
            "<article class=\"schema\" id=\"schema-{name}\">\n<h3>{name}</h3>\n<p class=\"fine\">{}</p>\n{}{}</article>\n",
            kind(schema),
            block(&schema["description"]),
            members(schema),
        );
    }
    html + "</section>\n"
}

/// What a value may be, in one line.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(value) = schema.get("const") {
        return code(&plain(value));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec!["any value"],
    };
    let types = types.into_iter().map(|name| match &schema["items"] {
        items @ Value::Object(_) if name == "array" => format!("array of {}", kind(items)),
        _ => name.to_owned(),
    });
    types.collect::<Vec<_>>().join(" or ") + &limits(schema)
}

/// What narrows a type down.
fn limits(schema: &Value) -> String {
    let mut limits = String::new();
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| code(&plain(word))).collect();
        limits += &format!(": {}", words.join(", "));
    }
    for (key, words) in [
        ("format", "format"),
        ("pattern", "pattern"),
        ("minimum", "at least"),
        ("minLength", "length at least"),
        ("maxItems", "members at most"),
    ] {
        if let Some(value) = schema.get(key) {
            limits += &format!(", {words} {}", code(&plain(value)));
        }
    }
    match &schema["additionalProperties"] {
        Value::Bool(true) => limits + ", any members",
        Value::Object(_) => limits + " of " + &kind(&schema["additionalProperties"]),
        _ => limits,
    }
}

fn members(schema: &Value) -> String {
    let rows = rows(schema, "");
    if rows.is_empty() { rows } else { format!("<dl class=\"members\">\n{rows}</dl>\n") }
}

/// A row for each member, and for each of theirs.
fn rows(schema: &Value, above: &str) -> String {
    let mut html = String::new();
    let required = schema["required"].as_array();
    for (key, member) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = required.is_some_and(|names| names.iter().any(|name| *name == key.as_str()));
        let may_be_absent = if is_required { "" } else { ", may be absent" };
        html += &row(
            &format!("{above}{key}"),
            &format!("{}{may_be_absent}", kind(member)),
            &prose(&member["description"]),
        );
        html += &rows(member, &format!("{above}{key}."));
        html += &rows(&member["items"], &format!("{above}{key}[]."));
    }
    html
}

/// A name, what it may be, and what it means.
pub(super) fn row(name: &str, kind: &str, meaning: &str) -> String {
    format!("<dt>{} <span class=\"fine\">{kind}</span></dt>\n<dd>{meaning}</dd>\n", code(name))
}
