//! The Markdown that the descriptions in the documents use: paragraphs, numbered lists, tables, code, bold.

use serde_json::Value;

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A value without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Code and bold within a line.
pub(super) fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { code(part) } else { bold(&escape(part)) }).collect()
}

fn bold(html: &str) -> String {
    let parts = html.split("**").enumerate();
    parts
        .map(|(n, part)| if n % 2 == 1 { format!("<strong>{part}</strong>") } else { part.to_owned() })
        .collect()
}

/// Paragraphs, lists and tables of a description.
pub(super) fn block(description: &Value) -> String {
    let text = description.as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(str::trim_end).filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs.map(paragraph).collect()
}

/// A description without its tables.
pub(super) fn prose(description: &Value) -> String {
    let text = description.as_str().unwrap_or_default();
    block(&Value::from(text.split("\n\n|").next().unwrap_or_default()))
}

fn paragraph(text: &str) -> String {
    if text.trim_start().starts_with('|') {
        return table(text);
    }
    if text.starts_with("1. ") {
        return list(text);
    }
    format!("<p>{}</p>\n", inline(&text.replace('\n', " ")))
}

/// Items begin with their number; further lines of an item are indented.
fn list(text: &str) -> String {
    let mut items: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.split_once(". "), items.last_mut()) {
            (Some((number, item)), _) if number.chars().all(|c| c.is_ascii_digit()) => {
                items.push(item.to_owned())
            }
            (_, Some(item)) => *item += &format!(" {}", line.trim()),
            (_, None) => panic!("a list begins with a number: {text}"),
        }
    }
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
    format!("<ol>\n{items}</ol>\n")
}

/// Each cell carries its heading: on a phone the rows are shown one cell below the other.
fn table(text: &str) -> String {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| inline(cell.trim())).collect()
    };
    let mut rows = text.lines().map(cells);
    let headings = rows.next().unwrap_or_default();
    let head: String = headings.iter().map(|heading| format!("<th>{heading}</th>")).collect();
    let row = |cells: Vec<String>| {
        let cells = headings.iter().zip(cells);
        let cells: String = cells
            .map(|(heading, cell)| {
                let label = heading.replace("<code>", "").replace("</code>", "");
                format!("<td data-label=\"{label}\">{cell}</td>")
            })
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = rows.skip(1).map(row).collect();
    format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n")
}

#[test]
fn markdown_becomes_html_and_html_is_escaped() {
    let text = "One `<a>` & **two**\nlines.\n\n1. first\n   more\n2. second\n\n| a | `b` |\n|---|---|\n| `x` | y |\n";
    let html = block(&Value::from(text));
    for part in [
        "<p>One <code>&lt;a&gt;</code> &amp; <strong>two</strong> lines.</p>",
        "<li>first more</li>",
        "<li>second</li>",
        "<th>a</th><th><code>b</code></th>",
        "<td data-label=\"a\"><code>x</code></td><td data-label=\"b\">y</td>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!prose(&Value::from(text)).contains("table"));
}
