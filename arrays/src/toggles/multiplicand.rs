//! What a multiplier sees of an operand.

use systole_isa::format::{Decoded, Format, Subnormals};

/// Formats up to so many bits are looked up.
const TABLE_BITS: u32 = 12;

/// Significands of a format as they stand at a multiplier's inputs.
pub(crate) struct Multiplicands {
    format: Format,
    table: Vec<u64>,
}

impl Multiplicands {
    pub fn of(format: Format) -> Self {
        let table =
            if format.bits() <= TABLE_BITS { (0..1 << format.bits()).map(|code| significand(format, code)).collect() } else { Vec::new() };
        Self { format, table }
    }

    pub fn get(&self, code: u64) -> u64 {
        self.table.get(code as usize).copied().unwrap_or_else(|| significand(self.format, code))
    }
}

/// The bits of one code's significand: of a float its fraction and hidden bit, which subnormals and
/// zero lack, whatever special value the code stands for; of a posit its significand, leading bit
/// first; of a fixed-point number its two's complement.
fn significand(format: Format, code: u64) -> u64 {
    match format {
        Format::Float(f) => {
            let fraction = code & ((1 << f.mantissa_bits) - 1);
            let exponent = code >> f.mantissa_bits & ((1 << f.exponent_bits) - 1);
            let hidden = exponent != 0 || (f.subnormals != Subnormals::Gradual && fraction != 0);
            fraction | u64::from(hidden) << f.mantissa_bits
        }
        Format::Posit(p) => match format.decode(code) {
            Decoded::Finite(x) if x.significand != 0 => {
                let significand = x.significand >> x.significand.trailing_zeros();
                let length = u128::BITS - significand.leading_zeros();
                (significand << p.precision().saturating_sub(length)) as u64
            }
            _ => 0,
        },
        Format::Fixed(_) | Format::Quire(_) => code & format.mask(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significands_by_hand() {
        for (format, code, bits) in [
            ("e4m3fn", 0x00, 0b0000),
            ("e4m3fn", 0x80, 0b0000),
            ("e4m3fn", 0x01, 0b0001),
            ("e4m3fn", 0x38, 0b1000),
            ("e4m3fn", 0xff, 0b1111),
            ("e5m2", 0x3d, 0b101),
            ("int8", 0xff, 0xff),
            ("fp32", 0x3fc0_0000, 0xc0_0000),
            ("posit8_0", 0x40, 0b10_0000),
            ("posit8_0", 0x60, 0b10_0000),
            ("posit8_0", 0x50, 0b11_0000),
            ("posit8_0", 0x80, 0),
            ("dlfloat16", 0x0001, 0b10_0000_0001),
            ("dlfloat16", 0x0000, 0),
        ] {
            let format: Format = format.parse().unwrap();
            assert_eq!(Multiplicands::of(format).get(code), bits, "{format} {code:#x}");
        }
        for name in ["e4m3fn", "e5m2fnuz", "int8", "posit8_2", "fp16", "bf16", "posit16_1", "e2m1f"] {
            let format: Format = name.parse().unwrap();
            let seen = Multiplicands::of(format);
            assert!((0..1 << format.bits()).all(|code| seen.get(code) < 1 << format.precision()), "{name}");
        }
    }
}
