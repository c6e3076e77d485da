//! The word that was probably meant.

use super::keys::{Section, Shape, Support};
use super::place::quote;

/// The candidate nearest to a word, if it is near enough to be meant: at most a third of its letters wrong.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A sentence in place of a key was not meant as a key; and computing the distance costs the product of the lengths.
    let letters: Vec<char> = word.chars().take(MAX_WORD + 1).flat_map(char::to_lowercase).collect();
    if letters.len() > MAX_WORD {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(&letters, &candidate.chars().collect::<Vec<_>>()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1) && *distance < letters.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many keys a message lists before it says "…".
const MAX_LISTED: usize = 16;

/// What to say about a key that a section does not have.
pub(super) fn unknown_key(section: &Section, outer: Option<&Section>, name: &str) -> (String, String) {
    let none = || format!("{} has no key {}", section.what, quote(name));
    let lower = name.to_lowercase();
    if let Some(key) = section.keys.iter().find(|key| key.also.contains(&lower.as_str())) {
        return (none(), format!("did you mean `{}`?", key.name));
    }
    let elsewhere = |home: &Section| format!("`{name}` is a key of {}, not of {}", home.what, section.what);
    if let Some(outer) = outer.filter(|outer| outer.key(name).is_some()) {
        let fix = "move it above the first [table] or [[table]], since what follows one belongs to it";
        return (elsewhere(outer), fix.into());
    }
    if let Some((key, inner)) = section.inner_with(name) {
        let header = if matches!(key.shape, Shape::Tables(_)) { ("[[", "]]") } else { ("[", "]") };
        return (elsewhere(inner), format!("write it below {}{}{}", header.0, key.name, header.1));
    }
    let fix = match nearest(name, section.keys.iter().map(|key| key.name)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("its keys are {}", list_keys(section)),
    };
    (none(), fix)
}

fn list_keys(section: &Section) -> String {
    let known = || section.keys.iter().filter(|key| key.support == Support::Now);
    let mut names: Vec<_> = known().take(MAX_LISTED).map(|key| format!("`{}`", key.name)).collect();
    if known().count() > MAX_LISTED {
        names.push("…".into());
    }
    names.join(", ")
}

/// Longer than any key by far.
const MAX_WORD: usize = 40;

/// Insertions, deletions, replacements, and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replace = cell(&above, j) + usize::from(x != y);
            let mut best = replace.min(cell(&above, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = above;
        above = row;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_different_word_does_not() {
        let keys = ["allow", "deny", "package-managers", "internal-addresses", "id", "to", "until"];
        for (word, meant) in [
            ("alow", Some("allow")),
            ("allwo", Some("allow")),
            ("Allow", Some("allow")),
            ("allows", Some("allow")),
            ("package_managers", Some("package-managers")),
            ("packagemanager", Some("package-managers")),
            ("utnil", Some("until")),
            ("di", Some("id")),
            ("x", None),
            ("owner", None),
            ("", None),
            ("color", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
        assert_eq!(nearest(&"allow".repeat(1000), keys), None);
    }
}
