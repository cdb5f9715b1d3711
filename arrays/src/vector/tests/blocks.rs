//! Blocks, as operands repeat in them and as they are reduced, against the definition.

use super::super::{Blocks, Elementwise, Operand, Operation, Reduction, Target, apply, count_result, elementwise, reduce, work};
use super::shapes::{chain, first_maximum};
use super::{Random, SITE, format, formats};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, Rounding, encode_f64};

/// Extents of a small tensor whose elements stand for blocks of a large one.
fn cut((rows, cols): (usize, usize), blocks: Blocks) -> (usize, usize) {
    let along = |extent: usize, block: usize| if block == 0 { 1 } else { extent.div_ceil(block) };
    (along(rows, blocks.rows), along(cols, blocks.cols))
}

/// Shapes and blocks: whole axes, ragged ends, the widths with loops of their own, and the recipes'.
const CASES: [((usize, usize), (usize, usize)); 19] = [
    ((1, 1), (1, 32)),
    ((5, 64), (1, 32)),
    ((5, 70), (1, 32)),
    ((33, 96), (1, 32)),
    ((64, 33), (32, 1)),
    ((70, 3), (32, 1)),
    ((40, 50), (16, 16)),
    ((100, 97), (48, 48)),
    ((130, 260), (128, 128)),
    ((3, 1300), (1, 128)),
    ((300, 7), (128, 1)),
    ((20, 600), (3, 0)),
    ((20, 600), (0, 7)),
    ((9, 1111), (4, 600)),
    ((17, 5), (2, 2)),
    ((6, 40), (100, 16)),
    ((7, 11), (0, 0)),
    ((50, 90), (10, 80)),
    ((200, 200), (1, 16)),
];

#[test]
fn operands_repeat_in_blocks() {
    let mut random = Random(50);
    for ((rows, cols), (block_rows, block_cols)) in CASES {
        let blocks = Blocks { rows: block_rows, cols: block_cols };
        let small = cut((rows, cols), blocks);
        let within = |index: usize, (large, small): (usize, usize), block: usize| match small {
            _ if small == large => index,
            1 => 0,
            _ => index / block,
        };
        for case in 0..8 {
            let from = formats(&["fp32", "e8m0", "bf16", "e4m3fn", "fp64"]);
            let to = if case == 0 { Format::FP32 } else { random.pick(&formats(&["fp32", "e4m3fn", "e5m2", "bf16", "fp64", "e8m0"])) };
            let policy = if case == 0 { Policy::RNE } else { random.policy() };
            let op = [Elementwise::Divide, Elementwise::Multiply, Elementwise::Gate, Elementwise::Convert][case % 4];
            let shapes = [(rows, cols), small, (small.0, cols), (rows, small.1), (1, small.1), (small.0, 1), (1, 1)];
            let given: Vec<(Format, (usize, usize))> = (0..op.arity())
                .map(|i| (random.pick(&from), if i + 1 == op.arity() && case < 4 { small } else { random.pick(&shapes) }))
                .collect();
            let buffers: Vec<Codes> = given.iter().map(|&(f, (rows, cols))| Codes::from_fn(f, rows * cols, |_| random.code(f))).collect();
            let operands: Vec<Operand> =
                given.iter().zip(&buffers).map(|(&(format, (rows, cols)), codes)| Operand { format, rows, cols, codes }).collect();
            let target = Target { format: to, rows, cols, policy, blocks, site: SITE };
            let (got, activity) = elementwise(op, &target, &operands).unwrap();
            let mut want_activity = Activity::default();
            for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                let at = |o: &Operand| {
                    (o.format, o.codes.get(within(row, (rows, o.rows), block_rows) * o.cols + within(col, (cols, o.cols), block_cols)))
                };
                let codes: Vec<_> = operands.iter().map(at).collect();
                let bits = SITE.random(policy.rounding.random_bits(), row as u32, col as u32, Stage::Vector, 0);
                let (want, flags) = apply(op, &codes, to, policy, bits).unwrap();
                count_result(to, want, flags, &mut want_activity);
                assert_eq!(
                    got.get(row * cols + col),
                    want,
                    "{op:?} {rows}x{cols} at {row}, {col} in {blocks}: {given:?} -> {to} {policy:?}"
                );
            }
            assert_eq!(activity, want_activity, "{op:?} {rows}x{cols} in {blocks}: {given:?} -> {to} {policy:?}");
        }
    }
}

