//! Codes as binary64, exactly: the operand side of the fast paths.
//!
//! Domain: floats of at most 24 significant bits whose finite nonzero magnitudes lie in
//! [2^-200, 2^200], and fixed point of at most 24 bits within the same range. There products
//! of two and sums of any such values stay far inside binary64's normal range, products are
//! exact, and the error of a sum is itself a binary64.

use systole_isa::codes::Codes;
use systole_isa::format::{Decoded, Format, Subnormals};

/// Largest magnitude of an exponent in the domain.
const EXPONENT_LIMIT: i32 = 200;
/// Most significant bits in the domain.
const MAX_PRECISION: u32 = 24;
/// Bits of the widest format whose codes are tabulated.
const TABLE_BITS: u32 = 8;

/// A format's codes to binary64.
pub(super) enum Decoder {
    /// binary32 widens.
    Fp32,
    /// Formats of at most 8 bits.
    Table(Box<[f64; 256]>),
    /// Wider floats.
    Float(Fields),
    /// Wider two's complement.
    Fixed {
        /// Bits above the code in an `i64`.
        unused: u32,
        /// Weight of the lowest bit.
        quantum: f64,
    },
}

/// What decoding a float by its fields takes.
pub(super) struct Fields {
    sign: u64,
    magnitude_mask: u64,
    max_finite: u64,
    /// A magnitude beyond all codes where there is none.
    infinity: u64,
    /// The code of -0 where that is NaN, else a code beyond all.
    nan: u64,
    sign_shift: u32,
    /// Magnitudes below this are `small` multiples; the others have a hidden bit.
    first_normal: u64,
    small: f64,
    /// Added to a normal magnitude, it gives binary64's exponent field.
    rebias: u64,
    /// Fraction bits binary64 has and the format has not.
    shift: u32,
}

/// Exponents of the smallest quantum and of the largest magnitude.
const fn exponent_range(format: Format) -> (i32, i32) {
    match format {
        Format::Float(f) => {
            let field = (f.max_finite_magnitude() >> f.mantissa_bits) as i32;
            let above_lowest = match f.subnormals {
                Subnormals::Gradual if field > 0 => field - 1,
                _ => field,
            };
            (f.min_quantum_exponent(), f.min_exponent() + above_lowest)
        }
        Format::Fixed(f) | Format::Quire(f) => (-f.fraction_bits, f.width as i32 - 1 - f.fraction_bits),
        Format::Posit(p) => (-p.max_exponent(), p.max_exponent()),
    }
}

/// True if every value of the format is a binary32, and there is a [`Decoder`] for it.
pub(super) const fn within_fp32(format: Format) -> bool {
    let (low, high) = exponent_range(format);
    let tabulated_only = matches!(format, Format::Posit(_) | Format::Quire(_));
    format.precision() <= MAX_PRECISION && low >= -149 && high <= 127 && (!tabulated_only || format.bits() <= TABLE_BITS)
}

impl Decoder {
    /// The decoder of a format in the domain.
    pub fn new(format: Format) -> Option<Self> {
        let (low, high) = exponent_range(format);
        if format.precision() > MAX_PRECISION || low < -EXPONENT_LIMIT || high > EXPONENT_LIMIT {
            return None;
        }
        if format == Format::FP32 {
            return Some(Self::Fp32);
        }
        if format.bits() <= TABLE_BITS {
            return Some(Self::Table(Box::new(std::array::from_fn(|code| reference(format, code as u64)))));
        }
        Some(match format {
            Format::Posit(_) | Format::Quire(_) => return None,
            Format::Fixed(f) => Self::Fixed { unused: 64 - f.width, quantum: power_of_two(-f.fraction_bits) },
            Format::Float(f) => {
                let gradual = matches!(f.subnormals, Subnormals::Gradual);
                Self::Float(Fields {
                    sign: f.sign_code(),
                    magnitude_mask: (1 << f.magnitude_bits()) - 1,
                    max_finite: f.max_finite_magnitude(),
                    infinity: f.infinity_magnitude().unwrap_or(u64::MAX),
                    nan: if f.has_negative_zero() { u64::MAX } else { f.sign_code() },
                    sign_shift: 63 - f.magnitude_bits(),
                    first_normal: if gradual { 1 << f.mantissa_bits } else { 1 },
                    small: if gradual { power_of_two(f.min_quantum_exponent()) } else { 0.0 },
                    rebias: ((1023 - f.bias) as u64) << f.mantissa_bits,
                    shift: 52 - f.mantissa_bits,
                })
            }
        })
    }

