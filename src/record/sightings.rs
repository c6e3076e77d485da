//! Roughly how often something was seen lately, in a fixed amount of memory.
//!
//! Guaranteed: what is seen far more often than chance is found, however many others are seen once: they can only wear
//! down the slot that they share with it, one for one (the majority vote of Boyer and Moore, in each slot).
//!
//! Deliberately not done: exact numbers. Nothing that people read comes from here; it only says what is worth a row.

use std::hash::{BuildHasher, Hash, RandomState};

/// 48 KiB or so; at a thousand things in turn, most still have a slot of their own.
const SLOTS: u64 = 4096;

#[derive(Debug)]
pub(super) struct Sightings {
    hasher: RandomState,
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    holder: u64,
    lead: u64,
}

impl Sightings {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }

    /// Notes that `thing` was seen `times` times, and says how often that makes, as far as is still known.
    pub(super) fn note(&mut self, thing: impl Hash, times: u64) -> u64 {
        let hash = self.hasher.hash_one(thing);
        let place = usize::try_from(hash % SLOTS).unwrap_or_default();
        let Some(slot) = self.slots.get_mut(place) else { return 0 };
        if slot.holder == hash {
            slot.lead = slot.lead.saturating_add(times);
            slot.lead
        } else if slot.lead >= times {
            slot.lead -= times;
            0
        } else {
            *slot = Slot { holder: hash, lead: times - slot.lead };
            slot.lead
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_and_again_is_found_among_a_hundred_thousand_that_come_once() {
        let mut sightings = Sightings::new();
        let mut best = 0;
        for n in 0..100_000 {
            assert!(sightings.note(n, 1) <= 2, "one sighting is never many");
            if n % 100 == 0 {
                best = best.max(sightings.note("busy", 5));
            }
        }
        assert!(best > 1_000, "{best}");
    }
}
