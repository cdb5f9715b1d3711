//! Masked products against whole ones.

use super::random::{aligned_inside, blocks_inside, inside, large_problem};
use super::{Ran, cases, format, mode, setup};
use crate::fast::{KernelChoice, gemm};
use crate::mask::Mask;
use crate::problem::{Setup, Shape};
use crate::testing::{self, Pattern, Problem};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use systole_isa::design::{EntropySource, MacMode};
use systole_isa::format::Format;
use systole_isa::round::Rounding;

/// Every kernel and the definition: the whole product's bits where they are wanted, code 0
/// elsewhere, and the activity of those alone.
fn check(ran: &mut Ran, problem: &Problem) {
    let Some(mask) = &problem.mask else { unreachable!() };
    let whole = Problem { mask: None, ..problem.clone() };
    let (all, _) = gemm(&whole.setup, whole.shape, &whole.operands(), KernelChoice::Auto);
    let (values, _) = gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Scalar);
    let n = problem.shape.n;
    for i in 0..all.d.len() {
        let wanted = mask.holds(i as u32 / n, i as u32 % n);
        assert_eq!(values.d.get(i), if wanted { all.d.get(i) } else { 0 }, "row {}, column {}", i as u32 / n, i as u32 % n);
    }
    ran.check(problem, &values);
}

fn hold(problems: impl Strategy<Value = Problem>, count: u32, kernels: &[&str]) {
    let mut runner = TestRunner::new(Config { cases: cases(count), failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let ran = std::cell::RefCell::new(Ran::default());
    runner
        .run(&problems, |problem| {
            check(&mut ran.borrow_mut(), &problem);
            Ok(())
        })
        .unwrap();
    ran.into_inner().assert_ran(kernels);
}

/// Large problems with masks.
fn masked(modes: impl Strategy<Value = MacMode>) -> impl Strategy<Value = Problem> {
    large_problem(modes).prop_flat_map(|problem| {
        testing::mask(problem.shape).prop_map(move |mask| {
            let mut problem = Problem { mask: Some(mask), c: None, ..problem.clone() };
            problem.setup.mode.entropy = EntropySource::Counter;
            problem
        })
    })
}

#[test]
fn large_masked_problems() {
    hold(masked(inside()), 300, &["fma32", "carrier32", "carrier64", "integer"]);
}

#[test]
fn large_masked_problems_of_units_and_scales() {
    hold(masked(prop_oneof![aligned_inside(), blocks_inside()]), 300, &["aligned32", "aligned64", "blocks"]);
}

/// Whatever a mode may be, held to the definition output by output.
#[test]
fn small_masked_problems() {
    let modes = || prop_oneof![testing::mode(), testing::unit_mode()];
    let mut runner = TestRunner::new(Config { cases: cases(1500), failure_persistence: None, ..Config::default() });
    runner
        .run(&testing::masked_problem_of(modes()), |problem| {
            let expected = problem.by_definition();
            for choice in [KernelChoice::Scalar].into_iter().chain(KernelChoice::available()) {
                let (values, used) = gemm(&problem.setup, problem.shape, &problem.operands(), choice);
                prop_assert_eq!(&values, &expected, "{:?}", used);
            }
            Ok(())
        })
        .unwrap();
}

/// Thin masks, which are taken in bands of rows with columns of their own.
#[test]
fn bands_of_rows_keep_their_sites() {
    let (m, n, k) = (210, 331, 9);
    let sr = |bits| MacMode { rounding: Rounding::Sr(bits), chunk: Some(4), ..mode("e4m3fn", "e5m2", "e6m9") };
    let overflowing = MacMode { chunk: None, ..mode("e5m2", "e5m2", "e5m6") };
    for (mode, output) in [(sr(8), "e6m9"), (sr(8), "e4m3fn"), (mode("e4m3fn", "e4m3fn", "fp32"), "fp32"), (overflowing, "e5m6")] {
        for rare in [3, 40, 250] {
            let mut mask = Mask::none(m, n, 1);
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let z = (u64::from(row) << 32 | u64::from(column)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                if (z >> 40) % 256 < 256 / rare && row % 5 != 2 {
                    mask.select(row, column);
                }
            }
            let codes = |format: Format, len: u32, seed| testing::codes(format, len as usize, Pattern::Uniform, seed);
            let mut setup = Setup { ..setup(mode.clone()) };
            setup.output.format = format(output);
            setup.output.policy.rounding = mode.rounding;
            let problem = Problem {
                a: codes(mode.a, m * k, 1),
                b: codes(mode.b, k * n, 2),
                c: None,
                scales: [None, None],
                mask: Some(mask),
                setup,
                shape: Shape { m, n, k },
            };
            check(&mut Ran::default(), &problem);
        }
    }
}

/// Time of masked products beside whole ones: run with `--ignored --nocapture`, optimised.
#[test]
#[ignore = "a measurement"]
fn speed_beside_whole_products() {
    let side = 768;
    for (name, mode) in [("fp32", mode("e4m3fn", "e4m3fn", "fp32")), ("e6m9", mode("e4m3fn", "e4m3fn", "e6m9"))] {
        let codes = |format: Format, seed| testing::codes(format, (side * side) as usize, Pattern::Moderate, seed);
        let problem = Problem {
            a: codes(mode.a, 1),
            b: codes(mode.b, 2),
            c: None,
            scales: [None, None],
            mask: None,
            setup: setup(mode),
            shape: Shape { m: side, n: side, k: side },
        };
        let time = |problem: &Problem| {
            let run = || {
                let start = std::time::Instant::now();
                std::hint::black_box(gemm(&problem.setup, problem.shape, &problem.operands(), KernelChoice::Auto));
                start.elapsed().as_secs_f64()
            };
            (0..7).map(|_| run()).fold(f64::INFINITY, f64::min)
        };
        let whole = time(&problem);
        type Chooses = fn(u32, u32, u64) -> bool;
        let kinds: [(&str, Chooses); 8] = [
            ("all but one", |r, c, _| (r, c) != (5, 5)),
            ("1 of 2", |_, _, z| z.is_multiple_of(2)),
            ("1 of 10", |_, _, z| z.is_multiple_of(10)),
            ("1 of 100", |_, _, z| z.is_multiple_of(100)),
            ("1 of 1000", |_, _, z| z.is_multiple_of(1000)),
            ("1 row of 10", |r, _, _| r % 10 == 3),
            ("1 column of 10", |_, c, _| c % 10 == 3),
            ("blocks on the diagonal", |r, c, _| r / 96 == c / 96),
        ];
        for (kind, chooses) in kinds {
            let mut mask = Mask::none(side, side, 1);
            for (r, c) in (0..side).flat_map(|r| (0..side).map(move |c| (r, c))) {
                let z = (u64::from(r) << 32 | u64::from(c)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                if chooses(r, c, (z ^ z >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20) {
                    mask.select(r, c);
                }
            }
            let masked = time(&Problem { mask: Some(mask), ..problem.clone() });
            println!("{name}, {kind}: {:.3} of the whole product's {:.2} ms", masked / whole, whole * 1e3);
        }
    }
}
