//! The id of a request.

use std::fmt;

/// The id of a request in responses, records and on the terminal: `k3f9-1`. Unique within an instance; the random prefix
/// keeps two instances, or two runs, apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    instance: [u8; 4],
    number: u64,
}

impl RequestId {
    /// The id of no request.
    pub const NONE: Self = Self { instance: *b"0000", number: 0 };

    /// The id with this number; `instance` is four of `0-9a-z`.
    pub fn new(instance: [u8; 4], number: u64) -> Self {
        Self { instance, number }
    }

    pub(crate) fn instance(self) -> [u8; 4] {
        self.instance
    }

    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// The id that this text is; none if it is not an id.
    pub fn parse(text: &str) -> Option<Self> {
        let (instance, number) = text.split_once('-')?;
        let instance: [u8; 4] = instance.as_bytes().try_into().ok()?;
        let id = Self { instance, number: number.parse().ok()? };
        // There is one way to write each id: no sign, no leading zeros.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.instance.map(char::from);
        write!(f, "{a}{b}{c}{d}-{}", self.number)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_instance_and_a_number() {
        let id = RequestId::new(*b"k3f9", 10);
        assert_eq!(id.to_string(), "k3f9-10");
        assert_eq!(RequestId::parse("k3f9-10"), Some(id));
        for wrong in
            ["", "k3f9", "k3f9-", "k3f9-010", "k3f9-+10", "k3f9-10 ", "k3f-10", "k3f99-10", "-10", "k3f9-1x", "kü9-10"]
        {
            assert_ne!(RequestId::parse(wrong), Some(id), "{wrong}");
        }
        assert_eq!(RequestId::parse("k3f9-99999999999999999999"), None);
    }
}
