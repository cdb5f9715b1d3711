use super::{KernelChoice, gemm};
use crate::datapath::Output;
use crate::problem::{Operands, Setup, Shape, Values, scale_extents};
use crate::testing::{self, Pattern, Problem};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use systole_isa::codes::Codes;
use systole_isa::design::{
    Addend, Aligned, ArraySpec, Convention, Dataflow, Drain, MacMode, PartialSums, Preload, Product, Scaling, Truncation, Unit,
};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{NanCode, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess, encode_f64};

const ARRAY: ArraySpec = ArraySpec {
    rows: 16,
    cols: 16,
    count: 1,
    clock_mhz: 1.0,
    dataflow: Dataflow::Os,
    convention: Convention::Rtl,
    drain: Drain::Overlap,
    preload: Preload::Double,
    partial_sums: PartialSums::Feedback,
};

const ROUNDINGS: [Rounding; 9] = [
    Rounding::Rne,
    Rounding::Rmm,
    Rounding::Rtz,
    Rounding::Rdn,
    Rounding::Rup,
    Rounding::Rod,
    Rounding::Sr(1),
    Rounding::Sr(8),
    Rounding::Sr(23),
];

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

fn mode(a: &str, b: &str, accumulator: &str) -> MacMode {
    MacMode::fused(format(a), format(b), format(accumulator))
}

/// Problems a test draws: PROPTEST_CASES where it is set.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(default, |cases| cases.parse().unwrap())
}

/// Results by kernel name, so that a test can tell which ran.
#[derive(Default)]
struct Ran(BTreeMap<&'static str, u64>);

impl Ran {
    fn check(&mut self, problem: &Problem, expected: &Values) {
        for choice in KernelChoice::available() {
            let (values, used) = gemm(&problem.setup, problem.shape, &problem.operands(), choice);
            *self.0.entry(used.name).or_default() += problem.shape.macs();
            if values != *expected {
                let n = problem.shape.n as usize;
                let at = (0..values.d.len()).find(|&i| values.d.get(i) != expected.d.get(i));
                let difference = at.map(|i| format!("d[{}][{}] is {:#x}, not {:#x}", i / n, i % n, values.d.get(i), expected.d.get(i)));
                panic!(
                    "{} differs: {difference:?}\n{:?}\n{:?}\n{} {:?} biases {} {} {:?}",
                    used.name,
                    values.activity,
                    expected.activity,
                    used.reason,
                    problem.setup.mode,
                    problem.setup.bias_a,
                    problem.setup.bias_b,
                    problem.shape,
                );
            }
        }
    }

    /// Against the definition, rows in parallel.
    fn check_large(&mut self, problem: &Problem) {
        let (expected, used) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Scalar);
        assert_eq!(used.name, "scalar");
        self.check(problem, &expected);
    }

    /// Every kernel named here must have run, with each set of instructions this machine has.
    fn assert_ran(&self, names: &[&str]) {
        for name in names {
            for set in KernelChoice::available().into_iter().filter(|&set| set != KernelChoice::Avx512Fp16) {
                let name = format!("{name}/{set}");
                assert!(self.0.contains_key(name.as_str()), "{name} never ran: {:?}", self.0);
            }
        }
    }
}

fn setup(mode: MacMode) -> Setup {
    let output = Output { format: mode.outermost(), policy: Policy::RNE };
    Setup { array: ARRAY, mode, bias_a: 0, bias_b: 0, output, site: Site { seed: 9, step: 2, instruction: 5, ..Site::default() } }
}

/// Random modes, arrays, shapes, biases and data, small.
#[test]
fn any_problem_by_every_kernel() {
    let mut runner = TestRunner::new(Config { cases: cases(4000), failure_persistence: None, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&testing::problem(), |problem| {
            let expected = problem.by_definition();
            let (values, _) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Scalar);
            assert_eq!(values, expected);
            ran.borrow_mut().check(&problem, &expected);
            Ok(())
        })
        .unwrap();
    ran.borrow().assert_ran(&["carrier64", "integer"]);
}

