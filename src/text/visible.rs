//! Text from outside, made fit to be shown: in an answer, on the dashboard, on a terminal.
//!
//! Guaranteed: what comes out of [`reduced`], [`escaped`] and [`ascii`] has no control character, no line break, nothing
//! that changes the direction of writing and nothing of zero width. So it cannot end a line, drive a terminal, or make
//! one name look like another.
//!
//! Deliberately not done: distinguishing look-alike letters. Hosts are ASCII from the moment they are read; only a
//! policy's own texts can contain other letters, and their author is trusted.

use std::borrow::Cow;

/// Names longer than this many characters are elided in the middle (`docs/denials.md`): both ends of a host name matter, its
/// registrable domain and what tells it from its neighbours.
pub const MAX_NAME_CHARS: usize = 100;

/// Stands where something was left out.
const ELLIPSIS: char = '…';

/// The text without its invisible characters; every run of blanks is one space, none at the ends.
pub fn reduced(text: &str) -> Cow<'_, str> {
    if is_reduced(text) { Cow::Borrowed(text) } else { Cow::Owned(reduced_by_letters(text)) }
}

/// Whether there is plainly nothing to do: visible ASCII in single blanks, as nearly every text is.
fn is_reduced(text: &str) -> bool {
    let mut before = b' ';
    let single = text.bytes().all(|byte| {
        let fits = byte.is_ascii_graphic() || byte == b' ' && before != b' ';
        before = byte;
        fits
    });
    single && (before != b' ' || text.is_empty())
}

fn reduced_by_letters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if is_visible(character) {
            out.push(character);
        }
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// The text with its invisible characters spelled out, as `\u{202e}`, for people who have to see what was attempted.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_visible(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

/// [`reduced`], with `?` for everything beyond ASCII: for header fields and the status line.
pub fn ascii(text: &str) -> Cow<'_, str> {
    let shown = reduced(text);
    if shown.is_ascii() {
        return shown;
    }
    shown.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
}

/// The text in at most `max` characters: its middle makes way for an ellipsis.
pub fn elided(text: &str, max: usize) -> Cow<'_, str> {
    // No text has more characters than bytes, and nearly every name is short.
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let length = text.chars().count();
    if length <= max {
        return Cow::Borrowed(text);
    }
    let kept = max.saturating_sub(1);
    // The end is the longer half: it names a host's owner.
    let front = kept / 2;
    let back = kept - front;
    let mut out: String = text.chars().take(front).collect();
    out.push(ELLIPSIS);
    out.extend(text.chars().skip(length - back));
    Cow::Owned(out)
}

/// The text in at most `max` bytes: its end makes way for an ellipsis. Nothing at all where not even that fits.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let Some(room) = max.checked_sub(ELLIPSIS.len_utf8()) else {
        return Cow::Borrowed("");
    };
    let mut out = text.get(..text.floor_char_boundary(room)).unwrap_or_default().trim_end().to_owned();
    out.push(ELLIPSIS);
    Cow::Owned(out)
}

/// Appends the text as HTML character data, fit for an element's content and for a quoted attribute.
pub fn push_html(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
}

/// Whether this character is visible; a space counts as visible, other blanks do not.
pub fn is_visible(character: char) -> bool {
    if character.is_ascii() {
        return character == ' ' || character.is_ascii_graphic();
    }
    !is_blank_letter(character) && is_printable(character)
}

/// Characters that Unicode counts among letters and marks, and that are nevertheless drawn as nothing: fillers,
/// variation selectors, the empty Braille cell.
fn is_blank_letter(character: char) -> bool {
    matches!(character,
        '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}')
}

/// Neither control, format, private, unassigned nor separator. The standard library has that table but shows it only
/// through `escape_debug`, which also spells out a mark that has no letter before it: hence the letter.
fn is_printable(character: char) -> bool {
    let mut pair = String::from("x");
    pair.push(character);
    pair.escape_debug().nth(1) == Some(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_left_out_and_what_can_stays() {
        for (text, shown, spelled) in [
            ("Example Corp", "Example Corp", "Example Corp"),
            ("Žluťoučký 株式会社 e\u{301}", "Žluťoučký 株式会社 e\u{301}", "Žluťoučký 株式会社 e\u{301}"),
            ("a\r\nSet-Cookie: b", "a Set-Cookie: b", "a\\u{d}\\u{a}Set-Cookie: b"),
            ("\x1b[31mred\x7f\0", "[31mred", "\\u{1b}[31mred\\u{7f}\\u{0}"),
            ("evil\u{202e}moc.\u{2066}x", "evilmoc.x", "evil\\u{202e}moc.\\u{2066}x"),
            ("zero\u{200b}\u{feff}\u{2060}\u{ad}width", "zerowidth", "zero\\u{200b}\\u{feff}\\u{2060}\\u{ad}width"),
            ("fill\u{3164}\u{fe0f}\u{2800}er", "filler", "fill\\u{3164}\\u{fe0f}\\u{2800}er"),
            ("tag\u{e0041}", "tag", "tag\\u{e0041}"),
            (" \u{a0}two \u{2028} words\t", "two words", " \\u{a0}two \\u{2028} words\\u{9}"),
            ("", "", ""),
        ] {
            assert_eq!(reduced(text), shown, "{text:?}");
            assert_eq!(escaped(text), spelled, "{text:?}");
        }
        assert_eq!(ascii("Müller \u{202e}& Söhne"), "M?ller & S?hne");
    }

    #[test]
    fn a_long_name_loses_its_middle_and_a_long_text_its_end() {
        assert_eq!(elided("abcdefghij", 10), "abcdefghij");
        assert_eq!(elided("abcdefghijk", 10), "abcd…ghijk");
        assert_eq!(elided("äöüßäöüßäöü", 10), "äöüß…üßäöü");
        assert_eq!(shortened("one two three", 13), "one two three");
        assert_eq!(shortened("one two three", 11), "one two…");
        assert_eq!(shortened("äöü", 5), "ä…");
        assert_eq!(shortened("äöü", 2), "");
    }

    #[test]
    fn html_has_no_way_out_of_an_element_or_an_attribute() {
        let mut out = String::new();
        push_html(&mut out, "<b a=\"x\" c='y'>&amp;");
        assert_eq!(out, "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
    }

    proptest! {
        #[test]
        fn text_in_which_nothing_is_to_be_done_is_the_same_by_letters(text in "[ -~]{0,12}|[ a]{0,4}|[ \\ta\u{e9}]{0,4}") {
            prop_assert_eq!(reduced(&text), reduced_by_letters(&text));
        }

        #[test]
        fn limits_hold_whatever_comes_in(text in "\\PC{0,150}|.{0,150}", max in 0usize..120) {
            prop_assert!(elided(&text, max.max(1)).chars().count() <= max.max(1));
            prop_assert!(shortened(&text, max).len() <= max);
            prop_assert!(ascii(&text).bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let shown = reduced(&text);
            prop_assert_eq!(&*reduced(&shown), &*shown);
            prop_assert_eq!(escaped(&shown), &*shown);
        }
    }
}
