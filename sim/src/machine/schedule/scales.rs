//! Block scales on their way to the arrays: how many belong to a stretch of rows, columns or
//! products; and powers of two of whole operands.

use crate::machine::operation::Power;
use std::ops::Range;
use systole_isa::view::{Space, TensorView};

/// An axis cut into groups that share a scale.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// Elements of the axis.
    pub extent: u64,
    /// Elements that share a scale.
    pub length: u64,
}

impl Groups {
    /// Groups of the whole axis.
    pub const fn all(self) -> u64 {
        self.extent.div_ceil(self.length)
    }

    /// Groups that have elements in a range.
    pub const fn covered(self, range: &Range<u64>) -> u64 {
        if range.end > range.start { range.end.div_ceil(self.length) - range.start / self.length } else { 0 }
    }

    /// Groups whose first element lies in a range.
    pub const fn begun(self, range: &Range<u64>) -> u64 {
        range.end.div_ceil(self.length) - range.start.div_ceil(self.length)
    }

    /// Groups that a tile of `tile` elements covers at most, wherever a multiple of it begins.
    pub const fn most(self, tile: u64) -> u64 {
        if tile.is_multiple_of(self.length) || self.length.is_multiple_of(tile) {
            tile.div_ceil(self.length)
        } else {
            (tile + self.length - 2) / self.length + 1
        }
    }

    /// How many of `count` successive ranges of `pitch` elements from `start` on cover and begin
    /// as many groups as the first.
    pub fn alike(self, start: u64, pitch: u64, count: u64) -> u64 {
        let groups = |i: u64| {
            let range = start + i * pitch..start + (i + 1) * pitch;
            (self.covered(&range), self.begun(&range))
        };
        // The pattern has a period of at most a group's length in ranges.
        (1..count.min(self.length)).find(|&i| groups(i) != groups(0)).unwrap_or(count)
    }
}

/// Scales of one operand: their groups along its rows (A) or columns (B), and bytes of a scale.
#[derive(Clone, Copy, Debug)]
pub struct Scales {
    /// Rows of A or columns of B that share one.
    pub axis: Groups,
    /// Bytes fetched from DRAM; 0 in the scratchpad, or if the operand has none.
    pub loaded: u64,
    /// Bytes read at the arrays' edges; 0 if the operand has none.
    pub read: u64,
}

impl Scales {
    pub fn new(view: Option<&TensorView>, axis: Groups) -> Self {
        let read = view.map_or(0, |view| view.format.storage_bytes().into());
        Self { axis, loaded: if view.is_some_and(|view| view.space == Space::Dram) { read } else { 0 }, read }
    }

    /// As [`Groups::alike`]; all ranges are alike if nothing is fetched.
    pub fn alike(self, start: u64, pitch: u64, count: u64) -> u64 {
        if self.loaded == 0 { count } else { self.axis.alike(start, pitch, count) }
    }
}

/// Bytes of the powers of two that stand in for shared exponent biases: one read each, before
/// the first wave, which registers then hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Powers {
    /// Fetched from DRAM.
    pub loaded: u64,
    /// Read from the scratchpad.
    pub read: u64,
}

impl Powers {
    /// Of those of A and B.
    pub fn new(powers: &[Option<Power>; 2]) -> Self {
        let bytes = |power: &Power| power.view().bytes();
        let powers = || powers.iter().flatten();
        Self { loaded: powers().filter(|power| power.space == Space::Dram).map(bytes).sum(), read: powers().map(bytes).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_the_elements() {
        for length in 1..9u64 {
            for tile in 1..13u64 {
                let groups = Groups { extent: 100, length };
                let mut most = 0;
                for i in 0..7 {
                    let range = i * tile..(i + 1) * tile;
                    let covered: std::collections::BTreeSet<u64> = range.clone().map(|element| element / length).collect();
                    assert_eq!(groups.covered(&range), covered.len() as u64);
                    assert_eq!(groups.begun(&range), range.clone().filter(|element| element % length == 0).count() as u64);
                    assert!(groups.most(tile) >= covered.len() as u64, "{length} {tile}");
                    most = most.max(covered.len() as u64);
                }
                assert!(groups.most(tile) <= most + 1);
                let alike = groups.alike(3 * tile, tile, 5);
                let same = |i: u64| {
                    let range = (3 + i) * tile..(4 + i) * tile;
                    let first = 3 * tile..4 * tile;
                    groups.covered(&range) == groups.covered(&first) && groups.begun(&range) == groups.begun(&first)
                };
                assert!((0..alike).all(same) && (alike == 5 || !same(alike)));
            }
        }
        assert_eq!(Groups { extent: 9, length: 4 }.all(), 3);
        assert_eq!((Groups { extent: 9, length: 4 }.covered(&(5..5)), Groups { extent: 9, length: 4 }.begun(&(5..5))), (0, 0));
    }
}
