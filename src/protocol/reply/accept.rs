//! Which of the three bodies a client wants, by its `Accept` field (RFC 9110 §12.5.1).

/// The three bodies of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One sentence of plain text: what clients show word for word.
    Sentence,
    /// A page for a browser.
    Html,
    /// `application/problem+json` (RFC 9457).
    Json,
}

/// How much something is wanted, in thousandths, and whether it was named or only covered by `*`. Ordered: a named type
/// goes before a covered one of the same weight.
type Wish = (u16, bool);

impl Form {
    /// The form for an `Accept` field's value (several lines joined with commas); none means the sentence.
    ///
    /// `*/*` means the sentence, as curl and most libraries send it without a thought. JSON goes before the sentence
    /// where both are named alike, the sentence before HTML; and HTML only comes where nothing else is named with a
    /// higher weight: a client that would rather have `application/zip` is not a browser and shows no page.
    pub fn of(accept: Option<&[u8]>) -> Self {
        let mut wishes = Wishes::default();
        for range in accept.unwrap_or_default().split(|byte| *byte == b',') {
            wishes.note(range);
        }
        wishes.form()
    }
}

/// What is known after reading the field: per type the heaviest range that speaks of it, the most specific one first.
#[derive(Debug, Default)]
struct Wishes {
    json: Option<u16>,
    any_application: Option<u16>,
    html: Option<u16>,
    plain: Option<u16>,
    any_text: Option<u16>,
    anything: Option<u16>,
    /// The heaviest named type that we do not have.
    other: u16,
}

impl Wishes {
    fn note(&mut self, range: &[u8]) {
        let mut parts = range.split(|byte| *byte == b';');
        let media = parts.next().unwrap_or_default().trim_ascii();
        // An empty list element does not count (RFC 9110 §5.6.1), so it is not an unsupported type either.
        if media.is_empty() {
            return;
        }
        let weight = parts.find_map(weight).unwrap_or(Some(1000));
        // A weight that cannot be read says nothing about what is wanted.
        let Some(weight) = weight else { return };
        let is = |known: &str| media.eq_ignore_ascii_case(known.as_bytes());
        let slot = if is("*/*") {
            &mut self.anything
        } else if is("application/json") || is("application/problem+json") {
            &mut self.json
        } else if is("application/*") {
            &mut self.any_application
        } else if is("text/html") || is("application/xhtml+xml") {
            &mut self.html
        } else if is("text/plain") {
            &mut self.plain
        } else if is("text/*") {
            &mut self.any_text
        } else {
            self.other = self.other.max(weight);
            return;
        };
        *slot = Some(slot.map_or(weight, |before| before.max(weight)));
    }

    fn form(&self) -> Form {
        let json = wish(self.json, self.any_application);
        let sentence = wish(self.plain, self.any_text.or(self.anything));
        let html = match self.html {
            Some(weight) if weight >= self.other => (weight, true),
            Some(_) | None => (0, false),
        };
        if json.0 > 0 && json >= sentence && json >= html {
            Form::Json
        } else if html.0 > 0 && html > sentence {
            Form::Html
        } else {
            Form::Sentence
        }
    }
}

/// The more specific range decides, even if it says less (RFC 9110 §12.5.1).
fn wish(named: Option<u16>, covered: Option<u16>) -> Wish {
    match (named, covered) {
        (Some(weight), _) => (weight, true),
        (None, Some(weight)) => (weight, false),
        (None, None) => (0, false),
    }
}

/// The weight in thousandths if this parameter is one (`q=0.8`); `Some(None)` if it is one that cannot be read.
fn weight(parameter: &[u8]) -> Option<Option<u16>> {
    let parameter = parameter.trim_ascii();
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    Some(thousandths(value))
}

/// RFC 9110 §12.4.2: `0` to `1` with at most three decimals.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut number = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for place in 0..3 {
        let digit = decimals.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u16::from(digit - b'0');
    }
    (number <= 1000).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_browser_gets_a_page_a_program_its_json_and_everyone_else_the_sentence() {
        use Form::{Html, Json, Sentence};
        for (accept, form) in [
            ("*/*", Sentence),
            ("", Sentence),
            ("text/plain", Sentence),
            ("text/*", Sentence),
            ("image/png", Sentence),
            ("text/html", Html),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", Html),
            ("TEXT/HTML", Html),
            ("text/html, */*", Html),
            ("text/html;q=0.9, */*", Sentence),
            ("text/html;q=0", Sentence),
            ("text/html, text/plain", Sentence),
            ("text/html, text/plain;q=0.9", Html),
            ("application/zip, text/html;q=0.01", Sentence),
            ("application/json", Json),
            ("application/problem+json", Json),
            ("application/json, text/plain, */*", Json),
            ("application/json, text/javascript, */*; q=0.01", Json),
            ("application/json;q=0.8, */*", Sentence),
            ("application/json;q=0", Sentence),
            ("application/*", Json),
            ("application/*, */*", Json),
            ("application/jsonx", Sentence),
            ("text/html, application/json", Json),
            ("text/html, application/json;q=0.9", Html),
            ("text/html;level=1;q=0.5, application/json;q=0.4", Html),
            ("text/plain;q=0.1, */*", Sentence),
            ("text/plain;q=0, application/json;q=0.1, */*", Json),
            ("application/json;q=1.001", Sentence),
            ("application/json;q=1.0000", Sentence),
            ("application/json;q=0.", Sentence),
            ("application/json;Q=0.5", Json),
            ("text/html;q=0.9,", Html),
            (", text/html;q=0.9", Html),
            ("text/html;q=0.9, a", Sentence),
            ("application/json; q=0.001", Json),
            ("application/json;q=-1, text/html;q=high", Sentence),
        ] {
            assert_eq!(Form::of(Some(accept.as_bytes())), form, "{accept}");
        }
        assert_eq!(Form::of(None), Sentence);
    }

    proptest! {
        #[test]
        fn no_field_is_too_odd_to_read(accept in prop::collection::vec(any::<u8>(), 0..200)) {
            Form::of(Some(&accept));
        }
    }
}