/// Modes inside the domains of the fast kernels, biases around the edges of their ranges.
fn inside() -> impl Strategy<Value = MacMode> {
    let operands = || select(&["e4m3fn", "e5m2", "e4m3fnuz", "int8", "e3m4", "bf16", "p3109_k8p4se"][..]);
    let accumulators = select(
        &[
            "e6m9",
            "fp16",
            "bf16",
            "dlfloat16",
            "e8m13",
            "e6m5",
            "fp32",
            "tf32",
            "e5m2",
            "e4m3fn",
            "e6m9f",
            "int16",
            "int32",
            "fx46.18",
            "fx24.6",
        ][..],
    );
    let outer = select(&[None, Some("fp32"), Some("e6m9"), Some("fp16"), Some("e8m13"), Some("int32")][..]);
    let product = prop_oneof![4 => Just(None), 1 => select(&["fp16", "e5m2", "e6m5", "fp32"][..]).prop_map(Some)];
    (
        (operands(), operands(), accumulators, outer, product),
        (
            prop_oneof![2 => Just(Rounding::Rne), 1 => select(&ROUNDINGS[..])],
            proptest::option::weighted(0.3, select(&ROUNDINGS[..])),
            select(&[Overflow::Ieee, Overflow::Saturate][..]),
        ),
        (select(&[NoInfinity::Nan, NoInfinity::Max][..]), select(&[Tininess::After, Tininess::Before][..])),
        prop_oneof![1 => Just(None), 2 => (1..40u32).prop_map(Some)],
    )
        .prop_map(|((a, b, accumulator, outer, product), (rounding, other, overflow), (no_infinity, tininess), chunk)| MacMode {
            rounding,
            outer_rounding: other.filter(|other| other.random_bits() == rounding.random_bits()),
            overflow,
            no_infinity,
            tininess,
            chunk,
            outer: outer.map(format),
            product: product.map_or(Product::Exact, |p| Product::Rounded(format(p))),
            ..mode(a, b, accumulator)
        })
}

/// Shapes with ragged edges in every kernel's tiles, sums long enough to stagnate and overflow.
fn large_problem(modes: impl Strategy<Value = MacMode>) -> impl Strategy<Value = Problem> {
    let side = prop_oneof![1 => 1..10u32, 2 => 10..70u32];
    let dataflow = select(&[Dataflow::Os, Dataflow::Ws, Dataflow::Is][..]);
    let partial_sums = select(&[PartialSums::Feedback, PartialSums::Outside][..]);
    let pattern = || {
        prop_oneof![
            3 => Just(Pattern::Moderate),
            2 => Just(Pattern::Cancelling),
            3 => Just(Pattern::Uniform),
            1 => select(&[Pattern::Specials, Pattern::Sparse][..])
        ]
    };
    let bias = || prop_oneof![2 => Just(0), 2 => -12..41i32];
    let output = select(&[None, None, Some("e4m3fn"), Some("e5m2"), Some("fp16"), Some("bf16"), Some("fp32")][..]);
    (
        modes,
        (side.clone(), side, prop_oneof![2 => 1..40u32, 1 => 40..300u32], 1..40u32),
        (dataflow, partial_sums, output, select(&ROUNDINGS[..]), any::<bool>()),
        (pattern(), pattern(), pattern()),
        (bias(), bias(), any::<bool>(), any::<u64>()),
    )
        .prop_map(
            |(mode, (m, n, k, rows), (dataflow, partial_sums, output, rounding, saturate), patterns, (bias_a, bias_b, has_c, seed))| {
                let overflow = if saturate { Overflow::Saturate } else { Overflow::Ieee };
                let itself = if mode.outermost().is_wide() { Format::FP32 } else { mode.outermost() };
                let output = Output { format: output.map_or(itself, format), policy: Policy::new(rounding).overflow(overflow) };
                let extents = scale_extents(&mode, Shape { m, n, k });
                // Moderate scales, and now and then any at all.
                let pattern = if seed >> 5 & 7 == 0 { Pattern::Uniform } else { Pattern::Moderate };
                let scales = [0, 1].map(|i| {
                    let wanted = mode.scale != Scaling::None && seed >> (8 + 2 * i) & 3 != 0;
                    let count = extents[i].0 as usize * extents[i].1 as usize;
                    wanted.then(|| testing::codes(mode.scale_format, count, pattern, seed ^ (3 + i as u64) << 32))
                });
                let addend = if mode.outermost().is_wide() { output.format } else { mode.outermost() };
                Problem {
                    scales,
                    a: testing::codes(mode.a, (m * k) as usize, patterns.0, seed),
                    b: testing::codes(mode.b, (k * n) as usize, patterns.1, seed ^ 1 << 32),
                    c: has_c.then(|| testing::codes(addend, (m * n) as usize, patterns.2, seed ^ 2 << 32)),
                    setup: Setup {
                        array: ArraySpec { rows, dataflow, partial_sums, ..ARRAY },
                        bias_a,
                        bias_b,
                        output,
                        site: Site { seed, step: 1, instruction: 2, ..Site::default() },
                        mode,
                    },
                    shape: Shape { m, n, k },
                }
            },
        )
}

