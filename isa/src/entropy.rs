//! Random bits of stochastic rounding: a pure function of the site of the rounding.
//!
//! F(seed, step, instruction, row, column, stage, index) is two AES rounds between two
//! 128-bit blocks: P of the output's position (four neighbouring columns share one) and K of
//! the addition. Both come from Philox4x32-10 keyed by the seed, once per position and once
//! per addition, so that a MAC costs one exclusive-or and two AES rounds per four outputs:
//!
//! P = Philox(row, column / 4, instruction, step), K = Philox(index, 2^31 + stage,
//! instruction, step), X = AESENC(P xor K, P), Y = AESENC(X, K); R32 is 32-bit word
//! (column mod 4) of Y, and `sr<N>` uses its top N bits.
//!
//! AESENC is one full round of FIPS-197 (ShiftRows, SubBytes, MixColumns, AddRoundKey) on
//! bytes in memory order, words little-endian, as the x86 and Arm instructions compute it.

/// What one run of one instruction contributes to the site of a rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Site {
    /// The design's seed.
    pub seed: u64,
    /// Step given with the run.
    pub step: u32,
    /// Ordinal of the instruction among those the program has executed, loops unrolled.
    pub instruction: u32,
    /// Where a part of the instruction's output begins: its first row, and a quarter of its
    /// first column.
    pub origin: [u32; 2],
}

/// Which rounding of an output element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Accumulation of product k, or of the n-term block that ends with it; index k.
    Accumulate = 0,
    /// Rounding of product k itself; index k.
    Product = 1,
    /// Addition of the chunk that ends with product k into the outer accumulator; index k.
    Outer = 2,
    /// Addition of the fold that ends with product k in the accumulator memory; index k.
    Memory = 3,
    /// Conversion to the output format; index 0.
    Output = 4,
    /// A vector instruction's element; index counts the roundings of that element.
    Vector = 5,
    /// Sums inside an n-term unit. Interleaved chains: the addition of chain w has index
    /// (first k of the block) + w, the addition to the accumulator the block's first k. A sum
    /// rounded before it meets the accumulator: the block's last k.
    Sum = 6,
    /// Rounding of the scaled sum of the block that ends with product k; index k.
    Scale = 7,
}

/// A 128-bit block as four words, the first in the lowest bytes.
pub type Block = [u32; 4];

/// Rounds of Philox4x32-10.
pub const PHILOX_ROUNDS: u32 = 10;
/// What a round multiplies words 0 and 2 by.
pub const PHILOX_MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];

/// The key of the next round.
#[inline]
pub const fn philox_next_key([low, high]: [u32; 2]) -> [u32; 2] {
    [low.wrapping_add(0x9e37_79b9), high.wrapping_add(0xbb67_ae85)]
}

/// Philox4x32-10 (Salmon et al., SC'11).
pub const fn philox(mut counter: Block, seed: u64) -> Block {
    let mut key = [seed as u32, (seed >> 32) as u32];
    let mut round = 0;
    while round < PHILOX_ROUNDS {
        let left = counter[0] as u64 * PHILOX_MULTIPLIERS[0];
        let right = counter[2] as u64 * PHILOX_MULTIPLIERS[1];
        counter = [(right >> 32) as u32 ^ counter[1] ^ key[0], right as u32, (left >> 32) as u32 ^ counter[3] ^ key[1], left as u32];
        key = philox_next_key(key);
        round += 1;
    }
    counter
}

const fn times_two(x: u8) -> u8 {
    x << 1 ^ if x & 0x80 != 0 { 0x1b } else { 0 }
}

const fn gf_multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = times_two(a);
        b >>= 1;
    }
    product
}

/// FIPS-197 section 5.1.1: inversion in GF(2^8), then the affine map.
const SUBSTITUTION: [u8; 256] = {
    let mut table = [0; 256];
    let mut x = 0;
    while x < 256 {
        // x^254 is the inverse, and 0 for 0.
        let square = gf_multiply(x as u8, x as u8);
        let mut inverse = square;
        let mut power = square;
        let mut i = 0;
        while i < 6 {
            power = gf_multiply(power, power);
            inverse = gf_multiply(inverse, power);
            i += 1;
        }
        table[x] = inverse ^ inverse.rotate_left(1) ^ inverse.rotate_left(2) ^ inverse.rotate_left(3) ^ inverse.rotate_left(4) ^ 0x63;
        x += 1;
    }
    table
};

/// What SubBytes and MixColumns make of a byte in row 0 of a column; byte r is rotated by r rows.
const COLUMNS: [u32; 256] = {
    let mut columns = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let s = SUBSTITUTION[byte];
        columns[byte] = u32::from_le_bytes([times_two(s), s, s, times_two(s) ^ s]);
        byte += 1;
    }
    columns
};

