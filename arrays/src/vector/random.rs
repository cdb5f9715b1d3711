//! Random bits of a vector instruction's roundings, drawn in bulk.

use systole_isa::entropy::{Block, Site, Stage, mix};

/// Fills `out` with the bits of the only rounding (index 0) of the row-major elements from
/// `start` on, of a result with `cols` columns: four neighbours share one mixing.
pub(super) fn fill(site: Site, bits: u32, cols: usize, start: usize, out: &mut [u64]) {
    let addition = site.addition(Stage::Vector, 0);
    let (mut row, mut col) = (start / cols, start % cols);
    let mut i = 0;
    while i < out.len() {
        let words = mix(site.position(row as u32, col as u32), addition);
        let run = (4 - col % 4).min(cols - col).min(out.len() - i);
        for (offset, value) in out[i..i + run].iter_mut().enumerate() {
            *value = u64::from(words[(col + offset) % 4] >> (32 - bits));
        }
        i += run;
        col += run;
        if col == cols {
            (row, col) = (row + 1, 0);
        }
    }
}

/// The draws of one element's successive roundings.
#[derive(Clone, Copy)]
pub(super) struct Draws {
    position: Block,
    lane: usize,
    bits: u32,
}

impl Draws {
    /// Of the element at (`row`, `col`), `bits` each; 0 bits draw nothing.
    pub const fn new(site: Site, bits: u32, row: usize, col: usize) -> Self {
        let position = if bits == 0 { [0; 4] } else { site.position(row as u32, col as u32) };
        Self { position, lane: col % 4, bits }
    }

    /// The bits of the rounding whose block [`addition`] gave.
    #[inline]
    pub const fn draw(&self, addition: Block) -> u64 {
        if self.bits == 0 { 0 } else { (mix(self.position, addition)[self.lane] >> (32 - self.bits)) as u64 }
    }
}

/// The block of rounding `index` (modulo 2^32) of every element.
#[inline]
pub(super) const fn addition(site: Site, bits: u32, index: usize) -> Block {
    if bits == 0 { [0; 4] } else { site.addition(Stage::Vector, index as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_draws_are_the_sites() {
        let site = Site { seed: 5, step: 6, instruction: 7 };
        for (cols, start) in [(1, 0), (3, 2), (4, 4), (10, 7), (1000, 998)] {
            let mut drawn = [0; 37];
            fill(site, 11, cols, start, &mut drawn);
            for (i, &value) in drawn.iter().enumerate() {
                let (row, col) = ((start + i) / cols, (start + i) % cols);
                assert_eq!(value, site.random(11, row as u32, col as u32, Stage::Vector, 0), "{cols} {start} {i}");
                let later = Draws::new(site, 11, row, col).draw(addition(site, 11, 9));
                assert_eq!(later, site.random(11, row as u32, col as u32, Stage::Vector, 9));
            }
        }
    }
}
