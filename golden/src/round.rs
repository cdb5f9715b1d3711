//! Rounding from a rational to a code, by definition: find the two neighbours on the
//! format's number line, pick one as the mode says, then test for overflow.
//!
//! The number line of a float is its positive codes in order, continued upward as if the
//! exponent field had no end. Neighbours are neighbouring codes, and the parity of a number
//! is that of its code.

use crate::value::{
    Rational, Value, infinity, largest_finite, negative_zero_exists, ones, power_of_two, quiet_nan, rung, sign_bit, zero_exists,
};
use dashu_base::BitTest;
use dashu_int::{IBig, UBig};
use std::cmp::Ordering;
use systole_isa::format::{FixedFormat, FloatFormat, Format, Subnormals};
use systole_isa::round::{Flags, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess};

/// Where a number lies between two neighbours.
#[derive(Clone, Debug)]
struct Gap {
    /// True if the code of the lower neighbour is odd.
    lower_is_odd: bool,
    /// Distance from the lower neighbour over the distance of the two: 0 up to, not
    /// including, 1.
    nu: Rational,
    /// `nu` against one half.
    half: Ordering,
}

impl Gap {
    fn new(lower_is_odd: bool, nu: Rational) -> Self {
        let half = nu.cmp(&power_of_two(-1));
        Self { lower_is_odd, nu, half }
    }

    fn is_exact(&self) -> bool {
        self.nu.is_zero()
    }

    /// True if `rounding` picks the upper neighbour of the magnitude.
    fn rounds_up(&self, negative: bool, rounding: Rounding, random: u64) -> bool {
        if self.is_exact() {
            return false;
        }
        match rounding {
            Rounding::Rne => self.half == Ordering::Greater || (self.half == Ordering::Equal && self.lower_is_odd),
            Rounding::Rmm => self.half != Ordering::Less,
            Rounding::Rtz => false,
            Rounding::Rdn => negative,
            Rounding::Rup => !negative,
            Rounding::Rod => !self.lower_is_odd,
            Rounding::Sr(bits) => {
                let head = (&self.nu * power_of_two(bits.into())).floor();
                head + IBig::from(random & ones(bits)) >= IBig::ONE << bits as usize
            }
        }
    }
}

/// `floor(log2 x)` of a positive number.
fn floor_log2(x: &Rational) -> i64 {
    let guess = x.numerator().bit_len() as i64 - x.denominator().bit_len() as i64;
    if *x < power_of_two(guess) { guess - 1 } else { guess }
}

/// Integer and fractional part of a nonnegative number.
fn whole_and_rest(x: &Rational) -> (UBig, Rational) {
    let (whole, rest) = x.clone().split_at_point();
    (whole.try_into().expect("of a nonnegative number"), rest)
}

/// A magnitude placed on the number line of a format, ready to be rounded in any mode.
#[derive(Clone, Debug)]
pub struct Placed(Line);

#[derive(Clone, Debug)]
enum Line {
    Float {
        format: FloatFormat,
        is_zero: bool,
        /// Code of the lower neighbour and the gap above it; `None` below the smallest
        /// number of a format without zero.
        place: Option<(u128, Gap)>,
        /// Present below the smallest normal number: the gap at full precision if its upper
        /// end is that number.
        tiny: Option<Option<Gap>>,
    },
    Fixed {
        format: FixedFormat,
        whole: UBig,
        gap: Gap,
    },
}

impl Placed {
    /// Finds the neighbours of a nonnegative `magnitude` among the numbers of `format`.
    pub fn new(format: Format, magnitude: &Rational) -> Self {
        match format {
            Format::Float(f) => Self::on_float_line(f, magnitude),
            Format::Fixed(f) => {
                let (whole, nu) = whole_and_rest(&(magnitude * power_of_two(f.fraction_bits.into())));
                let gap = Gap::new(whole.bit(0), nu);
                Self(Line::Fixed { format: f, whole, gap })
            }
        }
    }

