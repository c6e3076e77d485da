//! Numbers as people read them: bytes, ages, rates, counts.
//!
//! Everything is rounded down, so that no figure claims more than was counted.

use std::time::Duration;

/// Separates groups of three digits: a narrow space at which no line is broken.
const GROUP_SEPARATOR: char = '\u{202f}';

/// Bytes in their largest binary unit, in at most eight characters: `512 B`, `1.5 MiB`, `100 KiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (u128::from(count) * 10 / 1024, UNITS.iter());
    let mut name = unit.next();
    while tenths >= 10_240 {
        tenths /= 1024;
        name = unit.next();
    }
    let name = name.copied().unwrap_or_default();
    if tenths >= 1000 { format!("{} {name}", tenths / 10) } else { format!("{}.{} {name}", tenths / 10, tenths % 10) }
}

/// An age in its largest whole unit, for columns: `59s`, `1m`, `47h`, `2d`. At most four characters for less than 27 years.
pub fn age(age: Duration) -> String {
    let (count, unit) = in_largest_unit(age);
    let unit = match unit {
        Unit::Seconds => "s",
        Unit::Minutes => "m",
        Unit::Hours => "h",
        Unit::Days => "d",
    };
    format!("{count}{unit}")
}

/// The same in words: `59 s ago`, `1 min ago`, `47 h ago`, `2 days ago`.
pub fn ago(age: Duration) -> String {
    let (count, unit) = in_largest_unit(age);
    let unit = match unit {
        Unit::Seconds => "s",
        Unit::Minutes => "min",
        Unit::Hours => "h",
        Unit::Days => "days",
    };
    format!("{count} {unit} ago")
}

enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
}

/// Days only from two on: "1 day" says too little about when.
fn in_largest_unit(age: Duration) -> (u64, Unit) {
    let seconds = age.as_secs();
    match seconds {
        0..60 => (seconds, Unit::Seconds),
        60..3600 => (seconds / 60, Unit::Minutes),
        3600..172_800 => (seconds / 3600, Unit::Hours),
        _ => (seconds / 86_400, Unit::Days),
    }
}

/// A rate with as many digits as mean something: `0.5`, `99.9`, `100`.
pub fn rate(per_second: f64) -> String {
    if per_second >= 99.95 { format!("{per_second:.0}") } else { format!("{per_second:.1}") }
}

/// A count with its digits in groups of three, which a table needs to be read at a glance.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(GROUP_SEPARATOR);
        }
        out.push(digit);
    }
    out
}

/// A count and what is counted: `1 rule`, `2 rules`. For nouns with a regular plural.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_their_largest_unit_and_fit_a_column() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (100 * 1024 - 1, "99.9 KiB"),
            (100 * 1024, "100 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (5 << 20, "5.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
            assert!(shown.len() <= 8, "{shown}");
        }
    }

    #[test]
    fn ages_are_whole_units_short_and_in_words() {
        for (seconds, short, words) in [
            (0, "0s", "0 s ago"),
            (59, "59s", "59 s ago"),
            (60, "1m", "1 min ago"),
            (3599, "59m", "59 min ago"),
            (3600, "1h", "1 h ago"),
            (172_799, "47h", "47 h ago"),
            (172_800, "2d", "2 days ago"),
            (86_400 * 9999, "9999d", "9999 days ago"),
        ] {
            let it = Duration::from_secs(seconds);
            assert_eq!((age(it).as_str(), ago(it).as_str()), (short, words), "{seconds}");
        }
        assert_eq!(age(Duration::from_millis(999)), "0s");
    }

    #[test]
    fn rates_have_the_digits_that_mean_something() {
        for (value, shown) in
            [(0.0, "0.0"), (0.04, "0.0"), (0.5, "0.5"), (99.94, "99.9"), (99.96, "100"), (1e6, "1000000")]
        {
            assert_eq!(rate(value), shown, "{value}");
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "rule")), ["0 rules", "1 rule", "2 rules"]);
    }
}
