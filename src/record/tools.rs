//! Which tools asked for something, in one word.

/// Tools with a bit of their own; further ones share the last. Nobody has listeners for so many.
const OWN: usize = 63;

/// Some of the listeners, whose names are the tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tools(u64);

impl Tools {
    /// One listener, by its index in the settings.
    pub(super) fn of(listener: usize) -> Self {
        Self(1 << listener.min(OWN))
    }

    /// Those and these.
    pub(super) fn join(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// The names, in the order of the listeners. Names beyond the 63rd cannot be distinguished, so all
    /// of them are returned.
    pub(super) fn names(self, listeners: &[String]) -> Vec<String> {
        let asked = |(index, _): &(usize, &String)| self.0 & (1 << index.min(&OWN)) != 0;
        listeners.iter().enumerate().filter(asked).map(|(_, name)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_asked_are_named_once_and_in_order() {
        let listeners: Vec<_> = (0..66).map(|n| n.to_string()).collect();
        let names = |indices: &[usize]| {
            let mut tools = Tools::default();
            indices.iter().for_each(|index| tools.join(Tools::of(*index)));
            tools.names(&listeners).join(" ")
        };
        assert_eq!(names(&[]), "");
        assert_eq!(names(&[2, 0, 2]), "0 2");
        assert_eq!(names(&[62]), "62");
        assert_eq!(names(&[64]), "63 64 65");
        assert_eq!(Tools::of(1).names(&listeners[..1]), [""; 0], "an index that is none has no name");
    }
}
