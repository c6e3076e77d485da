//! One allow rule as text, to be added to a policy.
//!
//! Guaranteed: TOML to be added at the end of a policy (unless that writes its rules as one inline array, which no
//! table can follow), and JSON to be added to a policy's list `rule`; no content of a string can end the string or the
//! rule early.

use std::fmt::Write as _;

use super::Format;

/// An allow rule that may be added to a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleText {
    /// Its id.
    pub id: String,
    /// Its pattern.
    pub to: String,
    /// Listener names; empty for any.
    pub tools: Vec<String>,
    /// Special-purpose addresses or ranges that it opens.
    pub addresses: Vec<String>,
    /// Whether its tunnels may begin with something else than a ClientHello that names the host.
    pub tls_optional: bool,
}

impl RuleText {
    /// The text. TOML is several lines, the last one ended; `comment` is after the header, where the format has
    /// comments.
    pub fn write(&self, format: Format, comment: Option<&str>) -> String {
        match format {
            Format::Toml => self.toml(comment),
            Format::Json => self.json(),
        }
    }

    fn toml(&self, comment: Option<&str>) -> String {
        let mut text = "[[rule]]".to_owned();
        if let Some(comment) = comment {
            let _ = write!(text, "                  # {comment}");
        }
        text.push('\n');
        for (key, value) in self.keys() {
            let _ = writeln!(text, "{key} = {value}");
        }
        text
    }

    fn json(&self) -> String {
        let keys: Vec<_> = self.keys().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", keys.join(", "))
    }

    /// Keys and values; strings and lists are written alike in both formats.
    fn keys(&self) -> impl Iterator<Item = (&'static str, String)> {
        let list =
            |texts: &[String]| format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "));
        let some = |texts: &[String]| (!texts.is_empty()).then(|| list(texts));
        [
            ("id", Some(quoted(&self.id))),
            ("effect", Some(quoted("allow"))),
            ("to", Some(list(std::slice::from_ref(&self.to)))),
            ("tools", some(&self.tools)),
            ("addresses", some(&self.addresses)),
            ("tls", self.tls_optional.then(|| quoted("optional"))),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    }
}

/// A string as both TOML and JSON read it: ASCII alone. Characters beyond their common escapes are replaced.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match (c, u16::try_from(u32::from(c)).unwrap_or(0xfffd)) {
            ('"' | '\\', _) => quoted.extend(['\\', c]),
            (' '..='~', _) => quoted.push(c),
            (_, number) => _ = write!(quoted, "\\u{number:04X}"),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::text::read_policy;

    #[test]
    fn both_formats_read_back_what_was_meant() {
        let odd = RuleText {
            id: "a\"][[rule]]\\ #\u{e9}".into(),
            to: "a.test:443".into(),
            tools: vec!["cli".into(), "browser".into()],
            addresses: vec!["10.0.0.7".into()],
            tls_optional: true,
        };
        let toml = format!("version = 1\nname = \"n\"\n{}", odd.write(Format::Toml, Some("why")));
        let json = format!("{{\"version\": 1, \"name\": \"n\", \"rule\": [{}]}}", odd.write(Format::Json, Some("why")));
        for (text, format) in [(toml, Format::Toml), (json, Format::Json)] {
            let document = read_policy(&text, format).unwrap_or_else(|problems| panic!("{problems:?} in {text}"));
            let [rule] = &document.rules[..] else { panic!("{text}") };
            assert_eq!(rule.id.value, odd.id);
            assert_eq!(rule.to.iter().map(|to| &to.value).collect::<Vec<_>>(), [&odd.to]);
            assert_eq!(rule.tools.iter().map(|tool| &tool.value).collect::<Vec<_>>(), ["cli", "browser"]);
            assert_eq!(rule.addresses.iter().map(|net| &net.value).collect::<Vec<_>>(), ["10.0.0.7"]);
        }
    }
}
