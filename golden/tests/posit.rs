//! isa's posits against golden's: every code, and every side of every rounding decision.
//!
//! The long version: `cargo test -p systole-golden --test posit -- --ignored`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this test compares the two")]

mod support;

use support::{OVERFLOWS, Random, magnitude, value};
use systole_golden::round::{Placed, round};
use systole_golden::value::power_of_two;
use systole_golden::{Rational, Value};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format, PositFormat};
use systole_isa::round::{Flags, Overflow, Policy, Rounding, encode, encode_decoded};

/// Every posit format of up to `bits` bits.
fn small(bits: u32) -> impl Iterator<Item = PositFormat> {
    (3..=bits).flat_map(|width| (0..=3).map(move |exponent_bits| PositFormat { width, exponent_bits }))
}

fn of(posit: PositFormat, code: u64) -> Exact {
    match Format::Posit(posit).decode(code) {
        Decoded::Finite(x) => x,
        other => panic!("{posit:?} {code:#x} is {other:?}"),
    }
}

#[test]
fn every_code() {
    for posit in small(14) {
        let format = Format::Posit(posit);
        for code in 0..1 << posit.width {
            assert_eq!(value(format.decode(code)), Value::of(format, code), "{format} {code:#x}");
        }
    }
}

/// Figures of the literature, and golden's reading of them.
#[test]
fn published_values() {
    // name, code, numerator, exponent
    for (name, code, numerator, exponent) in [
        // Gustafson and Yonemoto 2017, figure 5: 0 0001 101 11011101.
        ("posit16_3", 0b0000_1101_1101_1101, 477, -27),
        // maxpos is 2^((n-2) 2^es), minpos its reciprocal.
        ("posit8_0", 0x7f, 1, 6),
        ("posit8_1", 0x7f, 1, 12),
        ("posit8_2", 0x7f, 1, 24),
        ("posit16_1", 0x7fff, 1, 28),
        ("posit32_2", 0x7fff_ffff, 1, 120),
        ("posit32_2", 0x0000_0001, 1, -120),
        ("posit16_2", 0xffff, -1, -56),
        // One is a quarter of the circle, and two's complement negates.
        ("posit8_0", 0x40, 1, 0),
        ("posit8_2", 0xc0, -1, 0),
        ("posit8_0", 0x50, 3, -1),
        ("posit8_0", 0x60, 1, 1),
        ("posit8_1", 0x50, 1, 1),
        ("posit8_2", 0x50, 1, 2),
        ("posit8_2", 0x7e, 1, 20),
    ] {
        let expected = Value::finite(Rational::from(dashu_int::IBig::from(numerator)) * power_of_two(exponent));
        assert_eq!(Value::of(name.parse().unwrap(), code), expected, "{name} {code:#x}");
    }
}

fn modes() -> impl Iterator<Item = (Rounding, u64)> {
    let stochastic = [1, 4, 9, 32].into_iter().flat_map(|bits| {
        let last = u64::MAX >> (64 - bits);
        let step = (last / 15).max(1);
        (0..=last).step_by(step as usize).chain([last]).map(move |r| (Rounding::Sr(bits), r))
    });
    Rounding::DETERMINISTIC.into_iter().map(|r| (r, 0)).chain(stochastic)
}

/// Both signs of `x` in every mode. Returns how many.
fn check(posit: PositFormat, x: Exact) -> u64 {
    let format = Format::Posit(posit);
    let placed = Placed::new(format, &magnitude(x));
    let mut checked = 0;
    for (i, (rounding, r)) in modes().enumerate() {
        for x in [x, x.negate()] {
            let policy = Policy::new(rounding).overflow(OVERFLOWS[i % 4]);
            let (ours, theirs) = (placed.round(x.negative, policy, r), encode(format, x, policy, r));
            assert!(ours == theirs, "{format} {x:?} {rounding} R={r:#x}: golden {ours:x?}, isa {theirs:x?}");
            checked += 1;
        }
    }
    checked
}

/// `x` and its next neighbours in a much finer grid.
fn around(x: Exact) -> [Exact; 3] {
    let fine = 60;
    let significand = x.significand << fine;
    [significand - 1, significand, significand + 1].map(|significand| Exact { significand, exponent: x.exponent - fine, ..x })
}

