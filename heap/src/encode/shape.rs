//! Where the fields of a struct go: from the order of their declaration to the order of keys.
//!
//! A struct serialises the same fields time after time, so a thread remembers for its last few
//! structs which slot each field goes to, and sorts only when it meets a new one. A memory is
//! used on trust and checked at the end, key by key; nested structs may overwrite it meanwhile.

use std::cell::Cell;

use crate::Atom;

/// Fields at most: a slot has 4 bits in an [`Order`]. Wider structs are sorted each time.
pub(super) const FIELDS_MAX: u32 = 16;

/// Structs that a thread remembers, 88 bytes each. Chosen by feel.
const ENTRIES: usize = 64;

/// The slot of each field, four bits a field, from the first declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Order(u64);

impl Order {
    /// As declared.
    pub(super) const DECLARED: Order = Order(0xFEDC_BA98_7654_3210);

    #[inline]
    pub(super) fn slot(self, field: u32) -> u32 {
        if field < FIELDS_MAX {
            (self.0 >> (4 * field)) as u32 & 15
        } else {
            field
        }
    }
}

struct Entry {
    name: Cell<usize>,
    len: Cell<u32>,
    order: Cell<Order>,
    keys: [Cell<Atom>; FIELDS_MAX as usize],
}

thread_local! {
    static SHAPES: [Entry; ENTRIES] = const {
        [const {
            Entry {
                name: Cell::new(0),
                len: Cell::new(0),
                order: Cell::new(Order::DECLARED),
                keys: [const { Cell::new(crate::atoms::OK) }; FIELDS_MAX as usize],
            }
        }; ENTRIES]
    };
}

#[inline]
fn with_entry<R>(name: &'static str, len: u32, read: impl FnOnce(&Entry) -> R) -> R {
    let address = name.as_ptr() as usize ^ len as usize;
    let place =
        address.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) >> (usize::BITS - ENTRIES.ilog2());
    SHAPES.with(|shapes| read(&shapes[place]))
}

/// The order to write the struct's fields in.
#[inline]
pub(super) fn expected(name: &'static str, len: u32) -> Order {
    with_entry(name, len, |entry| {
        let known = entry.name.get() == name.as_ptr() as usize && entry.len.get() == len;
        if known {
            entry.order.get()
        } else {
            Order::DECLARED
        }
    })
}

/// Whether the keys, by slot, are those remembered, and so in order.
#[inline]
pub(super) fn is_known(name: &'static str, len: u32, mut keys: impl Iterator<Item = Atom>) -> bool {
    with_entry(name, len, |entry| {
        entry.name.get() == name.as_ptr() as usize
            && entry.len.get() == len
            && entry.keys[..len.min(FIELDS_MAX) as usize]
                .iter()
                .all(|key| keys.next() == Some(key.get()))
            && keys.next().is_none()
    })
}

/// Remembers a struct: its keys as declared, and sorted.
#[cold]
pub(super) fn learn(name: &'static str, declared: &[Atom], sorted: &[Atom]) {
    let len = declared.len() as u32;
    if len > FIELDS_MAX {
        return;
    }
    let slots = declared
        .iter()
        .zip(0..)
        .fold(Order::DECLARED.0, |order, (key, field)| {
            let slot = sorted
                .iter()
                .position(|other| other == key)
                .unwrap_or(field as usize);
            (order & !(15 << (4 * field))) | ((slot as u64) << (4 * field))
        });
    with_entry(name, len, |entry| {
        entry.name.set(name.as_ptr() as usize);
        entry.len.set(len);
        entry.order.set(Order(slots));
        for (place, key) in entry.keys.iter().zip(sorted) {
            place.set(*key);
        }
    });
}
