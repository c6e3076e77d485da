//! Names to values: one flat table, however many names.
//!
//! Guaranteed: a lookup costs one probe sequence, never a walk over the names; a name costs its own bytes, one more for
//! its length, and 9 bytes a slot at a load between 7/16 and 7/8, with no allocation of its own (39 B a name at a million
//! names of 19 bytes). The hash is seeded anew in each process, because lists come from third parties.
//!
//! Deliberately not done: removing. A policy is built once and replaced whole.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The map. Names are bytes in canonical form, at most 253 of them.
pub(super) struct NameTable {
    /// Every name after its length in one byte.
    arena: Vec<u8>,
    slots: HashTable<Slot>,
    /// Bit n: some name has n labels (63 and above together). A suffix of another depth need not be looked up.
    depths: u64,
    state: RandomState,
}

/// Where a name's length byte is, and its value.
#[derive(Clone, Copy)]
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
        Self { arena: Vec::new(), slots: HashTable::with_capacity(names), depths: 0, state: RandomState::default() }
    }

    /// Whether it holds no name.
    pub(super) fn is_empty(&self) -> bool {
        self.depths == 0
    }

    /// How many names it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether a name with that many labels may be in it.
    pub(super) fn has_depth(&self, labels: usize) -> bool {
        self.depths & depth_bit(labels) != 0
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<u32> {
        let is_it = |slot: &Slot| name_at(&self.arena, *slot) == Some(name);
        self.slots.find(hash(&self.state, name), is_it).map(|slot| slot.value)
    }

    /// Gives a name the value that `change` makes of its present one.
    pub(super) fn change(&mut self, name: &[u8], change: impl FnOnce(Option<u32>) -> u32) -> Result<(), TableFull> {
        let Self { arena, slots, depths, state } = self;
        let is_it = |slot: &Slot| name_at(arena, *slot) == Some(name);
        let rehash = |slot: &Slot| hash(state, name_at(arena, *slot).unwrap_or_default());
        match slots.entry(hash(state, name), is_it, rehash) {
            Entry::Occupied(mut slot) => {
                let slot = slot.get_mut();
                slot.value = change(Some(slot.value));
            }
            Entry::Vacant(slot) => {
                let start = u32::try_from(arena.len()).map_err(|_| TableFull)?;
                let length = u8::try_from(name.len()).map_err(|_| TableFull)?;
                slot.insert(Slot { start, value: change(None) });
                arena.push(length);
                arena.extend_from_slice(name);
                *depths |= depth_bit(memchr::memchr_iter(b'.', name).count() + 1);
            }
        }
        Ok(())
    }

    /// Gives back what was reserved and not used.
    pub(super) fn seal(&mut self) {
        self.arena.shrink_to_fit();
    }
}

fn name_at(arena: &[u8], slot: Slot) -> Option<&[u8]> {
    let (length, rest) = arena.get(slot.start as usize..)?.split_first()?;
    rest.get(..usize::from(*length))
}

fn hash(state: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(name);
    hasher.finish()
}

fn depth_bit(labels: usize) -> u64 {
    1 << labels.min(63)
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
            let bytes = table.arena.capacity() + table.slots.allocation_size();
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
