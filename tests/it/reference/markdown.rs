//! As much Markdown as the descriptions of `openapi.yaml` are written in: paragraphs, lists, tables, code, bold, links.

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
    let mut html = String::new();
    for (n, part) in text.split('`').enumerate() {
        match n % 2 {
            1 => html += &code(part),
            _ => html += &bold(&escape(part)),
        }
    }
    html
}

fn bold(html: &str) -> String {
    let parts = html.split("**").enumerate();
    parts
        .map(|(n, part)| if n % 2 == 1 { format!("<strong>{part}</strong>") } else { part.to_owned() })
        .collect()
}

/// Paragraphs, lists and tables.
pub(super) fn block(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(str::trim_end).filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs.map(paragraph).collect()
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

fn table(text: &str) -> String {
    let mut rows = text.lines().map(cells);
    let row = |cells: Vec<&str>, tag: &str| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", inline(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let head = row(rows.next().unwrap_or_default(), "th");
    let body: String = rows.skip(1).map(|cells| row(cells, "td")).collect();
    format!("<div class=\"scroll\"><table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table></div>\n")
}

/// The cells of one row of a table.
pub(super) fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn markdown_becomes_html_and_nothing_else_does() {
    let html = block(
        "One `<a>` & **two**\nlines.\n\n1. first\n   more\n2. second\n\n| a | b |\n|---|---|\n| `x` | y |\n",
    );
    for part in [
        "<p>One <code>&lt;a&gt;</code> &amp; <strong>two</strong> lines.</p>",
        "<li>first more</li>",
        "<li>second</li>",
        "<th>a</th><th>b</th>",
        "<td><code>x</code></td><td>y</td>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}
