//! Draws behind a case: a pure function of the seed and the case's number.

use systole_isa::entropy::philox;

/// A sequence of uniform words: Philox4x32-10 keyed by the seed, counting draws of one case.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    seed: u64,
    case: u64,
    block: u32,
    left: Vec<u32>,
}

impl Draws {
    /// Of case `case`.
    pub const fn new(seed: u64, case: u64) -> Self {
        Self { seed, case, block: 0, left: Vec::new() }
    }

    fn word(&mut self) -> u32 {
        if self.left.is_empty() {
            // "vect": no other use of the seed draws the same blocks.
            self.left.extend(philox([self.case as u32, (self.case >> 32) as u32, self.block, 0x7665_6374], self.seed));
            self.block += 1;
        }
        self.left.pop().unwrap_or(0)
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        u64::from(self.word()) << 32 | u64::from(self.word())
    }

    /// Uniform below `bound`, which is at least 1 and far below 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.word()) * bound as u64) >> 32) as usize
    }

    /// Uniform from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