/// Everything that can matter between `code` and the next: the posits of up to `longer`
/// more bits in between, each with its neighbourhood, and the arithmetic mean.
fn gap(posit: PositFormat, code: u64, longer: u32) -> u64 {
    let mut checked = 0;
    if posit.width + longer <= 32 {
        let finer = PositFormat { width: posit.width + longer, ..posit };
        for j in 0..1 << longer {
            for x in around(of(finer, code << longer | j)) {
                checked += check(posit, x);
            }
        }
    }
    let (low, high) = (of(posit, code), of(posit, code + 1));
    let exponent = low.exponent.min(high.exponent) - 1;
    let scaled = |x: Exact| x.significand << (x.exponent - exponent - 1);
    if (low.exponent - exponent).max(high.exponent - exponent) < 60 {
        checked += check(posit, Exact { negative: false, significand: scaled(low) + scaled(high), exponent });
    }
    checked
}

fn every_gap(bits: u32, longer: u32) {
    let mut checked = 0;
    for posit in small(bits) {
        let largest = (1 << (posit.width - 1)) - 1;
        for code in 1..largest {
            checked += gap(posit, code, longer);
        }
        // Beyond both ends, zero, and the ends themselves.
        let (least, most) = (of(posit, 1), of(posit, largest));
        for x in around(least).into_iter().chain(around(most)) {
            for scale in [0, -1, 1, 8, -8, -3000, 3000] {
                checked += check(posit, x.scale(scale));
            }
        }
        checked += check(posit, Exact::zero(false)) + check(posit, Exact::zero(true));
    }
    eprintln!("posits of up to {bits} bits: {checked} roundings");
}

#[test]
fn every_gap_of_small_posits() {
    every_gap(8, 2);
}

/// Ten seconds on one core.
#[test]
#[ignore = "long"]
fn every_gap_of_small_posits_long() {
    every_gap(10, 5);
}

fn sampled_gaps(count: u32) {
    let mut random = Random(20);
    let mut checked = 0;
    for (width, exponent_bits) in [(16, 1), (16, 2), (32, 2), (32, 0), (31, 3), (24, 1)] {
        let posit = PositFormat { width, exponent_bits };
        let largest = (1u64 << (width - 1)) - 1;
        for _ in 0..count {
            let code = (random.code(Format::Posit(posit)) & largest).clamp(1, largest - 1);
            checked += gap(posit, code, 3);
            // Anywhere within the gap, and finer than 32 bits can say.
            let (low, high) = (of(posit, code), of(posit, code + 1));
            let exponent = low.exponent.min(high.exponent);
            let (low, high) = (low.significand << (low.exponent - exponent), high.significand << (high.exponent - exponent));
            let noise = u128::from(random.next()) % ((high - low) << 40);
            let within = (low << 40) + random.pick(&[noise, ((high - low) << 39) - 1, (high - low) << 39, ((high - low) << 39) + 1]);
            checked += check(posit, Exact { negative: false, significand: within, exponent: exponent - 40 });
        }
    }
    eprintln!("sampled gaps of wide posits: {checked} roundings");
}

#[test]
fn sampled_gaps_of_wide_posits() {
    sampled_gaps(150);
}

/// A minute on one core.
#[test]
#[ignore = "long"]
fn sampled_gaps_of_wide_posits_long() {
    sampled_gaps(40_000);
}