/// Modes of exact blocks, block scales and wide accumulators inside the kernels' domains.
fn blocks_inside() -> impl Strategy<Value = MacMode> {
    let operands = || select(&["e4m3fn", "e5m2", "int8", "e2m1f", "e4m3fnuz", "posit8_0", "e3m4"][..]);
    let accumulators = select(
        &[
            "fp32",
            "fp32",
            "e6m9",
            "fp16",
            "bf16",
            "int32",
            "fx13.2",
            "fx33.16",
            "fx64.24",
            "fx96.40",
            "fx300.150",
            "fx1200.560",
            "fx4096.2000",
            "quire8_0",
            "dlfloat16",
        ][..],
    );
    let outer = select(&[None, Some("fp32"), Some("fp32"), Some("e6m9"), Some("fx96.40")][..]);
    let scale = select(&[Scaling::None, Scaling::None, Scaling::Exponent, Scaling::Chunk, Scaling::Chunk][..]);
    (
        (operands(), operands(), accumulators, outer),
        (select(&[Unit::Chain, Unit::Exact, Unit::Exact, Unit::ExactApart][..]), 1..30u32),
        (scale, select(&["e8m0", "e8m0", "e4m3fn", "bf16", "fp32"][..]), (1..5u32, 1..20u32)),
        (prop_oneof![2 => Just(Rounding::Rne), 1 => select(&ROUNDINGS[..])], select(&[Overflow::Ieee, Overflow::Saturate][..])),
        prop_oneof![1 => Just(None), 2 => (1..50u32).prop_map(Some)],
    )
        .prop_map(|((a, b, accumulator, outer), (unit, lanes), (scale, scale_format, sides), (rounding, overflow), chunk)| {
            let chunk = if scale == Scaling::None { chunk } else { chunk.or(Some(32)) };
            let lanes = if unit == Unit::Chain { 1 } else { lanes };
            MacMode {
                unit,
                lanes,
                rounding,
                overflow,
                scale,
                scale_format: if scale == Scaling::Exponent { Format::E8M0 } else { format(scale_format) },
                scale_rows: sides.0,
                scale_cols: sides.1,
                chunk: chunk.map(|chunk| chunk.div_ceil(lanes) * lanes),
                outer: outer.map(format),
                ..mode(a, b, accumulator)
            }
        })
}

/// Modes of units that align their terms, inside the kernels' domains and about their edges.
fn aligned_inside() -> impl Strategy<Value = MacMode> {
    let operands = || select(&["e4m3fn", "e4m3fn", "e5m2", "e4m3fnuz", "bf16", "fp16", "e3m4", "e2m1f"][..]);
    let accumulators = select(&["e8m13", "fp32", "fp32", "fp16", "bf16", "e6m9", "e8m22"][..]);
    let truncation = select(&[Truncation::TowardZero, Truncation::TowardZero, Truncation::Floor][..]);
    let rounding = prop_oneof![3 => Just(Rounding::Rtz), 1 => Just(Rounding::Rne), 1 => select(&ROUNDINGS[..])];
    let overflow = select(&[Overflow::Infinity, Overflow::Ieee, Overflow::Saturate][..]);
    let chunk = prop_oneof![2 => Just(None), 1 => (1..5u32).prop_map(Some)];
    (
        (operands(), operands(), accumulators),
        (prop_oneof![2 => 1..31u32, 2 => Just(13), 1 => Just(25)], truncation, select(&[Some(-126), Some(-126), None, Some(-20)][..])),
        (1..36u32, rounding, overflow, any::<bool>()),
        (
            chunk,
            select(&[None, Some("fp32")][..]),
            select(&[None, Some("e8m0"), Some("fp32")][..]),
            proptest::option::weighted(0.3, 0..40i32),
        ),
        proptest::option::weighted(0.3, select(&[Rounding::Rne, Rounding::Rtz, Rounding::Rup][..])),
    )
        .prop_map(
            |((a, b, accumulator), (fraction_bits, term_truncation, zero_exponent), (lanes, rounding, overflow, all_ones), rest, other)| {
                let (chunk, outer, scaled, infinite_from) = rest;
                let unit = Unit::Aligned(Aligned {
                    fraction_bits,
                    term_truncation,
                    addend: Addend::Together,
                    groups: 1,
                    sum_truncation: Truncation::TowardZero,
                    zero_exponent,
                    infinite_from,
                    negative_zero: infinite_from.is_some(),
                });
                MacMode {
                    unit,
                    lanes,
                    rounding,
                    overflow,
                    nan: if all_ones { NanCode::AllOnes } else { NanCode::Canonical },
                    chunk: chunk.map(|blocks| blocks * lanes),
                    outer: outer.map(format),
                    outer_rounding: other.filter(|other| other.random_bits() == rounding.random_bits()),
                    scale: if chunk.is_some() && scaled.is_some() { Scaling::Chunk } else { Scaling::None },
                    scale_format: format(scaled.unwrap_or("e8m0")),
                    ..mode(a, b, accumulator)
                }
            },
        )
}