    fn on_float_line(format: FloatFormat, x: &Rational) -> Self {
        let is_zero = x.is_zero();
        if *x < rung(format, 0) || (is_zero && !zero_exists(format)) {
            return Self(Line::Float { format, is_zero, place: None, tiny: (!is_zero).then_some(None) });
        }
        // A good first guess; the two loops below, not the guess, define the neighbours.
        let m = i64::from(format.mantissa_bits);
        let mut lower: u128 = if is_zero {
            0
        } else {
            let field = (floor_log2(x) + i64::from(format.bias)).max(0);
            let lowest = i64::from(matches!(format.subnormals, Subnormals::Gradual));
            let (whole, _) = whole_and_rest(&(x * power_of_two(i64::from(format.bias) + m - field.max(lowest))));
            let whole = i128::try_from(whole).expect("at most precision bits");
            let binade = i128::from(field.max(lowest)) << m;
            (binade + whole - (1 << m)).max(0) as u128
        };
        while rung(format, lower) > *x {
            lower -= 1;
        }
        while rung(format, lower + 1) <= *x {
            lower += 1;
        }
        let below = rung(format, lower);
        let nu = if below == *x { Rational::ZERO } else { (x - &below) / (rung(format, lower + 1) - &below) };
        let gap = Gap::new(lower & 1 == 1, nu);
        Self(Line::Float { format, is_zero, place: Some((lower, gap)), tiny: tiny(format, x) })
    }

    /// The code a number of this magnitude and the given sign rounds to, and its exceptions.
    ///
    /// `random` holds R of stochastic rounding in its low bits. Underflow is tiny and
    /// inexact; where tiny results are flushed, every flush is one. In formats without
    /// subnormals the numbers between 0 and the smallest are the tiny ones, however
    /// tininess is detected. Overflow is tested first, which matters only to formats without
    /// normal numbers (`e1m2`). Two's complement is inexact where bits below its last place
    /// are lost, and overflows where what remains is out of range.
    pub fn round(&self, negative: bool, policy: Policy, random: u64) -> (u64, Flags) {
        match &self.0 {
            Line::Float { format, is_zero, place, tiny } => {
                round_float(*format, *is_zero, place.as_ref(), tiny.as_ref(), negative, policy, random)
            }
            Line::Fixed { format, whole, gap } => {
                let up = gap.rounds_up(negative, policy.rounding, random);
                let integer = IBig::from(whole + UBig::from(u8::from(up)));
                let integer = if negative { -integer } else { integer };
                let inexact = if gap.is_exact() { Flags::NONE } else { Flags::INEXACT };
                let bound = IBig::ONE << (format.width - 1) as usize;
                if integer >= -&bound && integer < bound {
                    return (low_bits(&integer, format.width), inexact);
                }
                let kept = match policy.overflow {
                    Overflow::Ieee => integer,
                    Overflow::Saturate if negative => -bound,
                    Overflow::Saturate => bound - IBig::ONE,
                };
                (low_bits(&kept, format.width), inexact | Flags::OVERFLOW)
            }
        }
    }
}

/// `integer mod 2^width`.
fn low_bits(integer: &IBig, width: u32) -> u64 {
    let modulus = IBig::ONE << width as usize;
    let residue = ((integer % &modulus) + &modulus) % &modulus;
    residue.try_into().expect("a residue of at most 64 bits")
}

/// What the detection of tininess needs to know of `x`: nothing if it is zero or at least
/// the smallest normal number; else its gap at full precision with unbounded exponent, if
/// rounding up there gives the smallest normal number.
fn tiny(format: FloatFormat, x: &Rational) -> Option<Option<Gap>> {
    if x.is_zero() {
        return None;
    }
    if matches!(format.subnormals, Subnormals::None) {
        return (*x < rung(format, 1) && zero_exists(format)).then_some(None);
    }
    let smallest_normal = power_of_two(1 - i64::from(format.bias));
    if *x >= smallest_normal {
        return None;
    }
    let quantum = power_of_two(floor_log2(x) - i64::from(format.mantissa_bits));
    let (whole, nu) = whole_and_rest(&(x / &quantum));
    let upper = Rational::from(whole.clone() + UBig::ONE) * quantum;
    // Without fraction bits parity is that of the exponent field, and field 0 is even.
    let lower_is_odd = format.mantissa_bits > 0 && whole.bit(0);
    Some((upper == smallest_normal).then(|| Gap::new(lower_is_odd, nu)))
}

