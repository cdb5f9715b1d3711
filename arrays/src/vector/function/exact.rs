//! Values of the functions cut to their leading bits and a sticky bit.
//!
//! A result's 24 bits, the next, and 32 random bits' worth are all that a rounding looks at,
//! and everything further down only through whether it is zero. So 64 bits and a sticky bit,
//! or 32 in deterministic modes ([`Cut`]), stand for the exact value in every format, mode and
//! policy that [`super::evaluate`] admits.

use super::Function;
use super::constants::{BITS_64, BITS_128, BITS_192, BITS_320};
pub(super) use super::enclosure::Cut;
use super::enclosure::{ARGUMENT_BITS, Argument, HUGE_EXPONENT, Kernel};
use systole_isa::exact::Exact;
use systole_isa::format::Decoded;
use systole_isa::round::Flags;

/// What a function gives before rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    class: Class,
    negative: bool,
    /// True if bits below `significand` are not all zero.
    sticky: bool,
    /// Exceptions of the operation itself, not of its rounding.
    pub flags: Flags,
    /// Power of two that scales `significand`.
    exponent: i32,
    /// 0, or with its top bit set.
    significand: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Nan,
    Infinite,
    Finite,
}

/// Exponent of results beyond every format, either way.
const FAR: i32 = 1 << 16;

impl Outcome {
    const fn special(class: Class, negative: bool, flags: Flags) -> Self {
        Self { class, negative, sticky: false, flags, exponent: 0, significand: 0 }
    }

    const NAN: Self = Self::special(Class::Nan, false, Flags::NONE);
    const INVALID: Self = Self::special(Class::Nan, false, Flags::INVALID);

    const fn infinite(negative: bool) -> Self {
        Self::special(Class::Infinite, negative, Flags::NONE)
    }

    const fn pole(negative: bool) -> Self {
        Self::special(Class::Infinite, negative, Flags::DIVIDE_BY_ZERO)
    }

    const fn zero(negative: bool) -> Self {
        Self::special(Class::Finite, negative, Flags::NONE)
    }

    /// `significand * 2^exponent` of a nonzero significand, exact unless `sticky`.
    const fn finite(negative: bool, significand: u64, exponent: i32, sticky: bool) -> Self {
        let zeros = significand.leading_zeros();
        Self {
            class: Class::Finite,
            negative,
            sticky,
            flags: Flags::NONE,
            exponent: exponent - zeros as i32,
            significand: significand << zeros,
        }
    }

    /// The power of two `2^exponent`.
    const fn power(exponent: i32) -> Self {
        Self::finite(false, 1, exponent, false)
    }

    /// A value below this exact one by less than the last of its 65 leading bits.
    const fn just_below(self) -> Self {
        if self.significand == 1 << 63 {
            Self { significand: u64::MAX, exponent: self.exponent - 1, sticky: true, ..self }
        } else {
            Self { significand: self.significand - 1, sticky: true, ..self }
        }
    }

    /// A value above this exact one by less than the last of its 64 leading bits.
    const fn just_above(self) -> Self {
        Self { sticky: true, ..self }
    }

    /// The value as [`systole_isa::round::encode_decoded`] takes it.
    #[inline]
    pub const fn decoded(self) -> Decoded {
        match self.class {
            Class::Nan => Decoded::Nan,
            Class::Infinite => Decoded::Infinite { negative: self.negative },
            Class::Finite if self.significand == 0 => Decoded::Finite(Exact::zero(self.negative)),
            Class::Finite => Decoded::Finite(Exact {
                negative: self.negative,
                significand: (self.significand as u128) << 1 | self.sticky as u128,
                exponent: self.exponent - 1,
            }),
        }
    }
}

/// The function's value at `x`, whose significand has at most 24 bits, cut for a rounding
/// that needs `cut`; what is cheaply had in full is not cut to fewer than 64 bits.
pub(super) fn outcome(function: Function, x: Decoded, cut: Cut) -> Outcome {
    match x {
        Decoded::Nan => Outcome::NAN,
        Decoded::Infinite { negative } => at_infinity(function, negative),
        Decoded::Finite(x) if x.is_zero() => at_zero(function, x.negative),
        Decoded::Finite(x) => {
            let exponent = x.magnitude_exponent();
            let shift = x.exponent - (exponent - (ARGUMENT_BITS - 1));
            let significand = if shift >= 0 { x.significand << shift } else { x.significand >> -shift };
            at_finite(function, Argument { negative: x.negative, significand: significand as u64, exponent }, cut)
        }
    }
}