#[test]
fn large_problems_of_aligned_units() {
    let mut runner = TestRunner::new(Config { cases: cases(600), failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&large_problem(aligned_inside()), |problem| {
            ran.borrow_mut().check_large(&problem);
            Ok(())
        })
        .unwrap();
    println!("MACs by kernel: {:?}", ran.borrow().0);
    ran.borrow().assert_ran(&["aligned32", "aligned64"]);
}

#[test]
fn large_problems_of_exact_blocks_scales_and_wide_sums() {
    let mut runner = TestRunner::new(Config { cases: cases(600), failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&large_problem(blocks_inside()), |problem| {
            ran.borrow_mut().check_large(&problem);
            Ok(())
        })
        .unwrap();
    println!("MACs by kernel: {:?}", ran.borrow().0);
    ran.borrow().assert_ran(&["blocks", "fma32", "carrier32", "integer"]);
}

#[test]
fn large_problems_inside_the_domains() {
    let mut runner = TestRunner::new(Config { cases: cases(450), failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&large_problem(inside()), |problem| {
            ran.borrow_mut().check_large(&problem);
            Ok(())
        })
        .unwrap();
    ran.borrow().assert_ran(&["fma32", "carrier32", "carrier64", "integer"]);
}

/// MACs each kernel is held to the definition for, with every set of instructions: STRESS_MACS
/// where it is set.
fn stress_macs() -> u64 {
    std::env::var("STRESS_MACS").map_or(16_000_000, |macs| macs.parse().unwrap())
}

/// Ties, cancellation, subnormals and overflow over-weighted, until every kernel has had its share.
#[test]
fn sixteen_million_macs_by_every_kernel() {
    let into = |accumulators: &'static [&'static str]| {
        (inside(), select(accumulators)).prop_map(|(mode, accumulator)| MacMode { accumulator: format(accumulator), ..mode })
    };
    let summed_by_the_host = into(&["fp32"]).prop_map(|mode| MacMode { rounding: Rounding::Rne, product: Product::Exact, ..mode });
    let problems: [(&str, BoxedStrategy<Problem>); 7] = [
        ("fma32", large_problem(summed_by_the_host).boxed()),
        ("carrier32", large_problem(inside()).boxed()),
        ("carrier64", large_problem(into(&["fp32", "tf32", "fx24.6", "fp16"])).boxed()),
        ("integer", large_problem(into(&["int32", "fx46.18", "fx24.6"])).boxed()),
        ("blocks", large_problem(blocks_inside()).boxed()),
        ("aligned32", large_problem(aligned_inside()).boxed()),
        ("aligned64", large_problem(aligned_inside()).boxed()),
    ];
    let mut ran = Ran::default();
    for (kernel, problems) in problems {
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        let sets: Vec<_> = KernelChoice::available().into_iter().filter(|&set| set != KernelChoice::Avx512Fp16).collect();
        let names: Vec<_> = sets.iter().map(|set| format!("{kernel}/{set}")).collect();
        let owed = |ran: &Ran| names.iter().any(|name| ran.0.get(name.as_str()).is_none_or(|&macs| macs < stress_macs()));
        for drawn in 0.. {
            if !owed(&ran) {
                break;
            }
            assert!(drawn < 20_000, "{names:?} hardly run: {:?}", ran.0);
            ran.check_large(&problems.new_tree(&mut runner).unwrap().current());
        }
    }
    println!("MACs by kernel: {:?}", ran.0);
}

/// Without subnormals, multiples of the quantum below the smallest number are rounded.
#[test]
fn sums_below_every_number_of_the_accumulator() {
    let shape = Shape { m: 3, n: 5, k: 6 };
    let mut ran = Ran::default();
    for (bias_a, rounding) in (20..60).flat_map(|bias| [Rounding::Rne, Rounding::Rup, Rounding::Sr(13)].map(|rounding| (bias, rounding))) {
        let mode = MacMode { rounding, chunk: Some(3), outer: Some(format("e6m5")), ..mode("e4m3fn", "int8", "dlfloat16") };
        ran.check_large(&Problem {
            scales: [None, None],
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
        let unit = Unit::Aligned(Aligned {
            fraction_bits,
            term_truncation,
            addend: Addend::Together,
            groups: 1,
            sum_truncation: Truncation::TowardZero,
            zero_exponent: Some(-126),
            infinite_from: None,
            negative_zero: false,
        });
        for (b, saturate) in [("e2m1f", false), ("e2m1f", true), ("e4m3fn", true)] {
            let overflow = if saturate { Overflow::Saturate } else { Overflow::Ieee };
            let mode = MacMode { unit, lanes: 4, rounding: Rounding::Rtz, overflow, ..mode("e2m1f", b, accumulator) };
            let codes = |format: Format, count: u32, step: u64| {
                Codes::from_fn(format, count as usize, |i| (i as u64 * step) & format.mask() & 0x87)
            };
            ran.check_large(&Problem {
                scales: [None, None],
                a: codes(mode.a, shape.m * shape.k, 0),
                b: codes(mode.b, shape.k * shape.n, 5),
                c: Some(Codes::from_fn(mode.accumulator, (shape.m * shape.n) as usize, |i| (i as u64 * 7) & mode.accumulator.mask())),
                setup: setup(mode.clone()),
                shape,
            });
            ran.check_large(&Problem {
                scales: [None, None],
                a: codes(mode.a, shape.m * shape.k, 3),
                b: codes(mode.b, shape.k * shape.n, 5),
                c: None,
                setup: setup(mode),
                shape,
            });
        }
    }
}

/// Sums times two scales of 24 bits, onto a start that nearly cancels them: bits below binary64's
/// last decide.
#[test]
fn scaled_sums_of_more_bits_than_a_double() {
    let mut ran = Ran::default();
    let mut draw = draws();
    for ((a, accumulator), (rounding, outer)) in [("e4m3fn", "fp32"), ("bf16", "e8m13"), ("int8", "e6m9")]
        .into_iter()
        .flat_map(|formats| ROUNDINGS.into_iter().flat_map(move |r| ["fp32", "e6m9", "fx46.18"].map(|outer| (formats, (r, outer)))))
    {
        let mode = MacMode {
            rounding,
            chunk: Some(2),
            outer: Some(format(outer)),
            scale: Scaling::Chunk,
            scale_format: Format::FP32,
            ..mode(a, "e4m3fn", accumulator)
        };
        let (m, n, k) = (24, 40, 6);
        let codes = |f: Format, count: usize, draw: &mut dyn FnMut() -> u64| {
            Codes::from_fn(f, count, |_| encode_f64(f, (draw() % 31) as f64 - 15.0))
        };
        let (a, b) = (codes(mode.a, m * k, &mut draw), codes(mode.b, k * n, &mut draw));
        // Full significands, a binade or two about 1; now and then a power of two, a zero or an infinity.
        let mut scales = |count: usize| {
            Codes::from_fn(Format::FP32, count, |_| match draw() % 40 {
                0 => 0x3f80_0000,
                1 => 0,
                2 if rounding == Rounding::Rtz => 0x7f80_0000,
                _ => 0x3f00_0000 + draw() % 0x0100_0000,
            })
        };
        let (scales_a, scales_b) = (scales(m * k / 2), scales(k / 2 * n));
        let value = |codes: &Codes, format: Format, i: usize| format.to_f64(codes.get(i));
        // What the last two chunks nearly cancel.
        let c = Codes::from_fn(format(outer), m * n, |i| {
            let (row, column) = (i / n, i % n);
            let chunk = |q: usize| -> f64 {
                let sum: f64 = (2 * q..2 * q + 2).map(|k_| value(&a, mode.a, row * k + k_) * value(&b, mode.b, k_ * n + column)).sum();
                sum * value(&scales_a, Format::FP32, row * k / 2 + q) * value(&scales_b, Format::FP32, q * n + column)
            };
            let wanted = -(0..1 + draw() as usize % 3).map(chunk).sum::<f64>();
            let code = encode_f64(format(outer), if wanted.is_finite() { wanted } else { 1.0 });
            code ^ u64::from(draw() % 3 == 0)
        });
        let problem = Problem {
            setup: setup(mode),
            shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
            a,
            b,
            c: Some(c),
            scales: [Some(scales_a), Some(scales_b)],
        };
        ran.check_large(&problem);
    }
    println!("MACs by kernel: {:?}", ran.0);
    ran.assert_ran(&["fma32", "carrier32"]);
}

/// Scaled sums one unit beside a tie and beside a number of the outer accumulator, that unit
/// below the last bit of a binary64.
#[test]
fn scaled_sums_beside_ties() {
    let mut ran = Ran::default();
    let mut draw = draws();
    let n = 64;
    for (rounding, size) in ROUNDINGS.into_iter().flat_map(|rounding| [53, 54].map(|size| (rounding, size))) {
        let quantum = 1u64 << (size - 23);
        // The row's scale, and of each column: the sum, its scale, and what they are added to.
        let row = 1 << 23 | draw() & 0x7f_ffff | 1;
        let columns: Vec<(u64, u64, f64)> = (0..n)
            .map(|i| {
                let beside = [quantum / 2 + 1, quantum / 2 - 1, 1, quantum - 1][i % 4];
                let (sum, scale) = std::iter::repeat_with(|| draw() & 0xffff | 0x8001)
                    .map(|sum| (sum, beside.wrapping_mul(inverse(sum * row)) % quantum))
                    .find(|&(_, scale)| (1 << 23..1 << 24).contains(&scale))
                    .unwrap();
                let product = u128::from(sum) * u128::from(row) * u128::from(scale);
                let start = -((product >> 40) as f64 * 2f64.powi(40)) + 1.25 * 2f64.powi(size);
                (sum, scale, if i % 3 == 0 { -start } else { start })
            })
            .collect();
        let mode = MacMode {
            rounding,
            chunk: Some(4),
            outer: Some(Format::FP32),
            scale: Scaling::Chunk,
            scale_format: Format::FP32,
            ..mode("bf16", "e4m3fn", "fp32")
        };
        let codes = |format: Format, values: &[f64]| Codes::from_fn(format, values.len(), |i| encode_f64(format, values[i]));
        let digits: Vec<f64> = [12, 8, 4, 0].into_iter().flat_map(|at| columns.iter().map(move |c| (c.0 >> at & 15) as f64)).collect();
        let unit = 2f64.powi(-23);
        let problem = Problem {
            a: codes(mode.a, &[4096.0, 256.0, 16.0, 1.0]),
            b: codes(mode.b, &digits),
            c: Some(codes(Format::FP32, &columns.iter().map(|c| c.2 * unit * unit).collect::<Vec<_>>())),
            scales: [
                Some(codes(Format::FP32, &[row as f64 * unit])),
                Some(codes(Format::FP32, &columns.iter().map(|c| c.1 as f64 * unit).collect::<Vec<_>>())),
            ],
            setup: setup(mode),
            shape: Shape { m: 1, n: n as u32, k: 4 },
        };
        ran.check_large(&problem);
    }
    ran.assert_ran(&["fma32"]);
}

/// Of an odd number modulo 2^64.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

/// The same numbers of 31 bits every time.
fn draws() -> impl FnMut() -> u64 {
    let mut seed = 1u64;
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
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
        let problem = Problem { a, b, c: None, scales: [None, None], setup, shape: Shape { m: 13, n: 40, k: 9 } };
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
            setup: setup(mode),
            shape: Shape { m, n, k },
            a: Codes::from_fn(Format::FP32, (m * k) as usize, |i| value(i * 7 + 1).to_bits().into()),
            b: Codes::from_fn(Format::FP32, (k * n) as usize, |i| value(i * 7 + 2).to_bits().into()),
            c: None,
        });
    }
    assert!(!ran.0.contains_key("fma32/portable"), "{:?}", ran.0);
}

/// Sums around the end of binary16, where some spans overflow and others come close.
#[test]
fn large_problems_into_binary16() {
    let modes = inside().prop_map(|mode| MacMode {
        accumulator: Format::FP16,
        product: Product::Exact,
        a: if mode.a.bits() > 8 { format("e4m3fn") } else { mode.a },
        rounding: if mode.rounding.random_bits() > 0 { mode.rounding } else { Rounding::Rne },
        ..mode
    });
    let mut runner = TestRunner::new(Config { cases: cases(300), failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&large_problem(modes), |problem| {
            ran.borrow_mut().check_large(&problem);
            Ok(())
        })
        .unwrap();
    println!("MACs by kernel: {:?}", ran.borrow().0);
    ran.borrow().assert_ran(&["carrier32", "carrier64"]);
    if KernelChoice::available().contains(&KernelChoice::Avx512Fp16) {
        assert!(ran.borrow().0.contains_key("fma16/avx512"), "{:?}", ran.borrow().0);
    }
}

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
    ];
    let every = Codes::from_fn(Format::INT8, 256, |i| i as u64);
    for &(operand, accumulator, rounding, overflow, bias) in cases {
        let mode = MacMode { rounding, overflow, ..mode(operand, operand, accumulator) };
        let outermost = mode.outermost();
        let setup = Setup { bias_a: bias, ..setup(mode) };
        for corner in corners(outermost) {
            ran.check_large(&Problem {
                scales: [None, None],
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
        [("e6m9", "e8m7", -52, 36), ("fp16", "e8m7", -38, 20), ("bf16", "e8m5", -30, 90), ("dlfloat16", "e8m7", -29, 34)]
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
                        let value = target.to_f64(draw & target.mask());
                        if draw >> 28 == 0 || !value.is_finite() {
                            return draw;
                        }
                        let step = [0.0, 2f64.powi(-9), 2f64.powi(-4), 2f64.powi(-5), 2f64.powi(-4) + 2f64.powi(-21), 2f64.powi(-12)];
                        encode_f64(Format::FP32, value * (1.0 + step[(draw as usize >> 20) % 6]))
                    };
                    ran.check_large(&Problem {
                        scales: [None, None],
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
        let problem =
            Problem { scales: [None, None], setup: setup(mode), shape: Shape { m: m as u32, n: n as u32, k: k as u32 }, a, b, c: None };
        Ran::default().check_large(&problem);
        let (_, used) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Auto);
        assert!(used.name != "scalar", "{used:?}");
        assert_eq!(used.reason.contains("tiles by the definition"), slow_tiles > 0, "{used:?}");
    }
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

/// The kernel and its reason, for designs people run.
#[test]
fn dispatch_names_the_kernel_and_the_reason() {
    let rne = |accumulator| mode("e4m3fn", "e5m2", accumulator);
    let cases = [
        (rne("fp32"), 0, "fma32", ""),
        (rne("e6m9"), 0, "carrier32", "not fp32"),
        (rne("fp16"), 7, "carrier32", "not fp32"),
        (rne("bf16"), 0, "carrier32", "not fp32"),
        (rne("dlfloat16"), 0, "carrier32", "not fp32"),
        (rne("dlfloat16"), 9, "scalar", "without subnormals"),
        (rne("e6m5"), 0, "carrier32", "not fp32"),
        (rne("e8m13"), 0, "carrier32", "not fp32"),
        (rne("e8m23"), 150, "carrier64", "binary32's range"),
        (rne("e8m22"), 0, "carrier64", "room to round"),
        (MacMode { rounding: Rounding::Sr(8), ..rne("e6m9") }, 0, "carrier32", "not fp32"),
        (MacMode { rounding: Rounding::Sr(15), ..rne("e6m9") }, 0, "carrier64", "room to round"),
        (MacMode { rounding: Rounding::Rtz, ..rne("fp32") }, 0, "carrier32", "not rne"),
        (MacMode { rounding: Rounding::Rup, ..rne("fp32") }, 0, "carrier64", "room to round"),
        (MacMode { subnormals: SubnormalPolicy::Ftz, ..rne("e6m9") }, 0, "scalar", "flushed"),
        (MacMode { product: Product::Rounded(Format::FP16), ..rne("e6m9") }, 0, "carrier64", "products are rounded"),
        (MacMode { product: Product::Rounded(format("e6m9")), ..rne("e6m9") }, 0, "carrier32", "not fp32"),
        (MacMode { product: Product::Rounded(format("e6m5")), ..rne("e6m9") }, 0, "carrier32", "products are rounded"),
        (mode("int8", "int8", "int32"), 0, "integer", ""),
        (mode("e4m3fn", "e4m3fn", "fx46.18"), 0, "integer", "24 bits"),
        (rne("fp64"), 0, "scalar", "not 2 to 50"),
        (mode("fp64", "fp64", "fp32"), 0, "scalar", "more than 53"),
        (rne("fp32"), 150, "carrier64", "binary32's range"),
    ];
    for (mode, bias_a, name, reason) in cases {
        let (m, n, k) = (7, 19, 33);
        let mut problem = Problem {
            scales: [None, None],
            shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
            a: testing::codes(mode.a, m * k, Pattern::Moderate, 1),
            b: testing::codes(mode.b, k * n, Pattern::Moderate, 2),
            c: None,
            setup: Setup { bias_a, ..setup(mode) },
        };
        // One operand at the end of its format, so that its full range counts.
        problem.a.set(0, 1);
        problem.b.set(0, 1);
        Ran::default().check_large(&problem);
        for choice in KernelChoice::available() {
            let (_, used) = gemm(&problem.setup, problem.shape, &problem.operands(), choice);
            assert_eq!(used.name.split('/').next(), Some(name), "{used:?} {:?}", problem.setup.mode);
            assert!(used.reason.contains(reason) && (!reason.is_empty() || used.reason.is_empty()), "{used:?}");
        }
    }
}

#[test]
fn the_same_at_any_thread_count() {
    let mode = MacMode { rounding: Rounding::Sr(8), chunk: Some(16), ..mode("e4m3fn", "e4m3fn", "e6m9") };
    let (m, n, k) = (131, 67, 90);
    let a = testing::codes(mode.a, m * k, Pattern::Uniform, 4);
    let b = testing::codes(mode.b, k * n, Pattern::Uniform, 5);
    let setup = setup(mode);
    let run = |threads, choice| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let operands = Operands::new(&a, &b, None);
        pool.install(|| gemm(&setup, Shape { m: m as u32, n: n as u32, k: k as u32 }, &operands, choice).0)
    };
    let one = run(1, KernelChoice::Auto);
    for threads in [2, 3, 8] {
        for choice in KernelChoice::available() {
            assert_eq!(run(threads, choice), one);
        }
    }
    assert_eq!(run(2, KernelChoice::Scalar), one);
}

#[test]
fn without_products_c_leaves_alone() {
    let mode = mode("e4m3fn", "e4m3fn", "e6m9");
    let problem = Problem {
        scales: [None, None],
        a: Codes::zeros(mode.a, 0),
        b: Codes::zeros(mode.b, 0),
        c: Some(testing::codes(mode.accumulator, 6, Pattern::Uniform, 1)),
        setup: setup(mode),
        shape: Shape { m: 2, n: 3, k: 0 },
    };
    Ran::default().check_large(&problem);
    assert_eq!(Some(gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Auto).0.d), problem.c);
}

#[test]
fn choices_by_name() {
    for choice in [KernelChoice::Auto, KernelChoice::Scalar].into_iter().chain(KernelChoice::available()) {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
    let unknown = "sse9".parse::<KernelChoice>().unwrap_err().to_string();
    assert_eq!(unknown, "`sse9` names no kernels; use auto, avx512fp16, avx512, avx2, portable or scalar");
    for name in ["avx512fp16", "avx512", "avx2"] {
        if let Err(absent) = name.parse::<KernelChoice>() {
            assert!(absent.to_string().starts_with(&format!("`{name}` kernels need a CPU with ")), "{absent}");
        }
    }
}
