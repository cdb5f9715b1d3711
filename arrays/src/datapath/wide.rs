//! Two's-complement integers of any width: Kulisch accumulators, quires, exact trees.

use systole_isa::exact::Exact;
use systole_isa::round::{Rounding, rounds_away};

/// Bits of a discarded fraction that decide a rounding, the last of them jammed.
const DISCARDED_BITS: u32 = 120;

/// Significant bits that [`Wide::to_exact`] keeps above the jam.
const KEPT_BITS: usize = 126;

/// The number `integer * 2^lsb`, the integer in two's complement, least limb first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide {
    limbs: Vec<u64>,
    lsb: i32,
}

impl Wide {
    /// Zero, with room for integers of `bits` bits and a sign.
    pub fn zero(bits: usize, lsb: i32) -> Self {
        Self { limbs: vec![0; bits / 64 + 1], lsb }
    }

    /// The exact sum of finite values.
    pub fn sum(terms: &[Exact]) -> Self {
        let nonzero = || terms.iter().filter(|x| !x.is_zero());
        let lsb = nonzero().map(|x| x.exponent).min().unwrap_or(0);
        let top = nonzero().map(|x| x.magnitude_exponent()).max().unwrap_or(0);
        let carries = usize::BITS - terms.len().leading_zeros();
        let mut sum = Self::zero((top - lsb) as usize + 1 + carries as usize, lsb);
        terms.iter().for_each(|x| sum.add(*x));
        sum
    }

    /// True for negative integers.
    pub fn is_negative(&self) -> bool {
        self.limbs.last().is_some_and(|top| top >> 63 == 1)
    }

    /// True for zero.
    pub fn is_zero(&self) -> bool {
        self.limbs.iter().all(|limb| *limb == 0)
    }

    /// True for odd integers.
    pub fn is_odd(&self) -> bool {
        self.limbs[0] & 1 == 1
    }

    /// Adds a value that is a multiple of 2^lsb; bits beyond the room are lost (the sum is
    /// modulo a power of two).
    pub fn add(&mut self, x: Exact) {
        if x.is_zero() {
            return;
        }
        debug_assert!(x.exponent >= self.lsb, "the addend has bits below the lowest");
        let position = (x.exponent - self.lsb) as usize;
        let (limb, shift) = (position / 64, position % 64);
        let (low, high) = (x.significand as u64, (x.significand >> 64) as u64);
        // 128 bits shifted by up to 63 lie in three limbs.
        let parts = if shift == 0 { [low, high, 0] } else { [low << shift, low >> (64 - shift) | high << shift, high >> (64 - shift)] };
        let mut carry = false;
        for (i, limb) in self.limbs.iter_mut().skip(limb).enumerate() {
            let part = parts.get(i).copied().unwrap_or(0);
            (*limb, carry) = if x.negative {
                let (difference, below) = limb.overflowing_sub(part);
                let (difference, borrowed) = difference.overflowing_sub(carry.into());
                (difference, below || borrowed)
            } else {
                let (sum, over) = limb.overflowing_add(part);
                let (sum, carried) = sum.overflowing_add(carry.into());
                (sum, over || carried)
            };
            if i >= 2 && !carry {
                break;
            }
        }
    }

    /// The same integer with room for `bits` bits and a sign: sign-extended, or cut.
    pub fn resized(mut self, bits: usize) -> Self {
        let sign = if self.is_negative() { u64::MAX } else { 0 };
        self.limbs.resize(bits / 64 + 1, sign);
        self
    }

    /// The lowest 64 bits of the integer.
    pub fn low_bits(&self) -> u64 {
        self.limbs[0]
    }

    /// The integer, least limb first.
    pub fn limbs(&self) -> &[u64] {
        &self.limbs
    }

    /// Exponent of the lowest bit.
    pub const fn lsb(&self) -> i32 {
        self.lsb
    }

    /// Values that add up to this one.
    pub fn parts(&self) -> Vec<Exact> {
        let negative = self.is_negative();
        let part = |(i, limb): (usize, u64)| Exact { negative, significand: limb.into(), exponent: self.lsb + 64 * i as i32 };
        self.magnitude().into_iter().enumerate().map(part).collect()
    }

