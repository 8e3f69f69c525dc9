//! Operations: parameters, how to call them, answers.

use serde_json::Value;

use super::markdown::{block, code, escape, inline, plain};
use super::{folded, schemas, text};
use crate::contract::document::Document;

/// Operations that belong together.
pub(super) struct Tag {
    pub name: String,
    pub links: String,
    pub html: String,
}

pub(super) fn tags(document: &Document) -> Vec<Tag> {
    let tags = document.root["tags"].as_array().expect("tags");
    let tag = |tag: &Value| {
        let name = plain(&tag["name"]);
        let mut html =
            format!("<section>\n<h2>{name}</h2>\n{}", block(tag["description"].as_str().unwrap_or_default()));
        let mut links = String::new();
        let all = document.operations();
        let ours: Vec<_> = all.iter().filter(|(.., operation)| operation["tags"][0] == tag["name"]).collect();
        for (method, path, operation) in ours {
            let (id, class) = (plain(&operation["operationId"]), method.to_lowercase());
            links += &format!(
                "<li><a href=\"#{id}\"><span class=\"method {class}\">{method}</span> <code>{path}</code></a></li>\n"
            );
            html += &format!(
                "<article class=\"operation\" id=\"{id}\">\n<h3><span class=\"method {class}\">{method}</span> <code>{path}</code></h3>\n{}</article>\n",
                body(document, method, path, operation)
            );
        }
        Tag { name, links, html: html + "</section>\n" }
    };
    tags.iter().map(tag).collect()
}

fn body(document: &Document, method: &str, path: &str, operation: &Value) -> String {
    let item = &document.root["paths"][path];
    let server = item.get("servers").unwrap_or(&document.root["servers"]);
    let url = plain(&server[0]["url"]);
    let own = [&item["parameters"], &operation["parameters"]];
    let parameters: Vec<&Value> = own
        .iter()
        .filter_map(|list| list.as_array())
        .flatten()
        .map(|value| document.resolve(value))
        .collect();
    [
        format!("<p class=\"lead\">{}</p>\n", text(&operation["summary"])),
        block(operation["description"].as_str().unwrap_or_default()),
        format!("<p class=\"fine\">{} {}</p>\n", text(&server[0]["description"]), needs(document, operation)),
        parameter_table(document, &parameters),
        format!(
            "<h4>Call</h4>\n<pre>{}</pre>\n",
            escape(&calls(method, &url, path, &parameters, is_open(operation)).join("\n"))
        ),
        answers(document, operation),
    ]
    .concat()
}

fn is_open(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(Vec::is_empty)
}

/// What a caller must be and may do.
fn needs(document: &Document, operation: &Value) -> String {
    if is_open(operation) {
        return "No credentials.".to_owned();
    }
    let security = operation.get("security").unwrap_or(&document.root["security"]);
    let scopes = security[0]["bearer"].as_array().expect("the one scheme there is");
    let scopes: Vec<String> = scopes.iter().map(|scope| code(&plain(scope))).collect();
    let with = if scopes.is_empty() { String::new() } else { format!(", scope {}", scopes.join(", ")) };
    format!("Needs a <a href=\"#authentication\">bearer key or token</a>{with}.")
}

fn parameter_table(document: &Document, parameters: &[&Value]) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let row = |parameter: &&Value| {
        let must = if parameter["required"] == true { ", required" } else { "" };
        format!(
            "<tr><td><code>{}</code><br><span class=\"fine\">{}{must}</span></td><td>{}</td><td>{}<p class=\"fine\">Example: {}</p></td></tr>\n",
            plain(&parameter["name"]),
            plain(&parameter["in"]),
            schemas::kind(document, &parameter["schema"]),
            block(parameter["description"].as_str().unwrap_or_default()),
            code(&plain(&parameter["example"])),
        )
    };
    let rows: String = parameters.iter().map(row).collect();
    format!(
        "<h4>Parameters</h4>\n<div class=\"scroll\"><table>\n<thead><tr><th>Name</th><th>Type</th><th>Meaning</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// One line of curl without, and one with each of the parameters that may be left out.
fn calls(method: &str, url: &str, path: &str, parameters: &[&Value], is_open: bool) -> Vec<String> {
    let mut target = format!("{url}{path}");
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
        target = target.replace(&format!("{{{}}}", plain(&parameter["name"])), &plain(&parameter["example"]));
    }
    let flags = match method {
        "GET" => "-s".to_owned(),
        "HEAD" => "-sI".to_owned(),
        _ => format!("-si -X {method}"),
    };
    let key = if is_open { "" } else { " -H \"Authorization: Bearer $KEY\"" };
    let mut calls = vec![format!("curl {flags}{key} {target}")];
    for parameter in parameters {
        let (name, example) = (plain(&parameter["name"]), plain(&parameter["example"]));
        match parameter["in"].as_str() {
            Some("query") => calls.push(format!("curl {flags}{key} '{target}?{name}={example}'")),
            Some("header") => calls.push(format!("curl {flags}{key} -H '{name}: {example}' {target}")),
            _ => {}
        }
    }
    calls
}

fn answers(document: &Document, operation: &Value) -> String {
    let mut html = String::from("<h4>Answers</h4>\n<dl class=\"answers\">\n");
    for (status, response) in operation["responses"].as_object().expect("answers") {
        let response = document.resolve(response);
        html += &format!(
            "<dt><span class=\"status s{}\">{status}</span></dt>\n<dd>{}{}{}</dd>\n",
            &status[..1],
            block(response["description"].as_str().unwrap_or_default()),
            contents(document, response),
            sent_headers(response),
        );
    }
    html + "</dl>\n"
}

/// The bodies of an answer. Those of problems are shown once, among the error codes.
fn contents(document: &Document, response: &Value) -> String {
    let mut html = String::new();
    for (kind, content) in response["content"].as_object().into_iter().flatten() {
        if kind == "application/problem+json" {
            let codes = schemas::words(document, &content["schema"], "code");
            let links = codes.iter().map(|code| format!("<a href=\"#error-{code}\"><code>{code}</code></a>"));
            html += &format!("<p class=\"fine\">{}</p>\n", links.collect::<Vec<_>>().join(" · "));
            continue;
        }
        html += &format!(
            "<p class=\"fine\"><code>{kind}</code> {}</p>\n",
            schemas::kind(document, &content["schema"])
        );
        for (name, example) in content["examples"].as_object().expect("every body has an example") {
            let example = document.resolve(example);
            let title = example["summary"].as_str().unwrap_or(name);
            html += &folded(&format!("Example: {title}"), &example["value"]);
        }
    }
    html
}

fn sent_headers(response: &Value) -> String {
    let headers = response["headers"].as_object().expect("every answer has headers").iter();
    let links = headers.map(|(name, header)| {
        let component =
            header["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("a shared header");
        format!("<a href=\"#header-{component}\">{}</a>", inline(name))
    });
    format!("<p class=\"fine\">{}</p>\n", links.collect::<Vec<_>>().join(", "))
}

/// The name that a header of the components is sent by.
pub(super) fn header_name(document: &Document, component: &str) -> String {
    let reference = format!("#/components/headers/{component}");
    let operations = document.operations();
    let responses =
        operations.iter().flat_map(|(.., operation)| operation["responses"].as_object().expect("answers"));
    let headers = responses
        .flat_map(|(_, response)| document.resolve(response)["headers"].as_object().expect("headers"));
    let found = headers.into_iter().find(|(_, header)| header["$ref"] == reference.as_str());
    found.map(|(name, _)| name.clone()).unwrap_or_else(|| panic!("nobody sends {component}"))
}
