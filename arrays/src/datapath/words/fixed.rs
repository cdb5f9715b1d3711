//! Sums in two's complement of up to 64 bits.

use super::number::Number;
use systole_isa::format::FixedFormat;
use systole_isa::round::{Rounding, rounds_away};

/// Rounding to two's complement of up to 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedRegister {
    format: FixedFormat,
    rounding: Rounding,
    /// Places an addend may move to the left for a sum in 64 bits; negative if there are none.
    room: i32,
}

impl FixedRegister {
    /// For addends of up to `addend_bits`.
    pub const fn new(format: FixedFormat, rounding: Rounding, addend_bits: i32) -> Self {
        Self { format, rounding, room: if format.width < 64 { 62 - addend_bits } else { -1 } }
    }

    /// `code + addend`, rounded once.
    #[inline(always)]
    pub fn add(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        let places = addend.exponent + self.format.fraction_bits;
        if !(addend.finite & (0 <= places) & (places <= self.room)) {
            return self.add_apart(code, addend, random);
        }
        let integer = self.format.integer(code) + (addend.significand << places);
        let within = (self.format.min_integer() <= integer) & (integer <= self.format.max_integer());
        within.then(|| self.format.code(integer))
    }

    /// The like where 64 bits are too few, or bits are rounded off.
    #[inline(never)]
    fn add_apart(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
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
