//! The pages that people read: links lead somewhere, and the README stays short.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The README answers three questions within a minute; everything else is a page of its own.
const README_LINES: usize = 200;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown page of the package, relative to it. The corpus is kept elsewhere too, and its page is not ours.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(package().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with('.') || ["target", "corpus", "node_modules"].contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                collect(&path, found);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(Path::new(""), &mut found);
    found.sort();
    found
}

fn read(page: &Path) -> String {
    fs::read_to_string(package().join(page)).unwrap()
}

/// A page without its code blocks and code marks, in which brackets are no links.
fn prose(text: &str) -> String {
    let mut in_block = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block && !line.starts_with("    ") {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>();
            prose.push_str(&outside.join("code"));
            prose.push('\n');
        }
    }
    prose
}

/// The targets of a page's links and pictures.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page's headings, as code hosts make them: lower case, blanks to hyphens, other punctuation dropped.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        in_block ^= line.starts_with("```");
        let heading = line.trim_start_matches('#');
        if in_block || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        anchors.insert(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    anchors
}

/// What is wrong with one link of one page.
fn fault(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !package().join(&target).exists() {
        return Some(format!("{}: `{link}` leads nowhere", page.display()));
    }
    (!anchor.is_empty() && !anchors(&read(&target)).contains(anchor))
        .then(|| format!("{}: `{link}` names no heading", page.display()))
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_of_it() {
    let pages = pages();
    assert!(pages.len() > 10, "{pages:?}");
    let faults = pages.iter().flat_map(|page| {
        let text = read(page);
        links(&text).into_iter().filter_map(|link| fault(page, &link)).collect::<Vec<_>>()
    });
    assert_eq!(faults.collect::<Vec<_>>(), [""; 0]);
}

/// The Markdown files that a source file names.
fn named(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    text.split(|c| !is_part(c)).filter(|word| word.len() > 3 && word.ends_with(".md")).collect()
}

#[test]
fn the_code_refers_only_to_pages_that_are_in_the_package() {
    let sources = crate::source_text::SourceFile::all();
    assert!(sources.len() > 100);
    let mut count = 0;
    // The reference pages are written there, with links of their own: those are tested as pages.
    for source in sources.iter().filter(|source| !source.path.starts_with("cli/reference")) {
        let text = fs::read_to_string(package().join("src").join(&source.path)).unwrap();
        for page in named(&text) {
            count += 1;
            assert!(package().join(page).is_file(), "{} names {page}", source.path);
        }
    }
    assert!(count > 10, "{count} names: the search finds none");
    assert_eq!(named("see `docs/a.md`, B.md, and (c/d.md). not .md"), ["docs/a.md", "B.md", "c/d.md"]);
}

#[test]
fn a_link_to_nothing_is_found() {
    let page = Path::new("docs/policy.md");
    for (link, is_good) in [
        ("reference/policy.md", true),
        ("reference/nothing.md", false),
        ("#patterns", true),
        ("#nothing", false),
        ("denials.md#reasons-and-what-helps", true),
        ("denials.md#reasons", false),
        ("https://example.com/", true),
    ] {
        assert_eq!(fault(page, link).is_none(), is_good, "{link}");
    }
    assert_eq!(links("a [b](c.md) `[d](e)` ![f](g.png)\n\n    [h](i)\n"), ["c.md", "g.png"]);
}

#[test]
fn every_page_of_the_documentation_is_linked() {
    let pages = pages();
    let mut linked = BTreeSet::new();
    for page in &pages {
        for link in links(&read(page)) {
            let path = link.split('#').next().unwrap();
            let target = package().join(page.parent().unwrap()).join(path);
            linked.extend(target.canonicalize());
        }
    }
    let is_missing =
        |page: &&PathBuf| page.starts_with("docs") && !linked.contains(&package().join(page).canonicalize().unwrap());
    assert_eq!(pages.iter().filter(is_missing).collect::<Vec<_>>(), [""; 0].map(Path::new));
}

#[test]
fn the_readme_stays_short() {
    assert!(read(Path::new("README.md")).lines().count() < README_LINES);
}
