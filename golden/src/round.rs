//! Rounding from a rational to a code, by definition: find the two neighbours on the
//! format's number line, pick one as the mode says, then test for overflow.
//!
//! The number line of a float is its positive codes in order, continued upward as if the
//! exponent field had no end. Neighbours are neighbouring codes, and the parity of a number
//! is that of its code.
//!
//! Between two posits distance is counted in longer posits, not in differences: with c the
//! code of the lower neighbour in n bits, nu is the N bits j behind c, N without bound, of
//! the last posit of n + N bits not above the number. Half way is the posit `2c + 1` of n + 1
//! bits, which where exponent bits are cut off is nearer the geometric mean.

use crate::value::{
    Rational, Value, fixed_value, infinity, largest_finite, negative_zero_exists, ones, posit_rung, power_of_two, rung, sign_bit,
    written_nan, zero_exists,
};
use dashu_base::BitTest;
use dashu_int::{IBig, UBig};
use std::cell::OnceCell;
use std::cmp::Ordering;
use systole_isa::format::{FixedFormat, FloatFormat, Format, PositFormat, Subnormals};
use systole_isa::round::{Flags, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess};

/// Where a number lies between two neighbours.
#[derive(Clone, Debug)]
struct Gap {
    /// True if the code of the lower neighbour is odd.
    lower_is_odd: bool,
    /// True if the number is the lower neighbour itself.
    exact: bool,
    /// nu against one half.
    half: Ordering,
    /// How far up the gap the number lies: 0 up to, not including, 1.
    nu: Nu,
    /// `floor(nu 2^32)`, once asked for.
    head: OnceCell<u64>,
}

/// A part of a gap.
#[derive(Clone, Debug)]
enum Nu {
    /// Distance from the lower neighbour over the distance of the two.
    Linear(Rational),
    /// The bits that follow the lower neighbour's code in longer posits.
    Posit { format: PositFormat, lower: u64, x: Rational },
}

impl Nu {
    /// `floor(nu 2^32)`: as many bits as stochastic rounding ever looks at.
    fn head(&self) -> u64 {
        match self {
            Self::Linear(nu) => (nu * power_of_two(32)).floor().try_into().expect("nu is below 1"),
            Self::Posit { format, lower, x } => {
                let reaches = |longer: u32, code: u128| posit_rung(format.width + longer, format.exponent_bits, code) <= *x;
                let mut code = u128::from(*lower);
                for longer in 1..=32 {
                    code = 2 * code + 1;
                    code -= u128::from(!reaches(longer, code));
                }
                (code - (u128::from(*lower) << 32)) as u64
            }
        }
    }
}

impl Gap {
    fn new(lower_is_odd: bool, nu: Rational) -> Self {
        let half = nu.cmp(&power_of_two(-1));
        Self { lower_is_odd, exact: nu.is_zero(), half, nu: Nu::Linear(nu), head: OnceCell::new() }
    }

    /// The gap above `lower`, which is neither 0 nor the largest posit.
    fn of_posits(format: PositFormat, lower: u64, x: &Rational) -> Self {
        let rung = |longer, code| posit_rung(format.width + longer, format.exponent_bits, code);
        Self {
            lower_is_odd: lower & 1 == 1,
            exact: *x == rung(0, lower.into()),
            half: x.cmp(&rung(1, 2 * u128::from(lower) + 1)),
            nu: Nu::Posit { format, lower, x: x.clone() },
            head: OnceCell::new(),
        }
    }

    const fn is_exact(&self) -> bool {
        self.exact
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
                let head = self.head.get_or_init(|| self.nu.head()) >> (32 - bits);
                head + (random & ones(bits)) >= 1 << bits
            }
        }
    }
}

/// `floor(log2 x)` of a positive number.
pub(crate) fn floor_log2(x: &Rational) -> i64 {
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
        /// True if the most negative code is no number.
        quire: bool,
        whole: UBig,
        gap: Gap,
    },
    Posit {
        format: PositFormat,
        place: PositPlace,
    },
}

/// Where a magnitude lies among the posits.
#[derive(Clone, Debug)]
enum PositPlace {
    Zero,
    BelowMin,
    /// At or above this code, and below the next.
    From(u64, Gap),
    Max,
    AboveMax,
}