    /// The integer nearest to the value in units of 2^lsb, as `rounding` picks it, and
    /// whether bits were lost.
    pub fn rounded(self, lsb: i32, rounding: Rounding, random: u64) -> (Self, bool) {
        let Ok(shift @ 1..) = usize::try_from(lsb - self.lsb) else {
            return if self.lsb == lsb { (self, false) } else { (Self::at(lsb, &self.parts()), false) };
        };
        let negative = self.is_negative();
        let magnitude = self.magnitude();
        let bit = |i: usize| magnitude.get(i / 64).is_some_and(|limb| limb >> (i % 64) & 1 == 1);
        let (limbs, low) = (shift / 64, shift % 64);
        let limb = |i: usize| magnitude.get(i).copied().unwrap_or(0);
        let kept =
            (limbs..=magnitude.len().max(limbs)).map(|i| if low == 0 { limb(i) } else { limb(i) >> low | limb(i + 1) << (64 - low) });
        let mut kept = Self { limbs: kept.collect(), lsb };
        // The discarded part as a fraction of DISCARDED_BITS bits, the rest jammed.
        let (mut discarded, mut lost) = (0u128, false);
        for i in 0..shift {
            let weight = DISCARDED_BITS as i64 + i as i64 - shift as i64;
            match (bit(i), weight) {
                (true, 0..) => discarded |= 1 << weight,
                (true, _) => lost = true,
                (false, _) => {}
            }
        }
        discarded |= u128::from(lost);
        if discarded != 0 && rounds_away(rounding, negative, kept.is_odd(), discarded, DISCARDED_BITS, random) {
            kept.add(Exact { negative: false, significand: 1, exponent: lsb });
        }
        (if negative { Self { limbs: kept.negated(), lsb } } else { kept }, discarded != 0)
    }

    /// The sum of multiples of 2^lsb.
    fn at(lsb: i32, terms: &[Exact]) -> Self {
        let mut sum = Self::sum(terms);
        let room = (sum.lsb - lsb).max(0) as usize + sum.limbs.len() * 64;
        sum = terms.iter().fold(Self::zero(room, lsb), |mut sum, term| {
            sum.add(*term);
            sum
        });
        sum
    }

    /// True if the integer lies in -2^(width-1) .. 2^(width-1).
    pub fn fits(&self, width: usize) -> bool {
        let sign = self.is_negative();
        (width - 1..self.limbs.len() * 64).all(|bit| self.bit(bit) == sign)
    }

    /// The integer modulo 2^width, read as two's complement of that width.
    pub fn wrap(&mut self, width: usize) {
        let sign = self.bit(width - 1);
        for bit in width..self.limbs.len() * 64 {
            self.set_bit(bit, sign);
        }
    }

    /// The most negative (`negative`) or the largest integer of a width.
    pub fn extreme(width: usize, lsb: i32, negative: bool) -> Self {
        let mut extreme = Self::zero(width, lsb);
        (0..extreme.limbs.len() * 64).for_each(|bit| extreme.set_bit(bit, (bit >= width - 1) == negative));
        extreme
    }

    fn bit(&self, bit: usize) -> bool {
        self.limbs[bit / 64] >> (bit % 64) & 1 == 1
    }

    fn set_bit(&mut self, bit: usize, value: bool) {
        let mask = 1 << (bit % 64);
        if value { self.limbs[bit / 64] |= mask } else { self.limbs[bit / 64] &= !mask }
    }

    /// The magnitude's limbs.
    fn magnitude(&self) -> Vec<u64> {
        let mut carry = self.is_negative();
        let invert = if carry { u64::MAX } else { 0 };
        self.limbs
            .iter()
            .map(|limb| {
                let (value, over) = (limb ^ invert).overflowing_add(carry.into());
                carry = over;
                value
            })
            .collect()
    }

