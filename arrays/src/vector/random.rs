//! Random bits of a vector instruction's roundings, drawn in bulk.

use super::operation::Target;
use crate::simd::{Pairs, Work, on_best_f32};
use systole_isa::entropy::{Block, PHILOX_MULTIPLIERS, PHILOX_ROUNDS, Site, Stage, mix, philox_next_key};

/// Position blocks drawn from at a time.
const GROUP: usize = 32;
/// Lanes of the widest machine.
const MAX_LANES: usize = 16;

/// Fills `out` with the bits of the only rounding (index 0) of the result's row-major elements from
/// `start` on, if it takes any: four neighbours share one mixing.
pub(super) fn fill(target: &Target, start: usize, out: &mut [u32]) {
    let bits = target.policy.rounding.random_bits();
    if bits > 0 {
        on_best_f32!(Fill { site: target.site, bits, cols: target.cols, start, out });
    }
}

struct Fill<'a> {
    site: Site,
    bits: u32,
    cols: usize,
    start: usize,
    out: &'a mut [u32],
}

impl<L: Pairs> Work<L> for Fill<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, s: L) {
        let Self { site, bits, cols, start, mut out } = self;
        let addition = site.addition(Stage::Vector, 0);
        let (mut row, mut col) = (start / cols, start % cols);
        let mut drawn = [0.0; 4 * GROUP];
        while !out.is_empty() {
            let skipped = col % 4;
            let run = (4 * GROUP - skipped).min(cols - col).min(out.len());
            let positions = positions(s, site, row as u32, col as u32 / 4);
            for (words, positions) in drawn.chunks_exact_mut(L::LANES).zip(positions.chunks_exact(L::LANES / 4)) {
                s.store(s.draw(positions, &addition, bits), words);
            }
            let (now, later) = out.split_at_mut(run);
            now.iter_mut().zip(&drawn[skipped..]).for_each(|(value, word)| *value = word.to_bits());
            out = later;
            col += run;
            if col == cols {
                (row, col) = (row + 1, 0);
            }
        }
    }
}

/// The position blocks of a row from a block of four columns on: [`Site::position`] side by side,
/// in the even lanes.
#[inline(always)]
fn positions<L: Pairs>(s: L, site: Site, row: u32, first: u32) -> [Block; GROUP] {
    let each = |x: u32| s.splat(f32::from_bits(x));
    let (row, first) = (site.origin[0].wrapping_add(row), site.origin[1].wrapping_add(first));
    let multipliers = PHILOX_MULTIPLIERS.map(|m| each(m as u32));
    let mut blocks = [[0; 4]; GROUP];
    for (part, blocks) in blocks.chunks_exact_mut(L::LANES / 2).enumerate() {
        let mut counters = [0.0; MAX_LANES];
        for (i, counter) in counters.iter_mut().enumerate() {
            *counter = f32::from_bits(first.wrapping_add((part * (L::LANES / 2) + i / 2) as u32));
        }
        let (mut a, mut b, mut c, mut d) = (each(row), s.load(&counters), each(site.instruction), each(site.step));
        let mut key = [site.seed as u32, (site.seed >> 32) as u32];
        for _ in 0..PHILOX_ROUNDS {
            let (left, right) = (s.multiply_even(a, multipliers[0]), s.multiply_even(c, multipliers[1]));
            a = s.xor(s.xor(s.odd_to_even(right), b), each(key[0]));
            c = s.xor(s.xor(s.odd_to_even(left), d), each(key[1]));
            (b, d) = (right, left);
            key = philox_next_key(key);
        }
        let words = [a, b, c, d].map(|x| {
            let mut words = [0.0; MAX_LANES];
            s.store(x, &mut words);
            words
        });
        for (i, block) in blocks.iter_mut().enumerate() {
            *block = [words[0][2 * i], words[1][2 * i], words[2][2 * i], words[3][2 * i]].map(f32::to_bits);
        }
    }
    blocks
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
    use super::super::Blocks;
    use super::*;
    use systole_isa::format::Format;
    use systole_isa::round::{Policy, Rounding};

    #[test]
    fn bulk_draws_are_the_sites() {
        let site = Site { seed: 5, step: 6, instruction: 7, origin: [3, 9] };
        for (cols, start) in [(1, 0), (3, 2), (4, 4), (10, 7), (1000, 998), (5000, 3), (131, 130)] {
            let mut drawn = [0; 437];
            let target =
                Target { format: Format::FP16, rows: 1000, cols, policy: Policy::new(Rounding::Sr(11)), blocks: Blocks::WHOLE, site };
            fill(&target, start, &mut drawn);
            for (i, &value) in drawn.iter().enumerate() {
                let (row, col) = ((start + i) / cols, (start + i) % cols);
                assert_eq!(u64::from(value), site.random(11, row as u32, col as u32, Stage::Vector, 0), "{cols} {start} {i}");
                let later = Draws::new(site, 11, row, col).draw(addition(site, 11, 9));
                assert_eq!(later, site.random(11, row as u32, col as u32, Stage::Vector, 9));
            }
        }
    }
}
