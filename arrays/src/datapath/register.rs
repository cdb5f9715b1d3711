//! Accumulator registers: a code, or an integer too wide for one.

use super::wide::Wide;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format};
use systole_isa::round::{Flags, Policy, decode_with, encode_decoded};

/// What an accumulator holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Register {
    /// A code of up to 64 bits.
    Narrow(u64),
    /// An integer of a wide fixed-point format or quire.
    Wide(Box<Wide>),
}

impl Default for Register {
    fn default() -> Self {
        Self::Narrow(0)
    }
}

/// What one addition adds.
#[derive(Clone, Debug)]
pub enum Addend {
    /// A value whose significand has at most 107 bits.
    Value(Decoded),
    /// An integer of any width.
    Wide(Wide),
}

impl From<Decoded> for Addend {
    fn from(value: Decoded) -> Self {
        Self::Value(value)
    }
}

impl Register {
    /// Holding +0.
    pub fn zero(format: Format) -> Self {
        match format {
            Format::Fixed(f) | Format::Quire(f) if f.is_wide() => Self::Wide(Box::new(Wide::zero(f.width as usize, -f.fraction_bits))),
            _ => Self::Narrow(format.zero(false)),
        }
    }

    /// The code of a narrow register.
    ///
    /// # Panics
    /// If the register is wide.
    pub fn code(&self) -> u64 {
        match self {
            Self::Narrow(code) => *code,
            Self::Wide(_) => unreachable!("a wide register has no code"),
        }
    }

    /// Its bits, 64 at a time, the lowest first; those above its format's width mean nothing.
    pub fn words(&self) -> &[u64] {
        match self {
            Self::Narrow(code) => std::slice::from_ref(code),
            Self::Wide(wide) => wide.limbs(),
        }
    }

    /// Holding the value of a code of `from`, rounded where a wide format cannot hold it;
    /// narrow registers take codes of their own format only.
    pub fn load(format: Format, from: Format, code: u64, policy: Policy) -> Self {
        if format.is_wide() {
            Self::zero(format).add(format, decode_with(from, code, policy.subnormals).into(), policy, 0).0
        } else {
            debug_assert_eq!(format, from, "a narrow register takes codes of its own format");
            Self::Narrow(code)
        }
    }

    /// What it means; of a wide integer the bits far below its top are jammed
    /// (`Wide::to_exact`), which no rounding to a code can tell.
    pub fn read(&self, format: Format, policy: Policy) -> Decoded {
        match self {
            Self::Narrow(code) => decode_with(format, *code, policy.subnormals),
            Self::Wide(wide) if is_nar(format, wide) => Decoded::Nan,
            Self::Wide(wide) => Decoded::Finite(wide.to_exact()),
        }
    }

    /// What it holds as an addend, exactly.
    pub fn addend(&self, format: Format, policy: Policy) -> Addend {
        match self {
            Self::Wide(wide) if !is_nar(format, wide) => Addend::Wide((**wide).clone()),
            _ => Addend::Value(self.read(format, policy)),
        }
    }

    /// The exact terms of its value, or the special it holds.
    pub fn terms(&self, format: Format, policy: Policy) -> Result<Vec<Exact>, Decoded> {
        match self.addend(format, policy) {
            Addend::Value(Decoded::Finite(x)) => Ok(vec![x]),
            Addend::Value(special) => Err(special),
            Addend::Wide(wide) => Ok(wide.parts()),
        }
    }

