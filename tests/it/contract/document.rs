//! `openapi.yaml` as the tests read it: which answers it documents, and whether an answer is one of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::support::Answer;

/// The file itself.
pub const TEXT: &str = include_str!("../../../openapi.yaml");

/// Headers of the transport, which no operation needs to document.
const TRANSPORT: [&str; 4] = ["content-type", "content-length", "date", "connection"];

pub struct Document {
    pub root: Value,
    validators: RefCell<HashMap<String, Validator>>,
}

impl Document {
    pub fn read() -> Self {
        let root = serde_yaml_ng::from_str(TEXT).expect("openapi.yaml is YAML");
        Self { root, validators: RefCell::default() }
    }

    /// What a `$ref` stands for; anything else stands for itself.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        self.resolve(self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not there")))
    }

    /// Holds a value to a schema of the document.
    pub fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| self.validator(schema));
        let errors: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
    }

    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({ "allOf": [schema], "components": self.root["components"] });
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

    /// Every answer that is documented, in the form of [`Self::check`].
    pub fn promised(&self) -> BTreeSet<String> {
        let mut promised = BTreeSet::new();
        for (method, path, operation) in self.operations() {
            for (status, response) in operation["responses"].as_object().expect("answers") {
                let contents = self.resolve(response)["content"].as_object();
                let mut words = BTreeSet::new();
                for (kind, content) in contents.into_iter().flatten() {
                    words.extend(self.words(&content["schema"], word_key(kind)).unwrap_or_default());
                }
                if words.is_empty() {
                    words.insert(String::new());
                }
                promised.extend(words.iter().map(|word| line(&method, path, status, word)));
            }
        }
        promised
    }

    /// Holds an answer to what is documented of an operation. Returns it in one line: method, path, status, and the
    /// problem code or status word.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) -> String {
        let status = answer.status.to_string();
        let operations = self.operations();
        let operation = operations.iter().find(|(known, at, _)| known == method && *at == path);
        let (_, _, operation) = operation.unwrap_or_else(|| panic!("{method} {path} is not documented"));
        let response = &operation["responses"][&status];
        assert!(response.is_object(), "{method} {path} {status} is not documented: {answer:?}");
        let response = self.resolve(response);
        self.check_headers(response, answer);
        line(method, path, &status, &self.check_body(response, answer))
    }

    fn check_headers(&self, response: &Value, answer: &Answer) {
        let documented: BTreeMap<String, &Value> = response["headers"]
            .as_object()
            .expect("every answer has headers")
            .iter()
            .map(|(name, header)| (name.to_ascii_lowercase(), self.resolve(header)))
            .collect();
        for (name, _) in &answer.headers {
            let is_known = documented.contains_key(name) || TRANSPORT.contains(&name.as_str());
            assert!(is_known, "header {name} is not documented: {answer:?}");
        }
        for (name, header) in documented {
            let Some(text) = answer.header(&name) else {
                assert_eq!(header["required"], false, "header {name} is missing: {answer:?}");
                continue;
            };
            self.validate(&header["schema"], &header_value(self.resolve(&header["schema"]), text))
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
        let is_json = kind.ends_with("json");
        let body = if is_json { answer.json() } else { json!(answer.text()) };
        self.validate(&content["schema"], &body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
        match body[word_key(kind)].as_str() {
            Some(word) if self.words(&content["schema"], word_key(kind)).is_some() => word.to_owned(),
            _ => String::new(),
        }
    }

    /// The words that a schema allows for a property, if it closes the list.
    pub fn words(&self, schema: &Value, key: &str) -> Option<BTreeSet<String>> {
        let schema = self.resolve(schema);
        let property = self.resolve(&schema["properties"][key]);
        let listed = property["enum"].as_array().cloned();
        let listed = listed.or_else(|| property.get("const").map(|word| vec![word.clone()]));
        let mut words: Option<BTreeSet<String>> =
            listed.map(|words| words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect());
        for part in schema["allOf"].as_array().into_iter().flatten() {
            if let Some(narrower) = self.words(part, key) {
                words = Some(match words {
                    Some(words) => words.intersection(&narrower).cloned().collect(),
                    None => narrower,
                });
            }
        }
        words
    }
}

/// Where a body of that kind says in one word what it is.
fn word_key(kind: &str) -> &'static str {
    if kind == "application/problem+json" { "code" } else { "status" }
}

fn line(method: &str, path: &str, status: &str, word: &str) -> String {
    format!("{method} {path} {status} {word}").trim_end().to_owned()
}

/// A header's text in the type that its schema gives it.
fn header_value(schema: &Value, text: &str) -> Value {
    let number = text.parse::<u64>().ok().filter(|_| schema["type"] == "integer");
    number.map_or_else(|| json!(text), |number| json!(number))
}
