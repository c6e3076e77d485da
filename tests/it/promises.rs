//! What SECURITY.md promises, and the tests that it names for it.
//!
//! A promise is an item of the list under "What is promised"; a test is named in code marks, as `path::name`.

use std::fs;
use std::path::Path;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each promise with the tests named for it, as path and name.
fn promises(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let (_, rest) = page.split_once("\n## What is promised\n").expect("the heading");
    let section = rest.split("\n## ").next().unwrap();
    let items = section.split("\n- ").skip(1);
    items.map(|item| (item.lines().next().unwrap().to_owned(), named(item))).collect()
}

fn named(item: &str) -> Vec<(String, String)> {
    let marked = item.split('`').skip(1).step_by(2);
    marked.filter_map(|text| text.split_once("::")).map(|(path, name)| (path.to_owned(), name.to_owned())).collect()
}

/// Whether there is a test of this name: a function in Rust, a case in a script, a mechanism in the corpus.
fn exists(path: &str, name: &str) -> bool {
    let Ok(text) = fs::read_to_string(package().join(path)) else { return false };
    if path.ends_with(".rs") {
        // The text after an attribute up to its function, which may include other attributes.
        let tests = text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1));
        let mut heads = tests.filter_map(|text| text.lines().find(|line| line.contains("fn ")));
        return heads.any(|head| head.contains(&format!("fn {name}(")));
    }
    let word = if path.ends_with(".jsonl") { format!("\"mech\": \"{name}\"") } else { format!("def {name}(") };
    text.contains(&word)
}

#[test]
fn every_promise_names_tests_and_they_are_there() {
    let page = fs::read_to_string(package().join("SECURITY.md")).unwrap();
    let all = named(&page);
    let promises = promises(&page);
    assert!(promises.len() >= 10, "{promises:#?}");
    let mut wrong = Vec::new();
    for (promise, tests) in promises {
        if tests.is_empty() {
            wrong.push(format!("no test is named for: {promise}"));
        }
    }
    // What is not promised is shown by tests as well.
    let missing = all.iter().filter(|(path, name)| !exists(path, name));
    wrong.extend(missing.map(|(path, name)| format!("{path}::{name} is not there")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_name_is_a_test_of_that_file_and_nothing_else() {
    for (path, name, expected) in [
        ("tests/it/promises.rs", "a_name_is_a_test_of_that_file_and_nothing_else", true),
        ("tests/it/promises.rs", "a_name_is_a_test_of_that_file", false),
        ("tests/it/promises.rs", "exists", false),
        ("tests/it/nowhere.rs", "exists", false),
        ("src/tls/hello/tests.rs", "cuts_never_change_the_answer", true),
        ("src/tls/hello/tests.rs", "agree", false),
        ("tests/corpus/tls.jsonl", "stall", true),
        ("tests/corpus/tls.jsonl", "stal", false),
        ("tests/browser/run", "markup_stays_text", true),
        ("tests/browser/run", "markup_stays", false),
    ] {
        assert_eq!(exists(path, name), expected, "{path}::{name}");
    }
    let page = "\n## What is promised\n\nWhy `a::b`.\n\n- **One.** Held by `x.rs::y`,\n  `z.rs::w`.\n- **Two.** `no`.\n\n## Next\n- **Three.**\n";
    let named = |path: &str, name: &str| (path.to_owned(), name.to_owned());
    let one = ("**One.** Held by `x.rs::y`,".to_owned(), vec![named("x.rs", "y"), named("z.rs", "w")]);
    assert_eq!(promises(page), [one, ("**Two.** `no`.".to_owned(), vec![])]);
}