/// One AES encryption round.
pub const fn aes_round(state: Block, round_key: Block) -> Block {
    let mut out = [0; 4];
    let mut column = 0;
    while column < 4 {
        // ShiftRows: byte r of this column comes from column + r.
        out[column] = COLUMNS[state[column].to_le_bytes()[0] as usize]
            ^ COLUMNS[state[(column + 1) % 4].to_le_bytes()[1] as usize].rotate_left(8)
            ^ COLUMNS[state[(column + 2) % 4].to_le_bytes()[2] as usize].rotate_left(16)
            ^ COLUMNS[state[(column + 3) % 4].to_le_bytes()[3] as usize].rotate_left(24)
            ^ round_key[column];
        column += 1;
    }
    out
}

const fn xor(a: Block, b: Block) -> Block {
    [a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]]
}

impl Site {
    /// The site of the part of the output that begins at `row` and `column`, a multiple of 4.
    #[must_use]
    pub const fn part(self, row: u32, column: u32) -> Self {
        debug_assert!(column.is_multiple_of(4), "four columns share a position");
        let [first, quarter] = self.origin;
        Self { origin: [first + row, quarter + column / 4], ..self }
    }

    /// Block P of the four outputs that share `column / 4` in `row` of the part.
    pub const fn position(self, row: u32, column: u32) -> Block {
        let [first, quarter] = self.origin;
        philox([first.wrapping_add(row), quarter.wrapping_add(column / 4), self.instruction, self.step], self.seed)
    }

    /// Block K of one addition.
    pub const fn addition(self, stage: Stage, index: u32) -> Block {
        philox([index, 0x8000_0000 | stage as u32, self.instruction, self.step], self.seed)
    }

    /// R32 of one rounding.
    pub const fn random32(self, row: u32, column: u32, stage: Stage, index: u32) -> u32 {
        mix(self.position(row, column), self.addition(stage, index))[(column % 4) as usize]
    }

    /// The `bits` random bits of one rounding, in the low bits; 0 for 0 bits.
    pub const fn random(self, bits: u32, row: u32, column: u32, stage: Stage, index: u32) -> u64 {
        if bits == 0 { 0 } else { (self.random32(row, column, stage, index) >> (32 - bits)) as u64 }
    }
}

/// Y: the four R32 of neighbouring columns, from their position and the addition.
pub const fn mix(position: Block, addition: Block) -> Block {
    aes_round(aes_round(xor(position, addition), position), addition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_known_answers() {
        // Random123's kat_vectors.
        assert_eq!(philox([0; 4], 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], u64::MAX), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], 0x299f_31d0_a409_3822),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn aes_round_known_answer() {
        // FIPS-197 appendix B, round 1: from start of round to start of round 2.
        let block = |hex: u128| {
            let b = hex.to_be_bytes();
            std::array::from_fn(|i| u32::from_le_bytes([b[4 * i], b[4 * i + 1], b[4 * i + 2], b[4 * i + 3]]))
        };
        let state = block(0x193d_e3be_a0f4_e22b_9ac6_8d2a_e9f8_4808);
        let key = block(0xa0fa_fe17_8854_2cb1_23a3_3939_2a6c_7605);
        assert_eq!(aes_round(state, key), block(0xa49c_7ff2_689f_352b_6b5b_ea43_026a_5049));
    }

    #[test]
    fn parts_draw_what_the_whole_draws() {
        let whole = Site { seed: 7, step: 3, instruction: 11, ..Site::default() };
        let part = whole.part(5, 8).part(2, 4);
        for (row, column) in [(0, 0), (3, 7), (100, 2)] {
            let draw = |site: Site, row, column| site.random(17, row, column, Stage::Accumulate, 9);
            assert_eq!(draw(part, row, column), draw(whole, row + 7, column + 12));
        }
    }

    #[test]
    fn bits_are_balanced() {
        let site = Site { seed: 7, step: 3, instruction: 11, ..Site::default() };
        let mut ones = [0u32; 32];
        for row in 0..64 {
            for column in 0..64 {
                for k in 0..16 {
                    let r = site.random32(row, column, Stage::Accumulate, k);
                    for (bit, count) in ones.iter_mut().enumerate() {
                        *count += r >> bit & 1;
                    }
                }
            }
        }
        // 65,536 draws: five standard deviations are 640.
        assert!(ones.iter().all(|&n| n.abs_diff(32_768) < 640), "{ones:?}");
    }
}
