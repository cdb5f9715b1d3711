//! Fixed-point numbers of N limbs: 64 integer bits over 64 (N - 1) fraction bits.
//!
//! Two's complement under addition; every other operation wants non-negative operands. One
//! *ulp* is the weight of the lowest bit, 2^-64(N-1). Each operation states its error in ulps;
//! those that state none are exact as long as the integer part does not overflow.

/// A fixed-point number; limb 0 is the lowest, limb N-1 the integer part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed<const N: usize>(pub [u64; N]);

impl<const N: usize> Fixed<N> {
    /// Fraction bits.
    pub const FRACTION_BITS: i32 = 64 * (N as i32 - 1);
    /// 0.
    pub const ZERO: Self = Self([0; N]);
    /// 1.
    pub const ONE: Self = Self::integer(1);

    /// The integer `value`.
    pub const fn integer(value: u64) -> Self {
        let mut limbs = [0; N];
        limbs[N - 1] = value;
        Self(limbs)
    }

    /// `significand * 2^exponent`, truncated: below by less than 1 ulp. The value must be below 2^63.
    #[inline]
    pub fn scaled(significand: u64, exponent: i32) -> Self {
        let mut limbs = [0; N];
        let position = exponent + Self::FRACTION_BITS;
        if position <= -64 {
            return Self::ZERO;
        }
        if position < 0 {
            limbs[0] = significand >> -position;
            return Self(limbs);
        }
        let (limb, bit) = (position as usize / 64, position as u32 % 64);
        let wide = u128::from(significand) << bit;
        limbs[limb] = wide as u64;
        if limb + 1 < N {
            limbs[limb + 1] = (wide >> 64) as u64;
        }
        Self(limbs)
    }

    /// The top M limbs of the same number: below by less than 1 ulp of the result.
    pub fn truncate<const M: usize>(self) -> Fixed<M> {
        const { assert!(M <= N) };
        Fixed(std::array::from_fn(|i| self.0[N - M + i]))
    }

    /// True below zero.
    #[inline]
    pub const fn is_negative(self) -> bool {
        self.0[N - 1] >> 63 == 1
    }

    /// True for zero.
    #[inline]
    pub fn is_zero(self) -> bool {
        self.0 == [0; N]
    }

    /// True if `self < other`, both non-negative.
    #[inline]
    pub fn is_below(self, other: Self) -> bool {
        self.minus(other).is_negative()
    }

    /// The sum.
    #[inline]
    pub fn plus(self, other: Self) -> Self {
        let mut limbs = self.0;
        let mut carry = false;
        for (limb, &addend) in limbs.iter_mut().zip(&other.0) {
            let (sum, first) = limb.overflowing_add(addend);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first | second;
        }
        Self(limbs)
    }

    /// The difference.
    #[inline]
    pub fn minus(self, other: Self) -> Self {
        let mut limbs = self.0;
        let mut borrow = false;
        for (limb, &subtrahend) in limbs.iter_mut().zip(&other.0) {
            let (difference, first) = limb.overflowing_sub(subtrahend);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = first | second;
        }
        Self(limbs)
    }

    /// The magnitude and whether the number was below zero.
    #[inline]
    pub fn magnitude(self) -> (Self, bool) {
        if self.is_negative() { (Self::ZERO.minus(self), true) } else { (self, false) }
    }

    /// The product, truncated: below by less than 1 ulp.
    #[inline]
    pub fn times(self, other: Self) -> Self {
        let mut limbs = [0; N];
        // Each row but the last drops its lowest limb, which no later row can reach.
        for i in 0..N - 1 {
            let mut carry = 0;
            for j in 0..N {
                let wide = u128::from(self.0[i]) * u128::from(other.0[j]) + u128::from(limbs[j]) + carry;
                if j > 0 {
                    limbs[j - 1] = wide as u64;
                }
                carry = wide >> 64;
            }
            limbs[N - 1] = carry as u64;
        }
        let mut carry = 0;
        for (limb, &factor) in limbs.iter_mut().zip(&other.0) {
            let wide = u128::from(self.0[N - 1]) * u128::from(factor) + u128::from(*limb) + carry;
            *limb = wide as u64;
            carry = wide >> 64;
        }
        Self(limbs)
    }

    /// The product with an integer.
    #[inline]
    pub fn times_integer(self, factor: u64) -> Self {
        let mut carry = 0;
        Self(self.0.map(|limb| {
            let wide = u128::from(limb) * u128::from(factor) + carry;
            carry = wide >> 64;
            wide as u64
        }))
    }

    /// The product with `factor / 2^64`, truncated: below by less than 1 ulp.
    #[inline]
    pub fn times_fraction(self, factor: u64) -> Self {
        let mut limbs = [0; N];
        let mut carry = 0;
        for i in 0..N {
            let wide = u128::from(self.0[i]) * u128::from(factor) + carry;
            if i > 0 {
                limbs[i - 1] = wide as u64;
            }
            carry = wide >> 64;
        }
        limbs[N - 1] = carry as u64;
        Self(limbs)
    }

