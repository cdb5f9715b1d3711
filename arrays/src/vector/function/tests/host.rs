//! Against the host's mathematical library, taken as an interval: one-sided evidence, since
//! it says nothing where the interval leaves a choice; those arguments are counted.

use super::*;
use systole_isa::exact::Exact;
use systole_isa::format::Decoded;
use systole_isa::round::{Rounding, encode};

/// The host library's function, where it has one.
fn host(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Exp => f64::exp,
        Function::Exp2 => f64::exp2,
        Function::Log => f64::ln,
        Function::Log2 => f64::log2,
        Function::Tanh => f64::tanh,
        // 1 + exp(-x) loses nothing to cancellation.
        Function::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Function::Reciprocal => f64::recip,
        Function::Rsqrt => |x| 1.0 / x.sqrt(),
        Function::Sqrt => f64::sqrt,
        Function::Erf => return None,
    })
}

/// The code and flags where the host's value, give or take 2^-49 of itself, leaves no choice.
fn host_code(function: fn(f64) -> f64, x: f64, output: Format, policy: Policy) -> Option<(u64, Flags)> {
    let y = function(x);
    let ends = if y == f64::INFINITY {
        [1000, 10_000].map(|exponent| Exact { negative: false, significand: 3, exponent })
    } else if y.abs() < 1e-290 {
        // Where binary64 loses precision only exp and sigmoid get, and they are positive.
        [-10_000, -960].map(|exponent| Exact { negative: false, significand: 3, exponent })
    } else {
        let margin = y * 2f64.powi(-49);
        [y - margin, y + margin].map(|end| Exact::from_f64(end).unwrap())
    };
    let [low, high] = ends.map(|end| encode(output, end, policy, 0));
    (low == high).then_some(low)
}

/// Compares with the host over `codes`; returns how many were compared and how many left open.
fn against_host(function: Function, input: Format, output: Format, policy: Policy, codes: impl Iterator<Item = u64>) -> (u64, u64) {
    let library = host(function).unwrap();
    let (mut decided, mut open) = (0, 0);
    for code in codes {
        let Decoded::Finite(x) = input.decode(code) else {
            continue;
        };
        let x = x.to_f64();
        if x == 0.0 || library(x).is_nan() {
            continue;
        }
        match host_code(library, x, output, policy) {
            Some(expected) => {
                decided += 1;
                let got = value(function, input, output, code, policy);
                if got.1 == Flags::NONE && output.to_f64(got.0) == library(x) {
                    // Exact, which an interval cannot show.
                    continue;
                }
                assert_eq!(got, expected, "{function}({x:e}) from {input} to {output}, {}", policy.rounding);
            }
            None => open += 1,
        }
    }
    (decided, open)
}

/// Functions the host library can check.
fn checked_by_host() -> impl Iterator<Item = Function> {
    Function::ALL.into_iter().filter(|f| host(*f).is_some())
}

#[test]
fn every_sixteen_bit_code_agrees_with_the_host() {
    for function in checked_by_host() {
        // Negative arguments of the last three are checked by the table of special values.
        let half = matches!(function, Function::Log | Function::Log2 | Function::Sqrt | Function::Rsqrt);
        for (input, output) in [(FP16, FP16), (BF16, BF16), (FP16, FP32), (BF16, format("e4m3fn"))] {
            for rounding in [Rounding::Rne, Rounding::Rdn, Rounding::Rod] {
                let (decided, open) = against_host(function, input, output, Policy::new(rounding), 0..1 << 16);
                let codes = (65_534 - 2 * (1 << if input == FP16 { 10 } else { 7 })) / if half { 2 } else { 1 };
                assert!(decided + open >= codes, "{function} {input}: {decided} and {open} open");
                // Other modes stay open where the host's value is exact or saturates.
                if rounding == Rounding::Rne {
                    assert!(open * 20 < codes, "{function} {input}: {decided}, {open} open");
                } else {
                    assert!(decided * 12 > codes, "{function} {input}: {decided}, {open} open");
                }
            }
        }
    }
}

#[test]
fn random_binary32_codes_agree_with_the_host() {
    for function in checked_by_host() {
        let mut random = Random(7);
        for rounding in Rounding::DETERMINISTIC {
            // Magnitudes from 2^-9 to 8, where no value is within half a unit of 1 or of x.
            let codes = (0..100_000).map(|_| random.next() & 0x807f_ffff | (118 + random.below(12)) << 23);
            let (decided, open) = against_host(function, FP32, FP32, Policy::new(rounding), codes);
            assert!(decided > 45_000 && open * 2000 < decided, "{function} {rounding}: {decided}, {open} open");
        }
        let codes = (0..100_000).map(|_| random.next());
        let (decided, open) = against_host(function, FP32, FP32, Policy::RNE, codes);
        assert!(decided > 45_000 && open * 20 < decided, "{function}: {decided}, {open} open");
    }
}

/// Many more binary32 codes than the suite has time for: run with `--ignored`.
#[test]
#[ignore = "a sweep of ten seconds and more"]
fn millions_of_binary32_codes_agree_with_the_host() {
    for function in checked_by_host() {
        let mut random = Random(11);
        let codes = (0..5_000_000).map(|_| random.next());
        let (decided, open) = against_host(function, FP32, FP32, Policy::RNE, codes);
        println!("{function}: {decided} equal, {open} open");
        assert!(open * 20 < decided);
    }
}

#[test]
fn stochastic_rounding_counts_the_fraction() {
    let output = format("e4m3fn");
    let mut checked = 0;
    for function in checked_by_host() {
        let library = host(function).unwrap();
        let stochastic = Evaluator::new(function, FP16, output, Policy::new(Rounding::Sr(8))).unwrap();
        for code in (0..1 << 16).step_by(37) {
            let x = FP16.to_f64(code);
            let y = library(x);
            if !x.is_finite() || !(2f64.powi(-6)..256.0).contains(&y.abs()) {
                continue;
            }
            let quantum = 2f64.powi(y.abs().log2().floor() as i32 - 3);
            let scaled = (y.abs() / quantum).fract() * 256.0;
            if (scaled - scaled.round()).abs() < 1e-9 {
                continue;
            }
            let low = stochastic.evaluate(code, 0).0;
            let away = (0..256).filter(|&r| stochastic.evaluate(code, r).0 != low).count();
            assert_eq!(away, scaled as usize, "{function}({x:e})");
            checked += 1;
        }
    }
    assert!(checked > 5000, "{checked}");
}
