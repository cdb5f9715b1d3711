//! Partial sums on their way: what accumulators held after each addition.

use crate::format::Format;
use serde::{Deserialize, Serialize};

/// Where a sum stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SumPlace {
    /// The MAC's accumulator, or the partial sum that passes from PE to PE.
    Accumulator,
    /// The outer accumulator of closed chunks.
    Outer,
    /// The accumulator memory that adds folds (`partial_sums: outside`).
    Memory,
}

impl SumPlace {
    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accumulator => "accumulator",
            Self::Outer => "outer accumulator",
            Self::Memory => "accumulator memory",
        }
    }
}

/// Additions of some outputs' sums in one place and format, and the sums that they left.
///
/// Of an n-term unit an addition is that of a block of products, and the sum what the block left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumCounts {
    /// Where.
    pub place: SumPlace,
    /// Format of the sums.
    pub format: Format,
    /// Outputs looked at.
    pub outputs: u64,
    /// Additions.
    pub additions: u64,
    /// Additions of a finite addend other than 0, before any rounding of its own, that left a finite
    /// sum at the value it had.
    pub swamped: u64,
    /// Overflows of products and sums.
    pub overflows: u64,
    /// Sums that are 0.
    pub zeros: u64,
    /// Sums that are infinite.
    pub infinities: u64,
    /// Sums that are NaN.
    pub nans: u64,
    /// Finite sums other than 0 by exponent, floor(log2 |sum|), ascending.
    pub exponents: Vec<(i32, u64)>,
}

impl SumCounts {
    /// Of nothing yet.
    pub const fn new(place: SumPlace, format: Format) -> Self {
        Self { place, format, outputs: 0, additions: 0, swamped: 0, overflows: 0, zeros: 0, infinities: 0, nans: 0, exponents: Vec::new() }
    }

    /// Counts sums of this exponent.
    pub fn count_exponent(&mut self, exponent: i32, sums: u64) {
        match self.exponents.binary_search_by_key(&exponent, |(known, _)| *known) {
            Ok(at) => self.exponents[at].1 += sums,
            Err(at) => self.exponents.insert(at, (exponent, sums)),
        }
    }

    /// Exponents of the least and the largest positive number that the format holds.
    pub fn reach(&self) -> [i32; 2] {
        match self.format {
            Format::Fixed(f) | Format::Quire(f) => [-f.fraction_bits, f.width as i32 - 2 - f.fraction_bits],
            format => [format.smallest_positive(), format.max_finite(false)].map(|code| format.to_f64(code).log2().floor() as i32),
        }
    }

    fn add(&mut self, other: &Self) {
        self.outputs += other.outputs;
        self.additions += other.additions;
        self.swamped += other.swamped;
        self.overflows += other.overflows;
        self.zeros += other.zeros;
        self.infinities += other.infinities;
        self.nans += other.nans;
        other.exponents.iter().for_each(|&(exponent, sums)| self.count_exponent(exponent, sums));
    }

    /// Adds `more` to `all`, by place and format; places come in the order in which a sum meets them.
    pub fn merge(all: &mut Vec<Self>, more: &[Self]) {
        for sums in more {
            match all.iter_mut().find(|known| (known.place, known.format) == (sums.place, sums.format)) {
                Some(known) => known.add(sums),
                None => {
                    all.push(sums.clone());
                    all.sort_by_key(|sums| sums.place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_by_place_and_format() {
        let mut one = SumCounts { additions: 3, swamped: 1, ..SumCounts::new(SumPlace::Accumulator, Format::FP16) };
        [(4, 1), (-2, 5), (4, 2)].into_iter().for_each(|(exponent, sums)| one.count_exponent(exponent, sums));
        assert_eq!(one.exponents, [(-2, 5), (4, 3)]);
        let outer = SumCounts { nans: 1, ..SumCounts::new(SumPlace::Outer, Format::FP32) };
        let mut all = vec![outer.clone()];
        SumCounts::merge(&mut all, &[one.clone(), outer.clone(), one.clone()]);
        let twice = SumCounts { additions: 6, swamped: 2, exponents: vec![(-2, 10), (4, 6)], ..one };
        assert_eq!(all, [twice, SumCounts { nans: 2, ..outer }]);
    }

    #[test]
    fn formats_reach_from_their_least_to_their_largest_number() {
        let reach = |format: &str| SumCounts::new(SumPlace::Accumulator, format.parse().unwrap()).reach();
        assert_eq!(reach("fp16"), [-24, 15]);
        assert_eq!(reach("fp32"), [-149, 127]);
        assert_eq!(reach("e4m3fn"), [-9, 8]);
        assert_eq!(reach("int8"), [0, 6]);
        assert_eq!(reach("fx24.10"), [-10, 12]);
        assert_eq!(reach("fx200.100"), [-100, 98]);
    }
}
