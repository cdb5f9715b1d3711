//! The multiply-accumulate in machine words, all that depends on the mode alone worked out
//! beforehand.
//!
//! [`WordMac`] gives the code that [`Mac::accumulate`](super::Mac::accumulate) gives, or `None`
//! where it does not know: where anything is special, overflows, or is tiny and rounded or
//! flushed, and where exponents lie too far apart. So whatever it answers raised no exception
//! that is counted, and callers turn to the definition for the rest.
//!
//! Sums are exact in a word, but for jamming: bits below what one rounding can see are gathered
//! in the lowest. With W bits a significand of `n` bits has room for W - 2 - n places to its
//! left; a jam is right if that room holds the accumulator's p bits, the N of `sr<N>` and 3 more,
//! and exceeds the other significand's width by 2, for then cancellation leaves at least p + N
//! bits above the jam.

use systole_isa::design::{MacMode, Product};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, FloatFormat, Format, Specials, Subnormals};
use systole_isa::round::{Policy, Rounding, SubnormalPolicy, decode_with, rounds_away};

/// A finite number in a word: `significand * 2^exponent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number {
    /// Signed; 0 for both zeros.
    pub significand: i64,
    pub exponent: i32,
    /// Sign, of zeros too.
    pub negative: bool,
    /// False for NaN and infinities.
    pub finite: bool,
    /// True for an operand's code of either zero; subnormals read as zeros have none.
    pub zero: bool,
}

impl Number {
    fn of(format: Format, code: u64, subnormals: SubnormalPolicy) -> Self {
        match decode_with(format, code, subnormals) {
            Decoded::Finite(Exact { negative, significand, exponent }) if significand >> 62 == 0 => {
                let size = significand as i64;
                Self { significand: if negative { -size } else { size }, exponent, negative, finite: true, zero: format.is_zero(code) }
            }
            _ => Self::default(),
        }
    }
}

/// Operand codes as numbers.
#[derive(Clone, Debug)]
struct Reader {
    format: Format,
    subnormals: SubnormalPolicy,
    /// By code, for formats of up to 8 bits.
    table: Box<[Number]>,
}

impl Reader {
    fn new(format: Format, subnormals: SubnormalPolicy) -> Self {
        let codes = if format.bits() <= 8 { 256 } else { 0 };
        Self { format, subnormals, table: (0..codes).map(|code| Number::of(format, code, subnormals)).collect() }
    }

    #[inline(always)]
    fn read(&self, code: u64) -> Number {
        match self.table.get(code as usize) {
            Some(number) => *number,
            None => Number::of(self.format, code, self.subnormals),
        }
    }
}

/// A signed integer that holds aligned sums.
trait Word: Copy {
    const BITS: i32;
    type Size: Size;
    fn of(x: i64) -> Self;
    fn shift_left(self, by: i32) -> Self;
    /// Toward zero, what falls off gathered in bit 0.
    fn shift_right_jam(self, by: i32) -> Self;
    fn add(self, other: Self) -> Self;
    fn is_negative(self) -> bool;
    fn size(self) -> Self::Size;
}

/// The size of a [`Word`].
trait Size: Copy + Ord {
    const ZERO: Self;
    /// The top bit alone.
    const TOP: Self;
    fn leading_zeros(self) -> i32;
    fn shift_left(self, by: i32) -> Self;
    /// `self >> by`, which has at most 64 bits.
    fn shift_right(self, by: i32) -> u64;
    fn wide(self) -> u128;
}