    /// Rounded once to `format`: what a register of it holds after taking `value`.
    pub fn of(format: Format, value: Addend, policy: Policy, random: u64) -> (Self, Flags) {
        match (value, format) {
            (Addend::Value(Decoded::Finite(x)), Format::Fixed(f) | Format::Quire(f)) if f.is_wide() => {
                Self::of(format, Addend::Wide(Wide::sum(&[x])), policy, random)
            }
            (Addend::Wide(wide), Format::Fixed(f) | Format::Quire(f)) if f.is_wide() => {
                let (wide, flags) = round_to_fixed(format, f, wide, policy, random);
                (Self::Wide(Box::new(wide)), flags)
            }
            (Addend::Value(special), Format::Fixed(f)) if f.is_wide() => {
                // As narrow fixed point: NaN becomes 0, infinities the extremes.
                let (width, lsb) = (f.width as usize, -f.fraction_bits);
                let wide = match special {
                    Decoded::Infinite { negative } => Wide::extreme(width, lsb, negative),
                    _ => Wide::zero(width, lsb),
                };
                (Self::Wide(Box::new(wide)), Flags::INVALID)
            }
            (Addend::Value(_), Format::Quire(f)) if f.is_wide() => (nar(f), Flags::NONE),
            (Addend::Value(value), _) => {
                let (code, flags) = encode_decoded(format, value, policy, random);
                (Self::Narrow(code), flags)
            }
            (Addend::Wide(wide), Format::Fixed(f) | Format::Quire(f)) => {
                // Wrapping needs the low bits, which a jam would spoil.
                let (wide, flags) = round_to_fixed(format, f, wide, policy, random);
                (Self::Narrow(wide.low_bits() & format.mask()), flags)
            }
            (Addend::Wide(wide), _) => {
                let (code, flags) = encode_decoded(format, Decoded::Finite(wide.to_exact()), policy, random);
                (Self::Narrow(code), flags)
            }
        }
    }

    /// `self + addend`, rounded once to `format`.
    pub fn add(&self, format: Format, addend: Addend, policy: Policy, random: u64) -> (Self, Flags) {
        match (self, &addend) {
            (Self::Narrow(code), Addend::Value(value)) => {
                let (code, flags) = add_codes(format, *code, *value, policy, random);
                (Self::Narrow(code), flags)
            }
            _ => {
                let (sum, raised) = self.sum(format, addend, policy);
                let (register, flags) = Self::of(format, sum, policy, random);
                (register, raised | flags)
            }
        }
    }

    /// The exact sum where either is wide.
    fn sum(&self, format: Format, addend: Addend, policy: Policy) -> (Addend, Flags) {
        let mine = self.addend(format, policy);
        let (Ok(mut terms), Ok(more)) = (finite_terms(&mine), finite_terms(&addend)) else {
            let special = |x: &Addend| if let Addend::Value(x) = x { *x } else { Decoded::Finite(Exact::zero(false)) };
            let (value, flags) = add_specials(special(&mine), special(&addend));
            return (value.into(), flags);
        };
        let zeros_agree = terms.iter().chain(&more).all(|x| x.is_zero());
        if zeros_agree {
            let negative = |x: &Addend| matches!(x, Addend::Value(Decoded::Finite(x)) if x.negative);
            let sign = if negative(&mine) == negative(&addend) { negative(&mine) } else { policy.rounding.cancels_to_negative_zero() };
            return (Decoded::Finite(Exact::zero(sign)).into(), Flags::NONE);
        }
        terms.extend(more);
        let sum = Wide::sum(&terms);
        if sum.is_zero() {
            return (Decoded::Finite(Exact::zero(policy.rounding.cancels_to_negative_zero())).into(), Flags::NONE);
        }
        (Addend::Wide(sum), Flags::NONE)
    }
}

fn finite_terms(addend: &Addend) -> Result<Vec<Exact>, Decoded> {
    match addend {
        Addend::Value(Decoded::Finite(x)) => Ok(vec![*x]),
        Addend::Value(special) => Err(*special),
        Addend::Wide(wide) => Ok(wide.parts()),
    }
}

fn nar(format: FixedFormat) -> Register {
    Register::Wide(Box::new(Wide::extreme(format.width as usize, -format.fraction_bits, true)))
}

fn is_nar(format: Format, wide: &Wide) -> bool {
    matches!(format, Format::Quire(f) if *wide == Wide::extreme(f.width as usize, -f.fraction_bits, true))
}