    /// The quotient by a positive integer, truncated: below by less than 1 ulp.
    pub fn over_integer(self, divisor: u64) -> Self {
        let mut limbs = [0; N];
        let mut remainder = 0u64;
        for i in (0..N).rev() {
            let wide = u128::from(remainder) << 64 | u128::from(self.0[i]);
            limbs[i] = (wide / u128::from(divisor)) as u64;
            remainder = (wide % u128::from(divisor)) as u64;
        }
        Self(limbs)
    }

    /// The number times 2^-shift, truncated: below by less than 1 ulp.
    #[inline]
    pub fn shift_right(self, shift: u32) -> Self {
        let (limb, bit) = (shift as usize / 64, shift % 64);
        Self(std::array::from_fn(|i| {
            let low = self.0.get(i + limb).copied().unwrap_or(0);
            let high = self.0.get(i + limb + 1).copied().unwrap_or(0);
            ((u128::from(high) << 64 | u128::from(low)) >> bit) as u64
        }))
    }

    /// The quotient by `divisor` in [1, 2], self in [0, 2], and a bound in ulps on its error,
    /// read off the final remainder: |self / divisor - q| = |self - q divisor| / divisor.
    pub fn over(self, divisor: Self) -> (Self, u64) {
        // About 62 bits of 1/divisor; each correction then gains as many quotient bits.
        let leading = divisor.0[N - 1].min(1) << 63 | if divisor.0[N - 1] > 1 { u64::MAX >> 1 } else { divisor.0[N - 2] >> 1 };
        let inverse = u64::try_from(u128::MAX / 2 / u128::from(leading)).unwrap_or(u64::MAX);
        let mut quotient = self.times_fraction(inverse);
        for _ in 0..=N {
            let (remainder, beyond) = self.minus(quotient.times(divisor)).magnitude();
            if remainder.0[1..] == [0; N][1..] && remainder.0[0] < 4 {
                // The product behind the remainder was itself truncated.
                return (quotient, remainder.0[0] + 1);
            }
            let correction = remainder.times_fraction(inverse);
            quotient = if beyond { quotient.minus(correction) } else { quotient.plus(correction) };
        }
        let (remainder, _) = self.minus(quotient.times(divisor)).magnitude();
        let small = remainder.0[1..] == [0; N][1..];
        (quotient, if small { remainder.0[0].saturating_add(1) } else { u64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type F = Fixed<3>;

    /// The raw integer of a number below 2^64, as a `u128` of the two lower limbs.
    fn low(x: F) -> u128 {
        assert_eq!(x.0[2], 0);
        u128::from(x.0[1]) << 64 | u128::from(x.0[0])
    }

    #[test]
    fn small_operations_agree_with_wide_integers() {
        let third = F::ONE.over_integer(3);
        assert_eq!(low(third), u128::MAX / 3);
        // (2^128 - 1)^2 / 9 / 2^128 = 2^128/9 - 2/9 + .., and 2^128 leaves 4 modulo 9.
        assert_eq!(third.times(third), F::ONE.over_integer(9));
        assert_eq!(low(third.times_fraction(1 << 63)), u128::MAX / 6);
        assert_eq!(third.times_integer(6).0, [u64::MAX - 1, u64::MAX, 1]);
        assert_eq!(low(third.shift_right(70)), (u128::MAX / 3) >> 70);
        assert_eq!(F::scaled(5, -65).0, [1 << 63, 2, 0]);
        assert_eq!(F::scaled(5, 3), F::integer(40));
        assert_eq!(F::scaled(5, -130).0, [1, 0, 0]);
        assert_eq!(F::scaled(5, -131), F::ZERO);
        assert_eq!(F::scaled(u64::MAX, -192), F::ZERO);
        assert_eq!(F::scaled(u64::MAX, -191).0, [1, 0, 0]);
        assert_eq!(F::ONE.minus(F::integer(3)).magnitude(), (F::integer(2), true));
        assert!(third.is_below(F::ONE) && !F::ONE.is_below(F::ONE));
    }

    #[test]
    fn quotients_keep_their_bound() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 31
        };
        for step in 0..2000 {
            let numerator = Fixed([next(), next(), next() & 1]);
            let divisor = if step == 0 { F::integer(2) } else { Fixed([next(), next() >> (step % 64), 1]) };
            let (quotient, error) = numerator.over(divisor);
            assert!(error <= 8, "{error}");
            // q - e <= n/d <= q + e, by exact products: no truncation up to a factor of 2^64.
            let ulps = Fixed([error, 0, 0]);
            let below = quotient.minus(ulps);
            if !below.is_negative() {
                assert!(!numerator.is_below(below.times(divisor)));
            }
            assert!(!quotient.plus(ulps).times(divisor).plus(Fixed([1, 0, 0])).is_below(numerator));
        }
    }
}