/// What has no neighbours, and golden against the rules as published.
#[test]
fn rules() {
    let posit8: Format = "posit8_0".parse().unwrap();
    let posit8_2: Format = "posit8_2".parse().unwrap();
    let number = |numerator: i64, exponent: i64| Value::finite(Rational::from(dashu_int::IBig::from(numerator)) * power_of_two(exponent));
    let over = Flags::OVERFLOW | Flags::INEXACT;
    let under = Flags::UNDERFLOW | Flags::INEXACT;
    let (rne, rtz) = (Rounding::Rne, Rounding::Rtz);
    for (format, value, rounding, overflow, expected) in [
        (posit8, Value::Nan, rne, Overflow::Ieee, (0x80, Flags::NONE)),
        (posit8, Value::Infinite { negative: true }, rne, Overflow::Ieee, (0x80, Flags::NONE)),
        (posit8, Value::Infinite { negative: true }, rne, Overflow::Infinity, (0x80, Flags::NONE)),
        (posit8, Value::Infinite { negative: false }, rne, Overflow::Propagate, (0x80, Flags::NONE)),
        (posit8, Value::Infinite { negative: true }, rne, Overflow::Saturate, (0x81, Flags::NONE)),
        (posit8, Value::Infinite { negative: false }, rne, Overflow::Saturate, (0x7f, Flags::NONE)),
        (posit8, Value::zero(true), rne, Overflow::Ieee, (0x00, Flags::NONE)),
        // Neither 0 nor NaR, however far off.
        (posit8, number(1, -900), rtz, Overflow::Ieee, (0x01, under)),
        (posit8, number(-1, -900), rne, Overflow::Ieee, (0xff, under)),
        (posit8, number(65, 0), rtz, Overflow::Ieee, (0x7f, over)),
        (posit8, number(-1, 900), Rounding::Rdn, Overflow::Infinity, (0x81, over)),
        (posit8, number(64, 0), rne, Overflow::Ieee, (0x7f, Flags::NONE)),
        // Between 1 and 1 + 2^-5 the middle is 1 + 2^-6, and 1 is even.
        (posit8, number(65, -6), rne, Overflow::Ieee, (0x40, Flags::INEXACT)),
        (posit8, number(65, -6), Rounding::Rmm, Overflow::Ieee, (0x41, Flags::INEXACT)),
        (posit8, number(-65, -6), Rounding::Rmm, Overflow::Ieee, (0xbf, Flags::INEXACT)),
        (posit8, number(67, -6), rne, Overflow::Ieee, (0x42, Flags::INEXACT)),
        // 2^20 and 2^24, 0x7e and 0x7f of posit<8,2>: both exponent bits are cut off, and
        // the middle is the posit of nine bits between, 2^22, not 17 2^19.
        (posit8_2, number(1, 22), rne, Overflow::Ieee, (0x7e, Flags::INEXACT)),
        (posit8_2, number((1 << 22) + 1, 0), rne, Overflow::Ieee, (0x7f, Flags::INEXACT)),
        (posit8_2, number(1, 22), Rounding::Rmm, Overflow::Ieee, (0x7f, Flags::INEXACT)),
        (posit8_2, number(3, 21), Rounding::Rod, Overflow::Ieee, (0x7f, Flags::INEXACT)),
    ] {
        let policy = Policy::new(rounding).overflow(overflow);
        assert_eq!(round(format, &value, policy, 0), expected, "{format} {value} {rounding} {overflow:?}");
        if let Value::Nan | Value::Infinite { .. } = value {
            let decoded = match value {
                Value::Infinite { negative } => Decoded::Infinite { negative },
                _ => Decoded::Nan,
            };
            assert_eq!(encode_decoded(format, decoded, policy, 0), expected, "{format} {value} {overflow:?}");
        }
    }
    // Stochastic: between 2^20 and 2^24 nu is the exponent's two bits, then the fraction.
    let policy = Policy::new(Rounding::Sr(4));
    for (value, away) in [(number(1, 20), 0), (number(1, 21), 4), (number(1, 22), 8), (number(3, 21), 10), (number(1, 23), 12)] {
        let count = (0..16).filter(|&r| round(posit8_2, &value, policy, r).0 == 0x7f).count();
        assert_eq!(count, away, "{value}");
    }
}

/// Quires: two's complement whose most negative code is NaR.
#[test]
fn quires() {
    let quire: Format = "quire8.2".parse().unwrap();
    let number = |numerator: i64| Value::finite(Rational::from(dashu_int::IBig::from(numerator)) * power_of_two(-3));
    let (wrap, saturate) = (Overflow::Ieee, Overflow::Saturate);
    for (value, overflow, expected) in [
        (Value::Nan, wrap, (0x80, Flags::NONE)),
        (Value::Infinite { negative: false }, saturate, (0x80, Flags::NONE)),
        (Value::zero(true), wrap, (0x00, Flags::NONE)),
        (number(254), wrap, (0x7f, Flags::NONE)),
        (number(-254), wrap, (0x81, Flags::NONE)),
        (number(-256), wrap, (0x80, Flags::OVERFLOW)),
        (number(-256), saturate, (0x81, Flags::OVERFLOW)),
        (number(-255), saturate, (0x81, Flags::OVERFLOW | Flags::INEXACT)),
        (number(255), Overflow::Propagate, (0x7f, Flags::OVERFLOW | Flags::INEXACT)),
        (number(256), wrap, (0x80, Flags::OVERFLOW)),
        (number(258), Overflow::Infinity, (0x81, Flags::OVERFLOW)),
        (number(-258), wrap, (0x7f, Flags::OVERFLOW)),
    ] {
        let policy = Policy::RNE.overflow(overflow);
        assert_eq!(round(quire, &value, policy, 0), expected, "{value} {overflow:?}");
        let decoded = match &value {
            Value::Nan => Decoded::Nan,
            Value::Infinite { negative } => Decoded::Infinite { negative: *negative },
            Value::Finite { negative, magnitude } => {
                let eighths = (magnitude * power_of_two(3)).floor().try_into().unwrap();
                Decoded::Finite(Exact { negative: *negative, significand: eighths, exponent: -3 })
            }
        };
        assert_eq!(encode_decoded(quire, decoded, policy, 0), expected, "{value} {overflow:?}");
    }
}
