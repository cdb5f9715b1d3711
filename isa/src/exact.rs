//! Exact dyadic rationals: what an operation produces before its one rounding.

/// A finite value `(-1)^negative * significand * 2^exponent`, held exactly, or with
/// its bits below position 0 jammed into bit 0 where [`Exact::add`] says so.
///
/// A significand of 0 is a signed zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// Sign bit, meaningful for zeros too.
    pub negative: bool,
    /// Integer magnitude.
    pub significand: u128,
    /// Power of two that scales the magnitude.
    pub exponent: i32,
}

impl Exact {
    /// A zero of the given sign.
    pub const fn zero(negative: bool) -> Self {
        Self { negative, significand: 0, exponent: 0 }
    }

    /// The integer `value`.
    pub const fn from_i128(value: i128) -> Self {
        Self { negative: value < 0, significand: value.unsigned_abs(), exponent: 0 }
    }

    /// The exact value of a finite binary64; `None` for infinities and NaNs.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let negative = bits >> 63 == 1;
        let field = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (significand, exponent) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
        Some(Self { negative, significand: u128::from(significand), exponent })
    }

    /// The nearest binary64 (ties to even), for reports; simulated bits never pass through it.
    pub fn to_f64(self) -> f64 {
        use crate::{
            format::Format,
            round::{Policy, encode},
        };
        f64::from_bits(encode(Format::FP64, self, Policy::RNE, 0).0)
    }

    /// True for either zero.
    pub const fn is_zero(self) -> bool {
        self.significand == 0
    }

    /// `floor(log2 |self|)` of a nonzero value.
    pub const fn magnitude_exponent(self) -> i32 {
        self.exponent + 127 - self.significand.leading_zeros() as i32
    }

    /// The value with its sign changed.
    pub const fn negate(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// `self * 2^shift`, exactly.
    pub const fn scale(self, shift: i32) -> Self {
        Self { exponent: self.exponent + shift, ..self }
    }

    /// The exact product. Significands of at most 64 bits each are required, which every
    /// format of this crate satisfies.
    pub const fn multiply(self, other: Self) -> Self {
        debug_assert!(self.significand >> 64 == 0 && other.significand >> 64 == 0);
        Self {
            negative: self.negative != other.negative,
            significand: self.significand * other.significand,
            exponent: self.exponent + other.exponent,
        }
    }

    /// The quotient of nonzero values to at least 124 bits, any remainder jammed into bit 0.
    /// Significands of at most 128 and 64 bits.
    pub const fn divide(self, other: Self) -> Self {
        debug_assert!(self.significand != 0 && other.significand != 0 && other.significand >> 64 == 0);
        // A divisor of exactly 64 bits leaves a quotient of 64 or 65.
        let (shift, other_shift) = (self.significand.leading_zeros(), other.significand.leading_zeros() - 64);
        let (dividend, divisor) = (self.significand << shift, other.significand << other_shift);
        let (high, rest) = (dividend / divisor, dividend % divisor);
        let (low, rest) = ((rest << 60) / divisor, (rest << 60) % divisor);
        Self {
            negative: self.negative != other.negative,
            significand: (high << 60 | low) << 1 | (rest != 0) as u128,
            exponent: (self.exponent - shift as i32) - (other.exponent - other_shift as i32) - 61,
        }
    }

    /// The sum, exact but for jamming: addends whose exponents lie so far apart that the
    /// smaller falls below 2^-126 of the larger leave a nonzero remainder as bit 0.
    ///
    /// Both significands must be at most 107 bits (a product of two 53-bit significands,
    /// with one to spare). Then the sum keeps at least 125 significant bits above the jam
    /// whenever it is inexact, so one later rounding to at most 53 bits, with up to 64
    /// stochastic bits below them, sees the same bits as the unbounded sum would give. A sum
    /// that wraps in two's complement needs its low bits instead: there it is exact as long
    /// as both addends stay below 2^93 units of the format's last place.
    ///
    /// An exact zero sum of opposite signs is +0, or -0 when `zero_is_negative` (the sign
    /// IEEE 754-2019 section 6.3 asks for under roundTowardNegative); equal signs keep theirs.
    pub const fn add(self, other: Self, zero_is_negative: bool) -> Self {
        if self.significand == 0 && other.significand == 0 {
            let negative = if self.negative == other.negative { self.negative } else { zero_is_negative };
            return Self::zero(negative);
        }
        if self.significand == 0 {
            return other;
        }
        if other.significand == 0 {
            return self;
        }
        debug_assert!(self.significand >> 107 == 0 && other.significand >> 107 == 0);
        let (high, low) = if self.magnitude_exponent() >= other.magnitude_exponent() { (self, other) } else { (other, self) };
        let distance = high.exponent - low.exponent;
        let (high_sig, low_sig, exponent) = if distance >= 0 {
            // Shift the larger left as far as it goes, the smaller right for the rest.
            let room = high.significand.leading_zeros() as i32 - 1;
            let left = if distance < room { distance } else { room };
            (high.significand << left as u32, shift_right_jam(low.significand, distance - left), high.exponent - left)
        } else {
            // The larger value has the finer quantum: the smaller shifts left without loss.
            (high.significand, low.significand << (-distance) as u32, high.exponent)
        };
        if high.negative == low.negative {
            return Self { negative: high.negative, significand: high_sig + low_sig, exponent };
        }
        if high_sig == low_sig {
            return Self::zero(zero_is_negative);
        }
        if high_sig > low_sig {
            Self { negative: high.negative, significand: high_sig - low_sig, exponent }
        } else {
            Self { negative: low.negative, significand: low_sig - high_sig, exponent }
        }
    }
}

/// `value >> shift` with any bits shifted out collected into bit 0.
pub const fn shift_right_jam(value: u128, shift: i32) -> u128 {
    if shift <= 0 {
        value
    } else if shift >= 128 {
        (value != 0) as u128
    } else {
        let kept = value >> shift as u32;
        let lost = value << (128 - shift as u32);
        kept | (lost != 0) as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary64_round_trips() {
        for v in [0.0, -0.0, 1.5, -3.25e-300, f64::MIN_POSITIVE / 8.0, f64::MAX, 5e-324] {
            assert_eq!(Exact::from_f64(v).unwrap().to_f64().to_bits(), v.to_bits());
        }
        assert!(Exact::from_f64(f64::NAN).is_none());
    }

    #[test]
    fn far_apart_addends_jam() {
        let one = Exact::from_i128(1);
        let tiny = Exact { negative: true, significand: 1, exponent: -1000 };
        let sum = one.add(tiny, false);
        assert_eq!(sum.significand & 1, 1);
        assert!(!sum.negative && sum.magnitude_exponent() == -1);
    }

    #[test]
    fn zero_signs() {
        let (p, n) = (Exact::zero(false), Exact::zero(true));
        assert!(!p.add(n, false).negative);
        assert!(p.add(n, true).negative);
        assert!(n.add(n, false).negative);
        let one = Exact::from_i128(1);
        assert!(one.add(one.negate(), true).negative);
    }
}
