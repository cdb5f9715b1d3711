//! All codes of a format onto what matters of another.

use super::{ROUNDINGS, Ran, format, mode, setup};
use crate::datapath::Output;
use crate::problem::{Setup, Shape};
use crate::testing::{self, Pattern, Problem};
use systole_isa::codes::Codes;
use systole_isa::design::MacMode;
use systole_isa::format::Format;
use systole_isa::round::{NoInfinity, Overflow, Policy, Rounding, Tininess, encode_f64};

/// Codes around everything that happens in a format: zeros, the subnormal quantum, the
/// smallest normal value, the range's end, specials, and one in the middle.
fn corners(format: Format) -> Vec<u64> {
    let mut codes = vec![format.zero(false), format.zero(true), encode_f64(format, 1.0), encode_f64(format, -1.75)];
    if let Format::Float(f) = format {
        let smallest_normal = 1u64 << f.mantissa_bits;
        let max = f.max_finite_magnitude();
        let magnitudes = [1, 2, 3, smallest_normal - 1, smallest_normal, smallest_normal + 1, max - 1, max, smallest_normal * 3 - 1];
        codes.extend(magnitudes.iter().flat_map(|&m| [m, m | f.sign_code()]));
        codes.extend(format.canonical_nan());
        codes.extend([false, true].iter().filter_map(|&n| format.infinity(n)));
    } else {
        codes.extend([format.max_finite(false), format.max_finite(true)]);
    }
    codes
}

/// Every product of two 8-bit codes onto every corner of the accumulator.
#[test]
fn all_products_onto_corner_accumulators() {
    let mut ran = Ran::default();
    let (ieee, saturate) = (Overflow::Ieee, Overflow::Saturate);
    let cases: &[(&str, &str, Rounding, Overflow, i32)] = &[
        ("e4m3fn", "fp32", Rounding::Rne, ieee, 0),
        ("e5m2", "fp32", Rounding::Rne, ieee, 0),
        ("e4m3fn", "e6m9", Rounding::Rne, ieee, 0),
        ("e5m2", "e6m9", Rounding::Rne, ieee, 0),
        ("e4m3fn", "e6m9", Rounding::Rne, saturate, 20),
        ("e4m3fn", "fp16", Rounding::Rne, ieee, 3),
        ("e5m2", "fp16", Rounding::Rne, saturate, -6),
        ("e4m3fn", "bf16", Rounding::Rne, ieee, 0),
        ("e5m2", "fp16", Rounding::Rup, ieee, 3),
        ("e4m3fn", "e6m5", Rounding::Rne, ieee, 12),
        ("e4m3fn", "e5m6", Rounding::Sr(8), saturate, 6),
        ("e4m3fn", "int16", Rounding::Rne, ieee, 0),
        ("e4m3fn", "dlfloat16", Rounding::Rne, ieee, 15),
        ("e4m3fn", "dlfloat16", Rounding::Rmm, saturate, 15),
        ("e5m2", "dlfloat16", Rounding::Rup, ieee, 0),
        ("e5m2", "dlfloat16", Rounding::Rod, ieee, 2),
        ("e5m2", "dlfloat16", Rounding::Sr(8), ieee, 1),
    ];
    let every = Codes::from_fn(Format::INT8, 256, |i| i as u64);
    for &(operand, accumulator, rounding, overflow, bias) in cases {
        let mode = MacMode { rounding, overflow, ..mode(operand, operand, accumulator) };
        let outermost = mode.outermost();
        let setup = Setup { bias_a: bias, ..setup(mode) };
        for corner in corners(outermost) {
            ran.check_large(&Problem {
                scales: [None, None],
                mask: None,
                setup: setup.clone(),
                shape: Shape { m: 256, n: 256, k: 1 },
                a: every.clone(),
                b: every.clone(),
                c: Some(Codes::from_fn(outermost, 1 << 16, |_| corner)),
            });
        }
    }
    ran.assert_ran(&["fma32", "carrier32", "carrier64", "integer"]);
}

