//! Formats, codes, policies and MAC modes drawn from a fuzzer's bytes, extremes over-weighted.

use crate::source::Source;
use systole_isa::design::{Addend, Aligned, EntropySource, LfsrShare, MacMode, Product, Scaling, Truncation, Unit};
use systole_isa::format::{FloatFormat, Format, Specials};
use systole_isa::round::{NanCode, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess, encode_f64};

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
    "posit8_0",
    "posit8_2",
    "posit16_1",
    "posit6_3",
    "posit32_2",
];

/// Accumulators that are no operands: quires, and fixed point wider than a word.
const WIDE: &[&str] = &["quire8_0", "quire16_1", "quire32_2", "quire32.12", "fx80.20", "fx64.70", "fx200.100", "fx1200.560", "fx4096.2000"];

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

/// A format that sums are kept in.
pub fn accumulator_format(source: &mut Source<'_>) -> Format {
    if source.one_in(6) { source.pick(WIDE).parse().unwrap_or(Format::FP32) } else { format(source) }
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
        overflow: source.pick(&[Overflow::Ieee, Overflow::Ieee, Overflow::Saturate, Overflow::Propagate, Overflow::Infinity]),
        no_infinity: source.pick(&[NoInfinity::Nan, NoInfinity::Nan, NoInfinity::Max]),
        subnormals: source.pick(&[Gradual, Gradual, Gradual, Gradual, Daz, Ftz, DazFtz]),
        tininess: source.pick(&[Tininess::After, Tininess::Before]),
        nan: source.pick(&[NanCode::Canonical, NanCode::Canonical, NanCode::Canonical, NanCode::AllOnes]),
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

/// A mode whose products enter one by one, over every choice that it has.
pub fn mode(source: &mut Source<'_>) -> MacMode {
    let Policy { rounding, overflow, no_infinity, subnormals, tininess, nan } = policy(source);
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
    // Two stochastic roundings of one mode take the same number of bits.
    let other = policy(source).rounding;
    let fits = other.random_bits() == rounding.random_bits() || other.random_bits().min(rounding.random_bits()) == 0;
    MacMode {
        product,
        rounding,
        outer_rounding: (fits && source.one_in(4)).then_some(other),
        overflow,
        no_infinity,
        subnormals,
        tininess,
        nan,
        chunk,
        outer: (chunk.is_some() && source.one_in(2)).then(|| accumulator_format(source)),
        bias_a: shared_bias(source),
        bias_b: shared_bias(source),
        ..MacMode::fused(a, b, accumulator_format(source))
    }
}

/// A mode of an n-term unit, with block scales or shift registers or both.
pub fn unit_mode(source: &mut Source<'_>) -> MacMode {
    let mut mode = mode(source);
    mode.unit = match source.below(8) {
        0 => Unit::Chain,
        1 => Unit::Descending,
        2 => Unit::Interleaved { ways: 2 + source.below(3) as u32 },
        3 => Unit::Exact,
        4 => Unit::ExactApart,
        _ => Unit::Aligned(aligned(source)),
    };
    let fewest = match mode.unit {
        Unit::Interleaved { ways } => ways,
        Unit::Aligned(unit) => unit.groups,
        _ => 1,
    };
    mode.lanes = fewest + source.pick(&[0, 1, 2, 3, 5, 13, 28]);
    if let Unit::Aligned(_) = mode.unit {
        let floating = |format: Format| if format.as_float().is_some() { format } else { Format::FP16 };
        (mode.a, mode.b, mode.accumulator) = (floating(mode.a), floating(mode.b), floating(mode.accumulator));
        mode.product = Product::Exact;
    }
    if source.one_in(3) {
        mode.scale = source.pick(&[Scaling::Exponent, Scaling::Chunk, Scaling::ChunkRounded]);
        mode.scale_format = match mode.scale {
            Scaling::Exponent => Format::E8M0,
            _ => source.pick(&["e8m0", "fp32", "e4m3fn", "bf16"]).parse().unwrap_or(Format::FP32),
        };
        (mode.scale_rows, mode.scale_cols) = (1 + source.below(3) as u32, 1 + source.below(3) as u32);
        mode.chunk = mode.chunk.or(Some(4));
    }
    if mode.unit != Unit::Chain {
        mode.chunk = mode.chunk.map(|chunk| chunk.div_ceil(mode.lanes) * mode.lanes);
    }
    if source.one_in(4) {
        mode.outer_rounding = mode.outer_rounding.filter(|outer| outer.random_bits() == mode.rounding.random_bits());
        let fewest = mode.random_bits().max(4);
        let width = fewest + source.below((65 - fewest) as usize) as u32;
        let taps = 1 << (width - 1) | source.bits(width);
        mode.entropy =
            EntropySource::Lfsr { width, taps, shared: source.pick(&[LfsrShare::Pe, LfsrShare::Row, LfsrShare::Column, LfsrShare::Array]) };
    }
    mode
}

fn aligned(source: &mut Source<'_>) -> Aligned {
    let bits = |source: &mut Source<'_>| source.pick(&[1, 2, 7, 13, 23, 24, 25, 31, 35, 64]);
    let truncation = |source: &mut Source<'_>| source.pick(&[Truncation::TowardZero, Truncation::Floor]);
    let addend = match source.below(4) {
        0 | 1 => Addend::Together,
        2 => Addend::Apart,
        _ => {
            Addend::Aligned { sum_bits: bits(source), addend_bits: bits(source), reach: source.one_in(2).then(|| source.below(40) as u32) }
        }
    };
    Aligned {
        fraction_bits: bits(source),
        term_truncation: truncation(source),
        addend,
        groups: if addend == Addend::Together { 1 } else { 1 + source.below(3) as u32 },
        sum_truncation: truncation(source),
        zero_exponent: source.pick(&[None, Some(-126), Some(-5), Some(4096)]),
        infinite_from: source.pick(&[None, None, Some(128), Some(3), Some(-2)]),
        negative_zero: source.one_in(4),
    }
}
