//! Lengths of time and sizes as people write them.

use std::fmt;
use std::time::Duration;

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`, as in `"10s"`. None where it is something else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_millis)
}

/// A size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`, as in `"64 KiB"`. None where it is something else:
/// `KB` means 1000 to some and 1024 to others.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// As one would write it: the largest unit that leaves a whole number.
pub(super) struct Written(pub(super) u64, &'static [(&'static str, u64)], &'static str);

impl Written {
    pub(super) fn duration(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIMES, "")
    }

    pub(super) fn size(bytes: u64) -> Self {
        Self(bytes, &SIZES, " ")
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(amount, units, between) = self;
        let whole = units.iter().rev().find(|(_, factor)| *amount >= *factor && amount.is_multiple_of(*factor));
        let (unit, factor) = whole.or_else(|| units.first()).copied().unwrap_or(("", 1));
        write!(f, "{}{between}{unit}", amount / factor)
    }
}

/// A duration as one would write it in a file: `10s`.
pub fn written_duration(duration: Duration) -> String {
    Written::duration(duration).to_string()
}

/// A number of bytes as one would write it in a file: `64 KiB`.
pub fn written_size(bytes: u64) -> String {
    Written::size(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("10 s", Some(10_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("90d", Some(7_776_000_000)),
            ("0s", Some(0)),
            ("10", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5h", None),
            ("1h30m", None),
            ("10  s", None),
            ("10S", None),
            ("10sec", None),
            (" 10s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("１s", None),
        ] {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        for (text, bytes) in [
            ("64 KiB", Some(65_536)),
            ("64KiB", Some(65_536)),
            ("10 MiB", Some(10_485_760)),
            ("1 GiB", Some(1_073_741_824)),
            ("512 B", Some(512)),
            ("64 KB", None),
            ("64 kib", None),
            ("64", None),
            ("KiB", None),
            ("1.5 MiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn limits_are_written_as_people_write_them() {
        for (written, text) in [
            (Written::duration(Duration::from_millis(500)), "500ms"),
            (Written::duration(Duration::from_secs(90)), "90s"),
            (Written::duration(Duration::from_secs(3600)), "1h"),
            (Written::duration(Duration::from_secs(86_400 * 90)), "90d"),
            (Written::duration(Duration::ZERO), "0ms"),
            (Written::size(65_536), "64 KiB"),
            (Written::size(1000), "1000 B"),
        ] {
            assert_eq!(written.to_string(), text);
        }
    }
}
