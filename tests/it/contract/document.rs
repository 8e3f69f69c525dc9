//! An OpenAPI document as the tests read it: which responses it documents, and whether a response is one of them.
//!
//! The documents allow unknown members, so that clients built from them accept what later versions add. The tests do not:
//! every member of a response must be documented.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::rules;
use crate::support::Answer;

/// The document of the public listener, and its file name.
pub const API: (&str, &str) = ("openapi.yaml", include_str!("../../../openapi.yaml"));
/// The document of the admin listener, and its file name.
pub const ADMIN: (&str, &str) = ("openapi-admin.yaml", include_str!("../../../openapi-admin.yaml"));

/// Headers of the transport, which no operation needs to document.
const TRANSPORT: [&str; 4] = ["content-type", "content-length", "date", "connection"];

pub struct Document {
    pub root: Value,
    /// The schemas, with no members but the documented ones.
    closed: Value,
    validators: RefCell<HashMap<String, Validator>>,
}

impl Document {
    pub fn read((name, text): (&str, &str)) -> Self {
        let root: Value = serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut closed = root["components"].clone();
        close(&mut closed["schemas"]);
        Self { root, closed, validators: RefCell::default() }
    }

    /// What a `$ref` stands for; anything else stands for itself.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        self.resolve(self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} does not exist")))
    }

    /// Checks a value against a schema of the document.
    pub fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| self.validator(schema));
        let errors: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
    }

    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({ "allOf": [schema], "components": self.closed });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&whole).unwrap_or_else(|error| panic!("{error}: {schema}"))
    }

    /// Every operation as (method, path, operation).
    pub fn operations(&self) -> Vec<(String, &str, &Value)> {
        let mut operations = Vec::new();
        for (path, item) in self.root["paths"].as_object().expect("there are paths") {
            for method in ["get", "head", "delete", "post", "put", "patch", "options"] {
                if let Some(operation) = item.get(method) {
                    operations.push((method.to_uppercase(), path.as_str(), operation));
                }
            }
        }
        operations
    }

    /// Every body as (line of [`Self::promised`] without its word, media type, content).
    pub fn contents(&self) -> Vec<(String, &str, &Value)> {
        let mut contents = Vec::new();
        for (method, path, operation) in self.operations() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                for (kind, content) in self.resolve(response)["content"].as_object().into_iter().flatten() {
                    contents.push((format!("{method} {path} {status}"), kind.as_str(), content));
                }
            }
        }
        contents
    }

    /// The values of the examples of a body, by name.
    pub fn examples<'a>(&'a self, content: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let examples = content["examples"].as_object().expect("every body has an example");
        examples.iter().map(|(name, example)| (name, &self.resolve(example)["value"]))
    }

    /// Every documented response in the form of [`Self::check`]. The examples of a body say which words it may have.
    pub fn promised(&self) -> BTreeSet<String> {
        let mut promised = BTreeSet::new();
        for (method, path, operation) in self.operations() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                if self.resolve(response)["content"].is_null() {
                    promised.insert(format!("{method} {path} {status}"));
                }
            }
        }
        for (response, kind, content) in self.contents() {
            promised
                .extend(self.examples(content).map(|(_, value)| line(&response, rules::word(kind, value))));
        }
        promised
    }

    /// Checks a response against what is documented of an operation. Returns it in one line: method, path, status, and
    /// the problem code or status word.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) -> String {
        let status = answer.status.to_string();
        let operations = self.operations();
        let operation = operations.iter().find(|(known, at, _)| known == method && *at == path);
        let (_, _, operation) = operation.unwrap_or_else(|| panic!("{method} {path} is not documented"));
        let response = &operation["responses"][&status];
        assert!(response.is_object(), "{method} {path} {status} is not documented: {answer:?}");
        let response = self.resolve(response);
        self.check_headers(response, answer);
        line(&format!("{method} {path} {status}"), &self.check_body(response, answer))
    }

    fn check_headers(&self, response: &Value, answer: &Answer) {
        let documented: BTreeMap<String, &Value> = response["headers"]
            .as_object()
            .expect("every response has headers")
            .iter()
            .map(|(name, header)| (name.to_ascii_lowercase(), self.resolve(header)))
            .collect();
        for (name, _) in &answer.headers {
            let is_known = documented.contains_key(name) || TRANSPORT.contains(&name.as_str());
            assert!(is_known, "header {name} is not documented: {answer:?}");
        }
        for (name, header) in documented {
            let Some(text) = answer.header(&name) else {
                assert_ne!(header["required"], true, "header {name} is missing: {answer:?}");
                continue;
            };
            self.validate(&header["schema"], &header_value(&header["schema"], text))
                .unwrap_or_else(|error| panic!("header {name}: {error}: {answer:?}"));
        }
    }

    /// Returns the word of the body, if it has one.
    fn check_body(&self, response: &Value, answer: &Answer) -> String {
        let Some(contents) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "a body where none is documented: {answer:?}");
            return String::new();
        };
        let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        let content = contents.get(kind).unwrap_or_else(|| panic!("{kind:?} is not documented: {answer:?}"));
        let body = if kind.ends_with("json") { answer.json() } else { json!(answer.text()) };
        let checked = self.validate(&content["schema"], &body).and_then(|()| rules::body(kind, &body));
        checked.unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
        rules::word(kind, &body).to_owned()
    }
}

/// The rows of the table in a description.
pub fn table(description: &Value) -> Vec<Vec<&str>> {
    let lines = description.as_str().expect("a description").lines();
    let rows = lines.filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect()
}

/// Allows no members but the documented ones, here and below.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn line(response: &str, word: &str) -> String {
    format!("{response} {word}").trim_end().to_owned()
}

/// A header's text in the type of its schema.
fn header_value(schema: &Value, text: &str) -> Value {
    let number = text.parse::<u64>().ok().filter(|_| schema["type"] == "integer");
    number.map_or_else(|| json!(text), |number| json!(number))
}
