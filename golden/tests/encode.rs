//! isa's rounding against golden's: codes and exceptions, every mode and policy.
//!
//! The long version: `cargo test -p systole-golden --test encode -- --ignored`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this test compares the two")]

mod support;

use support::{OVERFLOWS, Random, formats, magnitude, value};
use systole_golden::oracle::{self, Operand};
use systole_golden::round::{Placed, round};
use systole_golden::value::power_of_two;
use systole_golden::{Rational, Value};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format};
use systole_isa::round::{Flags, NanCode, NoInfinity, Policy, Rounding, SubnormalPolicy, Tininess, convert, encode, encode_decoded};

const NARROW: &str = "e4m3fn e5m2 e4m3 e3m4 e4m3fnuz e5m2fnuz e4m3b11fnuz e2m5b2f e4m3b8f p3109_k8p3se p3109_k8p4sf
    p3109_k8p1se p3109_k8p7se e8m0 e2m1f e2m3f e3m2f e3m2 e2m3fn e1m2 e1m4f e5m0fnuz e5m0f int8 int4 fx8.4 fx6.-3
    posit8_0 posit8_2 posit6_1 posit3_3 quire8.3";
const WIDE: &str = "fp16 bf16 tf32 fp32 fp64 e6m9 e6m9f e6m9fn dlfloat16 e8m13 e11m3 e1m52 e11m0f e4m3b-1023 e4m3b2047fnuz
    int16 int32 int64 fx46.18 fx12.1100 fx64.-1023 posit16_1 posit32_2 posit31_3 posit32_0 quire64.30 quire33.-5";

/// Six deterministic modes, and sr4 with each of its sixteen random numbers.
fn roundings() -> impl Iterator<Item = (Rounding, u64)> {
    Rounding::DETERMINISTIC.into_iter().map(|r| (r, 0)).chain((0..16).map(|r| (Rounding::Sr(4), r)))
}

fn check(format: Format, placed: &Placed, x: Exact, policy: Policy, random: u64) {
    let ours = placed.round(x.negative, policy, random);
    let theirs = encode(format, x, policy, random);
    assert!(ours == theirs, "{format} {x:?} {policy:?} R={random:#x}: golden {ours:x?}, isa {theirs:x?}");
}

/// Both signs of every number of 16-bit formats in each mode, the other policies drawn anew
/// for each number; specials too.
fn convert_all(from: &str, to: &str) {
    let mut random = Random(2);
    for from in formats(from) {
        let targets = formats(to);
        for code in 0..1 << (from.bits() - 1) {
            let x = match from.decode(code) {
                Decoded::Finite(x) => x,
                other => {
                    for negative in [false, true] {
                        let code = code | u64::from(negative) << (from.bits() - 1);
                        for &to in &targets {
                            let policy = random.policy();
                            let (got, flags) = convert(from, to, code, policy, 0);
                            assert_eq!((got, flags), oracle::convert(Operand::new(from, code), to, policy, 0), "{other:?} {to} {policy:?}");
                        }
                    }
                    continue;
                }
            };
            for &to in &targets {
                let placed = Placed::new(to, &magnitude(x));
                let drawn = random.policy();
                for x in [x, x.negate()] {
                    for (rounding, r) in roundings() {
                        check(to, &placed, x, Policy { rounding, ..drawn }, r);
                    }
                }
            }
        }
    }
}

#[test]
fn every_fp16_into_narrow_formats() {
    convert_all("fp16", "e4m3fn e5m2 e4m3b11fnuz p3109_k8p4sf p3109_k8p1se e2m3f e3m2 e1m2 int8 fx6.-3");
}

#[test]
fn every_bf16_into_narrow_formats() {
    convert_all("bf16", "e4m3fn e5m2 e3m4 e5m2fnuz e8m0 e5m0f fx8.4");
}

#[test]
fn every_e6m9_into_narrow_formats() {
    convert_all("e6m9", "e4m3fn e5m2 e4m3 e4m3fnuz p3109_k8p3se e2m5b2f dlfloat16");
}

