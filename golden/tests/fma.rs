//! isa's exact multiply and add, rounded once, against golden's fused multiply-add.
//!
//! The long version: `cargo test -p systole-golden --test fma -- --ignored`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this test compares the two")]

mod support;

use support::Random;
use systole_golden::Value;
use systole_golden::oracle::{self, Operand};
use systole_golden::round::round;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Overflow, Policy, Rounding, SubnormalPolicy, decode_with, encode};

fn finite(x: Operand, subnormals: SubnormalPolicy) -> Option<Exact> {
    match decode_with(x.format, x.code, subnormals) {
        Decoded::Finite(x) => Some(x),
        _ => None,
    }
}

/// An addend for the product `a * b`: any, near cancellation, or so much larger that the
/// product decides a rounding.
fn addend(a: Operand, b: Operand, format: Format, to: Format, random: &mut Random) -> Operand {
    let any = random.code(format);
    let (product, _) = Value::of(a.format, a.code).product(&Value::of(b.format, b.code));
    let kind = random.below(4);
    if kind == 0 {
        return Operand::new(format, any);
    }
    let shift = match kind {
        1 => 0,
        2 => i64::from(to.precision()) + random.below(5) as i64 - 2,
        _ => -(i64::from(to.precision()) + random.below(40) as i64 - 20),
    };
    let (code, _) = round(format, &product.scaled(shift).negated(), Policy::new(Rounding::Rtz), 0);
    let sign = if random.below(3) == 0 { 1 << (format.bits() - 1) } else { 0 };
    Operand::new(format, ((code ^ sign).wrapping_add(random.below(5)).wrapping_sub(random.pick(&[0, 0, 2]))) & format.mask())
}

fn mixed(cases: u32) {
    let mut random = Random(5);
    let (mut checked, mut beyond_promise) = (0, 0);
    let mut raised = [0u32; 8];
    let triples = [
        ("e4m3fn", "e4m3fn", "e6m9"),
        ("e4m3fn", "e5m2", "e6m9"),
        ("e5m2", "e5m2", "e6m9"),
        ("e5m2", "e5m2", "fp16"),
        ("e4m3fn", "e5m2", "fp16"),
        ("e4m3fn", "e4m3fn", "fp32"),
        ("e5m2", "e4m3fn", "fp32"),
        ("e5m2", "e5m2", "fp64"),
        ("e4m3fnuz", "e5m2fnuz", "bf16"),
        ("e4m3b11fnuz", "e5m2", "dlfloat16"),
        ("e4m3fn", "e4m3fn", "e4m3fn"),
        ("e5m2", "e5m2", "e8m13"),
        ("e4m3fn", "e5m2", "fx46.18"),
        ("e5m2", "e5m2", "fx24.12"),
        ("int8", "int8", "int32"),
        ("int8", "e4m3fn", "int16"),
        ("fp16", "fp16", "fp16"),
        ("fp16", "fp16", "fp32"),
        ("bf16", "bf16", "fp32"),
        // Narrow results of far-apart addends: the significand of the sum is wide.
        ("bf16", "bf16", "e5m2"),
        ("fp32", "bf16", "e8m0"),
        ("fp64", "fp64", "e8m1"),
        ("fp32", "fp32", "fp32"),
        ("fp64", "fp64", "fp64"),
        ("fp64", "fp32", "fp16"),
        ("fp64", "fp64", "int64"),
        ("posit8_0", "posit8_0", "quire56.12"),
        ("posit8_2", "posit8_2", "quire64.30"),
        ("posit8_1", "posit8_1", "posit16_1"),
        ("posit16_1", "posit16_1", "posit16_1"),
        ("posit16_2", "posit16_2", "posit32_2"),
        ("posit32_2", "posit32_2", "posit32_2"),
        ("posit8_0", "e4m3fn", "fp32"),
    ];
    for (a, b, c) in triples {
        let (a, b, c): (Format, Format, Format) = (a.parse().unwrap(), b.parse().unwrap(), c.parse().unwrap());
        for case in 0..cases {
            // One case in eight adds in one format and writes another.
            let to = if case % 8 == 7 { random.pick(&[a, b, Format::FP32, Format::E5M2]) } else { c };
            let (x, y) = (Operand::new(a, random.code(a)), Operand::new(b, random.code(b)));
            let z = addend(x, y, c, to, &mut random);
            let (policy, r) = (random.policy(), random.next());
            let (Some(ex), Some(ey), Some(ez)) = (finite(x, policy.subnormals), finite(y, policy.subnormals), finite(z, policy.subnormals))
            else {
                continue;
            };
            let product = ex.multiply(ey);
            if let (Format::Fixed(f) | Format::Quire(f), Overflow::Ieee | Overflow::Infinity) = (to, policy.overflow)
                && [product, ez].iter().any(|x| !x.is_zero() && x.magnitude_exponent() + f.fraction_bits >= 93)
            {
                // Wrapping is promised for addends below 2^93 units in the last place.
                beyond_promise += 1;
                continue;
            }
            let sum = product.add(ez, policy.rounding.cancels_to_negative_zero());
            let theirs = encode(to, sum, policy, r);
            let ours = oracle::fma(x, y, z, to, policy, r);
            assert!(ours == theirs, "{x:x?} * {y:x?} + {z:x?} -> {to} {policy:?} R={r:#x}: golden {ours:x?}, isa {theirs:x?}");
            checked += 1;
            for (bit, count) in raised.iter_mut().enumerate() {
                *count += u32::from(ours.1.0 >> bit & 1);
            }
        }
    }
    eprintln!("fma of {} mixtures of formats: {checked} results", triples.len());
    // Most cases are finite, few are left out, and each exception shows.
    assert!(beyond_promise < cases, "{beyond_promise}");
    let all = triples.len() as u32 * cases;
    assert!(checked > all / 10 * 6, "{checked} of {all}");
    assert!(raised[..3].iter().all(|&count| count > checked / 100), "{raised:?} of {checked}");
}

#[test]
fn mixed_formats() {
    mixed(20_000);
}

/// 7 minutes on one core.
#[test]
#[ignore = "long"]
fn mixed_formats_long() {
    mixed(3_000_000);
}