/// IEEE 754-2019 section 9.2.1; sigmoid by its limits.
const fn at_infinity(function: Function, negative: bool) -> Outcome {
    match function {
        Function::Exp | Function::Exp2 if negative => Outcome::zero(false),
        Function::Exp | Function::Exp2 => Outcome::infinite(false),
        Function::Log | Function::Log2 | Function::Sqrt | Function::Rsqrt if negative => Outcome::INVALID,
        Function::Log | Function::Log2 | Function::Sqrt => Outcome::infinite(false),
        Function::Rsqrt => Outcome::zero(false),
        Function::Tanh | Function::Erf => Outcome::finite(negative, 1, 0, false),
        Function::Sigmoid if negative => Outcome::zero(false),
        Function::Sigmoid => Outcome::power(0),
        Function::Reciprocal => Outcome::zero(negative),
    }
}

const fn at_zero(function: Function, negative: bool) -> Outcome {
    match function {
        Function::Exp | Function::Exp2 => Outcome::power(0),
        Function::Log | Function::Log2 => Outcome::pole(true),
        Function::Sigmoid => Outcome::power(-1),
        Function::Tanh | Function::Erf | Function::Sqrt => Outcome::zero(negative),
        Function::Reciprocal | Function::Rsqrt => Outcome::pole(negative),
    }
}

fn at_finite(function: Function, x: Argument, cut: Cut) -> Outcome {
    let one = Outcome::power(0);
    // The exact argument, signed, and 1 of its sign.
    let (itself, signed_one) = (Outcome::finite(x.negative, x.significand, x.scale(), false), Outcome { negative: x.negative, ..one });
    match function {
        Function::Log | Function::Log2 | Function::Sqrt | Function::Rsqrt if x.negative => Outcome::INVALID,
        Function::Reciprocal => reciprocal(x),
        Function::Sqrt => sqrt(x),
        Function::Rsqrt => rsqrt(x),
        Function::Exp | Function::Exp2 if x.exponent >= HUGE_EXPONENT => {
            Outcome { exponent: if x.negative { -FAR } else { FAR }, ..one.just_above() }
        }
        // |exp x - 1| < 2 |x|, and sigmoid is flatter.
        Function::Exp | Function::Exp2 | Function::Sigmoid if x.exponent < -66 => {
            let flat = if matches!(function, Function::Sigmoid) { Outcome::power(-1) } else { one };
            if x.negative { flat.just_below() } else { flat.just_above() }
        }
        Function::Exp2 => match whole(x) {
            Some(power) => Outcome::power(power),
            None => settle(Kernel::Exp2, x, cut),
        },
        Function::Exp => settle(Kernel::Exp, x, cut),
        Function::Log if x == ONE => Outcome::zero(false),
        Function::Log => settle(Kernel::Log, x, cut),
        Function::Log2 if x.significand == ONE.significand => match x.exponent {
            0 => Outcome::zero(false),
            e => Outcome::finite(e < 0, e.unsigned_abs() as u64, 0, false),
        },
        Function::Log2 => settle(Kernel::Log2, x, cut),
        // tanh x = x (1 - x^2/3 + ..), and x^2/3 < 2^-65 there.
        Function::Tanh if x.exponent < -33 => itself.just_below(),
        // 1 - tanh x < 2 exp(-2x) < 2^-65 from 23 on.
        Function::Tanh if x.is_at_least(23 << 1) => signed_one.just_below(),
        Function::Tanh => settle(Kernel::Tanh, x, cut),
        Function::Sigmoid if x.negative && x.exponent >= HUGE_EXPONENT => Outcome { exponent: -FAR, ..one.just_above() },
        // 1 - sigmoid x < exp(-x) < 2^-66 from 46 on.
        Function::Sigmoid if !x.negative && x.is_at_least(46 << 1) => one.just_below(),
        Function::Sigmoid => settle(Kernel::Sigmoid, x, cut),
        // erfc x < exp(-x^2) / (x sqrt(pi)) < 2^-64 from 6.5 on.
        Function::Erf if x.is_at_least(13) => signed_one.just_below(),
        Function::Erf => settle(Kernel::Erf, x, cut),
    }
}

