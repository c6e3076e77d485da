//! The keys of the policy and of the configuration.

use super::markdown::{Page, choice, code};
use crate::config;
use crate::policy::text::{self, Key, Section, Shape, Support};

pub(super) fn policy() -> String {
    let introduction = "The keys of a policy file, TOML or JSON. [Writing a policy](../policy.md) explains them with examples. An unknown key is an error.";
    sections("Policy keys", introduction, text::policy_section())
}

pub(super) fn configuration() -> String {
    let introduction = "The keys of `outgate.toml`. [Configuration](../configuration.md) explains them with examples. An unknown key is an error.\n\nTimes are written as `\"10s\"`, with `ms`, `s`, `m`, `h` or `d`. Sizes are written as `\"64 KiB\"`, with `B`, `KiB`, `MiB` or `GiB`.";
    sections("Configuration keys", introduction, config::section())
}

fn sections(title: &str, introduction: &str, section: &'static Section) -> String {
    let mut page = Page::new(title, introduction);
    write(&mut page, section);
    page.finish()
}

/// The section's own keys, then a heading for each section within.
fn write(page: &mut Page, section: &'static Section) {
    let plain = || section.keys.iter().filter(|key| key.support == Support::Now && inner(key).is_none());
    let row = |key: &Key| [code(key.name), shape(key.shape), default(key), key.doc.to_owned()];
    if plain().any(|key| !key.why.is_empty()) {
        let rows: Vec<_> = plain()
            .map(|key| {
                let [name, shape, default, doc] = row(key);
                [name, shape, default, doc, key.why.to_owned()]
            })
            .collect();
        page.table(["key", "holds", "default", "meaning", "why this default"], &rows);
    } else {
        page.table(["key", "holds", "default", "meaning"], &plain().map(row).collect::<Vec<_>>());
    }
    let later: Vec<_> = section.keys.iter().filter(|key| matches!(key.support, Support::Later(_))).collect();
    if !later.is_empty() {
        let names: Vec<_> = later.iter().map(|key| code(key.name)).collect();
        page.paragraph(&format!("Not supported in this version, and an error: {}.", names.join(", ")));
    }
    for key in section.keys.iter().filter(|key| key.support == Support::Now) {
        if let Some((heading, inner)) = inner(key) {
            page.heading(&heading);
            page.paragraph(key.doc);
            write(page, inner);
        }
    }
}

/// The section that a key leads to, and how it is written.
fn inner(key: &Key) -> Option<(String, &'static Section)> {
    match key.shape {
        Shape::Table(inner) if inner.what.starts_with("`[") => Some((code(&format!("[{}]", key.name)), inner)),
        Shape::Table(inner) => Some((code(key.name), inner)),
        Shape::Tables(inner) => Some((code(&format!("[[{}]]", key.name)), inner)),
        Shape::Text(_)
        | Shape::Texts
        | Shape::Flag
        | Shape::Count(..)
        | Shape::Choice(_)
        | Shape::Choices(_)
        | Shape::Time
        | Shape::Duration(..)
        | Shape::Size(..)
        | Shape::Ports
        | Shape::Map => None,
    }
}

fn default(key: &Key) -> String {
    if key.needed {
        return "required".to_owned();
    }
    // What is written as it would be in the file, against a description of what happens.
    let is_literal = key.default.starts_with(['"', '[', '{']) || key.default.parse::<u64>().is_ok();
    if is_literal || ["true", "false"].contains(&key.default) { code(key.default) } else { key.default.to_owned() }
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Text(most) => format!("text, at most {most} bytes"),
        Shape::Texts => "list of texts".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Count(least, most) if least == most => code(&least.to_string()),
        Shape::Count(least, most) => format!("number, {least} to {most}"),
        Shape::Choice(words) => format!("one of {}", choice(words)),
        Shape::Choices(words) => format!("list of {}", choice(words)),
        Shape::Time => "date, time and time zone".to_owned(),
        Shape::Duration(least, most) => {
            format!("time, {} to {}", text::written_duration(least), text::written_duration(most))
        }
        Shape::Size(least, most) => format!("size, {} to {}", text::written_size(least), text::written_size(most)),
        Shape::Ports => "`\"any\"`, or a list of ports and `\"lo-hi\"` ranges".to_owned(),
        Shape::Map => "table of names, each with a list of texts".to_owned(),
        Shape::Table(_) | Shape::Tables(_) => "table".to_owned(),
    }
}