/// Every accumulator code plus products over all exponents that matter, whose last bits make
/// and miss ties.
#[test]
fn all_accumulator_codes() {
    let mut ran = Ran::default();
    for (accumulator, operand, lowest, highest) in
        [("e6m9", "e8m7", -52, 36), ("fp16", "e8m7", -38, 20), ("bf16", "e8m5", -30, 90), ("dlfloat16", "e8m7", -49, 34)]
    {
        let mode = mode("e2m1f", operand, accumulator);
        let outermost = mode.outermost();
        let one = encode_f64(mode.a, 1.0);
        let significands = [1.0, 1.9921875, 1.5, 1.0078125, 1.9921875, 1.2578125, 1.34375];
        let products: Vec<f64> = (lowest..=highest)
            .step_by(2)
            .zip(0..)
            .map(|(e, i)| significands[i % 7] * 2f64.powi(e) * if i % 3 == 0 { -1.0 } else { 1.0 })
            .collect();
        // Tiles with these codes and products are proved: no specials, no -0, nothing near
        // overflow, no bits below the subnormal quantum.
        let limit = outermost.to_f64(outermost.max_finite(false)).min(2f64.powi(80)) / 8.0;
        let finest = outermost.as_float().map_or(0, |f| f.min_quantum_exponent()) + 7;
        let tame = |code: u64| outermost.to_f64(code).abs() <= limit && code != outermost.zero(true);
        for proved in [false, true] {
            let chosen: Vec<f64> =
                products.iter().copied().filter(|p| !proved || (p.abs() >= 2f64.powi(finest) && p.abs() <= limit)).collect();
            let (rows, n) = (1 << 16, chosen.len());
            let code = |i: u64| if !proved || tame(i) { i } else { outermost.zero(false) };
            ran.check_large(&Problem {
                scales: [None, None],
                mask: None,
                shape: Shape { m: rows as u32, n: n as u32, k: 1 },
                a: Codes::from_fn(mode.a, rows, |_| one),
                b: Codes::from_fn(mode.b, n, |i| encode_f64(mode.b, chosen[i])),
                c: Some(Codes::from_fn(outermost, rows * n, |i| code((i / n) as u64))),
                setup: setup(mode.clone()),
            });
        }
    }
    ran.assert_ran(&["carrier32"]);
}

/// Binary32 sums through the drain to every kind of format, in every mode.
#[test]
fn conversions_at_the_drain() {
    let mode = mode("e4m3fn", "e4m3fn", "fp32");
    let (m, n) = (64, 61);
    let mut ran = Ran::default();
    let targets = [
        "e4m3fn",
        "e5m2",
        "e4m3",
        "e4m3fnuz",
        "e4m3b11fnuz",
        "p3109_k8p4se",
        "fp16",
        "bf16",
        "e6m9",
        "e8m13",
        "e2m1f",
        "dlfloat16",
        "int8",
        "fp64",
        "e8m0",
    ];
    for target in targets.map(format) {
        for rounding in ROUNDINGS {
            for overflow in [Overflow::Ieee, Overflow::Saturate] {
                for (tininess, no_infinity) in [(Tininess::After, NoInfinity::Nan), (Tininess::Before, NoInfinity::Max)] {
                    let policy = Policy { tininess, no_infinity, ..Policy::new(rounding).overflow(overflow) };
                    // Around ties and ends: codes of the target, stretched by half, quarter and tiny steps.
                    let c = testing::codes(Format::FP32, m * n, Pattern::Uniform, 3);
                    let near = |i: usize| {
                        let draw = c.get(i);
                        let value = match target.to_f64(draw & target.mask()) {
                            0.0 => target.to_f64(1).abs().min(1.0) / 2.0,
                            value => value,
                        };
                        if draw >> 28 == 0 || !value.is_finite() {
                            return draw;
                        }
                        let step = [0.0, 2f64.powi(-9), 2f64.powi(-4), 2f64.powi(-5), 2f64.powi(-4) + 2f64.powi(-21), 2f64.powi(-12)];
                        encode_f64(Format::FP32, value * (1.0 + step[(draw as usize >> 20) % 6]))
                    };
                    ran.check_large(&Problem {
                        scales: [None, None],
                        mask: None,
                        setup: Setup { output: Output { format: target, policy }, ..setup(mode.clone()) },
                        shape: Shape { m: m as u32, n: n as u32, k: 1 },
                        a: Codes::zeros(mode.a, m),
                        b: Codes::zeros(mode.b, n),
                        c: Some(Codes::from_fn(Format::FP32, m * n, near)),
                    });
                }
            }
        }
    }
}
