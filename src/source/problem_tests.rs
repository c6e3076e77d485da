//! Every code of a problem is the code of some policy's problem, and its example is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::PolicySource;
use crate::policy::{Example, ProblemCode};

const LIST: &str = "[[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"lists/line.txt\"\n";

/// The codes of what is wrong or doubtful with a policy.
fn codes(folder: &Path, name: &str, policy: &[u8]) -> BTreeSet<ProblemCode> {
    fs::create_dir_all(folder.join("lists")).unwrap();
    fs::write(folder.join("lists/names.txt"), "a.test\nb.test\n").unwrap();
    fs::write(folder.join(name), policy).unwrap();
    let report = match PolicySource::File(folder.join(name)).load(false).1 {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    report.problems().iter().map(|problem| problem.code).collect()
}

fn codes_of(example: &str) -> BTreeSet<ProblemCode> {
    let folder = tempfile::tempdir().unwrap();
    codes(folder.path(), "policy.toml", format!("version = 1\n{example}\n").as_bytes())
}

fn codes_of_line(line: &str) -> BTreeSet<ProblemCode> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("lists")).unwrap();
    fs::write(folder.path().join("lists/line.txt"), line).unwrap();
    codes(folder.path(), "policy.toml", format!("version = 1\n{LIST}").as_bytes())
}

#[test]
fn every_code_is_found_in_its_example_and_not_in_the_corrected_one() {
    for code in ProblemCode::all() {
        let (wrong, right) = match code.example() {
            Example::Policy { wrong, right } => (codes_of(wrong), codes_of(right)),
            Example::ListLine { wrong, right } => (codes_of_line(wrong), codes_of_line(right)),
            Example::Words(_) => in_words(code),
        };
        assert_eq!(wrong, BTreeSet::from([code]), "{code}");
        assert_eq!(right, BTreeSet::new(), "{code}");
    }
}

/// What the words of an example say, and its near miss.
fn in_words(code: ProblemCode) -> (BTreeSet<ProblemCode>, BTreeSet<ProblemCode>) {
    let folder = tempfile::tempdir().unwrap();
    let named = |letters: usize| codes_of(&format!("name = \"{}\"", "a".repeat(letters)));
    let version = |number: u8| codes(folder.path(), "policy.toml", format!("version = {number}\n").as_bytes());
    let encoded =
        |name: &[u8]| codes(folder.path(), "policy.toml", &[b"version = 1\nname = \"", name, b"\"\n"].concat());
    match code {
        ProblemCode::NotUtf8 => (encoded(b"caf\xe9"), encoded(b"caf\xc3\xa9")),
        ProblemCode::UnknownFormat => (
            codes(folder.path(), "policy.yaml", b"version: 1\n"),
            codes(folder.path(), "policy.json", b"{\"version\": 1}"),
        ),
        ProblemCode::UnsupportedVersion => (version(2), version(1)),
        ProblemCode::TooLarge => (named(101), named(100)),
        other => panic!("{other} needs an example that can be read"),
    }
}

#[test]
fn mistakes_of_shape_and_mistakes_in_patterns_are_reported_together_in_the_order_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "version = 1\nallow = [\"*\"]\nalow = []\ndeny = [\"ok.test\", 7, \"*.com\"]\n\
                  [[rule]]\neffect = \"permit\"\nto = [\"a.test:0\"]\n\
                  [[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"missing.txt\"\n\
                  [[list]]\neffect = \"deny\"\ncovers = \"exact\"\n\
                  [[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"bad.txt\"\nlines = 2\n";
    fs::write(folder.path().join("policy.toml"), policy).unwrap();
    fs::write(folder.path().join("bad.txt"), "a.test\nb..test\n*.c.test\n").unwrap();
    let report = PolicySource::File(folder.path().join("policy.toml")).load(false).1.unwrap_err();
    let found: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| {
            let file = Path::new(&problem.file).file_name().unwrap().to_str().unwrap();
            format!("{file}:{} {}", problem.line.unwrap(), problem.code)
        })
        .collect();
    assert_eq!(
        found,
        [
            "policy.toml:2 matches-everything",
            "policy.toml:3 unknown-key",
            "policy.toml:4 wrong-type",
            "policy.toml:4 public-suffix-wildcard",
            "policy.toml:6 invalid-value",
            "policy.toml:7 invalid-port",
            "policy.toml:11 unusable-file",
            "policy.toml:12 missing-key",
            "policy.toml:19 list-mismatch",
            "bad.txt:2 invalid-host-name",
            "bad.txt:3 not-a-name",
        ]
    );
    assert_eq!(report.total(), 11);
}

#[test]
fn a_mistake_of_shape_alone_keeps_a_policy_from_coming_into_force() {
    assert_eq!(codes_of("allow = [\"a.test\"]\nalow = []"), BTreeSet::from([ProblemCode::UnknownKey]));
    assert_eq!(codes_of("allow = [\"a.test\"]"), BTreeSet::new());
}
