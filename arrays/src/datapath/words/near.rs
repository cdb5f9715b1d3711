//! The usual sum: a normal accumulator, an addend in reach, a normal result.

use super::number::Number;
use super::word::{Size, Word};
use systole_isa::format::{FloatFormat, Subnormals};
use systole_isa::round::Rounding;

/// What a rounding mode makes of the bits it drops, as a fraction of 2^64: a size is rounded
/// away from zero if they exceed a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// By sign, and by parity of the lower candidate.
    limits: [[u64; 2]; 2],
    /// N of `sr<N>`, else 0.
    random_bits: u32,
}

impl Limits {
    pub const fn new(rounding: Rounding) -> Self {
        const ALWAYS: u64 = 0;
        const NEVER: u64 = u64::MAX;
        const ABOVE_HALF: u64 = 1 << 63;
        const FROM_HALF: u64 = ABOVE_HALF - 1;
        let limits = match rounding {
            Rounding::Rne => [[ABOVE_HALF, FROM_HALF]; 2],
            Rounding::Rmm => [[FROM_HALF; 2]; 2],
            Rounding::Rtz | Rounding::Sr(_) => [[NEVER; 2]; 2],
            Rounding::Rdn => [[NEVER; 2], [ALWAYS; 2]],
            Rounding::Rup => [[ALWAYS; 2], [NEVER; 2]],
            Rounding::Rod => [[ALWAYS, NEVER]; 2],
        };
        Self { limits, random_bits: rounding.random_bits() }
    }

    /// The limit of one rounding. Stochastic modes round away if the first N bits dropped and
    /// the random ones add up to 2^N or more.
    #[inline(always)]
    pub const fn of(&self, negative: bool, odd: bool, random: u64) -> u64 {
        if self.random_bits == 0 { self.limits[negative as usize][odd as usize] } else { !(random << (64 - self.random_bits)) }
    }
}

/// Additions that are exact in a word and begin and end with normal floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    magnitude_bits: u32,
    mantissa_bits: u32,
    /// Bits of a code: magnitude, sign, fraction; and the hidden bit of a significand.
    magnitude: u64,
    sign: u64,
    fraction: u64,
    hidden: u64,
    /// The lowest normal magnitude, and how far above it the highest lies.
    lowest: u64,
    span: u64,
    max_finite: u64,
    /// Places from the right end of the word to the accumulator.
    place: i32,
    /// The same for an addend of exponent 0 and an accumulator of field 0.
    addend_place: i32,
    /// Places an addend may stand at.
    room: u32,
    /// The field of a result without leading zeros, for an accumulator of field 0.
    top_field: i32,
    max_field: u32,
    pub limits: Limits,
}

impl Near {
    /// For addends of up to `addend_bits`, both terms two bits shorter than the word.
    pub fn new<W: Word>(format: FloatFormat, rounding: Rounding, addend_bits: i32) -> Self {
        let gradual = format.subnormals == Subnormals::Gradual;
        let (sign, hidden) = (1u64 << format.magnitude_bits(), 1u64 << format.mantissa_bits);
        let max_finite = format.max_finite_magnitude();
        // Formats of subnormals alone have no usual sums: no code is that large.
        let lowest = Some(if gradual { hidden } else { 1 }).filter(|&lowest| lowest <= max_finite).unwrap_or(u64::MAX);
        // The exponent of the last place were the field 0, and of a result's first place where
        // its field is: fields of normal numbers count from 1, or from 0 without subnormals.
        let base = format.min_quantum_exponent() - i32::from(gradual);
        let first = format.min_exponent() + i32::from(!gradual);
        // Half of the room for addends above the accumulator, half for those below.
        let room = W::BITS - 2 - addend_bits;
        let place = (room / 2).min(W::BITS - 2 - format.precision() as i32);
        Self {
            magnitude_bits: format.magnitude_bits(),
            mantissa_bits: format.mantissa_bits,
            magnitude: sign - 1,
            sign,
            fraction: hidden - 1,
            hidden,
            lowest,
            span: max_finite.saturating_sub(lowest),
            max_finite,
            place,
            addend_place: place - base,
            room: room as u32,
            top_field: base - place + W::BITS - 1 - first,
            max_field: (1 << format.exponent_bits) - 1,
            limits: Limits::new(rounding),
        }
    }

    /// `code + addend`, rounded once; `None` for any other sum.
    #[inline(always)]
    pub fn add<W: Word>(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        let magnitude = code & self.magnitude;
        let field = (magnitude >> self.mantissa_bits) as i32;
        let place = self.addend_place + addend.exponent - field;
        // Specials, zeros and subnormals; specials among operands are far from everything.
        if magnitude.wrapping_sub(self.lowest) > self.span || place as u32 > self.room {
            return None;
        }
        let size = (code & self.fraction | self.hidden) as i64;
        let sum = if code & self.sign != 0 { -size } else { size };
        let total = W::of(sum).shift_left(self.place).add(W::of(addend.significand).shift_left(place));
        let (size, negative) = (total.size(), total.is_negative());
        if size == W::Size::ZERO {
            return None;
        }
        let zeros = size.leading_zeros();
        let field = self.top_field + field - zeros;
        if field as u32 > self.max_field {
            return None;
        }
        let normalised = size.shift_left(zeros);
        let floor = ((field as u64) << self.mantissa_bits) + normalised.shift_right(W::BITS - 1 - self.mantissa_bits as i32);
        let discarded = normalised.shift_left(self.mantissa_bits as i32 + 1);
        let away = discarded > W::Size::limit(self.limits.of(negative, floor & 1 == 1, random));
        let magnitude = floor + u64::from(away);
        (magnitude <= self.max_finite).then_some(magnitude | u64::from(negative) << self.magnitude_bits)
    }
}
