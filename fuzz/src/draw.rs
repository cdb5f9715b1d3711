//! Formats, codes, policies and MAC modes drawn from a fuzzer's bytes, extremes over-weighted.

use crate::source::Source;
use systole_isa::design::{MacMode, Product};
use systole_isa::format::{FloatFormat, Format, Specials};
use systole_isa::round::{NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess, encode_f64};

/// Formats with a name that machines use or that sit at an end of the grammar.
const FORMATS: &[&str] = &[
    "e4m3fn",
    "e5m2",
    "fp16",
    "bf16",
    "fp32",
    "e6m9",
    "e4m3",
    "e3m4",
    "e4m3fnuz",
    "e5m2fnuz",
    "e4m3b11fnuz",
    "e2m1f",
    "e2m3f",
    "e3m2f",
    "e2m5b2f",
    "dlfloat16",
    "e6m9f",
    "e8m13",
    "tf32",
    "fp64",
    "p3109_k8p4se",
    "p3109_k8p3sf",
    "p3109_k8p1se",
    "e1m1",
    "e1m2fnuz",
    "e2m0fn",
    "e11m1b-1023",
    "e4m3b2047fn",
    "int4",
    "int8",
    "int16",
    "int32",
    "int64",
    "fx46.18",
    "fx8.-3",
    "fx24.30",
];

/// Any format arithmetic is defined for: a known one, or one put together here.
pub fn format(source: &mut Source<'_>) -> Format {
    let choice = source.below(FORMATS.len() + 12);
    match FORMATS.get(choice) {
        Some(name) => name.parse().unwrap_or(Format::FP32),
        None => Format::Float(float(source)),
    }
}

/// Any format, the scale format among them.
pub fn any_format(source: &mut Source<'_>) -> Format {
    if source.one_in(24) { "e8m0".parse().unwrap_or(Format::FP32) } else { format(source) }
}

/// A format whose codes may be operands of a MAC: at most 53 significant bits.
pub fn operand_format(source: &mut Source<'_>) -> Format {
    let format = format(source);
    if format.precision() <= 53 { format } else { Format::INT8 }
}

fn float(source: &mut Source<'_>) -> FloatFormat {
    let specials = source.pick(&[Specials::Ieee, Specials::Fn, Specials::Fnuz, Specials::F, Specials::P3109e, Specials::P3109f]);
    let (exponent_bits, mantissa_bits) = (1 + source.below(11) as u32, source.below(53) as u32);
    let default = 1 << (exponent_bits - 1);
    match specials {
        Specials::P3109e | Specials::P3109f => {
            let exponent_bits = exponent_bits.max(2);
            let bias = 1 << (exponent_bits - 1);
            FloatFormat { specials, bias, ..FloatFormat::ieee(exponent_bits, mantissa_bits % (15 - exponent_bits)) }
        }
        Specials::Ieee => FloatFormat { bias: default - 1 + bias(source), ..FloatFormat::ieee(exponent_bits, mantissa_bits.max(1)) },
        _ => FloatFormat { specials, bias: default - 1 + bias(source), ..FloatFormat::ieee(exponent_bits, mantissa_bits) },
    }
}

/// A departure from a default exponent bias, mostly none; every sum stays in the grammar.
fn bias(source: &mut Source<'_>) -> i32 {
    match source.below(8) {
        0 => source.within(-40, 40),
        1 => source.pick(&[-1023, 1024]),
        _ => 0,
    }
}

