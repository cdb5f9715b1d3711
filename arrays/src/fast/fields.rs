//! Finite floats of more than 8 bits by their fields, many at a time: what rows of them reach, and
//! their values.
//!
//! Domain: signed floats, their subnormals kept if they have any, whose finite values are
//! binary32s. Lines with infinities or NaNs are left to the codes' own entries.

use super::reach::{NO_LSB, Reach};
use super::rounder::power_of_two;
use crate::simd::{Number, on_wide_lanes};
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::SubnormalPolicy;

/// How codes of one format lie in a word.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    magnitude_mask: u32,
    mantissa_bits: u32,
    max_finite: u32,
    /// Bits from a fraction to binary32's.
    shift: u32,
    /// What makes a normal number's exponent field binary32's, in place.
    rebias: u32,
    /// Magnitudes below this are multiples of the quantum, which the others' fields do not tell.
    first_by_field: u32,
    quantum: f32,
    /// The least magnitude with a hidden bit.
    first_hidden: u32,
    /// Added to an exponent field, it counts the binades from 1 on.
    first_binade: u32,
    /// Bits between the two signs.
    sign_shift: u32,
    /// Exponent of the quantum, scaled.
    lsb: i32,
    /// Power of two that multiplies every value.
    scale: f64,
}

/// What is gathered of a line.
#[derive(Clone, Copy)]
struct Gathered {
    magnitude: u32,
    /// The lowest set bit: quanta's exponent and 128.
    lowest: u32,
    negative_zero: u32,
}

impl Gathered {
    const NOTHING: Self = Self { magnitude: 0, lowest: u32::MAX >> 1, negative_zero: 0 };

    /// The union of two sets.
    #[inline(always)]
    fn take(&mut self, other: &Self) {
        self.magnitude = self.magnitude.max(other.magnitude);
        self.lowest = self.lowest.min(other.lowest);
        self.negative_zero |= other.negative_zero;
    }
}

impl Fields {
    /// The fields of a format in the domain.
    pub fn new(format: Format, subnormals: SubnormalPolicy, scale: i32) -> Option<Self> {
        let float = format.as_float()?;
        let magnitude_bits = float.magnitude_bits();
        let gradual = float.subnormals == Subnormals::Gradual;
        let first_binade = u32::from(!gradual);
        // The binade of the field that binary32 gives its subnormals.
        let below = float.min_exponent() - i32::from(gradual);
        let top = below + (float.max_finite_magnitude() >> float.mantissa_bits) as i32;
        let inside = float.signed
            && (9..=32).contains(&format.bits())
            && (!gradual || subnormals == SubnormalPolicy::Gradual)
            && float.mantissa_bits <= 23
            && float.has_negative_zero()
            && float.min_exponent() >= -126
            && float.min_quantum_exponent() >= -149
            && top <= 127;
        let own = below == -127;
        let first_hidden = || if gradual { 1 << float.mantissa_bits } else { 1 };
        inside.then(|| Self {
            magnitude_mask: (1 << magnitude_bits) - 1,
            mantissa_bits: float.mantissa_bits,
            max_finite: float.max_finite_magnitude() as u32,
            shift: 23 - float.mantissa_bits,
            rebias: ((127 + below) as u32) << 23,
            first_by_field: if own { 0 } else { first_hidden() },
            first_hidden: first_hidden(),
            first_binade,
            quantum: if own { 0.0 } else { power_of_two(float.min_quantum_exponent()) as f32 },
            sign_shift: 31 - magnitude_bits,
            lsb: float.min_quantum_exponent() + scale,
            scale: power_of_two(scale),
        })
    }

    #[inline(always)]
    const fn magnitude(&self, code: u32) -> u32 {
        code & self.magnitude_mask
    }

    /// True if the code is a number.
    #[inline(always)]
    const fn is_finite(&self, code: u32) -> bool {
        self.magnitude(code) as i32 <= self.max_finite as i32
    }

    /// True for both zeros.
    #[inline(always)]
    const fn is_zero(&self, code: u32) -> bool {
        self.magnitude(code) == 0
    }

    #[inline(always)]
    fn ask(&self, code: u32) -> Gathered {
        let magnitude = self.magnitude(code);
        let field = magnitude >> self.mantissa_bits;
        let hidden = 1 << self.mantissa_bits;
        let significand = (magnitude & (hidden - 1)) | if magnitude as i32 >= self.first_hidden as i32 { hidden } else { 0 };
        let lowest_bit = significand & significand.wrapping_neg();
        // Its exponent and 127, from the binary32 of the same value.
        let place = ((lowest_bit as i32 as f32).to_bits() >> 23) + (field + self.first_binade).max(1);
        Gathered {
            magnitude,
            lowest: if magnitude == 0 { Gathered::NOTHING.lowest } else { place },
            negative_zero: u32::from((magnitude == 0) & (code != magnitude)),
        }
    }

