//! Counts by a text, of which there may be millions: a flood of made-up names is a history of them.
//!
//! One table of all would miss the processor's caches with every look and take three times the memory. So additions are
//! appended to [`PARTS`] by their hash, and each part, which a cache holds, is added up by itself:
//! when it has doubled since the last time, and at the end.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::Count;

/// Of ten million texts each part has forty thousand.
const PARTS: usize = 256;
/// A part is not added up before it has this many bytes.
const SMALL: usize = 64 * 1024;

/// Counts by text.
#[derive(Debug)]
pub(super) struct Keys {
    sums: Sums,
    /// What found no room.
    other: Count,
}

#[derive(Debug)]
enum Sums {
    /// The first so many texts.
    Few(HashMap<Box<str>, Count, RandomState>, usize),
    Many(RandomState, Vec<Part>),
}

/// Additions, each by the place of its text.
#[derive(Debug, Default)]
struct Part {
    texts: String,
    /// Where each text ends, and what is added to it.
    counts: Vec<(usize, Count)>,
    /// Bytes from which on it is added up again.
    full: usize,
}

impl Keys {
    /// As many as there are.
    pub(super) fn all() -> Self {
        let mut parts = Vec::new();
        parts.resize_with(PARTS, || Part { full: SMALL, ..Part::default() });
        Self { sums: Sums::Many(RandomState::default(), parts), other: Count::default() }
    }

    /// The first `max`; what comes after these is counted together.
    pub(super) fn at_most(max: usize) -> Self {
        Self { sums: Sums::Few(HashMap::default(), max), other: Count::default() }
    }

    pub(super) fn add(&mut self, key: &str, count: Count) {
        match &mut self.sums {
            Sums::Few(sums, max) => {
                let full = sums.len() >= *max;
                match sums.get_mut(key) {
                    Some(sum) => sum.add(count),
                    None if full => self.other.add(count),
                    None => _ = sums.insert(key.into(), count),
                }
            }
            Sums::Many(hasher, parts) => {
                let place = usize::try_from(hasher.hash_one(key) % PARTS as u64).unwrap_or_default();
                if let Some(part) = parts.get_mut(place) {
                    part.add(key, count);
                }
            }
        }
    }

    /// Tells each text with its count, in no order. What found no room.
    pub(super) fn each(self, mut each: impl FnMut(&str, Count)) -> Count {
        match self.sums {
            Sums::Few(sums, _) => sums.iter().for_each(|(key, count)| each(key, *count)),
            Sums::Many(_, parts) => {
                for part in parts {
                    part.sums().into_iter().for_each(|(key, count)| each(key, count));
                }
            }
        }
        self.other
    }
}

impl Part {
    fn add(&mut self, key: &str, count: Count) {
        self.texts.push_str(key);
        self.counts.push((self.texts.len(), count));
        if self.size() >= self.full {
            *self = self.added_up();
        }
    }

    fn size(&self) -> usize {
        self.texts.len() + size_of_val(self.counts.as_slice())
    }

    fn sums(&self) -> HashMap<&str, Count, RandomState> {
        let mut sums: HashMap<&str, Count, RandomState> = HashMap::default();
        let mut start = 0;
        for (end, count) in &self.counts {
            let key = self.texts.get(start..*end).unwrap_or_default();
            sums.entry(key).or_default().add(*count);
            start = *end;
        }
        sums
    }

    fn added_up(&self) -> Self {
        let mut sum = Self::default();
        for (key, count) in self.sums() {
            sum.texts.push_str(key);
            sum.counts.push((sum.texts.len(), count));
        }
        sum.full = (2 * sum.size()).max(SMALL);
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_as_one_map_does(additions in prop::collection::vec(("[a-e]{0,2}", 0..9_u64, 0..3_u64), 0..200), again in 1..400_usize) {
            let (mut keys, mut map) = (Keys::all(), BTreeMap::new());
            // Often enough that parts are added up on the way.
            for (key, requests, denied) in std::iter::repeat_n(&additions, again).flatten() {
                let count = Count { requests: *requests, denied: *denied };
                keys.add(key, count);
                map.entry(key.clone()).or_insert_with(Count::default).add(count);
            }
            let mut counted = BTreeMap::new();
            let other = keys.each(|key, count| assert!(counted.insert(key.to_owned(), count).is_none(), "{key} comes twice"));
            prop_assert_eq!(other, Count::default());
            prop_assert_eq!(counted, map);
        }
    }
}
