//! Values at the edges of domains: of the lanes, of the accumulator, of products.

use super::super::{KernelChoice, gemm};
use super::{ROUNDINGS, Ran, aligned, format, mode, setup};
use crate::datapath::Output;
use crate::problem::{Setup, Shape};
use crate::testing::{self, Pattern, Problem};
use systole_isa::codes::Codes;
use systole_isa::design::{Addend, Aligned, MacMode, Product, Truncation, Unit};
use systole_isa::format::Format;
use systole_isa::round::{NoInfinity, Overflow, Rounding, Tininess, encode_f64};

/// Without subnormals, multiples of the quantum below the smallest number are rounded.
#[test]
fn sums_below_every_number_of_the_accumulator() {
    let shape = Shape { m: 3, n: 5, k: 6 };
    let mut ran = Ran::default();
    for (bias_a, rounding) in (20..60).flat_map(|bias| [Rounding::Rne, Rounding::Rup, Rounding::Sr(13)].map(|rounding| (bias, rounding))) {
        let mode = MacMode { rounding, chunk: Some(3), outer: Some(format("e6m5")), ..mode("e4m3fn", "int8", "dlfloat16") };
        ran.check_large(&Problem {
            scales: [None, None],
            mask: None,
            a: Codes::from_fn(Format::E4M3FN, 18, |i| [0x38, 0xb8, 0x3c][i % 3]),
            b: Codes::from_fn(Format::INT8, 30, |i| [1, 0xff, 2, 0][i % 4]),
            c: None,
            setup: Setup { bias_a, ..setup(mode) },
            shape,
        });
    }
}

/// The exponent of a subnormal accumulator is the smallest normal number's; cutting off downward
/// makes sums larger.
#[test]
fn aligned_sums_at_both_ends_of_the_accumulator() {
    let shape = Shape { m: 16, n: 24, k: 12 };
    let mut ran = Ran::default();
    for (accumulator, fraction_bits, term_truncation) in ["e2m5f", "e3m4f", "fp16", "e4m7"]
        .into_iter()
        .flat_map(|accumulator| [2, 5, 13].map(|bits| (accumulator, bits)))
        .flat_map(|(accumulator, bits)| [Truncation::Floor, Truncation::TowardZero].map(|truncation| (accumulator, bits, truncation)))
    {
        let unit = aligned(fraction_bits, term_truncation, Some(-126), None);
        for (b, saturate) in [("e2m1f", false), ("e2m1f", true), ("e4m3fn", true)] {
            let overflow = if saturate { Overflow::Saturate } else { Overflow::Ieee };
            let mode = MacMode { unit, lanes: 4, rounding: Rounding::Rtz, overflow, ..mode("e2m1f", b, accumulator) };
            let codes = |format: Format, count: u32, step: u64| {
                Codes::from_fn(format, count as usize, |i| (i as u64 * step) & format.mask() & 0x87)
            };
            ran.check_large(&Problem {
                scales: [None, None],
                mask: None,
                a: codes(mode.a, shape.m * shape.k, 0),
                b: codes(mode.b, shape.k * shape.n, 5),
                c: Some(Codes::from_fn(mode.accumulator, (shape.m * shape.n) as usize, |i| (i as u64 * 7) & mode.accumulator.mask())),
                setup: setup(mode.clone()),
                shape,
            });
            ran.check_large(&Problem {
                scales: [None, None],
                mask: None,
                a: codes(mode.a, shape.m * shape.k, 3),
                b: codes(mode.b, shape.k * shape.n, 5),
                c: None,
                setup: setup(mode),
                shape,
            });
        }
    }
}

/// Sums that no rounding touches, far outside the range of binary32.
#[test]
fn exact_sums_outside_binary32() {
    let mut ran = Ran::default();
    for (accumulator, bias) in [("e10m30", 60), ("e10m30", -80), ("e9m20", 75), ("fx1200.560", 80), ("fx1200.560", -90)] {
        let setup = Setup { bias_b: bias, ..setup(mode("e8m1", "e8m2", accumulator)) };
        let setup = Setup { output: Output { format: format("e10m30"), ..setup.output }, ..setup };
        // Powers of two around one that the bias moves beyond binary32, downward or upward.
        let around = if bias > 0 { -45.0 } else { 20.0 };
        let codes = |format: Format, count: usize| {
            Codes::from_fn(format, count, |i| encode_f64(format, 2f64.powf(around + (i % 3) as f64) * [1.0, -1.0][i % 5 % 2]))
        };
        let (a, b) = (codes(setup.mode.a, 13 * 9), codes(setup.mode.b, 9 * 40));
        let problem = Problem { a, b, c: None, scales: [None, None], mask: None, setup, shape: Shape { m: 13, n: 40, k: 9 } };
        ran.check_large(&problem);
    }
    println!("MACs by kernel: {:?}", ran.0);
    ran.assert_ran(&["fma64", "integer"]);
}

