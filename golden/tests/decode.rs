//! isa's reading of codes against golden's, code by code.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this test compares the two")]

mod support;

use support::{Random, formats, value};
use systole_golden::Value;
use systole_isa::format::{Format, NAMED};
use systole_isa::round::{SubnormalPolicy, decode_with};

/// Every legal float of at most `bits` bits under the name grammar's four conventions.
fn small_floats(bits: u32) -> Vec<Format> {
    let mut all = Vec::new();
    for exponent in 1..bits {
        for mantissa in 0..bits - exponent {
            for suffix in ["", "fn", "fnuz", "f"] {
                for bias in ["", "b0", "b-3", "b40"] {
                    all.extend(format!("e{exponent}m{mantissa}{bias}{suffix}").parse::<Format>());
                }
            }
        }
    }
    for k in 3..=bits {
        for p in 1..k {
            all.extend(formats(&format!("p3109_k{k}p{p}se p3109_k{k}p{p}sf")));
        }
    }
    all
}

#[test]
fn every_code_of_small_formats() {
    let mut checked = 0;
    for format in small_floats(8)
        .into_iter()
        .chain(NAMED.iter().map(|n| n.format))
        .chain(formats("int8 int2 fx8.4 fx8.-3 fx7.20 int16 fx16.9 quire8.3 quire2.0 quire16.20"))
    {
        if format.bits() > 16 {
            continue;
        }
        for code in 0..1 << format.bits() {
            for subnormals in [SubnormalPolicy::Gradual, SubnormalPolicy::Daz] {
                let ours = Value::of_operand(format, code, subnormals);
                assert_eq!(value(decode_with(format, code, subnormals)), ours, "{format} {code:#x} {subnormals:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 400_000, "{checked}");
}

#[test]
fn sampled_codes_of_wide_formats() {
    let mut random = Random(1);
    for format in formats(
        "fp32 fp64 tf32 e8m13 e11m3 e1m52 e11m52b-1023f int32 int64 fx46.18 fx64.1100 fx64.-1023 quire64.40 quire63.-2 posit32_2 posit32_0 posit31_3 posit17_1",
    ) {
        for _ in 0..20_000 {
            let code = random.code(format);
            assert_eq!(value(format.decode(code)), Value::of(format, code), "{format} {code:#x}");
        }
    }
}

/// NaN, infinity and zero by the shared helpers, and by their meaning.
#[test]
fn special_codes() {
    for format in small_floats(8).into_iter().chain(NAMED.iter().map(|n| n.format)) {
        if let Some(code) = format.canonical_nan() {
            assert_eq!(Value::of(format, code), Value::Nan, "{format}");
        }
        for negative in [false, true] {
            if let Some(code) = format.infinity(negative) {
                assert_eq!(Value::of(format, code), Value::Infinite { negative }, "{format}");
            }
            if !matches!(Value::of(format, format.zero(negative)), Value::Finite { magnitude, .. } if magnitude.is_zero()) {
                assert_eq!(format.to_string(), "e8m0");
            }
        }
        let nans = (0..1 << format.bits().min(16)).filter(|&code| Value::of(format, code) == Value::Nan).count();
        assert!(format.bits() > 16 || (nans > 0) == format.canonical_nan().is_some(), "{format}: {nans} NaNs");
    }
}
