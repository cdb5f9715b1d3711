//! Sums rounded to floats.

use super::near::Near;
use super::number::{Fields, Number};
use super::word::{Size, Word};
use systole_isa::format::{FloatFormat, Subnormals};
use systole_isa::round::{Policy, SubnormalPolicy};

/// Rounding to a signed floating-point format.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloatRegister {
    fields: Fields,
    near: Near,
    min_exponent: i32,
    max_field: u32,
    /// What the codes of formats without subnormals lack: the hidden bit of field 0.
    hidden: u64,
    /// True if tiny results stay as they are.
    keeps_tiny: bool,
    /// True if zeros of both signs, and numbers that cancel, add up to -0.
    cancels_to_negative_zero: bool,
    /// Places to the left of an accumulator, and of an addend, in the word.
    rooms: [i32; 2],
}

impl FloatRegister {
    /// For addends of up to `addend_bits`; `None` where the word is too short for a jam.
    pub fn new<W: Word>(format: FloatFormat, policy: Policy, addend_bits: i32) -> Option<Self> {
        let precision = format.precision() as i32;
        let rooms = [W::BITS - 2 - precision, W::BITS - 2 - addend_bits];
        let seen = precision + policy.rounding.random_bits() as i32 + 3;
        let suits = rooms.iter().all(|&room| room >= seen) && rooms[0] >= addend_bits + 2 && rooms[1] >= precision + 2;
        let fields = Fields::new(format, policy.subnormals).filter(|_| suits)?;
        let gradual = format.subnormals == Subnormals::Gradual;
        Some(Self {
            fields,
            near: Near::new::<W>(format, policy.rounding, addend_bits),
            min_exponent: format.min_exponent(),
            max_field: (1 << format.exponent_bits) - 1,
            hidden: if gradual { 0 } else { 1 << format.mantissa_bits },
            keeps_tiny: gradual && policy.subnormals == SubnormalPolicy::Gradual,
            cancels_to_negative_zero: policy.rounding.cancels_to_negative_zero(),
            rooms,
        })
    }

    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// What most sums need.
    pub const fn near(&self) -> &Near {
        &self.near
    }

    /// `code + addend`, rounded once.
    #[inline(always)]
    pub fn add<W: Word>(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        self.near.add::<W>(code, addend, random).or_else(|| self.add_any::<W>(code, addend, random))
    }

    /// The like for zeros, subnormals, and exponents that lie far apart.
    #[inline(never)]
    fn add_any<W: Word>(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        let sum = self.fields.read(code);
        if !sum.finite || !addend.finite {
            return None;
        }
        let (x, y) = (W::of(sum.significand), W::of(addend.significand));
        let distance = sum.exponent - addend.exponent;
        let left = [distance.max(0), (-distance).max(0)];
        let (total, exponent) = if sum.significand == 0 && addend.significand == 0 {
            return Some(self.zero_sum(sum, addend));
        } else if sum.significand == 0 {
            (y, addend.exponent)
        } else if addend.significand == 0 {
            (x, sum.exponent)
        } else if left[0] <= self.rooms[0] && left[1] <= self.rooms[1] {
            (x.shift_left(left[0]).add(y.shift_left(left[1])), sum.exponent.min(addend.exponent))
        } else if distance >= 0 {
            let room = self.rooms[0];
            (x.shift_left(room).add(y.shift_right_jam(distance - room)), sum.exponent - room)
        } else {
            let room = self.rooms[1];
            (y.shift_left(room).add(x.shift_right_jam(-distance - room)), addend.exponent - room)
        };
        if total.size() == W::Size::ZERO {
            return Some(self.zero_sum(sum, addend));
        }
        self.round::<W>(total, exponent, random)
    }

    /// The zero that two numbers add up to.
    const fn zero_sum(&self, sum: Number, addend: Number) -> u64 {
        let zeros_agree = sum.significand == 0 && sum.negative == addend.negative;
        self.fields.zero(if zeros_agree { sum.negative } else { self.cancels_to_negative_zero })
    }

    /// Rounds `value * 2^exponent`, which is not 0; `None` if it is tiny and rounded, or
    /// overflows.
    #[inline(always)]
    pub fn round<W: Word>(&self, value: W, exponent: i32, random: u64) -> Option<u64> {
        let (size, negative) = (value.size(), value.is_negative());
        let zeros = size.leading_zeros();
        let normalised = size.shift_left(zeros);
        let top = exponent + W::BITS - 1 - zeros;
        let below = (self.min_exponent - top).max(0);
        let dropped = W::BITS - 1 - self.fields.mantissa_bits as i32 + below;
        let field = (top.max(self.min_exponent) - self.min_exponent) as u32;
        if dropped >= W::BITS || field > self.max_field {
            return None;
        }
        let floor = (u64::from(field) << self.fields.mantissa_bits) + normalised.shift_right(dropped);
        let discarded = normalised.shift_left(W::BITS - dropped);
        if below > 0 && (discarded != W::Size::ZERO || !self.keeps_tiny) {
            return None;
        }
        // Between the lowest number of a format without subnormals and its zero.
        if floor <= self.hidden {
            return None;
        }
        let floor = floor - self.hidden;
        let limit = W::Size::limit(self.near.limits.of(negative, floor & 1 == 1, random));
        let magnitude = floor + u64::from(discarded > limit);
        (magnitude <= self.fields.max_finite).then_some(magnitude | u64::from(negative) << self.fields.magnitude_bits)
    }
}
