//! What a set of values can reach, and what follows for the sums made of them.
//!
//! Every finite value of a set is a multiple of 2^lsb and at most `max` in size. Rounding a
//! multiple of 2^lsb to a coarser grid leaves a multiple of it, so sums of such values never
//! need a quantum finer than 2^lsb: where the accumulator has that quantum, nothing is ever
//! tiny and inexact, and where the accumulator's range holds the bound, nothing overflows.

use super::rounder::{Rounder, power_of_two};
use crate::simd::Number;
use systole_isa::round::Rounding;

/// A bound on a set of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reach {
    /// The largest finite size.
    pub max: f64,
    /// Nonzero finite values are multiples of 2^lsb.
    pub lsb: i32,
    /// True if an infinity or a NaN may be among them.
    pub special: bool,
    /// True if a -0 may be among them.
    pub negative_zero: bool,
}

/// The lsb of a set without nonzero values.
pub(super) const NO_LSB: i32 = 1 << 20;

impl Reach {
    /// Only +0.
    pub const ZERO: Self = Self { max: 0.0, lsb: NO_LSB, special: false, negative_zero: false };

    /// The union of two sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            max: self.max.max(other.max),
            lsb: self.lsb.min(other.lsb),
            special: self.special || other.special,
            negative_zero: self.negative_zero || other.negative_zero,
        }
    }

    /// The products of two sets.
    pub fn product(self, other: Self) -> Self {
        Self { max: self.max * other.max, lsb: self.lsb + other.lsb, special: self.special || other.special, negative_zero: true }
    }

    /// The values multiplied by scales, which are neither special nor signed zeros.
    #[must_use]
    pub fn scaled(self, scale: Self) -> Self {
        Self { negative_zero: self.negative_zero, ..self.product(scale) }
    }

    /// True if finite values are below 2^`high` and nonzero ones are multiples of 2^`low`.
    pub fn is_within(self, low: i32, high: i32) -> bool {
        self.lsb >= low && self.max < power_of_two(high)
    }

    /// True if every finite value, and every sum of some that is within this bound, is a number
    /// of `N`.
    pub fn is_exact_in<N: Number>(self) -> bool {
        let (bits, bias) = (N::SIGNIFICAND as i32, N::EXPONENT_BIAS as i32);
        self.spans(bits) && self.is_within(2 - bias - bits, bias)
    }

    /// True if every value is an integer multiple of one power of two with at most `bits` bits.
    pub fn spans(self, bits: i32) -> bool {
        self.max == 0.0 || (self.lsb >= -1022 && power_of_two(self.lsb.min(900)) * power_of_two(bits) >= self.max)
    }
}

/// What is known of a run of additions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// Bound on the finite results.
    pub reach: Reach,
    /// No finite sum overflows.
    pub bounded: bool,
    /// No sum is tiny and inexact.
    pub never_tiny: bool,
    /// Bound on the finite sums before they are rounded.
    pub unrounded: Reach,
    /// No finite sum is ever rounded, and what cancels is +0.
    pub unrounding: bool,
    /// A sum may be -0, because what it starts from may be.
    pub negative_zero: bool,
    /// Nothing is special.
    pub plain: bool,
}

impl Sums {
    /// `count` additions of values within `addend` to a value within `start`, each rounded.
    pub fn of(rounder: &Rounder, start: Reach, addend: Reach, count: usize) -> Self {
        let n = count as f64;
        let lsb = start.lsb.min(addend.lsb);
        let total = start.max + n * addend.max;
        let fits = Reach { max: total, lsb, ..Reach::ZERO }.spans(rounder.precision as i32);
        // Without subnormals, what is tiny becomes the smallest value, whose last bit is the quantum.
        let (tiny, lsb) = match rounder.gradual || lsb >= rounder.harmless_lsb() {
            true => (false, lsb),
            false => (true, lsb.min(rounder.min_quantum)),
        };
        let rounds = tiny || lsb < rounder.min_quantum || (rounder.floating && !fits);
        let bound = if !rounds {
            total
        } else {
            match rounder.rounding {
                Rounding::Rtz => total,
                // A nearest value errs by no more than the addend, since staying put errs by that.
                Rounding::Rne | Rounding::Rmm => start.max + 2.0 * n * addend.max,
                // A float errs by less than u = 2^(1-p) of a sum, and (1 + u)^n <= e^(n u).
                _ if rounder.floating && lsb >= rounder.harmless_lsb() => {
                    let doublings = (std::f64::consts::LOG2_E * n * power_of_two(1 - rounder.precision as i32)).ceil();
                    total * power_of_two(doublings.min(900.0) as i32)
                }
                _ => f64::INFINITY,
            }
        };
        let plain = !start.special && !addend.special;
        // Where infinities become the largest value, sums reach it whatever the finite values.
        let bounded = bound <= rounder.max && (plain || rounder.infinite.iter().all(|x| !x.is_finite()));
        // What overflows becomes the largest value, whose last bit may lie below the addends'.
        let lsb = if bounded { lsb } else { lsb.min(rounder.max_lsb) };
        let never_tiny = lsb >= rounder.harmless_lsb();
        let reach = Reach {
            max: if bounded { bound } else { rounder.max.max(rounder.min_size) },
            lsb: lsb.max(rounder.min_quantum),
            special: !plain || (!bounded && rounder.overflowed.iter().any(|x| !x.is_finite())),
            negative_zero: true,
        };
        let unrounded = Reach { max: if bounded { bound } else { rounder.max.max(rounder.min_size) + addend.max }, lsb, ..Reach::ZERO };
        Self {
            reach,
            bounded,
            never_tiny,
            unrounded,
            unrounding: !rounds && never_tiny && bounded && !rounder.rounding.cancels_to_negative_zero(),
            negative_zero: start.negative_zero,
            plain,
        }
    }

    /// Nothing can happen that the cheap rounding leaves out, if sums are exact or rounded to odd.
    pub fn plain_range(&self) -> bool {
        self.bounded && self.plain_but_for_overflow()
    }

    /// The same but for overflow.
    pub fn plain_but_for_overflow(&self) -> bool {
        self.never_tiny && self.plain && !self.negative_zero
    }

    /// Nothing can happen that the cheap rounding of binary64 sums leaves out.
    pub fn proved(&self) -> bool {
        self.plain_range() && self.unrounded.spans(53)
    }
}