    /// The value of one code.
    #[inline(always)]
    pub fn decode(&self, code: u64) -> f64 {
        match self {
            Self::Fp32 => f32::from_bits(code as u32).into(),
            Self::Table(table) => table[code as usize & 0xff],
            Self::Float(fields) => fields.decode(code),
            Self::Fixed { unused, quantum } => ((code << unused) as i64 >> unused) as f64 * quantum,
        }
    }

    /// The values of `out.len()` codes from `start` on.
    #[inline(always)]
    pub fn fill(&self, codes: &Codes, start: usize, out: &mut [f64]) {
        /// Code by code, the decoder's kind settled outside the loop.
        #[inline(always)]
        fn each<T: Copy>(codes: &[T], out: &mut [f64], decode: impl Fn(T) -> f64) {
            for (value, &code) in out.iter_mut().zip(codes) {
                *value = decode(code);
            }
        }
        let end = start + out.len();
        match (self, codes) {
            (Self::Fp32, Codes::U32(v)) => each(&v[start..end], out, |code| f32::from_bits(code).into()),
            (Self::Table(table), Codes::U8(v)) => each(&v[start..end], out, |code| table[usize::from(code)]),
            (Self::Float(fields), Codes::U16(v)) => each(&v[start..end], out, |code| fields.decode(code.into())),
            (Self::Float(fields), Codes::U32(v)) => each(&v[start..end], out, |code| fields.decode(code.into())),
            _ => {
                for (i, value) in out.iter_mut().enumerate() {
                    *value = self.decode(codes.get(start + i));
                }
            }
        }
    }
}

impl Fields {
    #[inline(always)]
    fn decode(&self, code: u64) -> f64 {
        // Without a branch, so that loops take lanes.
        let select = |truth: bool, yes: u64, no: u64| no ^ ((yes ^ no) & 0u64.wrapping_sub(truth.into()));
        let magnitude = code & self.magnitude_mask;
        // Below 2^24, so the conversion is exact.
        let small = f64::from(magnitude as i32) * self.small;
        let normal = magnitude.wrapping_add(self.rebias) << self.shift;
        let finite = select((magnitude as i64) < self.first_normal as i64, small.to_bits(), normal);
        let infinite = select(magnitude == self.infinity, f64::INFINITY.to_bits(), f64::NAN.to_bits());
        let size = select(magnitude as i64 > self.max_finite as i64, infinite, finite);
        let sign = (code & self.sign) << self.sign_shift;
        f64::from_bits(select(code == self.nan, f64::NAN.to_bits(), size | sign))
    }
}

/// 2^`exponent` for an exponent in binary64's normal range.
const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The value of a code by the contract.
fn reference(format: Format, code: u64) -> f64 {
    match format.decode(code) {
        Decoded::Nan => f64::NAN,
        other => other.to_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::NAMED;

    #[test]
    fn values_are_the_contracts() {
        let mut formats: Vec<Format> = NAMED.iter().map(|n| n.format).collect();
        formats.extend(
            ["e5m10fnuz", "e6m9f", "e4m11b3fnuz", "fx12.6", "fx20.18", "e8m15", "e2m13", "e1m12"].map(|n| n.parse::<Format>().unwrap()),
        );
        let mut held = 0;
        for format in formats {
            let Some(decoder) = Decoder::new(format) else { continue };
            held += 1;
            let bits = format.bits();
            let count = 1u64 << bits.min(18);
            for i in 0..count {
                // All codes, or for wide formats a stride of 2^18 codes with both ends of it.
                for code in [i, i << (bits - bits.min(18)), (i << (bits - bits.min(18))) | ((1 << (bits - bits.min(18))) - 1)] {
                    let (got, want) = (decoder.decode(code), reference(format, code));
                    assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{format} {code:#x}: {got} {want}");
                    if within_fp32(format) {
                        assert!(f64::from(want as f32) == want || want.is_nan(), "{format} {code:#x} is no binary32");
                    }
                }
            }
        }
        assert!(held > 20, "{held} formats in the domain");
        assert!(Decoder::new(Format::FP64).is_none() && Decoder::new(Format::INT32).is_none());
        for (name, within) in [
            ("fp32", true),
            ("bf16", true),
            ("fp16", true),
            ("tf32", true),
            ("fp64", false),
            ("e8m24", false),
            ("e8m7b126", false),
            ("e8m22b128", true),
            ("e8m23b128", false),
            ("e9m3", false),
        ] {
            let format: Format = name.parse().unwrap();
            assert_eq!(within_fp32(format), within, "{name}");
        }
    }
}
