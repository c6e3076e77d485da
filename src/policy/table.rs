//! Names to values: one flat table, however many names.
//!
//! Guaranteed: a look-up costs one probe sequence, never a walk over the names; a name costs its own bytes, one more for
//! its length, and 9 bytes a slot at a load between 7/16 and 7/8, with no allocation of its own (39 B a name at a million
//! names of 19 bytes). The hash is seeded anew in each process, because lists come from third parties.
//!
//! Deliberately not done: removing. A policy is built once and replaced whole.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// The map. Names are bytes in canonical form, at most 253 of them.
pub(super) struct NameTable {
    /// Every name behind its length in one byte.
    arena: Vec<u8>,
    /// 0 for an empty slot, else the high bit and seven bits of the hash: most misses end here.
    tags: Vec<u8>,
    slots: Vec<Slot>,
    names: usize,
    /// Bit n: some name has n labels (63 and above together). A suffix of another depth need not be looked up.
    depths: u64,
    state: RandomState,
}

/// Where a name's length byte is, and its value.
#[derive(Clone, Copy, Default)]
struct Slot {
    start: u32,
    value: u32,
}

/// The names together are longer than 4 GiB.
#[derive(Debug)]
pub(super) struct TableFull;

impl NameTable {
    /// A table that holds that many names without growing.
    pub(super) fn with_capacity(names: usize) -> Self {
        let slots = if names == 0 { 0 } else { slots_for(names) };
        Self {
            arena: Vec::new(),
            tags: vec![0; slots],
            slots: vec![Slot::default(); slots],
            names: 0,
            depths: 0,
            state: RandomState::default(),
        }
    }

    /// How many names it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.names
    }

    /// Whether a name with that many labels may be in it.
    pub(super) fn has_depth(&self, labels: usize) -> bool {
        self.depths & depth_bit(labels) != 0
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<u32> {
        match self.find(name, self.hash(name))? {
            Found::At(slot) => self.slots.get(slot).map(|slot| slot.value),
            Found::Free(_) => None,
        }
    }

    /// Gives a name the value that `change` makes of its present one.
    pub(super) fn change(&mut self, name: &[u8], change: impl FnOnce(Option<u32>) -> u32) -> Result<(), TableFull> {
        if self.names >= capacity(self.tags.len()) {
            self.grow();
        }
        let hash = self.hash(name);
        match self.find(name, hash) {
            Some(Found::At(slot)) => {
                if let Some(slot) = self.slots.get_mut(slot) {
                    slot.value = change(Some(slot.value));
                }
            }
            Some(Found::Free(slot)) => {
                let start = u32::try_from(self.arena.len()).map_err(|_| TableFull)?;
                self.arena.push(u8::try_from(name.len()).map_err(|_| TableFull)?);
                self.arena.extend_from_slice(name);
                self.put(slot, tag(hash), Slot { start, value: change(None) });
                self.names += 1;
                self.depths |= depth_bit(memchr::memchr_iter(b'.', name).count() + 1);
            }
            None => return Err(TableFull),
        }
        Ok(())
    }

    /// Gives back what was reserved and not used.
    pub(super) fn seal(&mut self) {
        self.arena.shrink_to_fit();
    }

    /// Where a name is, or where it would go; none in a table without slots.
    fn find(&self, name: &[u8], hash: u64) -> Option<Found> {
        let mask = self.tags.len().checked_sub(1)?;
        let tag = tag(hash);
        let mut index = home(hash, mask);
        // Ends: at most 7/8 of the slots are taken.
        loop {
            match self.tags.get(index) {
                Some(0) => return Some(Found::Free(index)),
                Some(found) if *found == tag && self.name_at(index) == Some(name) => return Some(Found::At(index)),
                Some(_) => index = (index + 1) & mask,
                None => return None,
            }
        }
    }

    fn name_at(&self, index: usize) -> Option<&[u8]> {
        let start = self.slots.get(index)?.start as usize;
        let (length, rest) = self.arena.get(start..)?.split_first()?;
        rest.get(..usize::from(*length))
    }

    fn grow(&mut self) {
        let slots = slots_for(self.names.max(8) * 2);
        let tags = std::mem::replace(&mut self.tags, vec![0; slots]);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        let mask = slots - 1;
        for (_, slot) in tags.into_iter().zip(old).filter(|(tag, _)| *tag != 0) {
            let start = slot.start as usize;
            let Some((length, rest)) = self.arena.get(start..).and_then(<[u8]>::split_first) else { continue };
            let hash = self.hash(rest.get(..usize::from(*length)).unwrap_or_default());
            let mut index = home(hash, mask);
            while self.tags.get(index).is_some_and(|tag| *tag != 0) {
                index = (index + 1) & mask;
            }
            self.put(index, tag(hash), slot);
        }
    }

    fn put(&mut self, index: usize, tag: u8, slot: Slot) {
        if let (Some(tags), Some(slots)) = (self.tags.get_mut(index), self.slots.get_mut(index)) {
            *tags = tag;
            *slots = slot;
        }
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(name);
        hasher.finish()
    }
}

/// What a probe sequence ends at.
enum Found {
    At(usize),
    Free(usize),
}

/// How many slots hold that many names at a load of at most 7/8.
fn slots_for(names: usize) -> usize {
    (names.saturating_mul(8) / 7 + 1).next_power_of_two()
}

fn capacity(slots: usize) -> usize {
    slots / 8 * 7
}

fn depth_bit(labels: usize) -> u64 {
    1 << labels.min(63)
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
fn home(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

fn tag(hash: u64) -> u8 {
    (hash >> 57) as u8 | 0x80
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_table_holds_nothing_and_grows() {
        let mut table = NameTable::with_capacity(0);
        assert_eq!(table.get(b"a.test"), None);
        assert!(!table.has_depth(2));
        table.change(b"a.test", |value| value.map_or(1, |value| value + 1)).unwrap();
        table.change(b"a.test", |value| value.map_or(1, |value| value + 1)).unwrap();
        assert_eq!((table.get(b"a.test"), table.len()), (Some(2), 1));
        assert_eq!((table.get(b"b.test"), table.get(b"test"), table.get(b"")), (None, None, None));
        assert!(table.has_depth(2) && !table.has_depth(1));
    }

    #[test]
    fn a_name_costs_no_more_than_sixty_bytes() {
        for names in [1_000_usize, 57_000, 58_000, 114_688, 114_689] {
            let mut table = NameTable::with_capacity(names);
            for n in 0..names {
                table.change(format!("host-{n:07}.example.test").as_bytes(), |_| 0).unwrap();
            }
            table.seal();
            let bytes = table.arena.capacity() + table.tags.capacity() + table.slots.capacity() * size_of::<Slot>();
            assert!(bytes / names <= 60, "{} bytes a name at {names}", bytes / names);
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            pairs in proptest::collection::vec(("[a-c.]{0,5}", any::<u32>()), 0..200),
            asked in proptest::collection::vec("[a-c.]{0,5}", 0..50),
            reserved in 0_usize..100,
        ) {
            let mut table = NameTable::with_capacity(reserved);
            let mut model = HashMap::new();
            for (name, value) in &pairs {
                table.change(name.as_bytes(), |old| old.unwrap_or(0) ^ value).unwrap();
                *model.entry(name.clone()).or_insert(0) ^= value;
            }
            table.seal();
            prop_assert_eq!(table.len(), model.len());
            for name in asked.iter().chain(model.keys()) {
                prop_assert_eq!(table.get(name.as_bytes()), model.get(name).copied(), "{:?}", name);
            }
        }
    }
}
