//! Random problems, small ones everywhere and large ones inside the domains.

use super::super::{KernelChoice, gemm};
use super::{ROUNDINGS, Ran, aligned, cases, format, mode};
use crate::datapath::Output;
use crate::problem::{Setup, Shape, scale_extents};
use crate::testing::{self, Pattern, Problem};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use systole_isa::design::{ArraySpec, Dataflow, MacMode, PartialSums, Product, Scaling, Truncation, Unit};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{NanCode, NoInfinity, Overflow, Policy, Rounding, Tininess};

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
pub(super) fn inside() -> impl Strategy<Value = MacMode> {
    let operands = || select(&["e4m3fn", "e5m2", "e4m3fnuz", "int8", "e3m4", "bf16", "p3109_k8p4se", "dlfloat16"][..]);
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
    let outer = select(&[None, Some("fp32"), Some("e6m9"), Some("fp16"), Some("e8m13"), Some("dlfloat16"), Some("int32")][..]);
    let product = prop_oneof![4 => Just(None), 1 => select(&["fp16", "e5m2", "e6m5", "fp32", "dlfloat16"][..]).prop_map(Some)];
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
pub(super) fn large_problem(modes: impl Strategy<Value = MacMode>) -> impl Strategy<Value = Problem> {
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
    let output = select(&[None, None, Some("e4m3fn"), Some("e5m2"), Some("fp16"), Some("bf16"), Some("fp32"), Some("dlfloat16")][..]);
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
                    mask: None,
                    a: testing::codes(mode.a, (m * k) as usize, patterns.0, seed),
                    b: testing::codes(mode.b, (k * n) as usize, patterns.1, seed ^ 1 << 32),
                    c: has_c.then(|| testing::codes(addend, (m * n) as usize, patterns.2, seed ^ 2 << 32)),
                    setup: Setup {
                        array: ArraySpec { rows, dataflow, partial_sums, ..ArraySpec::output_stationary(16, 16) },
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
pub(super) fn blocks_inside() -> impl Strategy<Value = MacMode> {
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
pub(super) fn aligned_inside() -> impl Strategy<Value = MacMode> {
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
                let unit = aligned(fraction_bits, term_truncation, zero_exponent, infinite_from);
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

/// Holds drawn problems to the definition; these kernels must have run.
fn hold(problems: impl Strategy<Value = Problem>, count: u32, kernels: &[&str]) -> Ran {
    let mut runner = TestRunner::new(Config { cases: cases(count), failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&problems, |problem| {
            ran.borrow_mut().check_large(&problem);
            Ok(())
        })
        .unwrap();
    let ran = ran.into_inner();
    println!("MACs by kernel: {:?}", ran.0);
    ran.assert_ran(kernels);
    ran
}

#[test]
fn large_problems_of_aligned_units() {
    hold(large_problem(aligned_inside()), 600, &["aligned32", "aligned64"]);
}

#[test]
fn large_problems_of_exact_blocks_scales_and_wide_sums() {
    hold(large_problem(blocks_inside()), 600, &["blocks", "fma32", "carrier32", "integer"]);
}

#[test]
fn large_problems_inside_the_domains() {
    hold(large_problem(inside()), 450, &["fma32", "carrier32", "carrier64", "integer"]);
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
    let ran = hold(large_problem(modes), 300, &["carrier32", "carrier64"]);
    if KernelChoice::available().contains(&KernelChoice::Avx512Fp16) {
        assert!(ran.0.contains_key("fma16/avx512"), "{:?}", ran.0);
    }
}