/// Products that vanish in binary32 before their own rounding counts the underflow.
#[test]
fn products_below_binary32() {
    let shape = Shape { m: 2, n: 3, k: 4 };
    let mut ran = Ran::default();
    for (bias, product) in (0..9).flat_map(|i| ["e5m2", "e6m5", "fp16"].map(|product| (8 * i, product))) {
        let mode = MacMode { product: Product::Rounded(format(product)), ..mode("bf16", "e4m3fn", "e6m9") };
        ran.check_large(&Problem {
            scales: [None, None],
            mask: None,
            a: Codes::from_fn(Format::BF16, 8, |i| [1, 0x80, 0x3f80, 0x8003][i % 4]),
            b: Codes::from_fn(Format::E4M3FN, 12, |i| [1, 0x81, 0x38, 0x7e, 0][i % 5]),
            c: None,
            setup: Setup { bias_a: bias, ..setup(mode) },
            shape,
        });
    }
}

/// A product format that holds every product costs nothing; one that does not is seen.
#[test]
fn products_that_their_format_holds_are_not_rounded() {
    let shape = Shape { m: 9, n: 21, k: 33 };
    let mut ran = Ran::default();
    for (largest, product, rounded) in
        [(0x77, "fp16", false), (0x7e, "fp16", true), (0x77, "e5m6", true), (0x77, "e4m10", true), (0x77, "e5m10fnuz", true)]
    {
        let mode = MacMode { product: Product::Rounded(format(product)), ..mode("e4m3fn", "e4m3fn", "e6m9") };
        let codes = |seed: usize, count: u32| {
            Codes::from_fn(Format::E4M3FN, count as usize, |i| {
                let drawn = (i * 2_654_435_761 + seed) >> 7;
                if i == 5 { largest } else { (drawn as u64 & 0x80) | (drawn as u64 & 0x7f).min(0x60) }
            })
        };
        let problem = Problem {
            scales: [None, None],
            mask: None,
            a: codes(1, shape.m * shape.k),
            b: codes(2, shape.k * shape.n),
            c: None,
            setup: setup(mode),
            shape,
        };
        ran.check_large(&problem);
        let (_, used) = gemm(&problem.setup, shape, &problem.operands(), KernelChoice::Portable);
        assert_eq!(used.reason.contains("products are rounded"), rounded, "{product} up to {largest:#x}: {used:?}");
    }
}

/// Products of 48 bits: exact in no lane of binary32.
#[test]
fn wide_products_are_rounded_once() {
    let unit = Unit::Aligned(Aligned {
        fraction_bits: 10,
        term_truncation: Truncation::TowardZero,
        addend: Addend::Together,
        groups: 1,
        sum_truncation: Truncation::TowardZero,
        zero_exponent: None,
        infinite_from: None,
        negative_zero: false,
    });
    let chain = mode("fp32", "fp32", "fp32");
    let aligned = MacMode { unit, lanes: 4, rounding: Rounding::Rtz, ..chain.clone() };
    let mut ran = Ran::default();
    for mode in [chain, aligned] {
        let (m, n, k) = (48, 64, 40);
        let value = |i: usize| {
            f32::from_bits(0x3f00_0000 + (i as u32).wrapping_mul(2_654_435_761) % 0x0180_0000)
                * if i.is_multiple_of(3) { -1.0 } else { 1.0 }
        };
        ran.check_large(&Problem {
            scales: [None, None],
            mask: None,
            setup: setup(mode),
            shape: Shape { m, n, k },
            a: Codes::from_fn(Format::FP32, (m * k) as usize, |i| value(i * 7 + 1).to_bits().into()),
            b: Codes::from_fn(Format::FP32, (k * n) as usize, |i| value(i * 7 + 2).to_bits().into()),
            c: None,
        });
    }
    assert!(!ran.0.contains_key("fma32/portable"), "{:?}", ran.0);
}

/// Sums wider than binary64: an addend far below a tie, or below the last bit, decides.
#[test]
fn far_addends_break_ties() {
    for accumulator in ["e8m13", "e8m20", "fp32"] {
        for rounding in ROUNDINGS {
            let mode = MacMode { rounding, ..mode("bf16", "bf16", accumulator) };
            // (1 + 2^-7)^2 is a tie of e8m13.
            let (near, far) = (1.0 + 2f64.powi(-7), 2f64.powi(-30));
            let columns = [[far, near], [-far, near], [far, -near], [-far, -near], [0.0, near], [far, 1.0], [-far, 1.0], [-far, -1.0]];
            let value = |x| encode_f64(mode.a, x);
            let problem = Problem {
                scales: [None, None],
                mask: None,
                shape: Shape { m: 2, n: 8, k: 2 },
                a: Codes::from_fn(mode.a, 4, |i| value([far, near, -far, near][i])),
                b: Codes::from_fn(mode.b, 16, |i| value(columns[i % 8][i / 8])),
                c: None,
                setup: setup(mode.clone()),
            };
            Ran::default().check_large(&problem);
            if accumulator == "e8m13" && rounding == Rounding::Rne {
                let (values, _) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Auto);
                let row: Vec<f64> = (0..5).map(|i| mode.accumulator.to_f64(values.d.get(i)) * 8192.0).collect();
                assert_eq!(row, [8321.0, 8320.0, -8320.0, -8321.0, 8320.0]);
            }
        }
    }
}

