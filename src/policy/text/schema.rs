//! The JSON Schema and the key reference, made from the same sections that read documents.
//!
//! The schema describes what this version accepts: keys that it refuses are not in it, so that an editor marks them.

use std::fmt::Write as _;

use super::keys::{Key, Section, Shape, Support};
use super::policy_keys::POLICY;
use super::quantity::Written;

/// The JSON Schema (draft 2020-12) of a policy, as JSON text with a line break at its end.
pub fn json_schema() -> String {
    let mut json = Json::default();
    json.open('{');
    json.text("$schema", "https://json-schema.org/draft/2020-12/schema");
    json.text("title", "outgate policy");
    table(&POLICY, &mut json);
    json.close('}');
    json.out.push('\n');
    json.out
}

/// The keys of a policy.
pub fn policy_section() -> &'static Section {
    &POLICY
}

/// A section's keys as lines of `key`, default and meaning, for help texts and manuals.
pub fn reference(section: &Section) -> Vec<(String, &'static str, &'static str)> {
    let mut lines = Vec::new();
    refer(section, "", &mut lines);
    lines
}

fn refer(section: &Section, prefix: &str, lines: &mut Vec<(String, &'static str, &'static str)>) {
    for key in section.keys.iter().filter(|key| key.support == Support::Now) {
        match key.shape {
            Shape::Tables(inner) => refer(inner, &format!("{prefix}[[{}]] ", key.name), lines),
            Shape::Table(inner) => refer(inner, &format!("{prefix}[{}] ", key.name), lines),
            _ => lines.push((format!("{prefix}{}", key.name), key.default, key.doc)),
        }
    }
}

fn table(section: &Section, json: &mut Json) {
    let keys = || section.keys.iter().filter(|key| key.support == Support::Now);
    json.text("description", section.doc);
    json.text("type", "object");
    json.flag("additionalProperties", false);
    let needed: Vec<_> = keys().filter(|key| key.needed).map(|key| key.name).collect();
    if !needed.is_empty() {
        json.texts("required", &needed);
    }
    json.name("properties");
    json.open('{');
    for key in keys() {
        json.name(key.name);
        json.open('{');
        property(key, json);
        json.close('}');
    }
    json.close('}');
}

fn property(key: &Key, json: &mut Json) {
    // A table's own description says more than its key's.
    if !matches!(key.shape, Shape::Table(_)) {
        let default = if key.default.is_empty() { String::new() } else { format!(" Default: {}.", key.default) };
        json.text("description", &format!("{}{default}", key.doc));
    }
    match key.shape {
        Shape::Text(most) => {
            json.text("type", "string");
            json.number("minLength", 1);
            json.number("maxLength", most as u64);
        }
        Shape::Texts => {
            json.text("type", "array");
            json.nested("items", |json| json.text("type", "string"));
        }
        Shape::Flag => json.text("type", "boolean"),
        Shape::Count(least, most) => {
            json.text("type", "integer");
            json.number("minimum", least);
            json.number("maximum", most);
        }
        Shape::Choice(words) => json.texts("enum", words),
        Shape::Choices(words) => {
            json.text("type", "array");
            json.number("minItems", 1);
            json.nested("items", |json| json.texts("enum", words));
        }
        Shape::Time => {
            json.text("type", "string");
            json.text("format", "date-time");
        }
        Shape::Duration(least, most) => {
            json.text("type", "string");
            json.text("pattern", "^[0-9]+ ?(ms|s|m|h|d)$");
            json.text("$comment", &format!("{} to {}", Written::duration(least), Written::duration(most)));
        }
        Shape::Size(least, most) => {
            json.text("type", "string");
            json.text("pattern", "^[0-9]+ ?(B|KiB|MiB|GiB)$");
            json.text("$comment", &format!("{} to {}", Written::size(least), Written::size(most)));
        }
        Shape::Ports => ports(json),
        Shape::Table(section) => table(section, json),
        Shape::Tables(section) => {
            json.text("type", "array");
            json.nested("items", |json| table(section, json));
        }
        Shape::Map => {
            json.text("type", "object");
            json.nested("additionalProperties", |json| {
                json.text("type", "array");
                json.nested("items", |json| json.text("type", "string"));
            });
        }
    }
}

fn ports(json: &mut Json) {
    json.name("oneOf");
    json.open('[');
    json.item();
    json.open('{');
    json.text("const", "any");
    json.close('}');
    json.item();
    json.open('{');
    json.text("type", "array");
    json.number("minItems", 1);
    json.nested("items", |json| {
        json.name("oneOf");
        json.open('[');
        json.item();
        json.open('{');
        json.text("type", "integer");
        json.number("minimum", 1);
        json.number("maximum", u64::from(u16::MAX));
        json.close('}');
        json.item();
        json.open('{');
        json.text("type", "string");
        json.text("pattern", "^[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$");
        json.close('}');
        json.close(']');
    });
    json.close('}');
    json.close(']');
}

/// Writes indented JSON. This module has no serialiser, and a single document does not need one.
#[derive(Default)]
struct Json {
    out: String,
    depth: usize,
    follows: bool,
}

impl Json {
    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth += 1;
        self.follows = false;
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.line();
        self.out.push(bracket);
        self.follows = true;
    }

    /// Begins an element of a list.
    fn item(&mut self) {
        if self.follows {
            self.out.push(',');
        }
        self.follows = true;
        self.line();
    }

    fn name(&mut self, name: &str) {
        self.item();
        self.string(name);
        self.out.push_str(": ");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    fn texts(&mut self, name: &str, values: &[&str]) {
        self.name(name);
        self.open('[');
        for value in values {
            self.item();
            self.string(value);
        }
        self.close(']');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    fn nested(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.name(name);
        self.open('{');
        inside(self);
        self.close('}');
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', self.depth * 2));
    }

    /// Names and texts of the sections are plain ASCII; only these two need an escape.
    fn string(&mut self, text: &str) {
        let _ = write!(self.out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
}
