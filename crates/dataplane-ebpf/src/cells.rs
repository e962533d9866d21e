//! Which cells of `CELLS` are free.
//!
//! A list is never changed where it lies: a new one is written elsewhere and published with one store. Its old cells rest
//! for a while, as another CPU may still be reading them.

use std::{collections::BTreeMap, mem};

/// A range of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// First cell.
    pub(crate) offset: u32,
    /// Cells.
    pub(crate) count: u32,
}

/// The free ranges, by offset, never adjacent.
#[derive(Debug)]
pub(crate) struct Cells {
    free: BTreeMap<u32, u32>,
    resting: Vec<Extent>,
    rested: Vec<Extent>,
}

impl Cells {
    /// All of `total` free.
    pub(crate) fn new(total: u32) -> Cells {
        Cells { free: BTreeMap::from([(0, total)]), resting: Vec::new(), rested: Vec::new() }
    }

    /// Takes the first range that is large enough.
    pub(crate) fn take(&mut self, count: u32) -> Option<Extent> {
        let (offset, room) = self.free.iter().find(|(_, room)| **room >= count).map(|(o, r)| (*o, *r))?;
        self.free.remove(&offset);
        if room > count {
            self.free.insert(offset + count, room - count);
        }
        Some(Extent { offset, count })
    }

    /// Takes a range that is known to be in use; `false` when it is not wholly free.
    pub(crate) fn claim(&mut self, extent: Extent) -> bool {
        let Some((offset, room)) = self.free.range(..=extent.offset).next_back().map(|(o, r)| (*o, *r)) else {
            return false;
        };
        let (end, wanted) = (offset + room, extent.offset + extent.count);
        if wanted > end {
            return false;
        }
        self.free.remove(&offset);
        if extent.offset > offset {
            self.free.insert(offset, extent.offset - offset);
        }
        if end > wanted {
            self.free.insert(wanted, end - wanted);
        }
        true
    }

    /// Gives a range back, to be used again after the next two calls of [`Cells::rest`].
    pub(crate) fn give_back(&mut self, extent: Extent) {
        if extent.count > 0 {
            self.resting.push(extent);
        }
    }

    /// Gives back whatever there is.
    pub(crate) fn give_back_all(&mut self, extents: [Option<Extent>; 2]) {
        extents.into_iter().flatten().for_each(|extent| self.give_back(extent));
    }

    /// To be called once a second or less often: what was given back before the last call becomes free.
    pub(crate) fn rest(&mut self) {
        for extent in mem::replace(&mut self.rested, mem::take(&mut self.resting)) {
            self.release(extent);
        }
    }

    /// Makes everything free that was given back. Only after every CPU has let go of it.
    pub(crate) fn settle(&mut self) {
        self.rest();
        self.rest();
    }

    /// Cuts what is too much off a range that nobody reads yet.
    pub(crate) fn trim(&mut self, extent: Extent, count: u32) -> Extent {
        let rest = Extent { offset: extent.offset + count, count: extent.count - count };
        if rest.count > 0 {
            self.release(rest);
        }
        Extent { count, ..extent }
    }

    /// Gives a range back that nobody has read: it is free at once.
    pub(crate) fn release(&mut self, extent: Extent) {
        let (mut offset, mut count) = (extent.offset, extent.count);
        if let Some((before, room)) = self.free.range(..offset).next_back().map(|(o, r)| (*o, *r))
            && before + room == offset
        {
            self.free.remove(&before);
            (offset, count) = (before, count + room);
        }
        if let Some(room) = self.free.remove(&(offset + count)) {
            count += room;
        }
        self.free.insert(offset, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_rest_before_they_are_used_again_and_grow_together() {
        let mut cells = Cells::new(10);
        let (a, b) = (cells.take(4).unwrap(), cells.take(6).unwrap());
        assert_eq!(cells.take(1), None);
        cells.give_back(a);
        cells.give_back(b);
        cells.rest();
        assert_eq!(cells.take(1), None, "given back only just");
        cells.rest();
        assert_eq!(cells.take(10), Some(Extent { offset: 0, count: 10 }));
    }

    #[test]
    fn what_is_too_much_is_free_at_once() {
        let mut cells = Cells::new(10);
        let taken = cells.take(8).unwrap();
        assert_eq!(cells.trim(taken, 3), Extent { offset: 0, count: 3 });
        assert_eq!(cells.take(7), Some(Extent { offset: 3, count: 7 }));
        cells.give_back(Extent { offset: 0, count: 3 });
        cells.settle();
        assert_eq!(cells.take(3), Some(Extent { offset: 0, count: 3 }));
    }

    #[test]
    fn a_range_in_use_is_claimed_once() {
        let mut cells = Cells::new(10);
        assert!(cells.claim(Extent { offset: 3, count: 4 }));
        assert!(!cells.claim(Extent { offset: 6, count: 1 }));
        assert!(!cells.claim(Extent { offset: 9, count: 2 }));
        assert_eq!(cells.take(3), Some(Extent { offset: 0, count: 3 }));
        assert_eq!(cells.take(3), Some(Extent { offset: 7, count: 3 }));
    }
}
