//! The source as text, for claims about what stands in it. Comments, strings and tests are no code here.

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

    /// Every room that its code names by `crate::…` or by enough `super::`.
    pub fn imports(&self) -> Vec<String> {
        let mut rooms: Vec<_> =
            self.code.match_indices("crate::").flat_map(|(at, _)| named(&self.code[at + 7..])).collect();
        let mut rest = self.code.as_str();
        while let Some(at) = rest.find("super::") {
            let mut depth = 0;
            rest = &rest[at..];
            while let Some(behind) = rest.strip_prefix("super::") {
                (depth, rest) = (depth + 1, behind);
            }
            if depth >= self.depth() {
                rooms.extend(named(rest));
            }
        }
        rooms.sort();
        rooms.dedup();
        rooms
    }

    /// How many `super::` lead from its module to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// Its module: `policy::permit` for `policy/permit.rs`, `policy` for `policy/mod.rs`.
    pub fn module(&self) -> String {
        let path = self.path.trim_end_matches(".rs");
        path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
    }

    /// Those of `modules` that its code names by `crate::…` or `super::…`, each as deep as it goes.
    pub fn modules_named(&self, modules: &[String]) -> Vec<String> {
        let own = self.module();
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            reached("", &self.code[at + 7..], modules, &mut found);
        }
        let mut rest = self.code.as_str();
        while let Some(at) = rest.find("super::") {
            let mut base = own.as_str();
            rest = &rest[at..];
            while let Some(after) = rest.strip_prefix("super::") {
                base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
                rest = after;
            }
            reached(base, rest, modules, &mut found);
        }
        found.sort();
        found.dedup();
        found
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap();
        name == "tests.rs" || name.ends_with("_tests.rs") || self.path.contains("/tests/")
    }
}

/// Follows a path, or each of a group in braces, from the module `base` on, for as long as it names modules.
fn reached(base: &str, path: &str, modules: &[String], found: &mut Vec<String>) {
    for name in named(path) {
        let module = if base.is_empty() { name.clone() } else { format!("{base}::{name}") };
        if modules.contains(&module) {
            match path.strip_prefix(&name).and_then(|rest| rest.strip_prefix("::")) {
                Some(rest) => reached(&module, rest, modules, found),
                None => found.push(module),
            }
        } else if !base.is_empty() {
            found.push(base.to_owned());
        }
    }
}

/// The first names behind a `crate::`: one, or those of a group in braces.
fn named(behind: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = behind.strip_prefix('{') else { return vec![name(behind)] };
    let mut names = vec![name(group.trim_start())];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
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

/// The code of a file: up to its tests, without comments and without what stands in strings.
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
    let behind = text.strip_prefix('r')?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    behind[hashes..].starts_with('"').then_some(hashes)
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
    assert_eq!(imports("a/b.rs", "use super::c; use super::super::d::e;"), "d");
    assert_eq!(imports("a/mod.rs", "use super::c; use self::d;"), "c");
    assert_eq!(imports("a.rs", "pub(crate) fn x() { super::y::z() }"), "y");
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
