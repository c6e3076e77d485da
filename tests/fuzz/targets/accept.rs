//! `Accept`: order, case, blanks and empty elements of a list have no meaning (RFC 9110 §5.6.1, §12.5.1).

use outgate::protocol::reply::Form;

pub(super) fn check(input: &[u8]) {
    let form = Form::of(Some(input));
    let ranges: Vec<&[u8]> = input.split(|byte| *byte == b',').collect();
    let same = |ranges: &[&[u8]], separator: &[u8], how: &str| {
        assert_eq!(Form::of(Some(&ranges.join(separator))), form, "{how}");
    };
    same(&ranges, b" ,\t", "blanks around commas");
    same(&ranges, b",,", "empty elements");
    same(&[ranges.as_slice(), &[b"".as_slice(), b" "]].concat(), b",", "empty elements at the end");
    same(&[ranges.as_slice(), &ranges].concat(), b",", "everything twice");
    let reversed: Vec<&[u8]> = ranges.iter().rev().copied().collect();
    same(&reversed, b",", "in reverse");
    assert_eq!(Form::of(Some(&input.to_ascii_uppercase())), form, "in capitals");
    let spaced: Vec<u8> =
        input.iter().flat_map(|byte| if *byte == b';' { b" ; ".to_vec() } else { vec![*byte] }).collect();
    assert_eq!(Form::of(Some(&spaced)), form, "blanks around semicolons");
    // A type with `q=0` changes nothing either.
    same(&[ranges.as_slice(), &[b"application/zip;q=0".as_slice()]].concat(), b",", "an unwanted type");
}