impl Placed {
    /// Finds the neighbours of a nonnegative `magnitude` among the numbers of `format`.
    pub fn new(format: Format, magnitude: &Rational) -> Self {
        match format {
            Format::Float(f) => Self::on_float_line(f, magnitude),
            Format::Fixed(f) | Format::Quire(f) => {
                let (whole, nu) = whole_and_rest(&(magnitude * power_of_two(f.fraction_bits.into())));
                let gap = Gap::new(whole.bit(0), nu);
                Self(Line::Fixed { format: f, quire: matches!(format, Format::Quire(_)), whole, gap })
            }
            Format::Posit(f) => Self(Line::Posit { format: f, place: PositPlace::new(f, magnitude) }),
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
    /// are lost, and overflows where what remains is out of range. Posits underflow below
    /// their smallest number and overflow above their largest, and stop there.
    ///
    /// # Panics
    /// If codes of the format do not fit 64 bits; [`Placed::round_to_value`] serves those.
    pub fn round(&self, negative: bool, policy: Policy, random: u64) -> (u64, Flags) {
        match &self.0 {
            Line::Float { format, is_zero, place, tiny } => {
                round_float(*format, *is_zero, place.as_ref(), tiny.as_ref(), negative, policy, random)
            }
            Line::Fixed { format, quire, whole, gap } => {
                let (integer, flags) = round_fixed(*format, *quire, whole, gap, negative, policy, random);
                (low_bits(&integer, format.width), flags)
            }
            Line::Posit { format, place } => {
                let (code, flags) = place.round(*format, negative, policy, random);
                (if negative { code.wrapping_neg() & ones(format.width) } else { code }, flags)
            }
        }
    }

    /// As [`Placed::round`], but the number the code stands for: formats too wide for codes
    /// have numbers too.
    pub fn round_to_value(&self, format: Format, negative: bool, policy: Policy, random: u64) -> (Value, Flags) {
        match &self.0 {
            Line::Fixed { format, quire, whole, gap } => {
                let (integer, flags) = round_fixed(*format, *quire, whole, gap, negative, policy, random);
                let is_nar = *quire && integer == -(IBig::ONE << (format.width - 1) as usize);
                (if is_nar { Value::Nan } else { fixed_value(*format, integer) }, flags)
            }
            Line::Float { .. } | Line::Posit { .. } => {
                let (code, flags) = self.round(negative, policy, random);
                (Value::of(format, code), flags)
            }
        }
    }
}

impl PositPlace {
    fn new(format: PositFormat, x: &Rational) -> Self {
        let rung = |code: u64| posit_rung(format.width, format.exponent_bits, code.into());
        let largest = ones(format.width - 1);
        if x.is_zero() {
            return Self::Zero;
        }
        if *x < rung(1) {
            return Self::BelowMin;
        }
        match x.cmp(&rung(largest)) {
            Ordering::Greater => return Self::AboveMax,
            Ordering::Equal => return Self::Max,
            Ordering::Less => {}
        }
        // Posits ascend with their codes: halve until two neighbours remain.
        let (mut lower, mut upper) = (1, largest);
        while upper - lower > 1 {
            let middle = lower + (upper - lower) / 2;
            if rung(middle) <= *x { lower = middle } else { upper = middle }
        }
        Self::From(lower, Gap::of_posits(format, lower, x))
    }

    /// Code of the magnitude, and exceptions. No number becomes 0 or NaR in any mode.
    fn round(&self, format: PositFormat, negative: bool, policy: Policy, random: u64) -> (u64, Flags) {
        let largest = ones(format.width - 1);
        match self {
            Self::Zero => (0, Flags::NONE),
            Self::BelowMin => (1, Flags::UNDERFLOW | Flags::INEXACT),
            Self::From(lower, gap) => {
                let up = gap.rounds_up(negative, policy.rounding, random);
                (lower + u64::from(up), if gap.is_exact() { Flags::NONE } else { Flags::INEXACT })
            }
            Self::Max => (largest, Flags::NONE),
            Self::AboveMax => (largest, Flags::OVERFLOW | Flags::INEXACT),
        }
    }
}

/// The integer that two's complement of the format's width keeps, and exceptions.
///
/// In a quire the most negative one is NaR: no sum saturates there, and one that comes to
/// lie there, by itself or by wrapping, has overflowed.
fn round_fixed(format: FixedFormat, quire: bool, whole: &UBig, gap: &Gap, negative: bool, policy: Policy, random: u64) -> (IBig, Flags) {
    let up = gap.rounds_up(negative, policy.rounding, random);
    let integer = IBig::from(whole + UBig::from(u8::from(up)));
    let integer = if negative { -integer } else { integer };
    let inexact = if gap.is_exact() { Flags::NONE } else { Flags::INEXACT };
    let span = IBig::ONE << format.width as usize;
    let largest = (IBig::ONE << (format.width - 1) as usize) - IBig::ONE;
    let smallest = if quire { -&largest } else { -&largest - IBig::ONE };
    if integer >= smallest && integer <= largest {
        return (integer, inexact);
    }
    let kept = match policy.overflow {
        Overflow::Ieee | Overflow::Infinity => {
            let residue = ((integer % &span) + &span) % &span;
            if residue > largest { residue - span } else { residue }
        }
        Overflow::Saturate | Overflow::Propagate if negative => smallest,
        Overflow::Saturate | Overflow::Propagate => largest,
    };
    (kept, inexact | Flags::OVERFLOW)
}

/// `integer mod 2^width`, as a code.
fn low_bits(integer: &IBig, width: u32) -> u64 {
    assert!(width <= 64, "two's complement of {width} bits has no codes");
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
        return (written_nan(format, policy).unwrap_or(0), Flags::INVALID);
    }
    let sign = if negative { sign_bit(format) } else { 0 };
    let zero = if negative_zero_exists(format) { sign } else { 0 };
    let Some((lower, gap)) = place else {
        // No number at or below: the smallest one stands in.
        return (0, if is_zero { Flags::INEXACT } else { Flags::UNDERFLOW | Flags::INEXACT });
    };
    let rounded = lower + u128::from(gap.rounds_up(negative, policy.rounding, random));
    if rounded > u128::from(largest_finite(format)) {
        let to_infinity = match policy.overflow {
            Overflow::Saturate | Overflow::Propagate => false,
            Overflow::Infinity => true,
            Overflow::Ieee => match policy.rounding {
                Rounding::Rne | Rounding::Rmm | Rounding::Sr(_) => true,
                Rounding::Rtz | Rounding::Rod => false,
                Rounding::Rup => !negative,
                Rounding::Rdn => negative,
            },
        };
        let code = if to_infinity { infinite(format, negative, policy) } else { largest_finite(format) | sign };
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
        Overflow::Ieee | Overflow::Propagate | Overflow::Infinity => match (infinity(format), policy.no_infinity) {
            (Some(code), _) => code | sign,
            (None, NoInfinity::Nan) => written_nan(format, policy).unwrap_or(largest),
            (None, NoInfinity::Max) => largest,
        },
    }
}

/// Rounds any value to `format`: its code and the exceptions raised.
///
/// NaN becomes the policy's NaN; where there is none, the largest positive number (two's
/// complement: 0), which is invalid. Infinities stay infinite, or become what stands for
/// infinity in the format, unless the policy saturates them; in two's complement they become
/// the extreme of their sign, which is invalid, as is any negative number but -0 in a format
/// without sign. In posits and quires they are NaR, but saturate in posits where the policy
/// says so.
///
/// # Panics
/// If codes of the format do not fit 64 bits; [`round_to_value`] serves those.
pub fn round(format: Format, value: &Value, policy: Policy, random: u64) -> (u64, Flags) {
    match value {
        Value::Finite { negative, magnitude } => Placed::new(format, magnitude).round(*negative, policy, random),
        Value::Nan | Value::Infinite { .. } => special(format, value, policy),
    }
}

/// As [`round`], but the number the code stands for, in formats of any width.
pub fn round_to_value(format: Format, value: &Value, policy: Policy, random: u64) -> (Value, Flags) {
    match (value, format) {
        (Value::Finite { negative, magnitude }, _) => Placed::new(format, magnitude).round_to_value(format, *negative, policy, random),
        (Value::Nan, Format::Fixed(_)) => (Value::zero(false), Flags::INVALID),
        (Value::Infinite { negative }, Format::Fixed(f)) => {
            let bound = IBig::ONE << (f.width - 1) as usize;
            (fixed_value(f, if *negative { -bound } else { bound - IBig::ONE }), Flags::INVALID)
        }
        (Value::Nan | Value::Infinite { .. }, Format::Quire(_)) => (Value::Nan, Flags::NONE),
        (Value::Nan | Value::Infinite { .. }, Format::Float(_) | Format::Posit(_)) => {
            let (code, flags) = special(format, value, policy);
            (Value::of(format, code), flags)
        }
    }
}

/// The code of a NaN or an infinity, and exceptions.
fn special(format: Format, value: &Value, policy: Policy) -> (u64, Flags) {
    assert!(format.bits() <= 64, "{format} has no codes");
    let infinite_and_negative = match value {
        Value::Infinite { negative } => Some(*negative),
        Value::Nan | Value::Finite { .. } => None,
    };
    match (infinite_and_negative, format) {
        (None, Format::Float(f)) => match written_nan(f, policy) {
            Some(code) => (code, Flags::NONE),
            None => (largest_finite(f), Flags::INVALID),
        },
        (None, Format::Fixed(_)) => (0, Flags::INVALID),
        (Some(true), Format::Float(f)) if !f.signed => (written_nan(f, policy).unwrap_or(0), Flags::INVALID),
        (Some(negative), Format::Float(f)) => (infinite(f, negative, policy), Flags::NONE),
        (Some(negative), Format::Fixed(f)) => {
            let extreme = ones(f.width - 1);
            (if negative { extreme + 1 } else { extreme }, Flags::INVALID)
        }
        (Some(negative), Format::Posit(f)) if matches!(policy.overflow, Overflow::Saturate) => {
            let largest = ones(f.width - 1);
            (if negative { largest.wrapping_neg() & ones(f.width) } else { largest }, Flags::NONE)
        }
        (_, Format::Posit(PositFormat { width, .. }) | Format::Quire(FixedFormat { width, .. })) => (1 << (width - 1), Flags::NONE),
    }
}
