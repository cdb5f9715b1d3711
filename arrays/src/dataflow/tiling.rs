//! An extent cut into tiles, the last one possibly short.

use std::ops::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub extent: u32,
    pub tile: u32,
}

impl Tiling {
    pub fn count(self) -> u64 {
        self.extent.div_ceil(self.tile).into()
    }

    pub fn range(self, index: u64) -> Range<u32> {
        let start = index as u32 * self.tile;
        start..start.saturating_add(self.tile).min(self.extent)
    }

    /// The sum of `f(length)` over all tiles.
    pub fn sum(self, f: impl Fn(u64) -> u128) -> u128 {
        let rest = self.extent % self.tile;
        u128::from(self.extent / self.tile) * f(self.tile.into()) + if rest > 0 { f(rest.into()) } else { 0 }
    }
}
