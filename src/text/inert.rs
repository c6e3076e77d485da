//! Text from outside, as a type that can be shown anywhere.

use std::fmt;

use super::visible::escaped;

/// Text from elsewhere with its invisible characters spelled out, as [`escaped`] does: it cannot end a line, drive a
/// terminal or change the direction of the text around it. What takes only this cannot be given anything else by mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inert(String);

impl Inert {
    /// The text made inert.
    pub fn new(text: &str) -> Self {
        Self(escaped(text))
    }

    /// Each line of the text made inert.
    pub fn lines(text: &str) -> Vec<Self> {
        text.lines().map(Self::new).collect()
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Inert {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&Inert> for String {
    fn from(inert: &Inert) -> Self {
        inert.0.clone()
    }
}

impl fmt::Display for Inert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