/// Sums that binary32 would round to the smallest normal value, or beyond its own range.
#[test]
fn binary32_carries_neither_hidden_underflow_nor_its_own_overflow() {
    let before = MacMode { tininess: Tininess::Before, ..mode("bf16", "e5m2", "fp16") };
    let smallest = 2f64.powi(-14);
    // (a, b) pairs in order of k: the smallest normal value less a little, then far overflow.
    let chains =
        [[(smallest, 1.0), (-(2f64.powi(-50)), 1.0)], [(-smallest, 1.0), (2f64.powi(-48), 1.5)], [(2f64.powi(125), 32768.0), (1.0, 1.0)]];
    for tininess in [Tininess::Before, Tininess::After] {
        for chain in chains {
            let mode = MacMode { tininess, ..before.clone() };
            let problem = Problem {
                scales: [None, None],
                mask: None,
                shape: Shape { m: 1, n: 1, k: 2 },
                a: Codes::from_fn(mode.a, 2, |i| encode_f64(mode.a, chain[i].0)),
                b: Codes::from_fn(mode.b, 2, |i| encode_f64(mode.b, chain[i].1)),
                c: None,
                setup: setup(mode),
            };
            let (values, _) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Scalar);
            let flagged = values.activity.accumulator_overflows + values.activity.accumulator_underflows;
            assert_eq!(flagged, u64::from(tininess == Tininess::Before || chain[0].0 > 1.0));
            Ran::default().check_large(&problem);
        }
    }
}

/// Sums that saturate get bits their addends never had, which the next level rounds.
#[test]
fn saturated_sums_have_a_last_bit_of_their_own() {
    for (accumulator, outer) in
        [("fx24.6", "int32"), ("fx12.5", "int16"), ("int16", "e6m5"), ("fp16", "e8m3"), ("e4m3fn", "e5m2"), ("fx24.6", "fx12.-6")]
    {
        for overflow in [Overflow::Saturate, Overflow::Ieee] {
            let mode = MacMode { overflow, chunk: Some(2), outer: Some(format(outer)), ..mode("int8", "e4m3fn", accumulator) };
            let (m, n, k) = (9, 18, 6);
            let problem = Problem {
                scales: [None, None],
                mask: None,
                shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
                a: testing::codes(mode.a, m * k, Pattern::Uniform, 1),
                b: testing::codes(mode.b, k * n, Pattern::Moderate, 2),
                c: None,
                setup: Setup { bias_b: -9, ..setup(mode) },
            };
            Ran::default().check_large(&problem);
        }
    }
}

/// Infinite operands among small ones: what saturates, is NaN or stays infinite stays so.
#[test]
fn infinite_operands_under_every_policy() {
    let (m, n, k) = (13, 21, 24);
    for accumulator in ["fp32", "bf16", "tf32", "e6m9", "fp16", "e6m9f", "e4m3fn"] {
        for (overflow, no_infinity) in
            [(Overflow::Ieee, NoInfinity::Nan), (Overflow::Ieee, NoInfinity::Max), (Overflow::Saturate, NoInfinity::Nan)]
        {
            for (chunk, outer) in [(None, None), (Some(5), None), (Some(5), Some("fp32"))] {
                let mode = MacMode { overflow, no_infinity, chunk, outer: outer.map(format), ..mode("e5m2", "e4m3fn", accumulator) };
                let mut a = testing::codes(mode.a, m * k, Pattern::Moderate, 1);
                for (at, negative) in [(5, false), (19, true), (3 * k + 2, false), (3 * k + 3, false), (7 * k + 20, true)] {
                    a.set(at, mode.a.infinity(negative).unwrap());
                }
                let b = testing::codes(mode.b, k * n, Pattern::Moderate, 2);
                let problem = Problem {
                    scales: [None, None],
                    mask: None,
                    setup: setup(mode),
                    shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
                    a,
                    b,
                    c: None,
                };
                Ran::default().check_large(&problem);
            }
        }
    }
}

/// One NaN and one infinity leave the other rows and columns to the kernels.
#[test]
fn specials_touch_only_their_own_tiles() {
    for (accumulator, slow_tiles) in [("fp32", 0), ("e6m9", 0), ("int32", 8 + 11 - 1)] {
        let mode = mode("e5m2", "e5m2", accumulator);
        let (m, n, k) = (48, 64, 40);
        let mut a = testing::codes(mode.a, m * k, Pattern::Moderate, 1);
        let mut b = testing::codes(mode.b, k * n, Pattern::Moderate, 2);
        a.set(3 * k + 7, mode.a.canonical_nan().unwrap());
        b.set(9 * n + 50, mode.b.infinity(true).unwrap());
        let problem = Problem {
            scales: [None, None],
            mask: None,
            setup: setup(mode),
            shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
            a,
            b,
            c: None,
        };
        Ran::default().check_large(&problem);
        let (_, used) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Auto);
        assert!(used.name != "scalar", "{used:?}");
        assert_eq!(used.reason.contains("tiles by the definition"), slow_tiles > 0, "{used:?}");
    }
}
