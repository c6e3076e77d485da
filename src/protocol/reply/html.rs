//! The answer for browsers: one small page without script or outside resource, readable on a phone, light and dark.
//!
//! It is shown in the place of somebody else's site, and under that site's name: so it may load and send nothing, and
//! its one style is named by its hash.

use super::{Explanation, name, sentence};
use crate::text::visible::push_html;

/// Nothing but the page's own style, known by its hash; a test keeps the two together.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-UKfLgxwdR7S32NfzLiJbZZD+9bK7UfyRUtipKB1aO80='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn compose(explanation: &Explanation<'_>) -> String {
    let mut page = String::with_capacity(STYLE.len() + 2048);
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    push_html(&mut page, explanation.title());
    if let Some(destination) = &explanation.destination {
        page.push_str(": ");
        push_html(&mut page, &name(destination));
    }
    page.push_str("</title>\n<style>");
    page.push_str(STYLE);
    page.push_str("</style>\n</head>\n<body>\n<main>\n<h1>");
    push_html(&mut page, explanation.title());
    page.push_str("</h1>\n<p>");
    push_html(&mut page, &sentence::compose(explanation));
    page.push_str("</p>\n<dl>\n");
    row(&mut page, "Destination", explanation.destination.as_deref());
    row(&mut page, "Reason", Some(explanation.token));
    row(&mut page, "Rule", explanation.rule);
    row(&mut page, "Policy", explanation.denied.then_some(explanation.policy_name));
    row(&mut page, "Policy revision", Some(explanation.revision));
    row(&mut page, "Request", Some(&explanation.request_id));
    row(&mut page, "Contact", explanation.contact);
    page.push_str("</dl>\n</main>\n</body>\n</html>\n");
    page
}

/// One line of the list; none for what is not known.
fn row(page: &mut String, label: &str, value: Option<&str>) {
    let value = value.map(name).filter(|value| !value.is_empty());
    if let Some(value) = value {
        page.push_str("<div><dt>");
        page.push_str(label);
        page.push_str("</dt><dd>");
        push_html(page, &value);
        page.push_str("</dd></div>\n");
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// RFC 4648 §4.
    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        bytes
            .chunks(3)
            .flat_map(|chunk| {
                let word =
                    (0..3).fold(0_usize, |word, i| (word << 8) | usize::from(chunk.get(i).copied().unwrap_or(0)));
                (0..4).map(move |i| match i <= chunk.len() {
                    true => char::from(LETTERS[(word >> (18 - 6 * i)) & 63]),
                    false => '=',
                })
            })
            .collect()
    }

    #[test]
    fn the_policy_for_content_names_the_style_that_the_page_has() {
        let hash = format!("'sha256-{}'", base64(&Sha256::digest(STYLE)));
        assert!(CONTENT_SECURITY_POLICY.contains(&hash), "page.css has changed: its hash is {hash}");
    }
}
