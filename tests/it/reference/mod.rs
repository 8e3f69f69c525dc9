//! `/docs`: a page written from `openapi.yaml`, and held to it.

mod markdown;
mod operations;
mod schemas;

use serde_json::Value;

use crate::contract::document::Document;
use crate::support::hold_page;
use markdown::{block, code, escape};

#[test]
fn the_reference_is_the_document_written_out() {
    let wanted = page(&Document::read());
    hold_page(
        "src/http/admin/pages/docs.html",
        include_str!("../../../src/http/admin/pages/docs.html"),
        &wanted,
    );
}

/// The whole page.
fn page(document: &Document) -> String {
    let info = &document.root["info"];
    let operations = operations::tags(document);
    let main = [
        format!(
            "<section id=\"overview\">\n<h1>{} <span class=\"version\">{}</span></h1>\n<p class=\"lead\">{}</p>\n{}</section>\n",
            text(&info["title"]),
            text(&info["version"]),
            text(&info["summary"]),
            block(info["description"].as_str().unwrap_or_default()),
        ),
        authentication(document),
        operations.iter().map(|tag| tag.html.as_str()).collect(),
        errors(document),
        headers(document),
        schemas::all(document),
    ];
    format!(
        "{HEAD}<div class=\"layout\">\n{}<main>\n{}</main>\n</div>\n\n</body>\n</html>\n",
        side(document, &operations),
        main.concat()
    )
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<!-- Written from openapi.yaml by tests/it/reference: change that, and run the tests. -->
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>idv-gateway: API reference</title>
<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%232457c5'/%3E%3C/svg%3E\">
<link rel=\"stylesheet\" href=\"/assets/base.css\">
<link rel=\"stylesheet\" href=\"/assets/docs.css\">
</head>
<body>

<header class=\"bar\">
  <p class=\"name\">idv-gateway</p>
  <nav aria-label=\"Pages\">
    <a href=\"/\">Status</a>
    <a href=\"/docs\" aria-current=\"page\">API reference</a>
    <a href=\"/metrics\">Metrics</a>
    <a href=\"/config\">Config</a>
  </nav>
</header>

";

/// Links to every part of the page.
fn side(document: &Document, tags: &[operations::Tag]) -> String {
    let link = |id: &str, text: &str| format!("<li><a href=\"#{id}\">{text}</a></li>\n");
    let mut side = String::from("<nav class=\"side\" aria-label=\"Contents\">\n<ul>\n");
    side += &link("overview", "Overview");
    side += &link("authentication", "Authentication");
    side += "</ul>\n";
    for tag in tags {
        side += &format!("<h2>{}</h2>\n<ul>\n{}</ul>\n", tag.name, tag.links);
    }
    side += "<h2>Answers</h2>\n<ul>\n";
    side += &link("errors", "Error codes");
    side += &link("headers", "Headers");
    side += "</ul>\n<h2>Schemas</h2>\n<ul>\n";
    for name in keys(&document.root["components"]["schemas"]) {
        side += &link(&format!("schema-{name}"), name);
    }
    side + "</ul>\n</nav>\n"
}

fn authentication(document: &Document) -> String {
    let schemes = document.root["components"]["securitySchemes"].as_object().expect("a scheme");
    let mut html = String::from("<section id=\"authentication\">\n<h2>Authentication</h2>\n");
    for (_, scheme) in schemes {
        html += "<pre>Authorization: Bearer $KEY</pre>\n";
        html += &block(scheme["description"].as_str().unwrap_or_default());
    }
    html + "</section>\n"
}

/// Every problem code: what it means, whether to ask again, and one example.
fn errors(document: &Document) -> String {
    let components = &document.root["components"];
    let problem = &components["schemas"]["ProblemCode"];
    let rows: Vec<Vec<&str>> =
        problem["description"].as_str().unwrap_or_default().lines().map(markdown::cells).collect();
    let mut html = String::from(
        "<section id=\"errors\">\n<h2>Error codes</h2>\n<p>Every answer other than 2xx is a \
         <a href=\"#schema-Problem\">problem document</a>, but for the 503 of <code>/readyz</code>.</p>\n",
    );
    for name in problem["enum"].as_array().expect("codes").iter().filter_map(Value::as_str) {
        let row = rows.iter().find(|row| row.get(1).is_some_and(|cell| cell.trim_matches('`') == name));
        let row = row.unwrap_or_else(|| panic!("{name} has no row in the table of ProblemCode"));
        let example = &components["examples"][name]["value"];
        assert_eq!(example["code"], name, "the example of {name}");
        let again = if example["retryable"] == true { "ask again" } else { "asking again does not help" };
        html += &format!(
            "<article class=\"error\" id=\"error-{name}\">\n<h3><span class=\"status s{}\">{}</span> <code>{name}</code></h3>\n\
             <p>{} <span class=\"fine\">{again}</span></p>\n{}</article>\n",
            &row[0][..1],
            row[0],
            markdown::inline(row[2]),
            folded("Example", example),
        );
    }
    html + "</section>\n"
}

/// Headers of answers, under the names they are sent by.
fn headers(document: &Document) -> String {
    let mut html =
        String::from("<section id=\"headers\">\n<h2>Headers of answers</h2>\n<dl class=\"headers\">\n");
    for (component, header) in document.root["components"]["headers"].as_object().expect("headers") {
        let name = operations::header_name(document, component);
        let when = if header["required"] == true { "always" } else { "sometimes" };
        html += &format!(
            "<dt id=\"header-{component}\"><code>{name}: {}</code> <span class=\"fine\">{when}; {}</span></dt>\n<dd>{}</dd>\n",
            escape(&markdown::plain(&header["example"])),
            schemas::kind(document, &header["schema"]),
            block(header["description"].as_str().unwrap_or_default()),
        );
    }
    html + "</dl>\n</section>\n"
}

/// An example that is shown when asked for.
fn folded(title: &str, value: &Value) -> String {
    let shown = value.as_str().map_or_else(|| format!("{value:#}"), str::to_owned);
    format!(
        "<details><summary>{}</summary>\n<pre>{}</pre>\n</details>\n",
        escape(title),
        escape(shown.trim_end())
    )
}

fn keys(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().expect("an object").keys().map(String::as_str)
}

/// A short text of the document.
fn text(value: &Value) -> String {
    markdown::inline(value.as_str().unwrap_or_default())
}

/// Words in a row: `a`, `b` or `c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn coded(value: &Value) -> String {
    code(&markdown::plain(value))
}
