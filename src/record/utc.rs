//! Times as lines have them: RFC 3339, UTC, with milliseconds.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::Offset;

/// A time as RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct UtcTime(pub SystemTime);

impl UtcTime {
    /// The same in milliseconds since 1970.
    pub fn millis(self) -> i64 {
        Timestamp::try_from(self.0).unwrap_or_default().as_millisecond()
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Offset::UTC.to_datetime(Timestamp::try_from(self.0).unwrap_or_default());
        let (year, month, day) = (time.year(), time.month(), time.day());
        let (hour, minute, second, ms) = (time.hour(), time.minute(), time.second(), time.millisecond());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Writes times. The calendar is asked once a second, since times come nearly in order.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: Option<u64>,
    /// The time of that second up to its last point.
    text: String,
}

impl Clock {
    pub(super) fn write(&mut self, UtcTime(time): UtcTime, to: &mut Vec<u8>) {
        let Ok(since) = time.duration_since(UNIX_EPOCH) else {
            return to.extend_from_slice(UtcTime(time).to_string().as_bytes());
        };
        let second = since.as_secs();
        if self.second != Some(second) {
            let whole = UNIX_EPOCH.checked_add(Duration::from_secs(second)).unwrap_or(UNIX_EPOCH);
            self.text = UtcTime(whole).to_string();
            self.second = Some(second);
            let length = self.text.len().saturating_sub("000Z".len());
            self.text.truncate(length);
        }
        to.extend_from_slice(self.text.as_bytes());
        let [hundreds, rest] = [since.subsec_millis() / 100, since.subsec_millis() % 100];
        to.extend([hundreds, rest / 10, rest % 10].map(digit));
        to.push(b'Z');
    }
}

/// The last digit of a number.
pub(super) fn digit(number: u32) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}
