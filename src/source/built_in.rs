//! The policy inside the program: what is in force until there is another.

use super::load::{LoadError, LoadedDocument, load_text};

/// Allows what Claude itself needs and denies the rest.
const STARTER: &str = include_str!("../../policies/starter.toml");

/// What messages call it.
const NAME: &str = "policies/starter.toml (built in)";

/// Returns the starter policy as if it had been read from a file, without files to watch.
///
/// # Errors
/// None in a program whose tests have passed.
pub fn built_in() -> Result<LoadedDocument, LoadError> {
    load_text(NAME, STARTER)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load;
    use super::*;
    use crate::policy::{Effect, PolicyDocument};

    /// Names that examples may use, in addition to Claude's own.
    const EXAMPLES: [&str; 2] = [".test", ".example"];
    const CLAUDE: [&str; 6] =
        ["anthropic.com", "claude.ai", "claude.com", "claude.app", "claudeusercontent.com", "claudemcpcontent.com"];

    fn allowed_by_name(document: &PolicyDocument) -> Vec<&str> {
        document.allow.iter().map(|entry| entry.value.as_str()).collect()
    }

    #[test]
    fn the_starter_policy_allows_what_claude_needs_and_nothing_else() {
        let starter = built_in().unwrap();
        let document = &starter.document;
        assert_eq!((document.name.as_str(), document.contact.as_deref()), ("starter", None));
        assert!(document.enabled && document.rules.is_empty() && document.lists.is_empty());
        assert_eq!(allowed_by_name(document).len(), 13);
        for entry in allowed_by_name(document) {
            assert!(CLAUDE.iter().any(|own| entry == *own || entry.ends_with(&format!(".{own}"))), "{entry}");
        }
        assert!(starter.files.is_empty());
    }

    #[test]
    fn every_policy_that_comes_along_is_read_and_has_cases_of_its_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let document = load(&path).unwrap_or_else(|error| panic!("{error}")).document;
            assert!(document.tests.len() >= 3, "{}", path.display());
            assert!(document.tests.iter().any(|test| test.expect == Effect::Deny), "{}", path.display());
            let patterns = [&document.allow, &document.deny, &document.package_managers].into_iter().flatten();
            for pattern in patterns.chain(document.rules.iter().flat_map(|rule| &rule.to)) {
                let host = pattern.value.split(':').next().unwrap();
                let fine =
                    EXAMPLES.iter().any(|end| host.ends_with(end)) || CLAUDE.iter().any(|own| host.ends_with(own));
                assert!(fine, "{host} in {}", path.display());
            }
            seen += 1;
        }
        assert!(seen >= 6, "{seen}");
    }
}
