//! `/docs` and `/docs/admin`: pages made from the OpenAPI documents.

mod markdown;
mod operations;
mod schemas;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::contract::document::{ADMIN, API, Document, table};
use crate::support::hold_page;
use markdown::{block, escape, inline, plain};

#[test]
fn the_api_reference_is_made_from_its_document() {
    let page = include_str!("../../../src/http/admin/pages/docs.html");
    hold_page("src/http/admin/pages/docs.html", page, &self::page(API, "/docs"));
}

#[test]
fn the_admin_reference_is_made_from_its_document() {
    let page = include_str!("../../../src/http/admin/pages/docs-admin.html");
    hold_page("src/http/admin/pages/docs-admin.html", page, &self::page(ADMIN, "/docs/admin"));
}

/// A whole page.
fn page(file: (&str, &str), url: &str) -> String {
    let document = Document::read(file);
    let operations = operations::tags(&document);
    let main = [
        overview(&document, file.0),
        authentication(&document),
        operations.iter().map(|tag| tag.html.as_str()).collect(),
        problems(&document),
        headers(&document),
        schemas::all(&document.root["components"]["schemas"]),
    ];
    format!(
        "{HEAD}{}<div class=\"layout\">\n{}<main>\n{}</main>\n</div>\n\n</body>\n</html>\n",
        bar(url),
        side(&document, &operations),
        main.concat()
    )
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<!-- Made from an OpenAPI document by tests/it/reference: change that, and run the tests. -->
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>idv-gateway: API reference</title>
<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%232457c5'/%3E%3C/svg%3E\">
<link rel=\"stylesheet\" href=\"/assets/base.css\">
<link rel=\"stylesheet\" href=\"/assets/docs.css\">
<script type=\"module\" src=\"/assets/docs.js\"></script>
</head>
<body>

";

/// Links to the pages of the admin listener.
fn bar(here: &str) -> String {
    let pages = [
        ("/", "Status"),
        ("/docs", "API reference"),
        ("/docs/admin", "Admin reference"),
        ("/metrics", "Metrics"),
        ("/config", "Config"),
    ];
    let links: String = pages
        .iter()
        .map(|(url, name)| {
            let current = if *url == here { " aria-current=\"page\"" } else { "" };
            format!("    <a href=\"{url}\"{current}>{name}</a>\n")
        })
        .collect();
    format!(
        "<header class=\"bar\">\n  <p class=\"name\">idv-gateway</p>\n  <nav aria-label=\"Pages\">\n{links}  </nav>\n</header>\n\n"
    )
}

/// The search box, and links to every part of the page.
fn side(document: &Document, tags: &[operations::Tag]) -> String {
    let link = |id: &str, text: &str| format!("<li><a href=\"#{id}\">{text}</a></li>\n");
    let mut side = String::from(
        "<nav class=\"side\" aria-label=\"Contents\">\n\
         <input id=\"search\" type=\"search\" placeholder=\"Search\" aria-label=\"Search this page\" hidden>\n<ul>\n",
    );
    side += &link("overview", "Overview");
    if document.root["components"].get("securitySchemes").is_some() {
        side += &link("authentication", "Authentication");
    }
    side += "</ul>\n";
    for tag in tags {
        side += &format!("<h2>{}</h2>\n<ul>\n{}</ul>\n", tag.name, tag.links);
    }
    side += "<h2>Responses</h2>\n<ul>\n";
    side += &link("problems", "Problem codes");
    side += &link("headers", "Headers");
    side += "</ul>\n<h2>Schemas</h2>\n<ul>\n";
    for name in document.root["components"]["schemas"].as_object().expect("schemas").keys() {
        side += &link(&format!("schema-{name}"), name);
    }
    side + "</ul>\n</nav>\n"
}

fn overview(document: &Document, file: &str) -> String {
    let info = &document.root["info"];
    let server = &document.root["servers"][0];
    format!(
        "<section id=\"overview\">\n<h1>{} <span class=\"version\">{}</span></h1>\n<p class=\"lead\">{}</p>\n{}\
         <p class=\"fine\">{} Default: <code>{}</code>. As a document: <a href=\"/{file}\">{file}</a>.</p>\n</section>\n",
        text(&info["title"]),
        text(&info["version"]),
        text(&info["summary"]),
        block(&info["description"]),
        text(&server["description"]),
        plain(&server["url"]),
    )
}

fn authentication(document: &Document) -> String {
    let Some(scheme) = document.root["components"]["securitySchemes"].get("bearer") else {
        return String::new();
    };
    format!(
        "<section id=\"authentication\">\n<h2>Authentication</h2>\n<pre>Authorization: Bearer $KEY</pre>\n{}</section>\n",
        block(&scheme["description"])
    )
}

/// Every problem code: what it means, whether the request can be sent again, and an example.
fn problems(document: &Document) -> String {
    let components = &document.root["components"];
    let problem = &components["schemas"]["Problem"];
    let mut html = format!(
        "<section id=\"problems\">\n<h2>Problem codes</h2>\n{}<p>See <a href=\"#schema-Problem\">Problem</a>.</p>\n",
        block(&problem["description"])
    );
    for row in table(&problem["properties"]["code"]["description"]) {
        let [status, code, retryable, meaning] = row[..] else { panic!("four cells: {row:?}") };
        let retryable = match retryable {
            "yes" => "retryable",
            "no" => "not retryable",
            _ => "<code>retryable</code> says whether it is",
        };
        html += &format!(
            "<article class=\"problem\" id=\"problem-{code}\">\n<h3><span class=\"status s{}\">{status}</span> <code>{code}</code> \
             <span class=\"fine\">{retryable}</span></h3>\n<p>{}</p>\n{}</article>\n",
            &status[..1],
            inline(meaning),
            folded("Example", &components["examples"][code]["value"]),
        );
    }
    html + "</section>\n"
}

/// The headers of responses, by name.
fn headers(document: &Document) -> String {
    let mut headers = BTreeMap::new();
    for (.., operation) in document.operations() {
        for response in operation["responses"].as_object().expect("responses").values() {
            headers.extend(document.resolve(response)["headers"].as_object().expect("headers"));
        }
    }
    let rows: String = headers
        .iter()
        .map(|(name, header)| {
            let header = document.resolve(header);
            let always = if header["required"] == true { ", always present" } else { "" };
            let example = markdown::code(&format!("{name}: {}", plain(&header["example"])));
            format!(
                "<dt id=\"header-{name}\">{example} <span class=\"fine\">{}{always}</span></dt>\n<dd>{}</dd>\n",
                schemas::kind(&header["schema"]),
                block(&header["description"]),
            )
        })
        .collect();
    format!(
        "<section id=\"headers\">\n<h2>Headers of responses</h2>\n<dl class=\"members\">\n{rows}</dl>\n</section>\n"
    )
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

/// A short text of the document.
fn text(value: &Value) -> String {
    inline(value.as_str().unwrap_or_default())
}
