//! Moments as RFC 3339 writes them.

use std::time::SystemTime;

/// Why a text is not a time.
pub(super) enum MomentError {
    /// It has no time zone.
    NoOffset,
    /// It is only a day, only a time, or neither.
    NoTime,
    /// There is no such day or time.
    Impossible,
}

/// RFC 3339 §5.6, with a blank for the `T` as its note and TOML allow.
pub(super) fn parse_moment(text: &str) -> Result<SystemTime, MomentError> {
    const PATTERN: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let (moment, rest) = text.as_bytes().split_at_checked(PATTERN.len()).ok_or(MomentError::NoTime)?;
    let fits = moment.iter().zip(PATTERN).all(|(byte, wanted)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == wanted,
    });
    let rest = match rest {
        [b'.', fraction @ ..] => after_digits(fraction),
        _ => rest,
    };
    match (fits, rest) {
        (false, _) => Err(MomentError::NoTime),
        (true, []) => Err(MomentError::NoOffset),
        (true, [b'Z' | b'z']) => Ok(()),
        (true, [b'+' | b'-', h1, h2, b':', m1, m2]) if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) => {
            Ok(())
        }
        (true, _) => Err(MomentError::NoTime),
    }?;
    let moment: jiff::Timestamp = text.parse().map_err(|_| MomentError::Impossible)?;
    SystemTime::try_from(moment).map_err(|_| MomentError::Impossible)
}

fn after_digits(bytes: &[u8]) -> &[u8] {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.get(digits..).unwrap_or_default()
}
