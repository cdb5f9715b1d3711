//! How a PE adds a block of products: one FMA, or an n-term dot-product unit.
//!
//! A block is `lanes` products of consecutive k, counted from the start of a chunk (or of a
//! fold, or of the chain); the last one of each may be short, and absent terms are absent.

use serde::{Deserialize, Serialize};

/// How the products of one block meet the accumulator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Unit {
    /// One after another, k ascending, the mode's rounding after each.
    #[default]
    Chain,
    /// As a chain, but each block's last product comes first.
    Descending,
    /// Product i of a block goes to chain i mod `ways`, each from +0; the chains' sums are
    /// added up in order, and that sum to the accumulator, each addition rounded.
    Interleaved {
        /// Chains, at least 2.
        ways: u32,
    },
    /// The accumulator plus the exact sum of products, rounded once.
    Exact,
    /// The exact sum of products rounded to the accumulator's format, then an addition.
    ExactApart,
    /// Terms aligned to the largest exponent among them and cut off below.
    Aligned(Aligned),
}

impl Unit {
    /// True if products enter one by one, each addition rounded.
    pub const fn is_sequential(self) -> bool {
        matches!(self, Self::Chain | Self::Descending | Self::Interleaved { .. })
    }
}

/// A unit that aligns its terms and drops what lies below, as tensor cores do.
///
/// The exponent of a product is the sum of its operands' exponents, not renormalised (its
/// significand lies in [1, 4)); subnormal operands keep the smallest normal exponent. The sum
/// of what is kept is exact; it is rounded once to the accumulator's format by the mode's
/// rounding and overflow, and a result of zero is +0 (but see `negative_zero`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aligned {
    /// Fraction bits kept below the largest exponent, 1..=64.
    pub fraction_bits: u32,
    /// How a product loses the bits below.
    #[serde(default)]
    pub term_truncation: Truncation,
    /// Where the accumulator joins.
    #[serde(default)]
    pub addend: Addend,
    /// Product i of a block belongs to group i mod `groups`; groups are aligned and summed
    /// apart, then their sums are aligned to the groups' largest exponent.
    #[serde(default = "one")]
    pub groups: u32,
    /// How sums of groups, and what [`Addend::Aligned`] aligns, lose the bits below.
    #[serde(default)]
    pub sum_truncation: Truncation,
    /// Exponent with which a zero operand or accumulator enters the search for the largest;
    /// absent: zero terms are left out of it.
    #[serde(default)]
    pub zero_exponent: Option<i32>,
    /// A product of 2^this or more counts as infinite.
    #[serde(default)]
    pub infinite_from: Option<i32>,
    /// True if a negative sum that rounds to zero gives -0. An exact zero is +0 all the same.
    #[serde(default)]
    pub negative_zero: bool,
}

const fn one() -> u32 {
    1
}

/// How bits below the last one kept are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Sign and magnitude: toward zero.
    #[default]
    TowardZero,
    /// Two's complement: toward minus infinity.
    Floor,
}

/// Where the accumulator meets the sum of products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Addend {
    /// Aligned with the products, one term more.
    #[default]
    Together,
    /// The sum of products is rounded to the accumulator's format, then added.
    Apart,
    /// Sum and accumulator are aligned to the larger of their exponents, each with its own
    /// number of fraction bits, and added exactly.
    Aligned {
        /// Fraction bits of the sum of products.
        sum_bits: u32,
        /// Fraction bits of the accumulator.
        addend_bits: u32,
        /// An accumulator whose exponent is more than this below the larger is dropped.
        #[serde(default)]
        reach: Option<u32>,
    },
}

/// How block scales meet the products of a block. The block length is the chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Operands have no block scales.
    #[default]
    None,
    /// Powers of two, added to the exponent of every product of the block: exact.
    Exponent,
    /// outer <- round(outer + scale_a scale_b inner): one rounding as the chunk closes.
    Chunk,
    /// scale_a scale_b inner is rounded to the outer accumulator's format, then added.
    ChunkRounded,
}

/// Where the random bits of stochastic rounding in the MAC come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EntropySource {
    /// A pure function of the site: the same for any array.
    #[default]
    Counter,
    /// A linear-feedback shift register per group of PEs.
    Lfsr {
        /// State bits, 4..=64.
        width: u32,
        /// Bits exclusive-ored into the shifted state when a 1 leaves it (Galois form).
        taps: u64,
        /// Which PEs have the same sequence.
        #[serde(default)]
        shared: LfsrShare,
    },
}

/// PEs with the same LFSR sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LfsrShare {
    /// None: one register per PE.
    #[default]
    Pe,
    /// The PEs of one row.
    Row,
    /// The PEs of one column.
    Column,
    /// All PEs of an array.
    Array,
}