/// Every narrow code to every narrow format, specials included, in every policy.
#[test]
fn narrow_to_narrow_in_every_policy() {
    for from in formats("e4m3fn e5m2 e4m3fnuz p3109_k6p3se e3m2 e8m0 int4 fx6.-3 posit6_1 quire6.2") {
        for to in formats("e4m3fn e5m2 e3m2f e3m2 p3109_k5p2se e8m0 dlfloat16 int4 posit5_1 quire5.1") {
            for code in 0..1 << from.bits() {
                for (rounding, r) in roundings() {
                    for (overflow, nan) in OVERFLOWS.into_iter().zip([NanCode::Canonical, NanCode::AllOnes].into_iter().cycle()) {
                        for no_infinity in [NoInfinity::Nan, NoInfinity::Max] {
                            for subnormals in
                                [SubnormalPolicy::Gradual, SubnormalPolicy::Daz, SubnormalPolicy::Ftz, SubnormalPolicy::DazFtz]
                            {
                                for tininess in [Tininess::After, Tininess::Before] {
                                    if r != 0 && r != 9 {
                                        continue;
                                    }
                                    let policy = Policy { rounding, overflow, no_infinity, subnormals, tininess, nan };
                                    let ours = oracle::convert(Operand::new(from, code), to, policy, r);
                                    let theirs = convert(from, to, code, policy, r);
                                    assert!(ours == theirs, "{from} {code:#x} -> {to} {policy:?} R={r}: golden {ours:x?}, isa {theirs:x?}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A number near a number of `format` or near the middle of a gap, sometimes far outside.
fn near(format: Format, random: &mut Random) -> Exact {
    let code = random.code(format);
    let Decoded::Finite(base) = format.decode(code) else {
        // Beyond the largest number: the reserved binade, and far up.
        let Decoded::Finite(top) = format.decode(format.max_finite(false)) else { unreachable!() };
        let scale = random.pick(&[0, 1, 2, 9, 900]);
        let wide = top.significand << 20 | u128::from(random.next() & 0xf_ffff);
        return Exact { negative: random.below(2) == 1, significand: wide, exponent: top.exponent - 20 + scale };
    };
    let room = base.significand.leading_zeros().min(127);
    let shift = 1 + random.below(u64::from(room.min(90))) as u32;
    let last = (1u128 << shift) - 1;
    let noise = u128::from(random.next()) << 64 | u128::from(random.next());
    let offset = random.pick(&[0, 1, (last >> 1).saturating_sub(1), last >> 1, (last >> 1) + 1, last, noise & last]);
    let jump = random.pick(&[0, 0, 0, 0, 0, 0, -1, 1, -60, -3000, 70]);
    Exact { negative: base.negative, significand: (base.significand << shift) + offset, exponent: base.exponent - shift as i32 + jump }
}

fn corners(rounds: u32) {
    let mut random = Random(3);
    let all = [formats(NARROW), formats(WIDE)].concat();
    eprintln!("corners of {} formats: {} results", all.len(), all.len() as u64 * u64::from(rounds) * 12);
    for format in all {
        for _ in 0..rounds {
            let x = near(format, &mut random);
            let placed = Placed::new(format, &magnitude(x));
            for _ in 0..6 {
                let (policy, r) = (random.policy(), random.next());
                check(format, &placed, x, policy, r);
                check(format, &placed, x.negate(), policy, r);
            }
        }
    }
}

#[test]
fn corners_of_every_format() {
    corners(6_000);
}

/// 4 minutes on one core.
#[test]
#[ignore = "long"]
fn corners_of_every_format_long() {
    corners(1_000_000);
}

/// Random binary32 and binary64 numbers, specials included.
#[test]
fn host_floats() {
    let mut random = Random(4);
    for format in formats(NARROW).into_iter().chain(formats(WIDE)) {
        for _ in 0..3_000 {
            let bits = random.code(Format::FP64);
            let near_one = (0x3ff0 + random.below(64) - 32) << 48 | random.next() >> 16;
            let single = f64::from(f32::from_bits(random.next() as u32)).to_bits();
            for bits in [bits, near_one, single] {
                let (policy, r) = (random.policy(), random.next());
                let decoded = Decoded::from_f64(f64::from_bits(bits));
                let theirs = encode_decoded(format, decoded, policy, r);
                assert_eq!(round(format, &value(decoded), policy, r), theirs, "{format} {bits:#x} {policy:?} R={r:#x}");
            }
        }
    }
}

/// What the comparison cannot show: golden itself against figures from the specifications.
#[test]
fn golden_against_the_specifications() {
    let nan = 0x7f;
    let number = |numerator: i64, exponent: i64| Value::finite(Rational::from(dashu_int::IBig::from(numerator)) * power_of_two(exponent));
    let [ieee, saturate, propagate, infinite] = OVERFLOWS;
    let over = Flags::OVERFLOW | Flags::INEXACT;
    let under = Flags::UNDERFLOW | Flags::INEXACT;
    for (format, value, rounding, overflow, expected) in [
        // OCP OFP8 section 5.2 with e4m3fn: 464 is half way to the first overflowing number.
        ("e4m3fn", number(464, 0), Rounding::Rne, ieee, (0x7e, Flags::INEXACT)),
        ("e4m3fn", number(465, 0), Rounding::Rne, ieee, (nan, over)),
        ("e4m3fn", number(464, 0), Rounding::Rmm, ieee, (nan, over)),
        ("e4m3fn", number(465, 0), Rounding::Rne, saturate, (0x7e, over)),
        ("e4m3fn", number(-100_000, 0), Rounding::Rtz, ieee, (0xfe, over)),
        ("e4m3fn", number(-449, 0), Rounding::Rdn, ieee, (nan, over)),
        ("e4m3fn", number(449, 0), Rounding::Rdn, ieee, (0x7e, Flags::INEXACT)),
        ("e4m3fn", number(480, 0), Rounding::Rdn, ieee, (0x7e, over)),
        ("e4m3fn", Value::Infinite { negative: true }, Rounding::Rne, ieee, (nan, Flags::NONE)),
        ("e4m3fn", Value::Infinite { negative: true }, Rounding::Rne, saturate, (0xfe, Flags::NONE)),
        // IEEE binary16: 65520 is the overflow threshold to nearest.
        ("fp16", number(65_519, 0), Rounding::Rne, ieee, (0x7bff, Flags::INEXACT)),
        ("fp16", number(65_520, 0), Rounding::Rne, ieee, (0x7c00, over)),
        ("fp16", number(65_520, 0), Rounding::Rod, ieee, (0x7bff, Flags::INEXACT)),
        ("fp16", number(-65_536, 0), Rounding::Rup, ieee, (0xfbff, over)),
        ("fp16", number(-65_536, 0), Rounding::Rdn, ieee, (0xfc00, over)),
        // The further policies: to infinity in any mode, or to the largest number but for infinities.
        ("fp16", number(65_536, 0), Rounding::Rtz, infinite, (0x7c00, over)),
        ("fp16", number(-65_536, 0), Rounding::Rup, infinite, (0xfc00, over)),
        ("fp16", number(65_535, 0), Rounding::Rtz, infinite, (0x7bff, Flags::INEXACT)),
        ("fp16", number(65_536, 0), Rounding::Rne, propagate, (0x7bff, over)),
        ("fp16", Value::Infinite { negative: true }, Rounding::Rne, propagate, (0xfc00, Flags::NONE)),
        ("fp16", Value::Infinite { negative: true }, Rounding::Rne, saturate, (0xfbff, Flags::NONE)),
        ("e4m3fn", number(480, 0), Rounding::Rtz, infinite, (nan, over)),
        ("e4m3fn", number(480, 0), Rounding::Rne, propagate, (0x7e, over)),
        ("e4m3fn", Value::Infinite { negative: true }, Rounding::Rne, propagate, (nan, Flags::NONE)),
        ("p3109_k8p4se", number(1000, 0), Rounding::Rne, propagate, (0x7e, over)),
        ("p3109_k8p4se", Value::Infinite { negative: false }, Rounding::Rne, propagate, (0x7f, Flags::NONE)),
        ("p3109_k8p4sf", Value::Infinite { negative: false }, Rounding::Rne, propagate, (0x80, Flags::NONE)),
        ("int8", number(300, 0), Rounding::Rne, infinite, (300 - 256, Flags::OVERFLOW)),
        ("int8", number(300, 0), Rounding::Rne, propagate, (127, Flags::OVERFLOW)),
        // Half the smallest subnormal: a tie with zero.
        ("fp16", number(1, -25), Rounding::Rne, ieee, (0x0000, under)),
        ("fp16", number(3, -26), Rounding::Rne, ieee, (0x0001, under)),
        ("fp16", number(-1, -25), Rounding::Rmm, ieee, (0x8001, under)),
        ("fp16", number(-1, -200), Rounding::Rup, ieee, (0x8000, under)),
        ("fp16", number(1, -200), Rounding::Rod, ieee, (0x0001, under)),
        // 2^-14 - 2^-26 rounds to the smallest normal even with eleven bits: not tiny after
        // rounding. 2^-14 - 2^-25 is a number of eleven bits itself: tiny.
        ("fp16", number(4095, -26), Rounding::Rne, ieee, (0x0400, Flags::INEXACT)),
        ("fp16", number(2047, -25), Rounding::Rne, ieee, (0x0400, under)),
        ("fp16", number(1023, -24), Rounding::Rne, ieee, (0x03ff, Flags::NONE)),
        // fnuz keeps no sign of zero.
        ("e4m3fnuz", number(-1, -40), Rounding::Rne, ieee, (0x00, under)),
        ("e4m3fnuz", Value::zero(true), Rounding::Rne, ieee, (0x00, Flags::NONE)),
        // e2m1f: neither infinity nor NaN.
        ("e2m1f", number(7, 0), Rounding::Rne, ieee, (0x7, over)),
        ("e2m1f", number(-5, 0), Rounding::Rne, ieee, (0xe, Flags::INEXACT)),
        ("e2m1f", Value::Nan, Rounding::Rne, ieee, (0x7, Flags::INVALID)),
        // Powers of two: ties go to the even exponent field.
        ("e8m0", number(3, 0), Rounding::Rne, ieee, (128, Flags::INEXACT)),
        ("e8m0", number(3, 1), Rounding::Rne, ieee, (130, Flags::INEXACT)),
        ("e8m0", number(1, -130), Rounding::Rne, ieee, (0, under)),
        ("e8m0", number(-1, 0), Rounding::Rne, ieee, (0xff, Flags::INVALID)),
        // Two's complement.
        ("int8", number(300, 0), Rounding::Rne, ieee, (300 - 256, Flags::OVERFLOW)),
        ("int8", number(300, 0), Rounding::Rne, saturate, (127, Flags::OVERFLOW)),
        ("int8", number(-257, -1), Rounding::Rne, ieee, (0x80, Flags::INEXACT)),
        ("int8", number(-257, -1), Rounding::Rmm, saturate, (0x80, over)),
        ("int8", number(-257, -1), Rounding::Rdn, ieee, (0x7f, over)),
        ("int8", number(-5, -1), Rounding::Rtz, ieee, (0xfe, Flags::INEXACT)),
    ] {
        let format: Format = format.parse().unwrap();
        let policy = Policy::new(rounding).overflow(overflow);
        assert_eq!(round(format, &value, policy, 0), expected, "{format} {value:?} {rounding} {overflow:?}");
    }
}

/// The two codes of NaN results.
#[test]
fn nan_codes() {
    for (format, canonical, all_ones) in [
        ("fp16", 0x7e00, 0x7fff),
        ("fp32", 0x7fc0_0000, 0x7fff_ffff),
        ("e8m13", 0x1f_f000, 0x1f_ffff),
        ("e5m2", 0x7e, 0x7f),
        ("e4m3fn", 0x7f, 0x7f),
        ("e4m3fnuz", 0x80, 0x80),
        ("p3109_k8p3se", 0x80, 0x80),
        ("dlfloat16", 0x7fff, 0x7fff),
        ("posit8_2", 0x80, 0x80),
    ] {
        let format: Format = format.parse().unwrap();
        for (nan, expected) in [(NanCode::Canonical, canonical), (NanCode::AllOnes, all_ones)] {
            let policy = Policy { nan, ..Policy::RNE };
            assert_eq!(round(format, &Value::Nan, policy, 0), (expected, Flags::NONE), "{format} {nan:?}");
            assert_eq!(encode_decoded(format, Decoded::Nan, policy, 0), (expected, Flags::NONE), "{format} {nan:?}");
        }
    }
}

/// Conversion into two's complement far out of range: the low bits are those of the integer.
#[test]
fn wrapping_far_out_of_range() {
    let format = Format::Fixed(FixedFormat { width: 16, fraction_bits: 4 });
    for (significand, exponent, expected) in
        [(0xdead_beef_u128, -4, 0xbeef), (0xdead_beef, 0, 0xeef0), (0xdead_beef, 12, 0), ((1 << 100) | 0x35, -5, 0x1b)]
    {
        for (negative, expected) in [(false, expected), (true, (0x1_0000 - expected) & 0xffff)] {
            let x = Exact { negative, significand, exponent };
            let flags = if exponent == -5 { Flags::OVERFLOW | Flags::INEXACT } else { Flags::OVERFLOW };
            let policy = Policy::new(Rounding::Rmm);
            assert_eq!(encode(format, x, policy, 0), (expected, flags), "{x:?}");
            assert_eq!(round(format, &value(Decoded::Finite(x)), policy, 0), (expected, flags), "{x:?}");
        }
    }
}
