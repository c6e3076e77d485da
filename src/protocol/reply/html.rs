//! The answer for browsers: one small page without script or outside resource, readable on a phone, light and dark.
//!
//! It is shown in place of another site, and under that site's name: so it may load and send nothing, and
//! its one style is named by its hash.

use maud::{Markup, PreEscaped, html};

use super::{Explanation, name, sentence};
use crate::text::{DOCTYPE, HtmlText};

/// Nothing but the page's own style, known by its hash; a test keeps the two together.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-UKfLgxwdR7S32NfzLiJbZZD+9bK7UfyRUtipKB1aO80='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn compose(explanation: &Explanation<'_>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title {
                    (explanation.title())
                    @if let Some(destination) = &explanation.destination { ": " (HtmlText(&name(destination))) }
                }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (explanation.title()) }
                    p { (HtmlText(&sentence::compose(explanation))) }
                    dl {
                        (row("Destination", explanation.destination.as_deref()))
                        (row("Reason", Some(explanation.token)))
                        (row("Rule", explanation.rule))
                        (row("Policy", explanation.denied.then_some(explanation.policy_name)))
                        (row("Policy revision", Some(explanation.revision)))
                        (row("Request", Some(&explanation.request_id)))
                        (row("Contact", explanation.contact))
                    }
                }
            }
        }
    };
    page.into_string()
}

/// One line of the list; none for what is not known.
fn row(label: &str, value: Option<&str>) -> Markup {
    let value = value.map(name).filter(|value| !value.is_empty());
    html! {
        @if let Some(value) = value { div { dt { (label) } dd { (HtmlText(&value)) } } }
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
