//! Against values computed with mpmath at 400 digits' worth of bits and more, rounded once.

use super::*;

/// x and log2 x as bits of binary64.
const LOG2: &[(u64, u64)] = &[
    (0x4008000000000000, 0x3ff95c01a39fbd68),
    (0x3fb999999999999a, 0xc00a934f0979a371),
    (0x3ff0000000000001, 0x3cb71547652b82fd),
    (0x3fefffffffffffff, 0xbca71547652b82fe),
    (0x0000000000000001, 0xc090c80000000000),
    (0x7fefffffffffffff, 0x4090000000000000),
    (0x0018000000000000, 0xc08feb51ff2e3021),
    (0x400921fb54442d18, 0x3ffa6c873498ddf7),
    (0x40f8800000000000, 0x40309d5d9fd5010b),
    (0x3ff6a09e667f3bcd, 0x3fe0000000000001),
    (0x401c000000000000, 0x400675767f54042d),
    (0x39b4484bfeebc2a0, 0xc058ea1a18e2093a),
];

/// p and 2^p as bits of binary64.
const EXP2: &[(u64, u64)] = &[
    (0x3fe0000000000000, 0x3ff6a09e667f3bcd),
    (0xbfe0000000000000, 0x3fe6a09e667f3bcd),
    (0x3bc79ca10c924223, 0x3ff0000000000000),
    (0xbbc79ca10c924223, 0x3ff0000000000000),
    (0x408fffffffffffff, 0x7feffffffffffd3a),
    (0xc090c60000000000, 0x0000000000000001),
    (0xc090cb999999999a, 0x0000000000000001),
    (0xc090cc0000000000, 0x0000000000000000),
    (0xc08ff26666666666, 0x000cfefc5e672a12),
    (0x400921fb54442d18, 0x4021a6637e666f83),
    (0x3fb999999999999a, 0x3ff125fbee250664),
    (0xc0309c28f5c28f5c, 0x3ee4f75f12e773e3),
    (0x0000000000000001, 0x3ff0000000000000),
];

#[test]
fn correctly_rounded() {
    for &(x, log) in LOG2 {
        assert_eq!(log2(f64::from_bits(x)).to_bits(), log, "{x:016x}");
    }
    for &(p, power) in EXP2 {
        assert_eq!(exp2(f64::from_bits(p)).to_bits(), power, "{p:016x}");
    }
}

#[test]
fn exact_cases_and_ends() {
    for n in -1074..=1023 {
        let power = exp2(f64::from(n));
        assert_eq!(power, binary64(&power_of_two(n.into())));
        assert_eq!(log2(power), f64::from(n));
    }
    assert_eq!((exp2(1024.0), exp2(1e300), exp2(f64::INFINITY)), (f64::INFINITY, f64::INFINITY, f64::INFINITY));
    assert_eq!((exp2(-1076.0), exp2(-1e300), exp2(f64::NEG_INFINITY)), (0.0, 0.0, 0.0));
    assert_eq!((power(0.0, 3.0), power(9.0, 0.5), power(2.0, 10.0)), (0.0, 3.0, 1024.0));
}

/// The host's functions are within a unit or two of the last place.
#[test]
fn near_the_hosts() {
    let mut random = super::super::testing::Random(10);
    for _ in 0..2000 {
        let x = random.uniform() + f64::MIN_POSITIVE;
        assert!((log2(x) - x.log2()).abs() <= 4e-16 * x.log2().abs());
        let p = 40.0 * random.uniform() - 20.0;
        assert!((exp2(p) - p.exp2()).abs() <= 1e-15 * p.exp2());
    }
}

/// Words and integers of any width give the same, near the numbers where words must pass too.
#[test]
fn words_agree_with_any_width() {
    // ln 2 in words is a part of the longer one.
    assert_eq!(ln2(USUAL_BITS) >> (USUAL_BITS - 63), UBig::from(words::LN2));
    let mut random = super::super::testing::Random(12);
    let (mut logs, mut powers) = (0, 0);
    for i in 0..3000 {
        let bits = (random.uniform() * 2f64.powi(24)) as u64 | ((random.uniform() * 2f64.powi(24)) as u64) << 24;
        let near = f64::from_bits(1f64.to_bits() ^ (bits >> (i % 48)));
        for x in [near, f64::from_bits((1023 + i % 200 - 100) << 52 | bits << 4), f64::from_bits((1 + i % 2045) << 52)] {
            logs += u32::from(words::log2(x).is_some());
            assert_eq!(log2(x).to_bits(), wide_log2(x).to_bits(), "{x:e}");
        }
        for p in [
            near,
            -near,
            near - 1.0,
            (random.uniform() - 0.5) * 2000.0,
            (random.uniform() - 0.5) * 2f64.powi(-(i as i32 % 80)),
            i as f64 / 3.0,
        ] {
            powers += u32::from(words::exp2(p).is_some());
            assert_eq!(exp2(p).to_bits(), wide_exp2(p).to_bits(), "{p:e}");
        }
    }
    // Most are answered by words.
    assert!(logs > 6000 && powers > 9000, "{logs} {powers}");
}