/// A code: half of the time any, else at or next to one of the format's landmarks.
pub fn code(source: &mut Source<'_>, format: Format) -> u64 {
    let choice = source.byte();
    if choice < 128 {
        return source.bits(format.bits());
    }
    let near = source.byte();
    let (negative, step) = (near & 1 == 1, i64::from(near >> 1 & 7) - 3);
    let sign = format.max_finite(true) ^ format.max_finite(false);
    let mantissa = format.as_float().map_or(0, |f| f.mantissa_bits);
    let landmark = match choice & 15 {
        0 => format.zero(negative),
        1 => return format.zero(negative),
        2 => 1 << mantissa,
        3 => format.max_finite(negative),
        4 => return format.infinity(negative).unwrap_or(format.max_finite(negative)),
        5 => return format.canonical_nan().unwrap_or(format.mask()),
        6 => format.mask() >> 1,
        7 => encode_f64(format, if negative { -1.0 } else { 1.0 }),
        // A power of two; the number below one; one and a half units of a binade.
        8 | 9 => source.bits(format.bits()) >> mantissa << mantissa,
        10 => source.bits(format.bits()) | ((1 << mantissa) - 1),
        11 => source.bits(format.bits()) >> mantissa << mantissa | 1 << (mantissa / 2),
        // Of the size of one, so that long sums neither overflow nor vanish.
        _ => {
            let value = (1.0 + f64::from(source.byte()) / 256.0) * 2f64.powi(i32::from(near >> 4) - 8);
            return encode_f64(format, if negative { -value } else { value });
        }
    };
    let signed = if negative && choice & 15 != 7 { landmark | sign } else { landmark };
    (signed.wrapping_add_signed(step)) & format.mask()
}

/// A rounding mode.
pub fn rounding(source: &mut Source<'_>) -> Rounding {
    match source.below(10) {
        i @ 0..=5 => Rounding::DETERMINISTIC[i],
        6 | 7 => Rounding::Rne,
        8 => Rounding::Sr(source.pick(&[1, 2, 4, 8, 13, 16, 31, 32])),
        _ => Rounding::Sr(1 + source.below(32) as u32),
    }
}

/// Every choice of a conversion, mostly IEEE 754's.
pub fn policy(source: &mut Source<'_>) -> Policy {
    use SubnormalPolicy::{Daz, DazFtz, Ftz, Gradual};
    Policy {
        rounding: rounding(source),
        overflow: source.pick(&[Overflow::Ieee, Overflow::Ieee, Overflow::Saturate]),
        no_infinity: source.pick(&[NoInfinity::Nan, NoInfinity::Nan, NoInfinity::Max]),
        subnormals: source.pick(&[Gradual, Gradual, Gradual, Gradual, Daz, Ftz, DazFtz]),
        tininess: source.pick(&[Tininess::After, Tininess::Before]),
        ..Policy::RNE
    }
}

/// The random bits one rounding of this policy consumes: all of a pattern, or none.
pub fn random(source: &mut Source<'_>, policy: Policy) -> u64 {
    let bits = policy.rounding.random_bits();
    match (bits, source.below(4)) {
        (0, _) => 0,
        (_, 0) => 0,
        (_, 1) => u64::MAX >> (64 - bits),
        _ => source.bits(bits),
    }
}

/// A mode of the MAC over every choice that a mode has.
pub fn mode(source: &mut Source<'_>) -> MacMode {
    let Policy { rounding, overflow, no_infinity, subnormals, tininess, .. } = policy(source);
    let (a, b) = (operand_format(source), operand_format(source));
    let product = if source.one_in(3) { Product::Rounded(operand_format(source)) } else { Product::Exact };
    let chunk = match source.below(6) {
        0..=2 => None,
        3 => Some(source.pick(&[1, 8, 64])),
        _ => Some(1 + source.below(9) as u32),
    };
    let shared_bias = |source: &mut Source<'_>| match source.below(6) {
        0 => source.within(-12, 12),
        1 => source.pick(&[-1024, -40, 40, 1024]),
        _ => 0,
    };
    MacMode {
        product,
        rounding,
        overflow,
        no_infinity,
        subnormals,
        tininess,
        chunk,
        outer: (chunk.is_some() && source.one_in(2)).then(|| format(source)),
        bias_a: shared_bias(source),
        bias_b: shared_bias(source),
        ..MacMode::fused(a, b, format(source))
    }
}
