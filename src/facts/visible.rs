//! Which characters show as themselves, so that text from somewhere else can be shown at all.
//!
//! Guaranteed: what comes out of [`escaped`] has no control character, no line break, nothing that changes the direction
//! of writing and nothing of zero width. It cannot end a line, drive a terminal, or make one name look like another.
//!
//! Deliberately not done: telling look-alike letters apart.

/// The text with its invisible characters spelled out, as `\u{202e}`, for people who have to see what somebody tried.
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

/// Whether a reader sees something of this character where it stands; a space counts, other blanks do not.
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
