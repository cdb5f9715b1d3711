//! Linear-feedback shift registers: random bits as small hardware makes them.
//!
//! Galois form: the register shifts right by one; if the bit that leaves is 1, the taps are
//! exclusive-ored into what remains. A rounding takes the lowest N bits of the state, then
//! the register advances once: an ordinal, never a clock. Every matrix instruction loads
//! every register anew: with the lowest bits of Philox(register, 2^30, instruction, step)
//! under the design's seed, words 0 and 1, or with 1 where those are all zero.

use crate::entropy::{Site, philox};

/// A register's structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lfsr {
    /// State bits, 4..=64.
    pub width: u32,
    /// Bits exclusive-ored into the shifted state; the highest is the register's.
    pub taps: u64,
}

impl Lfsr {
    /// The state that register `index` starts an instruction with.
    pub const fn initial(self, site: Site, index: u32) -> u64 {
        let words = philox([index, 1 << 30, site.instruction, site.step], site.seed);
        let state = (words[0] as u64 | (words[1] as u64) << 32) & (u64::MAX >> (64 - self.width));
        if state == 0 { 1 } else { state }
    }

    /// The state after one rounding.
    pub const fn advance(self, state: u64) -> u64 {
        (state >> 1) ^ if state & 1 == 1 { self.taps } else { 0 }
    }

    /// The random bits of a rounding in this state.
    pub const fn bits(self, state: u64, bits: u32) -> u64 {
        if bits == 0 { 0 } else { state & (u64::MAX >> (64 - bits)) }
    }

    /// Tables to advance by many roundings at once.
    pub fn jumps(self) -> Jumps {
        let mut matrix: Vec<u64> = (0..self.width).map(|bit| self.advance(1 << bit)).collect();
        let powers = (0..64)
            .map(|_| {
                let power = matrix.clone();
                matrix = power.iter().map(|&column| apply(&power, column)).collect();
                power
            })
            .collect();
        Jumps { powers }
    }
}

/// Powers of the step of a register, as matrices over GF(2): column i is where bit i goes.
#[derive(Clone, Debug)]
pub struct Jumps {
    powers: Vec<Vec<u64>>,
}

impl Jumps {
    /// The state after `count` roundings.
    pub fn advance(&self, state: u64, count: u64) -> u64 {
        (0..64).filter(|bit| count >> bit & 1 == 1).fold(state, |state, bit| apply(&self.powers[bit], state))
    }
}

fn apply(matrix: &[u64], state: u64) -> u64 {
    matrix.iter().enumerate().filter(|(bit, _)| state >> bit & 1 == 1).fold(0, |sum, (_, column)| sum ^ column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maximal_register_visits_every_state() {
        // x^16 + x^14 + x^13 + x^11 + 1.
        let lfsr = Lfsr { width: 16, taps: 0xb400 };
        let mut state = lfsr.initial(Site::default(), 3);
        let start = state;
        let mut period = 0;
        loop {
            state = lfsr.advance(state);
            period += 1;
            if state == start {
                break;
            }
        }
        assert_eq!(period, 0xffff);
    }

    #[test]
    fn jumps_are_steps() {
        for lfsr in [Lfsr { width: 16, taps: 0xb400 }, Lfsr { width: 64, taps: 0xd800_0000_0000_0000 }, Lfsr { width: 4, taps: 0xc }] {
            let jumps = lfsr.jumps();
            let start = lfsr.initial(Site { seed: 9, step: 1, instruction: 2, ..Site::default() }, 7);
            let mut state = start;
            for count in 0..300 {
                assert_eq!(jumps.advance(start, count), state);
                state = lfsr.advance(state);
            }
            let far = jumps.advance(jumps.advance(start, 1 << 40), 12345);
            assert_eq!(far, jumps.advance(start, (1 << 40) + 12345));
        }
    }
}
