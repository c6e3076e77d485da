//! The source as text, for checks of its content. Comments, strings and tests do not count as code.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file without its comments, its string literals' contents and its tests.
#[derive(Debug)]
pub struct SourceFile {
    /// Relative to `src`, as `policy/permit.rs`.
    pub path: String,
    pub code: String,
}

impl SourceFile {
    /// Every file of `src` that is not a test.
    pub fn all() -> Vec<Self> {
        // Cargo says at run time too where the package is: the binary may have been built elsewhere.
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&package).join("src");
        let mut paths = Vec::new();
        collect(&root, &mut paths);
        paths.sort();
        let files = paths.iter().map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            Self { path, code: code(&text) }
        });
        files.filter(|file| !file.is_test()).collect()
    }

    /// The room: the first part of its path, without `.rs`.
    pub fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Every room that its code names, in `use` declarations and in paths within expressions and types.
    pub fn imports(&self) -> Vec<String> {
        let mut rooms: Vec<_> = self.paths().into_iter().filter_map(|path| path.into_iter().next()).collect();
        rooms.sort();
        rooms.dedup();
        rooms
    }

    /// Every path in its code that begins with `crate`, `super` or `self`, from the root of the crate on. A group in braces
    /// is as many paths as it has leaves.
    fn paths(&self) -> Vec<Vec<String>> {
        let own: Vec<_> = self.module().split("::").map(str::to_owned).collect();
        let mut found = Vec::new();
        let (mut rest, mut before) = (self.code.as_str(), ' ');
        while let Some(c) = rest.chars().next() {
            let name = identifier(rest);
            let is_start = !before.is_alphanumeric() && !['_', ':'].contains(&before);
            if is_start
                && ["crate", "super", "self"].contains(&name)
                && rest[name.len()..].trim_start().starts_with("::")
            {
                rest = leaves(rest, own.clone(), &mut found);
                before = ' ';
                continue;
            }
            let length = if name.is_empty() { c.len_utf8() } else { name.len() };
            before = rest[..length].chars().next_back().unwrap_or(' ');
            rest = &rest[length..];
        }
        found
    }

    /// Its module: `policy::permit` for `policy/permit.rs`, `policy` for `policy/mod.rs`.
    pub fn module(&self) -> String {
        let path = self.path.trim_end_matches(".rs");
        path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
    }

    /// Those of `modules` that its code names, each as deep as its path goes.
    pub fn modules_named(&self, modules: &[String]) -> Vec<String> {
        let deepest = |path: &Vec<String>| {
            let prefixes = (1..=path.len()).rev().map(|length| path[..length].join("::"));
            prefixes.into_iter().find(|prefix| modules.contains(prefix))
        };
        let mut found: Vec<_> = self.paths().iter().filter_map(deepest).collect();
        found.sort();
        found.dedup();
        found
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap();
        name == "tests.rs" || name.ends_with("_tests.rs") || self.path.contains("/tests/")
    }
}

/// Reads a path, or each path of a group in braces, relative to the module `base`; what follows it.
fn leaves<'a>(mut rest: &'a str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                rest = leaves(rest, base.clone(), found).trim_start();
                rest = rest.find([',', '}']).map_or("", |end| rest[end..].trim_start_matches(',').trim_start());
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let name = if rest.starts_with('*') { "*" } else { identifier(rest) };
        rest = &rest[name.len()..];
        match name {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" | "" => {}
            _ => base.push(name.to_owned()),
        }
        match rest.trim_start().strip_prefix("::") {
            Some(inner) if !name.is_empty() => rest = inner,
            Some(_) | None => {
                found.push(base);
                return rest;
            }
        }
    }
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file: up to its tests, without comments and without the content of strings.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if c == '"' {
            out.push_str("\"\"");
            string_length(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") && raw_hashes(rest).is_some() {
            out.push_str("\"\"");
            let hashes = raw_hashes(rest).unwrap_or_default();
            let end = format!("\"{}", "#".repeat(hashes));
            let open = 2 + hashes;
            rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').map_or(rest.len(), |at| at + 2).max(3)
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    match out.find("#[cfg(test)]\nmod tests").or_else(|| out.find("#[cfg(test)]\npub(")) {
        Some(tests) => out[..tests].to_owned(),
        None => out,
    }
}

/// The hashes of a raw string's beginning, if this is one.
fn raw_hashes(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn only_code_is_left_of_a_file() {
    let text = "use crate::a; // crate::b\n/* crate::c */ let x = \"crate::d \\\" \"; r#\"crate::e\"#; '\"'; y\n#[cfg(test)]\nmod tests { z }";
    assert_eq!(code(text), "use crate::a; \n let x = \"\"; \"\"; ; y\n");
    let file = |path: &str, code: &str| SourceFile { path: path.to_owned(), code: code.to_owned() };
    let imports = |path: &str, code: &str| file(path, code).imports().join(" ");
    assert_eq!(imports("a/b.rs", "use crate::c::d; use crate::{e, f::{g, h}, i};"), "c e f i");
    assert_eq!(imports("a/b.rs", "use super::c; use super::super::d::e;"), "a d");
    assert_eq!(imports("a/mod.rs", "use super::c; use self::d;"), "a c");
    assert_eq!(imports("a.rs", "pub(crate) fn x() { super::y::z() }"), "y");
    assert_eq!(imports("a/b.rs", "use super::{super::{c::{self, D}, e::*}, f};"), "a c e");
    assert_eq!(imports("a/b.rs", "use crate::{\n    c::{d as e, f},\n    g as h,\n};"), "c g");
    assert_eq!(
        imports("a/b.rs", "fn x(y: &crate::c::D) -> Vec<crate::e::F> { $crate::g::h(crate :: i::j()) }"),
        "c e g i"
    );
    assert_eq!(imports("a/b.rs", "use crate::*;"), "*", "a glob of the root hides what is imported");
    assert_eq!(imports("a/b.rs", "use other::crate_x::y; x.crate_y::<z>(); pub(crate) use self::c;"), "a");
}

#[test]
fn a_module_is_found_by_the_path_that_leads_to_it() {
    let file = |path: &str, code: &str| SourceFile { path: path.to_owned(), code: code.to_owned() };
    let modules = ["a", "a::b", "a::b::c", "a::d", "e"].map(str::to_owned);
    let of = |path: &str, code: &str| file(path, code).modules_named(&modules).join(" ");
    assert_eq!(of("a/b.rs", "use super::d::X; use super::Y;"), "a a::d");
    assert_eq!(of("a/b/c.rs", "use super::super::d; use super::Y;"), "a::b a::d");
    assert_eq!(of("a/d.rs", "use crate::a::b::c::X; use crate::e::f::g;"), "a::b::c e");
    assert_eq!(of("a/mod.rs", "use super::e; use crate::{a, e};"), "a e");
    assert_eq!(of("a/d.rs", "use super::{b::X, Y};"), "a a::b");
    assert_eq!(file("a/mod.rs", "").module() + " " + &file("a/b.rs", "").module(), "a a::b");
}