#[test]
fn blocks_are_reduced_by_themselves() {
    let mut random = Random(51);
    for ((rows, cols), (block_rows, block_cols)) in CASES {
        let blocks = Blocks { rows: block_rows, cols: block_cols };
        for case in 0..8 {
            let from = random.pick(&formats(&["fp32", "fp32", "bf16", "e4m3fn", "int8", "fp64", "e8m0", "e4m3fnuz", "p3109_k8p3se"]));
            let to = match case {
                0 => Format::FP32,
                1 => format("e8m0"),
                _ => random.pick(&formats(&["fp32", "bf16", "e6m9", "e5m2", "fp64", "e8m0"])),
            };
            let policy = if case == 0 { Policy::RNE } else { random.policy() };
            // One tensor in two is tame, so that its results are not all NaN.
            let codes = Codes::from_fn(from, rows * cols, |_| {
                if case % 2 == 0 { encode_f64(from, random.next() as i64 as f64 * 2f64.powi(-60)) } else { random.code(from) }
            });
            let operand = Operand { format: from, rows, cols, codes: &codes };
            let small = cut((rows, cols), blocks);
            let (height, width) = if case % 4 == 3 { (small.0, cols) } else { small };
            let target = Target { format: to, rows: height, cols: width, policy, blocks, site: SITE };
            for op in [Reduction::Sum, Reduction::Maximum, Reduction::Amax] {
                if op == Reduction::Sum && to == format("e8m0") {
                    continue;
                }
                let (got, activity) = reduce(op, &target, &[operand]).unwrap();
                let mut want_activity = Activity::default();
                for (row, col) in (0..height).flat_map(|row| (0..width).map(move |col| (row, col))) {
                    let range = |index: usize, extent: usize, small: usize, block: usize| match (small == extent, small) {
                        (true, _) => index..index + 1,
                        (false, 1) => 0..extent,
                        _ => index * block..extent.min((index + 1) * block),
                    };
                    let columns = range(col, cols, width, block_cols);
                    let reduced: Vec<u64> = range(row, rows, height, block_rows)
                        .flat_map(|r| columns.clone().map(move |c| r * cols + c))
                        .map(|i| codes.get(i))
                        .collect();
                    let want = if op == Reduction::Sum {
                        let terms: Vec<_> = reduced.into_iter().zip(0..).collect();
                        chain(&terms, from, &target, row, col, &mut want_activity)
                    } else {
                        let wide = |op, code| apply(op, &[(from, code)], Format::FP64, Policy::RNE, 0).unwrap().0;
                        let op = if op == Reduction::Amax { Elementwise::Absolute } else { Elementwise::Convert };
                        let values: Vec<u64> = reduced.into_iter().map(|code| wide(op, code)).collect();
                        let best = values[first_maximum(&values, Format::FP64, Policy::RNE)];
                        let bits = SITE.random(policy.rounding.random_bits(), row as u32, col as u32, Stage::Vector, 0);
                        let (code, flags) = apply(Elementwise::Convert, &[(Format::FP64, best)], to, policy, bits).unwrap();
                        count_result(to, code, flags, &mut want_activity);
                        code
                    };
                    let place = || format!("{op:?} {from} {rows}x{cols} -> {to} {height}x{width} at {row}, {col} in {blocks} {policy:?}");
                    assert_eq!(got.get(row * width + col), want, "{}", place());
                }
                assert_eq!(activity, want_activity, "{op:?} {from} {rows}x{cols} -> {to} in {blocks} {policy:?}");
            }
        }
    }
}

/// A 3 x 5 tensor in blocks of 2 x 2: two of the six are short, and one is short both ways.
#[test]
fn by_hand() {
    let fp32 = |values: &[f32]| Codes::U32(values.iter().map(|x| x.to_bits()).collect());
    let blocks = Blocks { rows: 2, cols: 2 };
    let codes = fp32(&[1.0, -2.0, 3.0, 4.0, -5.0, 6.0, 7.0, -8.0, 9.0, 10.0, -11.0, 12.0, 13.0, -14.0, 15.0]);
    let a = Operand { format: Format::FP32, rows: 3, cols: 5, codes: &codes };
    let target = |rows, cols| Target { format: Format::FP32, rows, cols, policy: Policy::RNE, blocks, site: SITE };
    let reduced = |op| reduce(op, &target(2, 3), &[a]).unwrap().0;
    assert_eq!(reduced(Reduction::Sum), fp32(&[12.0, 8.0, 5.0, 1.0, -1.0, 15.0]));
    assert_eq!(reduced(Reduction::Maximum), fp32(&[7.0, 9.0, 10.0, 12.0, 13.0, 15.0]));
    assert_eq!(reduced(Reduction::Amax), fp32(&[7.0, 9.0, 10.0, 12.0, 14.0, 15.0]));
    let scales = fp32(&[1.0, 2.0, 4.0, -1.0, 0.5, 8.0]);
    let b = Operand { rows: 2, cols: 3, codes: &scales, ..a };
    let (quotients, _) = elementwise(Elementwise::Divide, &target(3, 5), &[a, b]).unwrap();
    assert_eq!(quotients, fp32(&[1.0, -2.0, 1.5, 2.0, -1.25, 6.0, 7.0, -4.0, 4.5, 2.5, 11.0, -12.0, 26.0, -28.0, 1.875]));
}