macro_rules! words {
    ($signed:ty, $unsigned:ty) => {
        impl Word for $signed {
            const BITS: i32 = <$signed>::BITS as i32;
            type Size = $unsigned;
            #[inline(always)]
            fn of(x: i64) -> Self {
                <$signed>::from(x)
            }
            #[inline(always)]
            fn shift_left(self, by: i32) -> Self {
                self << by
            }
            #[inline(always)]
            fn shift_right_jam(self, by: i32) -> Self {
                let size = self.unsigned_abs();
                let jammed = if by >= <$signed>::BITS as i32 {
                    <$unsigned>::from(size != 0)
                } else {
                    (size >> by) | <$unsigned>::from(size & ((1 << by) - 1) != 0)
                };
                if self < 0 { -(jammed as Self) } else { jammed as Self }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn is_negative(self) -> bool {
                self < 0
            }
            #[inline(always)]
            fn size(self) -> $unsigned {
                self.unsigned_abs()
            }
        }
        impl Size for $unsigned {
            const ZERO: Self = 0;
            const TOP: Self = 1 << (<$unsigned>::BITS - 1);
            #[inline(always)]
            fn leading_zeros(self) -> i32 {
                <$unsigned>::leading_zeros(self) as i32
            }
            #[inline(always)]
            fn shift_left(self, by: i32) -> Self {
                self << by
            }
            #[inline(always)]
            fn shift_right(self, by: i32) -> u64 {
                (self >> by) as u64
            }
            #[inline(always)]
            fn wide(self) -> u128 {
                self.into()
            }
        }
    };
}

words!(i64, u64);
words!(i128, u128);

/// Rounding to a signed floating-point format.
#[derive(Clone, Copy, Debug)]
struct FloatRegister {
    policy: Policy,
    mantissa_bits: u32,
    magnitude_bits: u32,
    max_finite: u64,
    min_exponent: i32,
    min_quantum: i32,
    /// The lowest field with a hidden bit: 1 with subnormals, 0 without.
    lowest_field: u64,
    /// What the codes of formats without subnormals lack: the hidden bit of field 0.
    hidden: u64,
    max_field: u64,
    /// True if tiny results stay as they are.
    keeps_tiny: bool,
    negative_zero: u64,
    /// Places to the left of an accumulator, and of an addend, in the word.
    rooms: [i32; 2],
}

impl FloatRegister {
    /// For addends of up to `addend_bits`; `None` where the word is too short for a jam.
    fn new<W: Word>(format: FloatFormat, policy: Policy, addend_bits: i32) -> Option<Self> {
        let precision = format.precision() as i32;
        let rooms = [W::BITS - 2 - precision, W::BITS - 2 - addend_bits];
        let seen = precision + policy.rounding.random_bits() as i32 + 3;
        let suits = format.signed
            && format.specials != Specials::E8m0
            && rooms.iter().all(|&room| room >= seen)
            && rooms[0] >= addend_bits + 2
            && rooms[1] >= precision + 2;
        suits.then(|| Self {
            policy,
            mantissa_bits: format.mantissa_bits,
            magnitude_bits: format.magnitude_bits(),
            max_finite: format.max_finite_magnitude(),
            min_exponent: format.min_exponent(),
            min_quantum: format.min_quantum_exponent(),
            lowest_field: u64::from(format.subnormals == Subnormals::Gradual),
            hidden: if format.subnormals == Subnormals::Gradual { 0 } else { 1 << format.mantissa_bits },
            max_field: (1 << format.exponent_bits) - 1,
            keeps_tiny: format.subnormals == Subnormals::Gradual && policy.subnormals == SubnormalPolicy::Gradual,
            negative_zero: if format.has_negative_zero() { format.sign_code() } else { 0 },
            rooms,
        })
    }

    const fn zero(&self, negative: bool) -> u64 {
        if negative { self.negative_zero } else { 0 }
    }

    #[inline(always)]
    fn read(&self, code: u64) -> Number {
        let magnitude = code & ((1 << self.magnitude_bits) - 1);
        let negative = code >> self.magnitude_bits & 1 == 1;
        let field = magnitude >> self.mantissa_bits;
        let normal = field >= self.lowest_field && magnitude != 0;
        let size = magnitude & ((1 << self.mantissa_bits) - 1) | u64::from(normal) << self.mantissa_bits;
        let size = if !normal && self.policy.subnormals.flushes_inputs() { 0 } else { size as i64 };
        Number {
            significand: if negative { -size } else { size },
            exponent: self.min_quantum + field.max(self.lowest_field) as i32 - self.lowest_field as i32,
            negative,
            finite: magnitude <= self.max_finite && (magnitude != 0 || !negative || self.negative_zero != 0),
            zero: magnitude == 0,
        }
    }

    /// `code + addend`, rounded once.
    #[inline(always)]
    fn add<W: Word>(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        let sum = self.read(code);
        if !sum.finite || !addend.finite {
            return None;
        }
        if addend.significand == 0 {
            if sum.significand != 0 {
                return (self.policy.subnormals == SubnormalPolicy::Gradual).then_some(code);
            }
            let cancels = self.policy.rounding.cancels_to_negative_zero();
            return Some(self.zero(if sum.negative == addend.negative { sum.negative } else { cancels }));
        }
        let (x, y) = (W::of(sum.significand), W::of(addend.significand));
        if sum.significand == 0 {
            return self.round::<W>(y, addend.exponent, random);
        }
        let distance = sum.exponent - addend.exponent;
        let left = [distance.max(0), (-distance).max(0)];
        if left[0] <= self.rooms[0] && left[1] <= self.rooms[1] {
            let total = x.shift_left(left[0]).add(y.shift_left(left[1]));
            return self.round::<W>(total, sum.exponent.min(addend.exponent), random);
        }
        let (total, exponent) = if distance >= 0 {
            let room = self.rooms[0];
            (x.shift_left(room).add(y.shift_right_jam(distance - room)), sum.exponent - room)
        } else {
            let room = self.rooms[1];
            (y.shift_left(room).add(x.shift_right_jam(-distance - room)), addend.exponent - room)
        };
        self.round::<W>(total, exponent, random)
    }

    /// Rounds `value * 2^exponent`; 0 is taken for the sum of numbers that cancel.
    #[inline(always)]
    fn round<W: Word>(&self, value: W, exponent: i32, random: u64) -> Option<u64> {
        let size = value.size();
        if size == W::Size::ZERO {
            return Some(self.zero(self.policy.rounding.cancels_to_negative_zero()));
        }
        let negative = value.is_negative();
        let zeros = size.leading_zeros();
        let normalised = size.shift_left(zeros);
        let top = exponent + W::BITS - 1 - zeros;
        let below = (self.min_exponent - top).max(0);
        let dropped = W::BITS - 1 - self.mantissa_bits as i32 + below;
        let field = (top.max(self.min_exponent) - self.min_exponent) as u64;
        if dropped >= W::BITS || field > self.max_field {
            return None;
        }
        let floor = (field << self.mantissa_bits) + normalised.shift_right(dropped);
        let discarded = normalised.shift_left(W::BITS - dropped);
        if below > 0 && (discarded != W::Size::ZERO || !self.keeps_tiny) {
            return None;
        }
        // Between the lowest number of a format without subnormals and its zero.
        if floor <= self.hidden {
            return None;
        }
        let floor = floor - self.hidden;
        let odd = floor & 1 == 1;
        let away = match self.policy.rounding {
            Rounding::Rne => (discarded > W::Size::TOP) | ((discarded == W::Size::TOP) & odd),
            Rounding::Rtz => false,
            rounding => {
                discarded != W::Size::ZERO
                    && rounds_away(rounding, negative, odd, discarded.wide() >> (W::BITS - dropped), dropped as u32, random)
            }
        };
        let magnitude = floor + u64::from(away);
        (magnitude <= self.max_finite).then_some(magnitude | u64::from(negative) << self.magnitude_bits)
    }
}

/// Rounding to two's complement of up to 64 bits.
#[derive(Clone, Copy, Debug)]
struct FixedRegister {
    format: FixedFormat,
    rounding: Rounding,
}

impl FixedRegister {
    /// `code + addend`, rounded once.
    #[inline(always)]
    fn add(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        if !addend.finite {
            return None;
        }
        let sum = i128::from(self.format.integer(code));
        let places = addend.exponent + self.format.fraction_bits;
        let addend = i128::from(addend.significand);
        let integer = if places >= 0 || addend == 0 {
            if places > 60 && addend != 0 {
                return None;
            }
            sum + (addend << places.clamp(0, 60))
        } else {
            if places < -60 {
                return None;
            }
            let total = (sum << -places) + addend;
            let size = total.unsigned_abs();
            let discarded = size & ((1 << -places) - 1);
            let kept = size >> -places;
            let away = discarded != 0 && rounds_away(self.rounding, total < 0, kept & 1 == 1, discarded, -places as u32, random);
            let rounded = (kept + u128::from(away)) as i128;
            if total < 0 { -rounded } else { rounded }
        };
        let within = i128::from(self.format.min_integer()) <= integer && integer <= i128::from(self.format.max_integer());
        within.then(|| self.format.code(integer as i64))
    }
}

/// Where sums go.
#[derive(Clone, Copy, Debug)]
enum Accumulator {
    /// In 64 bits.
    Narrow(FloatRegister),
    /// In 128 bits.
    Broad(FloatRegister),
    Fixed(FixedRegister),
}

impl Accumulator {
    fn new(format: Format, policy: Policy, addend_bits: i32) -> Option<Self> {
        match format {
            Format::Float(float) => FloatRegister::new::<i64>(float, policy, addend_bits)
                .map(Self::Narrow)
                .or_else(|| FloatRegister::new::<i128>(float, policy, addend_bits).map(Self::Broad)),
            Format::Fixed(fixed) if !fixed.is_wide() => Some(Self::Fixed(FixedRegister { format: fixed, rounding: policy.rounding })),
            _ => None,
        }
    }

    #[inline(always)]
    fn add(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        match self {
            Self::Narrow(register) => register.add::<i64>(code, addend, random),
            Self::Broad(register) => register.add::<i128>(code, addend, random),
            Self::Fixed(register) => register.add(code, addend, random),
        }
    }
}

/// Products that are rounded before they are added.
#[derive(Clone, Copy, Debug)]
struct Rounded {
    register: FloatRegister,
}

impl Rounded {
    #[inline(always)]
    fn round(&self, product: Number, random: u64) -> Option<Number> {
        if !product.finite || product.significand == 0 {
            // A zero keeps its sign where the format has one.
            let negative = product.negative && self.register.negative_zero != 0;
            return product.finite.then_some(Number { negative, ..product });
        }
        self.register.round::<i64>(product.significand, product.exponent, random).map(|code| self.register.read(code))
    }
}

/// The MAC of one mode in machine words.
#[derive(Clone, Debug)]
pub(super) struct WordMac {
    a: Reader,
    b: Reader,
    /// Power of two that the bias registers give every product.
    scale: i32,
    product: Option<Rounded>,
    accumulator: Accumulator,
}

impl WordMac {
    /// `None` for modes outside the domain: significands too wide, posits, quires, unsigned
    /// accumulators.
    pub fn new(mode: &MacMode, scale: i32) -> Option<Self> {
        let policy = mode.policy();
        let widths = [mode.a, mode.b].map(significand_bits);
        let exact_bits = widths[0]? + widths[1]?;
        if exact_bits > 61 || scale.unsigned_abs() > 1 << 20 {
            return None;
        }
        let (product, addend_bits) = match mode.product {
            Product::Exact => (None, exact_bits),
            Product::Rounded(Format::Float(float)) => {
                // Nothing is added here, so nothing jams.
                let register = FloatRegister::new::<i128>(float, policy, 1)?;
                (Some(Rounded { register }), float.precision() as i32)
            }
            Product::Rounded(_) => return None,
        };
        let accumulator = Accumulator::new(mode.accumulator, policy, addend_bits)?;
        let reader = |format| Reader::new(format, policy.subnormals);
        Some(Self { a: reader(mode.a), b: reader(mode.b), scale, product, accumulator })
    }

    /// The numbers of two operand codes.
    #[inline(always)]
    pub fn operands(&self, a: u64, b: u64) -> (Number, Number) {
        (self.a.read(a), self.b.read(b))
    }

    /// `accumulator + a b`; the random bits are those of the product's rounding and the sum's.
    #[inline(always)]
    pub fn step(&self, accumulator: u64, a: Number, b: Number, random: [u64; 2]) -> Option<u64> {
        let exact = Number {
            significand: a.significand * b.significand,
            exponent: a.exponent + b.exponent + self.scale,
            negative: a.negative != b.negative,
            finite: a.finite && b.finite,
            zero: a.zero || b.zero,
        };
        let product = match &self.product {
            None => exact,
            Some(rounded) => rounded.round(exact, random[0])?,
        };
        self.accumulator.add(accumulator, product, random[1])
    }
}

/// Bits of the widest significand of an operand; `None` where it does not fit.
fn significand_bits(format: Format) -> Option<i32> {
    match format {
        Format::Float(float) => Some(float.precision() as i32),
        Format::Fixed(fixed) if fixed.width <= 32 => Some(fixed.width as i32),
        Format::Posit(posit) => Some(posit.precision() as i32),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