/// The argument 1.
const ONE: Argument = Argument { negative: false, significand: 1 << (ARGUMENT_BITS - 1), exponent: 0 };

impl Argument {
    /// True if |x| >= halves / 2, for fewer than 2^20 halves.
    const fn is_at_least(self, halves: u64) -> bool {
        let exponent = 62 - halves.leading_zeros() as i32;
        let significand = halves << (ARGUMENT_BITS - 2 - exponent);
        self.exponent > exponent || (self.exponent == exponent && self.significand >= significand)
    }
}

/// An integral argument below 2^13 in magnitude.
const fn whole(x: Argument) -> Option<i32> {
    let fraction_bits = -x.scale();
    if x.exponent < 0 || x.significand & ((1 << fraction_bits) - 1) != 0 {
        return None;
    }
    let magnitude = (x.significand >> fraction_bits) as i32;
    Some(if x.negative { -magnitude } else { magnitude })
}

/// Ziv's strategy: raise the precision until the enclosure leaves no doubt.
///
/// An irrational value lies strictly between neighbouring cuts, so the sticky bit is set. 320
/// bits leave some 200 beyond the 64 wanted and the 34 that the smallest results lose; that
/// they do not decide is beyond any plausible argument.
fn settle(kernel: Kernel, x: Argument, cut: Cut) -> Outcome {
    let quick = match cut {
        Cut::Short => kernel.enclose(x, &BITS_64).leading_bits(cut),
        Cut::Long => None,
    };
    let (significand, exponent) = quick
        .or_else(|| kernel.enclose(x, &BITS_128).leading_bits(cut))
        .or_else(|| kernel.enclose(x, &BITS_192).leading_bits(cut))
        .unwrap_or_else(|| {
            let last = kernel.enclose(x, &BITS_320);
            last.leading_bits(cut).unwrap_or_else(|| last.middle_bits())
        });
    Outcome::finite(kernel.is_negative_at(x), significand, exponent, true)
}

/// 1/x by integer division.
const fn reciprocal(x: Argument) -> Outcome {
    if x.significand == ONE.significand {
        return Outcome::finite(x.negative, 1, -x.exponent, false);
    }
    // Between 2^63 and 2^64, and never a whole number: the significand is no power of two.
    let quotient = (1u128 << 87) / x.significand as u128;
    Outcome::finite(x.negative, quotient as u64, -87 - x.scale(), true)
}

/// sqrt(x) of a positive x.
fn sqrt(x: Argument) -> Outcome {
    // A radicand of 127 or 128 bits with an even exponent has a root of 64 bits.
    let shift = 104 - (x.scale() & 1);
    let radicand = u128::from(x.significand) << shift;
    let root = radicand.isqrt();
    Outcome::finite(false, root as u64, (x.scale() - shift) / 2, root * root != radicand)
}

/// 1/sqrt(x) of a positive x.
fn rsqrt(x: Argument) -> Outcome {
    if x.significand == ONE.significand && x.exponent % 2 == 0 {
        return Outcome::power(-x.exponent / 2);
    }
    let odd = x.scale() & 1;
    let divisor = u128::from(x.significand) << odd;
    // floor(sqrt(2^2k / d)) = isqrt(floor(2^2k / d)), with k = 75 for d in [2^23, 2^24) and
    // k = 76 for d in (2^24, 2^25), so that the quotient has 127 or 128 bits.
    let power = 75 + odd;
    let numerator = 1u128 << (2 * power - 64);
    let quotient = ((numerator / divisor) << 64) | (((numerator % divisor) << 64) / divisor);
    Outcome::finite(false, quotient.isqrt() as u64, -power - (x.scale() - odd) / 2, true)
}
