//! Lists of names: every line that is a name is in force and no other name is, in both formats.

use std::collections::HashSet;

use outgate::facts::{DomainName, Port};
use outgate::policy::{Covers, Effect, ListDocument, ListFormat, ListSource, Policy, ProblemPlace, Snapshot, Source};

use super::policy::{allows, empty, spanned};
use super::problems;

pub(super) fn check(input: &[u8]) {
    for format in [ListFormat::Domains, ListFormat::Hosts] {
        for covers in [Covers::Exact, Covers::Subdomains] {
            check_list(input, format, covers);
        }
    }
}

fn check_list(input: &[u8], format: ListFormat, covers: Covers) {
    let list = ListDocument {
        span: Default::default(),
        effect: Effect::Allow,
        file: spanned("list.txt"),
        format,
        covers,
        lines: None,
        sha256: None,
    };
    let mut document = empty();
    document.lists.push(list);
    let source = Source { lists: &[ListSource { text: Ok(input) }], content_hash: "0123456789abcdef" };
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let names = names(input, format);
    match Policy::compile(&document, source) {
        Err(found) => {
            assert!((1..=20).contains(&found.kept().len()), "{} problems", found.kept().len());
            assert!(found.kept().iter().all(|problem| matches!(problem.place, ProblemPlace::List { .. })));
            assert!(found.kept().is_sorted_by_key(|problem| problem.place));
            problems::check("", &[lines], &found);
        }
        Ok(compiled) => {
            problems::check("", &[lines], &compiled.warnings);
            let policy = Snapshot::from(compiled.policy);
            check_names(&policy, &names, covers, input.is_ascii());
        }
    }
}

/// What the lines name, read plainly; international names are left out.
fn names(input: &[u8], format: ListFormat) -> HashSet<String> {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let mut names = HashSet::new();
    for line in text.split(|byte| *byte == b'\n') {
        let content = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        let words = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let found: Vec<&[u8]> = match format {
            ListFormat::Domains => vec![content],
            ListFormat::Hosts => words.skip(1).collect(),
        };
        let found = found.into_iter().filter_map(|word| DomainName::parse(word).ok());
        names.extend(found.map(|name| name.as_str().to_owned()));
    }
    names
}

fn check_names(policy: &Snapshot, names: &HashSet<String>, covers: Covers, is_ascii: bool) {
    // This machine's own names in a hosts file are no entries.
    let own = |name: &str| name.starts_with("local") || name.starts_with("ip6-") || name.starts_with("broadcast");
    for name in names.iter().filter(|name| !own(name)).take(8) {
        assert!(allows(policy, name, Port::HTTPS) && allows(policy, name, Port::HTTP), "{name}");
        let below = format!("zz.{name}");
        if below.len() <= 253 && is_ascii {
            let listed = names.contains(&below) || covers == Covers::Subdomains;
            assert_eq!(allows(policy, &below, Port::HTTPS), listed, "{below}");
        }
        let longer = format!("zz{name}");
        if DomainName::parse(longer.as_bytes()).is_ok() && is_ascii {
            let mut suffixes = longer.match_indices('.').map(|(at, _)| &longer[at + 1..]);
            // Which of those that begin as this machine's own names are entries is not known here.
            if suffixes.clone().any(|suffix| names.contains(suffix) && own(suffix)) {
                continue;
            }
            let covered = covers == Covers::Subdomains && suffixes.any(|suffix| names.contains(suffix));
            assert_eq!(allows(policy, &longer, Port::HTTPS), names.contains(&longer) || covered, "{longer}");
        }
    }
}