    /// The value times a nonzero one of at most 64 significant bits, exactly.
    pub fn times(&self, factor: Exact) -> Self {
        debug_assert!(factor.significand >> 64 == 0, "a factor has at most 64 bits");
        let mut carry = 0u128;
        let mut limbs: Vec<u64> = self
            .magnitude()
            .into_iter()
            .map(|limb| {
                carry += u128::from(limb) * factor.significand;
                let low = carry as u64;
                carry >>= 64;
                low
            })
            .collect();
        limbs.extend([carry as u64, 0]);
        let product = Self { limbs, lsb: self.lsb + factor.exponent };
        if self.is_negative() == factor.negative { product } else { Self { limbs: product.negated(), ..product } }
    }

    fn negated(&self) -> Vec<u64> {
        let mut carry = true;
        self.limbs
            .iter()
            .map(|limb| {
                let (value, over) = (!limb).overflowing_add(carry.into());
                carry = over;
                value
            })
            .collect()
    }

    /// The value, with what lies more than 126 bits below its top collected into bit 0: no
    /// rounding to at most 53 bits with up to 64 stochastic ones below can tell the
    /// difference. Zero is +0.
    pub fn to_exact(&self) -> Exact {
        let magnitude = self.magnitude();
        let Some(top) = magnitude.iter().rposition(|limb| *limb != 0) else { return Exact::zero(false) };
        let bits = top * 64 + 64 - magnitude[top].leading_zeros() as usize;
        let dropped = bits.saturating_sub(KEPT_BITS);
        let limb = |i: usize| u128::from(magnitude.get(i).copied().unwrap_or(0));
        let (first, shift) = (dropped / 64, dropped % 64);
        let mut significand = (limb(first) | limb(first + 1) << 64) >> shift;
        if shift > 0 {
            significand |= limb(first + 2) << (128 - shift);
        }
        let lost = magnitude[..first].iter().any(|limb| *limb != 0) || magnitude[first] & ((1 << shift) - 1) != 0;
        Exact { negative: self.is_negative(), significand: significand | u128::from(lost), exponent: self.lsb + dropped as i32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(value: i128, exponent: i32) -> Exact {
        Exact::from_i128(value).scale(exponent)
    }

    #[test]
    fn sums_are_exact() {
        for (terms, expected) in [
            (vec![exact(1, 500), exact(3, -500), exact(-1, 500)], exact(3, -500)),
            (vec![exact(-1, 0), exact(1, 0)], Exact::zero(false)),
            (vec![exact(i128::from(u64::MAX), 0), exact(1, 0)], exact(1, 64)),
            (vec![exact(-1, 0), exact(-1, 64), exact(-1, 128)], exact(-1, 0)),
            (vec![], Exact::zero(false)),
        ] {
            let sum = Wide::sum(&terms).to_exact();
            if terms.len() == 3 && terms[1].exponent == 64 {
                // -(1 + 2^64 + 2^128): the last bit is jammed.
                assert!(sum.negative && sum.magnitude_exponent() == 128 && sum.significand & 1 == 1, "{sum:?}");
            } else {
                assert_eq!((sum.negative, sum.to_f64()), (expected.negative, expected.to_f64()), "{terms:?}");
            }
        }
    }

    #[test]
    fn widths_wrap_and_bound() {
        let mut x = Wide::zero(100, 0);
        x.add(exact(1, 69));
        assert!(x.fits(71) && !x.fits(70));
        x.wrap(70);
        assert_eq!(x.to_exact().to_f64(), -(2f64.powi(69)));
        assert_eq!(x, Wide::extreme(70, 0, true).resized(100));
        assert_eq!(Wide::extreme(70, 0, false).to_exact().magnitude_exponent(), 68);
    }

    #[test]
    fn products_keep_signs() {
        for (x, y) in [(7i128, 3i128), (-7, 3), (7, -3), (-7, -3), (-(1 << 100), 0xffff_ffff)] {
            let product = Wide::sum(&[exact(x, -5)]).times(exact(y, 3)).to_exact();
            assert_eq!(product.to_f64(), x as f64 * y as f64 / 4.0);
        }
    }
}