/// The integer of a fixed-point format or quire nearest to a value.
fn round_to_fixed(format: Format, fixed: FixedFormat, value: Wide, policy: Policy, random: u64) -> (Wide, Flags) {
    let (width, lsb) = (fixed.width as usize, -fixed.fraction_bits);
    let (mut sum, inexact) = value.rounded(lsb, policy.rounding, random);
    let mut flags = if inexact { Flags::INEXACT } else { Flags::NONE };
    let quire = matches!(format, Format::Quire(_));
    if !sum.fits(width) {
        flags |= Flags::OVERFLOW;
        if policy.overflow.saturates() {
            sum = Wide::extreme(width, lsb, sum.is_negative());
        } else {
            sum.wrap(width);
        }
    }
    let mut sum = sum.resized(width);
    if quire && policy.overflow.saturates() && is_nar(format, &sum) {
        flags |= Flags::OVERFLOW;
        sum.add(Exact { negative: false, significand: 1, exponent: lsb });
    }
    (sum, flags)
}

/// The sum of two values of which at least one is NaN or infinite.
pub(super) fn add_specials(x: Decoded, y: Decoded) -> (Decoded, Flags) {
    match (x, y) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => (Decoded::Nan, Flags::NONE),
        (Decoded::Infinite { negative }, Decoded::Infinite { negative: other }) if negative != other => (Decoded::Nan, Flags::INVALID),
        (infinite @ Decoded::Infinite { .. }, _) | (_, infinite) => (infinite, Flags::NONE),
    }
}

/// `accumulator + addend` in a narrow format, one rounding.
fn add_codes(format: Format, accumulator: u64, addend: Decoded, policy: Policy, random: u64) -> (u64, Flags) {
    let (sum, flags) = match (decode_with(format, accumulator, policy.subnormals), addend) {
        (Decoded::Finite(x), Decoded::Finite(y)) if may_wrap(format, y, policy) => return add_to_fixed(format, x, y, policy, random),
        (Decoded::Finite(x), Decoded::Finite(y)) => (Decoded::Finite(x.add(y, policy.rounding.cancels_to_negative_zero())), Flags::NONE),
        (x, y) => add_specials(x, y),
    };
    let (code, rounding) = encode_decoded(format, sum, policy, random);
    (code, flags | rounding)
}

/// True for an addend so far above a wrapping accumulator, 2^64 quanta and more, that it would push
/// the low bits, which are all that stays, out of an [`Exact`].
const fn may_wrap(format: Format, addend: Exact, policy: Policy) -> bool {
    match format {
        Format::Fixed(fixed) | Format::Quire(fixed) if !policy.overflow.saturates() => {
            !addend.is_zero() && addend.magnitude_exponent() + fixed.fraction_bits >= 64
        }
        _ => false,
    }
}