#[test]
fn work_and_refusals() {
    let blocks = Blocks { rows: 1, cols: 32 };
    let divide = Operation::Elementwise(Elementwise::Divide);
    let amax = Operation::Reduce(Reduction::Amax);
    assert_eq!(work(&divide, blocks, (8, 70), &[(8, 70), (8, 3)]).unwrap().functions, 560);
    assert_eq!(work(&amax, blocks, (8, 3), &[(8, 70)]).unwrap().additions, 560);
    let says = |outcome: Result<_, super::super::VectorError>, needle: &str| {
        let text = outcome.map(|_| ()).unwrap_err().to_string();
        assert!(text.contains(needle), "{text}");
    };
    says(work(&divide, blocks, (8, 70), &[(8, 70), (8, 2)]), "8x2 does not repeat to the result's 8x70");
    says(work(&divide, Blocks::WHOLE, (8, 70), &[(8, 70), (8, 3)]), "one for each block (`blocks`: 0x0)");
    says(work(&amax, blocks, (8, 4), &[(8, 70)]), "8x70 does not reduce to 8x4");
    says(work(&amax, blocks, (4, 3), &[(8, 70)]), "one for each block (`blocks`: 1x32)");
}

/// Powers of two as results: what scales are made with.
#[test]
fn scales_by_hand() {
    let e8m0 = format("e8m0");
    const INF: f32 = f32::INFINITY;
    let (rtz, rup, rne) = (Policy::new(Rounding::Rtz), Policy::new(Rounding::Rup), Policy::RNE);
    // 2^-127 is code 0, 1 is 127, 2^127 is 254 and NaN 255.
    for (x, policy, code, overflows, underflows, nans) in [
        (1.0, rtz, 127, 0, 0, 0),
        (1.999, rtz, 127, 0, 0, 0),
        (448.0, rtz, 127 + 8, 0, 0, 0),
        (1.001, rup, 128, 0, 0, 0),
        (448.0, rup, 127 + 9, 0, 0, 0),
        (512.0, rup, 127 + 9, 0, 0, 0),
        (1.49, rne, 127, 0, 0, 0),
        // Ties go to the even code.
        (1.5, rne, 128, 0, 0, 0),
        (3.0, rne, 128, 0, 0, 0),
        (1.5, Policy::new(Rounding::Rmm), 128, 0, 0, 0),
        (1.2, Policy::new(Rounding::Rod), 127, 0, 0, 0),
        (2.2, Policy::new(Rounding::Rod), 129, 0, 0, 0),
        // Zero has the smallest power, whatever its sign, and so have numbers below.
        (0.0, rtz, 0, 0, 0, 0),
        (-0.0, rup, 0, 0, 0, 0),
        (1e-45, rtz, 0, 0, 1, 0),
        (5e-39, rup, 0, 0, 1, 0),
        (2f32.powi(-127), rtz, 0, 0, 0, 0),
        (1.1 * 2f32.powi(-127), rup, 1, 0, 0, 0),
        // Beyond 2^127.
        (3.4e38, rtz, 254, 0, 0, 0),
        (3.4e38, rne, 255, 1, 0, 1),
        (3.4e38, rup, 255, 1, 0, 1),
        (3.4e38, rup.overflow(Overflow::Saturate), 254, 1, 0, 0),
        (INF, rtz, 255, 0, 0, 1),
        (INF, rtz.overflow(Overflow::Saturate), 254, 0, 0, 0),
        // No power of two is negative, or NaN.
        (-1.0, rtz, 255, 0, 0, 1),
        (-INF, rtz.overflow(Overflow::Saturate), 255, 0, 0, 1),
        (f32::NAN, rtz, 255, 0, 0, 1),
    ] {
        let codes = Codes::U32(vec![x.to_bits(); 3]);
        let a = Operand { format: Format::FP32, rows: 1, cols: 3, codes: &codes };
        let target = Target { format: e8m0, rows: 1, cols: 3, policy, blocks: Blocks::WHOLE, site: SITE };
        let (got, counts) = elementwise(Elementwise::Convert, &target, &[a]).unwrap();
        assert_eq!(got, Codes::U8(vec![code; 3]), "{x} {policy:?}");
        assert_eq!(apply(Elementwise::Convert, &[(Format::FP32, x.to_bits().into())], e8m0, policy, 0).unwrap().0, u64::from(code));
        let counted = (counts.vector_overflows / 3, counts.vector_underflows / 3, counts.vector_nans / 3);
        assert_eq!(counted, (overflows, underflows, nans), "{x} {policy:?}");
    }
}
