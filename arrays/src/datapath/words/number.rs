//! Operand codes as numbers in a word.

use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FloatFormat, Format, Specials, Subnormals};
use systole_isa::round::{SubnormalPolicy, decode_with};

/// A finite number in a word: `significand * 2^exponent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
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
    /// The exponent of NaN and infinities: out of reach of every sum.
    const FAR: i32 = 1 << 28;

    fn of(format: Format, code: u64, subnormals: SubnormalPolicy) -> Self {
        match decode_with(format, code, subnormals) {
            Decoded::Finite(Exact { negative, significand, exponent }) if significand >> 62 == 0 => {
                let size = significand as i64;
                Self { significand: if negative { -size } else { size }, exponent, negative, finite: true, zero: format.is_zero(code) }
            }
            _ => Self { exponent: Self::FAR, ..Self::default() },
        }
    }

    /// The exact product times 2^scale, which is zero if a factor is.
    #[inline(always)]
    pub const fn times(self, other: Self, scale: i32) -> Self {
        Self {
            significand: self.significand * other.significand,
            exponent: self.exponent + other.exponent + scale,
            negative: self.negative != other.negative,
            finite: self.finite & other.finite,
            zero: self.zero | other.zero,
        }
    }
}

/// Where the codes of a signed float hold what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub mantissa_bits: u32,
    pub magnitude_bits: u32,
    pub max_finite: u64,
    has_negative_zero: bool,
    /// The lowest magnitude with a hidden bit.
    least_normal: u64,
    /// The fraction of magnitudes with a hidden bit, and of those without: 0 where they are
    /// read as zeros.
    fractions: [u64; 2],
    /// The lowest field with a hidden bit: 1 with subnormals, 0 without.
    lowest_field: i32,
    /// The exponent of the last place were the field 0.
    base: i32,
}

impl Fields {
    /// `None` for formats without a sign or a zero.
    pub fn new(format: FloatFormat, subnormals: SubnormalPolicy) -> Option<Self> {
        let gradual = format.subnormals == Subnormals::Gradual;
        let fraction = (1 << format.mantissa_bits) - 1;
        let lowest_field = i32::from(gradual);
        (format.signed && format.specials != Specials::E8m0).then(|| Self {
            mantissa_bits: format.mantissa_bits,
            magnitude_bits: format.magnitude_bits(),
            max_finite: format.max_finite_magnitude(),
            has_negative_zero: format.has_negative_zero(),
            least_normal: if gradual { 1 << format.mantissa_bits } else { 1 },
            fractions: [fraction, if subnormals.flushes_inputs() { 0 } else { fraction }],
            lowest_field,
            base: format.min_quantum_exponent() - lowest_field,
        })
    }

    #[inline(always)]
    pub fn read(&self, code: u64) -> Number {
        let magnitude = code & ((1 << self.magnitude_bits) - 1);
        let negative = code >> self.magnitude_bits & 1 == 1;
        let normal = magnitude >= self.least_normal;
        let fraction = magnitude & if normal { self.fractions[0] } else { self.fractions[1] };
        let size = (fraction | u64::from(normal) << self.mantissa_bits) as i64;
        let finite = (magnitude <= self.max_finite) & ((magnitude != 0) | !negative | self.has_negative_zero);
        Number {
            significand: if negative { -size } else { size },
            exponent: if finite { self.base + ((magnitude >> self.mantissa_bits) as i32).max(self.lowest_field) } else { Number::FAR },
            negative,
            finite,
            zero: finite & (magnitude == 0),
        }
    }

    /// The code of a zero.
    #[inline(always)]
    pub const fn zero(&self, negative: bool) -> u64 {
        ((negative & self.has_negative_zero) as u64) << self.magnitude_bits
    }

    pub const fn has_negative_zero(&self) -> bool {
        self.has_negative_zero
    }
}

/// How operand codes are read.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    /// By table, for codes of up to 8 bits.
    Table(Box<[Number; 256]>),
    Fields(Fields),
    Definition(Format, SubnormalPolicy),
}

impl Reader {
    pub fn new(format: Format, subnormals: SubnormalPolicy) -> Self {
        if format.bits() <= 8 {
            return Self::Table(Box::new(std::array::from_fn(|code| Number::of(format, code as u64, subnormals))));
        }
        let fields = format.as_float().and_then(|float| Fields::new(float, subnormals));
        fields.map_or(Self::Definition(format, subnormals), Self::Fields)
    }

    #[inline(always)]
    pub fn read(&self, code: u64) -> Number {
        match self {
            Self::Table(numbers) => numbers[usize::from(code as u8)],
            Self::Fields(fields) => fields.read(code),
            Self::Definition(format, subnormals) => Number::of(*format, code, *subnormals),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of 16 bits, all of them, read by fields and by the definition.
    #[test]
    fn fields_read_what_the_definition_reads() {
        for name in ["fp16", "bf16", "e6m9", "e6m9f", "dlfloat16", "e5m10", "e5m10fnuz"] {
            let Ok(format) = name.parse::<Format>() else { panic!("{name}") };
            for subnormals in [SubnormalPolicy::Gradual, SubnormalPolicy::Daz, SubnormalPolicy::Ftz, SubnormalPolicy::DazFtz] {
                let reader = Reader::new(format, subnormals);
                assert!(matches!(reader, Reader::Fields(_)));
                for code in 0..=format.mask() {
                    let (mut read, defined) = (reader.read(code), Number::of(format, code, subnormals));
                    if !defined.finite {
                        assert!(!read.finite && !read.zero, "{name} {code:#x}");
                        continue;
                    }
                    if defined.significand == 0 {
                        read.exponent = defined.exponent;
                    }
                    assert_eq!(read, defined, "{name} {code:#x} {subnormals:?}");
                }
            }
        }
    }
}