    /// The value of a finite code, before it is scaled.
    #[inline(always)]
    fn value(&self, code: u32) -> f32 {
        let magnitude = self.magnitude(code);
        let by_field = (magnitude << self.shift).wrapping_add(self.rebias);
        let small = (magnitude as i32 as f32 * self.quantum).to_bits();
        let size = if (magnitude as i32) < self.first_by_field as i32 { small } else { by_field };
        f32::from_bits(size | (code & !self.magnitude_mask) << self.sign_shift)
    }

    /// What a gathered line reaches.
    fn reach(&self, line: &Gathered) -> Reach {
        Reach {
            max: f64::from(self.value(line.magnitude)) * self.scale,
            lsb: if line.magnitude == 0 { NO_LSB } else { line.lowest as i32 - 128 + self.lsb },
            special: false,
            negative_zero: line.negative_zero != 0,
        }
    }
}

/// What one line reaches, and its zeros counted where they lie. None if not all is finite.
pub(super) fn along<C: Copy + Into<u32>>(fields: &Fields, codes: &[C], zeros: &mut [u32]) -> Option<Reach> {
    let line = gather(fields, codes, zeros);
    (line.magnitude <= fields.max_finite).then(|| fields.reach(&line))
}

/// What is gathered of many lines, field by field.
pub(super) struct Side {
    magnitudes: Vec<u32>,
    lowest: Vec<u32>,
    negative_zeros: Vec<u32>,
}

impl Side {
    /// Nothing of `lines` lines.
    pub fn new(lines: usize) -> Self {
        let Gathered { magnitude, lowest, negative_zero } = Gathered::NOTHING;
        Self { magnitudes: vec![magnitude; lines], lowest: vec![lowest; lines], negative_zeros: vec![negative_zero; lines] }
    }

    /// What each line reaches; None where not all is finite.
    pub fn reaches(&self, fields: &Fields) -> Vec<Option<Reach>> {
        let lines = self.magnitudes.iter().zip(&self.lowest).zip(&self.negative_zeros);
        lines
            .map(|((&magnitude, &lowest), &negative_zero)| Gathered { magnitude, lowest, negative_zero })
            .map(|line| (line.magnitude <= fields.max_finite).then(|| fields.reach(&line)))
            .collect()
    }

    /// Both sides' lines together.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.magnitudes.iter_mut().zip(&other.magnitudes).for_each(|(mine, &other)| *mine = (*mine).max(other));
        self.lowest.iter_mut().zip(&other.lowest).for_each(|(mine, &other)| *mine = (*mine).min(other));
        self.negative_zeros.iter_mut().zip(&other.negative_zeros).for_each(|(mine, &other)| *mine |= other);
        self
    }
}

on_wide_lanes! {
    /// The codes of one line, and its zeros counted where they lie.
    fn gather[C: Copy + Into<u32>](fields: &Fields, codes: &[C], zeros: &mut [u32]) -> Gathered {
        let mut gathered = Gathered::NOTHING;
        for (&code, zero) in codes.iter().zip(zeros) {
            gathered.take(&fields.ask(code.into()));
            *zero += u32::from(fields.is_zero(code.into()));
        }
        gathered
    }

    /// Takes one code of every line; the zeros among them.
    pub(super) fn across[C: Copy + Into<u32>](fields: &Fields, codes: &[C], lines: &mut Side) -> u32 {
        let mut zeros = 0;
        let Side { magnitudes, lowest, negative_zeros } = lines;
        let lines = magnitudes.iter_mut().zip(lowest).zip(negative_zeros);
        for (&code, ((magnitude, lowest), negative_zero)) in codes.iter().zip(lines) {
            let asked = fields.ask(code.into());
            *magnitude = (*magnitude).max(asked.magnitude);
            *lowest = (*lowest).min(asked.lowest);
            *negative_zero |= asked.negative_zero;
            zeros += u32::from(fields.is_zero(code.into()));
        }
        zeros
    }

    /// Codes as numbers, each the scaled value; false if not all are finite, and then they mean nothing.
    pub(super) fn values[C: Copy + Into<u32>, T: Number](fields: &Fields, codes: &[C], out: &mut [T]) -> bool {
        let mut beyond = 0;
        if fields.scale == 1.0 {
            for (&code, value) in codes.iter().zip(out) {
                *value = T::from_f32(fields.value(code.into()));
                beyond |= u32::from(!fields.is_finite(code.into()));
            }
        } else {
            for (&code, value) in codes.iter().zip(out) {
                *value = T::from_f64(f64::from(fields.value(code.into())) * fields.scale);
                beyond |= u32::from(!fields.is_finite(code.into()));
            }
        }
        beyond == 0
    }
}