/// The exact sum of two finite values of any distance, rounded once to a fixed-point code of
/// at most 64 bits. An [`Exact`] would jam low bits, which are all that wrapping keeps.
pub(crate) fn add_to_fixed(format: Format, x: Exact, y: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    let (register, flags) = Register::of(format, Addend::Wide(Wide::sum(&[x, y])), policy, random);
    (register.code(), flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::round::{Overflow, Rounding};

    fn value(x: f64) -> Addend {
        Decoded::from_f64(x).into()
    }

    /// Wide registers against narrow ones of the same fraction bits, where both can hold the sum.
    #[test]
    fn wide_and_narrow_round_alike() {
        let narrow: Format = "fx60.7".parse().unwrap();
        let wide: Format = "fx130.7".parse().unwrap();
        let mut seed = 1u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed
        };
        for rounding in Rounding::DETERMINISTIC.into_iter().chain([Rounding::Sr(4), Rounding::Sr(31)]) {
            let policy = Policy::new(rounding);
            for _ in 0..5000 {
                let (mut n, mut w) = (Register::zero(narrow), Register::zero(wide));
                for _ in 0..4 {
                    let x = (draw() as i64 >> (draw() >> 58).max(20)) as f64 * 2f64.powi(-((draw() >> 60) as i32) - 2);
                    let random = draw();
                    let (flags_n, flags_w);
                    (n, flags_n) = n.add(narrow, value(x), policy, random);
                    (w, flags_w) = w.add(wide, value(x), policy, random);
                    assert_eq!(flags_n, flags_w, "{rounding}");
                    assert_eq!(n.read(narrow, policy), canonical(w.read(wide, policy), narrow), "{rounding}");
                }
            }
        }
    }

    /// The same value as decoding a code of the narrow format gives it.
    fn canonical(value: Decoded, format: Format) -> Decoded {
        format.decode(encode_decoded(format, value, Policy::RNE, 0).0)
    }

    /// Narrow sums against sums of any width, addends far above and far below what a wrapping
    /// register holds: significands of products of 44 and of 53 bits.
    #[test]
    fn what_wraps_rounds_by_the_sign_of_the_sum() {
        let mut seed = 1u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed.rotate_left(32)
        };
        let mut wrapped = 0;
        for (name, rounding) in ["fx64.70", "fx64.0", "fx40.12", "fx8.4", "quire64.8"]
            .into_iter()
            .flat_map(|name| Rounding::DETERMINISTIC.into_iter().chain([Rounding::Sr(1), Rounding::Sr(31)]).map(move |r| (name, r)))
        {
            let format: Format = name.parse().unwrap();
            let (Format::Fixed(fixed) | Format::Quire(fixed)) = format else { unreachable!("a format of integers") };
            let policy = Policy::new(rounding);
            for _ in 0..2000 {
                let code = draw() & format.mask() & if draw() >> 63 == 1 { 0xff } else { u64::MAX };
                let bits = [1, 44, 87, 88, 106][draw() as usize % 5];
                let significand = (u128::from(draw()) << 64 | u128::from(draw())) & ((1 << bits) - 1);
                let exponent = draw() as i32 % 130 - fixed.fraction_bits - bits / 2;
                let y = Exact { negative: draw() >> 63 == 1, significand, exponent };
                let random = draw();
                let Decoded::Finite(x) = format.decode(code) else { continue };
                let (sum, flags) = add_codes(format, code, Decoded::Finite(y), policy, random);
                let (expected, expected_flags) = add_to_fixed(format, x, y, policy, random);
                assert_eq!((sum, flags), (expected, expected_flags), "{name} {rounding}: {x:?} + {y:?}");
                wrapped += u32::from(flags.contains(Flags::OVERFLOW));
            }
        }
        assert!(wrapped > 10_000, "{wrapped} sums wrapped");
    }

    #[test]
    fn overflow_wraps_saturates_or_is_nar() {
        let (kulisch, quire): (Format, Format) = ("fx70.0".parse().unwrap(), "quire70.0".parse().unwrap());
        let top = 2f64.powi(69);
        let wrap = Policy::RNE;
        let saturate = Policy::RNE.overflow(Overflow::Saturate);
        let sum = |format: Format, terms: &[f64], policy: Policy| {
            let mut register = Register::zero(format);
            let mut raised = Flags::NONE;
            for x in terms {
                let (next, flags) = register.add(format, value(*x), policy, 0);
                (register, raised) = (next, raised | flags);
            }
            (register.read(format, policy).to_f64(), raised.contains(Flags::OVERFLOW))
        };
        let near_top = top - 2f64.powi(16);
        for (format, terms, policy, expected) in [
            (kulisch, vec![near_top, 2f64.powi(16)], wrap, (-top, true)),
            (kulisch, vec![near_top, 2f64.powi(16), -2f64.powi(16)], wrap, (near_top, true)),
            (kulisch, vec![near_top, 2f64.powi(30)], saturate, (top, true)),
            (kulisch, vec![-top, -1.0], saturate, (-top, true)),
            (kulisch, vec![f64::NAN], wrap, (0.0, false)),
            (kulisch, vec![f64::NEG_INFINITY], wrap, (-top, false)),
            (quire, vec![f64::NAN, 1.0], wrap, (f64::NAN, false)),
            (quire, vec![f64::INFINITY], wrap, (f64::NAN, false)),
            (quire, vec![near_top, 2f64.powi(16)], wrap, (f64::NAN, true)),
            (quire, vec![-near_top, -2f64.powi(16)], saturate, (-top, true)),
            (quire, vec![3.5, -3.5, 0.25], wrap, (0.0, false)),
        ] {
            let (sum, overflowed) = sum(format, &terms, policy);
            assert!(sum == expected.0 || sum.is_nan() && expected.0.is_nan(), "{format} {terms:?}: {sum}");
            assert_eq!(overflowed, expected.1, "{format} {terms:?}");
        }
    }
}
