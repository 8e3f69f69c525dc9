//! Operations: parameters, how to call them, responses.

use serde_json::Value;

use super::markdown::{block, code, escape, inline, plain};
use super::schemas::{kind, row};
use super::{folded, text};
use crate::contract::document::Document;

/// Operations that belong together.
pub(super) struct Tag {
    pub name: String,
    pub links: String,
    pub html: String,
}

pub(super) fn tags(document: &Document) -> Vec<Tag> {
    let tags = document.root["tags"].as_array().expect("tags");
    let operations = document.operations();
    tags.iter()
        .map(|tag| {
            let name = plain(&tag["name"]);
            let mut html = format!("<section>\n<h2>{name}</h2>\n{}", block(&tag["description"]));
            let mut links = String::new();
            for (method, path, operation) in
                operations.iter().filter(|(.., operation)| operation["tags"][0] == tag["name"])
            {
                let (id, class) = (plain(&operation["operationId"]), method.to_lowercase());
                let title = format!("<span class=\"method {class}\">{method}</span> <code>{path}</code>");
                links += &format!("<li><a href=\"#{id}\">{title}</a></li>\n");
                html += &format!(
                    "<article class=\"operation\" id=\"{id}\">\n<h3>{title}</h3>\n{}</article>\n",
                    body(document, path, operation)
                );
            }
            Tag { name, links, html: html + "</section>\n" }
        })
        .collect()
}

fn body(document: &Document, path: &str, operation: &Value) -> String {
    let lists = [&document.root["paths"][path]["parameters"], &operation["parameters"]];
    let parameters = lists.iter().filter_map(|list| list.as_array()).flatten();
    let parameters: Vec<&Value> = parameters.map(|parameter| document.resolve(parameter)).collect();
    [
        format!("<p class=\"lead\">{}</p>\n", text(&operation["summary"])),
        block(&operation["description"]),
        parameter_list(&parameters),
        samples(document, path, operation, &parameters),
        responses(document, operation),
    ]
    .concat()
}

fn parameter_list(parameters: &[&Value]) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let rows: String = parameters
        .iter()
        .map(|parameter| {
            let required = if parameter["required"] == true { ", required" } else { "" };
            let kind = format!("{}, {}{required}", plain(&parameter["in"]), kind(&parameter["schema"]));
            let example = code(&plain(&parameter["example"]));
            let meaning =
                format!("{}<p class=\"fine\">Example: {example}</p>", block(&parameter["description"]));
            row(&plain(&parameter["name"]), &kind, &meaning)
        })
        .collect();
    format!("<h4>Parameters</h4>\n<dl class=\"members\">\n{rows}</dl>\n")
}

/// How to call the operation: the samples of the document, else a line of curl.
fn samples(document: &Document, path: &str, operation: &Value, parameters: &[&Value]) -> String {
    let mut html = String::from("<h4>Samples</h4>\n");
    let Some(samples) = operation["x-codeSamples"].as_array() else {
        let mut target = format!("{}{path}", plain(&document.root["servers"][0]["url"]));
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
            let name = format!("{{{}}}", plain(&parameter["name"]));
            target = target.replace(&name, &plain(&parameter["example"]));
        }
        return html + &format!("<pre>curl -s {target}</pre>\n");
    };
    for (n, sample) in samples.iter().enumerate() {
        html += &format!(
            "<details name=\"sample-{}\"{}><summary>{}</summary>\n<pre>{}</pre>\n</details>\n",
            plain(&operation["operationId"]),
            if n == 0 { " open" } else { "" },
            plain(&sample["label"]),
            escape(plain(&sample["source"]).trim_end()),
        );
    }
    html
}

fn responses(document: &Document, operation: &Value) -> String {
    let mut html = String::from("<h4>Responses</h4>\n<dl class=\"responses\">\n");
    for (status, response) in operation["responses"].as_object().expect("responses") {
        let response = document.resolve(response);
        html += &format!(
            "<dt><span class=\"status s{}\">{status}</span></dt>\n<dd>{}{}{}{}</dd>\n",
            &status[..1],
            block(&response["description"]),
            contents(document, response),
            links(response),
            sent_headers(document, response),
        );
    }
    html + "</dl>\n"
}

/// The bodies of a response. Problems are shown once, among the problem codes.
fn contents(document: &Document, response: &Value) -> String {
    let mut html = String::new();
    for (media_type, content) in response["content"].as_object().into_iter().flatten() {
        let examples = content["examples"].as_object().expect("every body has an example");
        if media_type == "application/problem+json" {
            let links =
                examples.keys().map(|code| format!("<a href=\"#problem-{code}\"><code>{code}</code></a>"));
            html += &format!("<p class=\"fine\">{}</p>\n", links.collect::<Vec<_>>().join(" · "));
            continue;
        }
        html += &format!("<p class=\"fine\"><code>{media_type}</code> {}</p>\n", kind(&content["schema"]));
        for (name, example) in examples {
            let example = document.resolve(example);
            let title = example["summary"].as_str().unwrap_or(name);
            html += &folded(&format!("Example: {title}"), &example["value"]);
        }
    }
    html
}

/// What to call next, and with which values of this response.
fn links(response: &Value) -> String {
    let links = response["links"].as_object().into_iter().flatten();
    links
        .map(|(_, link)| {
            let id = plain(&link["operationId"]);
            format!("<p>{} <a href=\"#{id}\">{id}</a></p>\n", text(&link["description"]))
        })
        .collect()
}

/// The headers of a response, but for those of every response.
fn sent_headers(document: &Document, response: &Value) -> String {
    let headers = response["headers"].as_object().expect("every response has headers");
    let own = headers.iter().filter(|(_, header)| document.resolve(header)["required"] != true);
    let links: Vec<_> =
        own.map(|(name, _)| format!("<a href=\"#header-{name}\">{}</a>", inline(name))).collect();
    if links.is_empty() {
        String::new()
    } else {
        format!("<p class=\"fine\">Headers: {}</p>\n", links.join(", "))
    }
}