fn round_float(
    format: FloatFormat,
    is_zero: bool,
    place: Option<&(u128, Gap)>,
    tiny: Option<&Option<Gap>>,
    negative: bool,
    policy: Policy,
    random: u64,
) -> (u64, Flags) {
    if negative && !format.signed && !is_zero {
        return (quiet_nan(format).unwrap_or(0), Flags::INVALID);
    }
    let sign = if negative { sign_bit(format) } else { 0 };
    let zero = if negative_zero_exists(format) { sign } else { 0 };
    let Some((lower, gap)) = place else {
        // No number at or below: the smallest one stands in.
        return (0, if is_zero { Flags::INEXACT } else { Flags::UNDERFLOW | Flags::INEXACT });
    };
    let rounded = lower + u128::from(gap.rounds_up(negative, policy.rounding, random));
    if rounded > u128::from(largest_finite(format)) {
        let code = match (policy.overflow, policy.rounding) {
            (Overflow::Ieee, Rounding::Rne | Rounding::Rmm | Rounding::Sr(_)) => infinite(format, negative, policy),
            (Overflow::Ieee, Rounding::Rup) if !negative => infinite(format, negative, policy),
            (Overflow::Ieee, Rounding::Rdn) if negative => infinite(format, negative, policy),
            _ => largest_finite(format) | sign,
        };
        return (code, Flags::OVERFLOW | Flags::INEXACT);
    }
    let tiny = tiny.is_some_and(|at_full_precision| match (policy.tininess, at_full_precision) {
        (Tininess::After, Some(gap)) => !gap.rounds_up(negative, policy.rounding, random),
        (Tininess::After, None) | (Tininess::Before, _) => true,
    });
    if tiny && matches!(policy.subnormals, SubnormalPolicy::Ftz | SubnormalPolicy::DazFtz) {
        return (zero, Flags::UNDERFLOW | Flags::INEXACT);
    }
    let mut flags = if gap.is_exact() { Flags::NONE } else { Flags::INEXACT };
    if tiny && !gap.is_exact() {
        flags |= Flags::UNDERFLOW;
    }
    if rounded == 0 && zero_exists(format) { (zero, flags) } else { (rounded as u64 | sign, flags) }
}

/// The code an infinite result is written as.
fn infinite(format: FloatFormat, negative: bool, policy: Policy) -> u64 {
    let sign = if negative { sign_bit(format) } else { 0 };
    let largest = largest_finite(format) | sign;
    match policy.overflow {
        Overflow::Saturate => largest,
        Overflow::Ieee => match (infinity(format), policy.no_infinity) {
            (Some(code), _) => code | sign,
            (None, NoInfinity::Nan) => quiet_nan(format).unwrap_or(largest),
            (None, NoInfinity::Max) => largest,
        },
    }
}

/// Rounds any value to `format`: its code and the exceptions raised.
///
/// NaN becomes the quiet NaN; where there is none, the largest positive number (two's
/// complement: 0), which is invalid. Infinities become what an overflow in nearest-even
/// becomes; in two's complement the extreme of their sign, which is invalid, as is any
/// negative number but -0 in a format without sign.
pub fn round(format: Format, value: &Value, policy: Policy, random: u64) -> (u64, Flags) {
    match (value, format) {
        (Value::Finite { negative, magnitude }, _) => Placed::new(format, magnitude).round(*negative, policy, random),
        (Value::Nan, Format::Float(f)) => match quiet_nan(f) {
            Some(code) => (code, Flags::NONE),
            None => (largest_finite(f), Flags::INVALID),
        },
        (Value::Nan, Format::Fixed(_)) => (0, Flags::INVALID),
        (Value::Infinite { negative: true }, Format::Float(f)) if !f.signed => (quiet_nan(f).unwrap_or(0), Flags::INVALID),
        (Value::Infinite { negative }, Format::Float(f)) => (infinite(f, *negative, policy), Flags::NONE),
        (Value::Infinite { negative }, Format::Fixed(f)) => {
            let extreme = 1 << (f.width - 1);
            (if *negative { extreme } else { extreme - 1 }, Flags::INVALID)
        }
    }
}
