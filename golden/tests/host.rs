//! golden against the host's binary32 and binary64 arithmetic, specials and all.

mod support;

use support::Random;
use systole_golden::oracle::{self, Operand};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

fn check(what: &str, operands: &[Operand], (code, flags): (u64, Flags), host: f64, host_bits: u64) {
    let Format::Float(f) = operands[0].format else { unreachable!() };
    let nan_in = operands.iter().any(|x| x.code & 0x7fff_ffff_ffff_ffff >> (63 - f.exponent_bits - f.mantissa_bits) > infinity(x.format));
    if host.is_nan() {
        assert_eq!(Some(code), quiet_nan(operands[0].format), "{what} {operands:x?}");
        assert!(nan_in || flags.contains(Flags::INVALID), "{what} {operands:x?}");
    } else {
        assert_eq!(code, host_bits, "{what} {operands:x?} = {host:e}");
        assert!(!flags.contains(Flags::INVALID), "{what} {operands:x?}");
        let infinite_in = operands.iter().any(|x| x.code & !(1 << (x.format.bits() - 1)) == infinity(x.format));
        assert_eq!(flags.contains(Flags::OVERFLOW), host.is_infinite() && !infinite_in, "{what} {operands:x?}");
    }
}

fn infinity(format: Format) -> u64 {
    if format == Format::FP32 { f32::INFINITY.to_bits().into() } else { f64::INFINITY.to_bits() }
}

fn quiet_nan(format: Format) -> Option<u64> {
    Some(if format == Format::FP32 { 0x7fc0_0000 } else { 0x7ff8_0000_0000_0000 })
}

/// Codes near borders, and now and then an addend that nearly cancels the product.
fn operands(format: Format, random: &mut Random, negated_product: impl Fn(u64, u64) -> u64) -> [Operand; 3] {
    let (a, b) = (random.code(format), random.code(format));
    let c = if random.below(3) == 0 { negated_product(a, b).wrapping_add(random.below(3)) & format.mask() } else { random.code(format) };
    [a, b, c].map(|code| Operand::new(format, code))
}

macro_rules! against_host {
    ($name:ident, $float:ty, $bits:ty, $format:expr) => {
        #[test]
        fn $name() {
            let mut random = Random(6);
            for _ in 0..60_000 {
                let host = |x: Operand| <$float>::from_bits(x.code as $bits);
                let [x, y, z] = operands($format, &mut random, |a, b| {
                    (-(<$float>::from_bits(a as $bits) * <$float>::from_bits(b as $bits))).to_bits().into()
                });
                let (a, b, c) = (host(x), host(y), host(z));
                for (what, operands, ours, theirs) in [
                    ("add", &[x, z][..], oracle::add(x, z, $format, Policy::RNE, 0), a + c),
                    ("sub", &[x, z], oracle::sub(x, z, $format, Policy::RNE, 0), a - c),
                    ("mul", &[x, y], oracle::mul(x, y, $format, Policy::RNE, 0), a * b),
                    ("fma", &[x, y, z], oracle::fma(x, y, z, $format, Policy::RNE, 0), a.mul_add(b, c)),
                ] {
                    check(what, operands, ours, theirs.into(), u64::from(theirs.to_bits()));
                }
            }
        }
    };
}

against_host!(binary32, f32, u32, Format::FP32);
against_host!(binary64, f64, u64, Format::FP64);

/// Zero signs, invalid operations and signalling NaNs, as IEEE 754-2019 sections 6 and 7
/// have them.
#[test]
fn specials() {
    use systole_isa::round::Rounding::{Rdn, Rne, Rup};
    let fp16 = |code| Operand::new(Format::FP16, code);
    let (pos, neg, one, minus, inf, quiet, signalling) = (0x0000, 0x8000, 0x3c00, 0xbc00, 0x7c00, 0x7e00, 0x7d00);
    let (nan, none, invalid) = (0x7e00, Flags::NONE, Flags::INVALID);
    for (x, y, z, rounding, expected) in [
        (one, one, minus, Rne, (pos, none)),
        (one, one, minus, Rup, (pos, none)),
        (one, one, minus, Rdn, (neg, none)),
        (pos, one, neg, Rdn, (neg, none)),
        (neg, one, neg, Rup, (neg, none)),
        (neg, one, pos, Rne, (pos, none)),
        (neg, minus, pos, Rdn, (pos, none)),
        (inf, one, minus, Rne, (inf, none)),
        (inf, minus, inf, Rne, (nan, invalid)),
        (inf, minus, 0xfc00, Rne, (0xfc00, none)),
        (inf, neg, one, Rne, (nan, invalid)),
        (inf, pos, quiet, Rne, (nan, invalid)),
        (one, one, quiet | 0x8001, Rne, (nan, none)),
        (one, signalling, one, Rne, (nan, invalid)),
        (one, one, signalling, Rne, (nan, invalid)),
    ] {
        assert_eq!(
            oracle::fma(fp16(x), fp16(y), fp16(z), Format::FP16, Policy::new(rounding), 0),
            expected,
            "{x:x} * {y:x} + {z:x} {rounding}"
        );
    }
    // A product alone keeps -0 in every mode.
    for rounding in [Rne, Rdn, Rup] {
        assert_eq!(oracle::mul(fp16(neg), fp16(one), Format::FP16, Policy::new(rounding), 0), (neg, none));
    }
    assert_eq!(oracle::convert(fp16(signalling), Format::FP32, Policy::RNE, 0), (0x7fc0_0000, invalid));
    assert_eq!(oracle::convert(Operand::new(Format::E4M3FN, 0xff), Format::FP32, Policy::RNE, 0), (0x7fc0_0000, none));
}
