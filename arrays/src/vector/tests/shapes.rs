//! Broadcasting, reductions and pooling against loops written from the instruction table.

use super::super::{
    Blocks, Elementwise, Operand, Operation, Pool, Reduction, Target, VectorWork, apply, count_result, count_rounding, elementwise, pool,
    pool_into, reduce, work,
};
use super::{Random, SITE, format, formats, has_zero};
use systole_isa::codes::Codes;
use systole_isa::design::VectorSpec;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, Rounding};
use systole_isa::view::Window;

fn target(format: Format, (rows, cols): (usize, usize), policy: Policy) -> Target {
    Target { format, rows, cols, policy, blocks: Blocks::WHOLE, site: SITE }
}

fn tensor(format: Format, (rows, cols): (usize, usize), random: &mut Random) -> Codes {
    Codes::from_fn(format, rows * cols, |_| random.code(format))
}

/// A chain of additions at result element (row, col), each with its index.
pub fn chain(terms: &[(u64, usize)], from: Format, target: &Target, row: usize, col: usize, activity: &mut Activity) -> u64 {
    let mut sum = target.format.zero(false);
    for &(term, index) in terms {
        let random = SITE.random(target.policy.rounding.random_bits(), row as u32, col as u32, Stage::Vector, index as u32);
        let (code, flags) = apply(Elementwise::Add, &[(target.format, sum), (from, term)], target.format, target.policy, random).unwrap();
        count_rounding(flags, activity);
        sum = code;
    }
    activity.vector_nans += u64::from(target.format.is_nan(sum));
    sum
}

/// The first of the codes that is the maximum of all.
pub fn first_maximum(codes: &[u64], format: Format, policy: Policy) -> usize {
    let wide = |code| (format, code);
    let mut best = 0;
    for i in 1..codes.len() {
        let max = apply(Elementwise::Maximum, &[wide(codes[best]), wide(codes[i])], Format::FP64, policy, 0).unwrap().0;
        let mine = apply(Elementwise::Convert, &[wide(codes[best])], Format::FP64, policy, 0).unwrap().0;
        if max != mine {
            best = i;
        }
    }
    best
}

#[test]
fn operands_repeat() {
    let mut random = Random(20);
    for (rows, cols) in [(1, 1), (1, 700), (700, 1), (3, 5), (37, 41), (600, 2), (2, 1100)] {
        for to in formats(&["fp32", "e4m3fn", "fp64"]) {
            for _ in 0..6 {
                let from = formats(&["fp32", "bf16", "e5m2"]);
                let given: Vec<(Format, (usize, usize))> =
                    (0..3).map(|_| (random.pick(&from), (random.pick(&[rows, 1]), random.pick(&[cols, 1])))).collect();
                let buffers: Vec<Codes> = given.iter().map(|&(f, shape)| tensor(f, shape, &mut random)).collect();
                let operands: Vec<Operand> =
                    given.iter().zip(&buffers).map(|(&(format, (rows, cols)), codes)| Operand { format, rows, cols, codes }).collect();
                let target = target(to, (rows, cols), random.policy());
                let (got, activity) = elementwise(Elementwise::FusedMultiplyAdd, &target, &operands).unwrap();
                let mut want_activity = Activity::default();
                for row in 0..rows {
                    for col in 0..cols {
                        let at = |o: &Operand| (o.format, o.codes.get((row % o.rows) * o.cols + col % o.cols));
                        let three: Vec<_> = operands.iter().map(at).collect();
                        let bits = SITE.random(target.policy.rounding.random_bits(), row as u32, col as u32, Stage::Vector, 0);
                        let (want, flags) = apply(Elementwise::FusedMultiplyAdd, &three, to, target.policy, bits).unwrap();
                        count_result(to, want, flags, &mut want_activity);
                        assert_eq!(got.get(row * cols + col), want, "{rows}x{cols} at {row},{col}: {given:?}");
                    }
                }
                assert_eq!(activity, want_activity);
            }
        }
    }
}

#[test]
fn reductions_are_their_loops() {
    let mut random = Random(21);
    let inputs = formats(&["fp32", "bf16", "e4m3fn", "e5m2", "fp16", "int8", "fp64"]);
    let outputs = formats(&["fp32", "fp32", "bf16", "e6m9", "dlfloat16", "e5m2", "fp64", "fx46.18"]);
    for (rows, cols) in [(1, 1), (1, 600), (600, 1), (7, 9), (33, 130), (130, 33)] {
        for shape in [(1, 1), (rows, 1), (1, cols), (rows, cols)] {
            for case in 0..12 {
                let from = random.pick(&inputs);
                let to = if case == 0 { Format::FP32 } else { random.pick(&outputs) };
                let policy = if case == 0 { Policy::RNE } else { random.policy() };
                // One tensor in two is tame, so that its sums are not all NaN.
                let tame = case % 2 == 0;
                let codes = Codes::from_fn(from, rows * cols, |_| {
                    if tame {
                        systole_isa::round::encode_f64(from, random.next() as i64 as f64 * 2f64.powi(-60))
                    } else {
                        random.code(from)
                    }
                });
                let operand = Operand { format: from, rows, cols, codes: &codes };
                let target = target(to, shape, policy);
                for op in [Reduction::Sum, Reduction::Maximum, Reduction::Amax] {
                    let (got, activity) = reduce(op, &target, &[operand]).unwrap();
                    let mut want_activity = Activity::default();
                    for row in 0..shape.0 {
                        for col in 0..shape.1 {
                            let mut reduced = Vec::new();
                            for r in 0..rows {
                                for c in 0..cols {
                                    if (shape.0 == 1 || r == row) && (shape.1 == 1 || c == col) {
                                        reduced.push(codes.get(r * cols + c));
                                    }
                                }
                            }
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
                            assert_eq!(got.get(row * shape.1 + col), want, "{op:?} {from} {rows}x{cols} -> {to} {shape:?} {policy:?}");
                        }
                    }
                    assert_eq!(activity, want_activity, "{op:?} {from} {rows}x{cols} -> {to} {shape:?} {policy:?}");
                }
            }
        }
    }
}

#[test]
fn long_reductions_run_in_parallel() {
    let mut random = Random(22);
    for (rows, cols, shape) in [(1000, 300, (1, 300)), (300, 1000, (300, 1)), (300, 300, (1, 1))] {
        let codes = Codes::from_fn(Format::FP32, rows * cols, |_| u64::from((random.next() as i32 as f32).to_bits()));
        let (got, _) = reduce(
            Reduction::Sum,
            &target(Format::FP32, shape, Policy::RNE),
            &[Operand { format: Format::FP32, rows, cols, codes: &codes }],
        )
        .unwrap();
        let mut want = vec![0f32; shape.0 * shape.1];
        for r in 0..rows {
            for c in 0..cols {
                want[(r % shape.0) * shape.1 + c % shape.1] += f32::from_bits(codes.get(r * cols + c) as u32);
            }
        }
        assert!(want.iter().enumerate().all(|(i, w)| got.get(i) == u64::from(w.to_bits())), "{rows}x{cols}");
    }
}

/// Windows of every kind: LeNet's, overlapping, padded, strided past the edge, dilated.
fn windows() -> Vec<Window> {
    let w = |out, input, c, kernel, stride, pad, dilate| Window {
        out_h: out,
        out_w: out + u32::from(dilate == 1 && pad == 0 && stride == 2),
        h: input,
        w: input + 2 * u32::from(dilate == 1 && pad == 0 && stride == 2),
        c,
        kernel_h: kernel,
        kernel_w: kernel,
        stride,
        pad,
        dilate,
    };
    vec![
        w(4, 8, 3, 2, 2, 0, 1),
        w(5, 5, 2, 3, 1, 1, 1),
        w(4, 7, 5, 3, 2, 1, 1),
        w(7, 4, 1, 3, 1, 1, 2),
        w(1, 6, 4, 6, 1, 0, 1),
        w(3, 8, 2, 2, 3, 0, 1),
    ]
}

#[test]
fn pools_are_their_loops() {
    let mut random = Random(23);
    let inputs = formats(&["fp32", "fp32", "bf16", "e4m3fn", "e4m3fnuz", "e2m1f", "e8m23f", "fp64", "int8"]);
    let outputs = formats(&["fp32", "fp32", "bf16", "e5m2", "fp64", "e6m9"]);
    for (number, window) in windows().into_iter().enumerate() {
        for case in 0..24 {
            let images = 1 + case % 3;
            let w = window;
            let c = w.c as usize;
            let (ins, outs) = ((images * (w.h * w.w) as usize, c), (images * (w.out_h * w.out_w) as usize, c));
            let (fx, fg) = (random.pick(&inputs), random.pick(&inputs));
            let (to, policy) = if case == 0 { (Format::FP32, Policy::RNE) } else { (random.pick(&outputs), random.policy()) };
            let few = case % 2 == 0;
            let mut draw = |f: Format, shape: (usize, usize)| {
                // Half the tensors hold few values, so that maxima tie.
                Codes::from_fn(f, shape.0 * shape.1, |_| {
                    if few { systole_isa::round::encode_f64(f, (random.next() % 5) as f64 - 2.0) } else { random.code(f) }
                })
            };
            let (x, g) = (draw(fx, ins), draw(fg, outs));
            let xs = Operand { format: fx, rows: ins.0, cols: c, codes: &x };
            let gs = Operand { format: fg, rows: outs.0, cols: c, codes: &g };
            let positions: Vec<(u32, u32)> = (0..w.kernel_h).flat_map(|ky| (0..w.kernel_w).map(move |kx| (ky, kx))).collect();
            let reads = |row: usize| positions.iter().map(move |&(ky, kx)| w.pixel(row as u64, ky, kx).map(|p| p as usize));
            let place = format!("window {number}, case {case}, {fx} {fg} -> {to} {policy:?}");

            // Forward.
            let result = target(to, outs, policy);
            let (max, max_activity) = pool(Pool::Maximum, &result, &window, &[xs]).unwrap();
            let (sum, sum_activity) = pool(Pool::Sum, &result, &window, &[xs]).unwrap();
            let (mut want_max, mut want_sum) = (Activity::default(), Activity::default());
            let mut to_maximum = vec![Vec::new(); ins.0 * c];
            let mut to_all = vec![Vec::new(); ins.0 * c];
            for row in 0..outs.0 {
                for ch in 0..c {
                    let inside: Vec<usize> = reads(row).flatten().collect();
                    let codes: Vec<u64> = inside.iter().map(|p| x.get(p * c + ch)).collect();
                    let first = first_maximum(&codes, fx, policy);
                    let bits = SITE.random(policy.rounding.random_bits(), row as u32, ch as u32, Stage::Vector, 0);
                    let (want, flags) = apply(Elementwise::Convert, &[(fx, codes[first])], to, policy, bits).unwrap();
                    count_result(to, want, flags, &mut want_max);
                    assert_eq!(max.get(row * c + ch), want, "pmax at {row}, {ch}: {place}");

                    let terms: Vec<_> = reads(row).map(|p| p.map_or(fx.zero(false), |p| x.get(p * c + ch))).zip(0..).collect();
                    assert_eq!(sum.get(row * c + ch), chain(&terms, fx, &result, row, ch, &mut want_sum), "psum at {row}, {ch}: {place}");

                    let gradient = g.get(row * c + ch);
                    let give = |to: &mut Vec<Vec<(u64, usize)>>, pixel: usize| {
                        let list = &mut to[pixel * c + ch];
                        list.push((gradient, list.len()));
                    };
                    give(&mut to_maximum, inside[first]);
                    for &pixel in &inside {
                        give(&mut to_all, pixel);
                    }
                }
            }
            assert_eq!(max_activity, want_max, "pmax {place}");
            assert_eq!(sum_activity, want_sum, "psum {place}");

            // Gradients.
            let result = target(to, ins, policy);
            for (op, operands, lists) in [(Pool::MaximumGradient, vec![xs, gs], &to_maximum), (Pool::Spread, vec![gs], &to_all)] {
                // Into a buffer that an earlier result has left full.
                let mut got = Codes::from_fn(to, ins.0 * c + 3, |_| u64::MAX);
                let activity = pool_into(op, &result, &window, &operands, &mut got).unwrap();
                let mut want_activity = Activity::default();
                for (i, terms) in lists.iter().enumerate() {
                    let want = chain(terms, fg, &result, i / c, i % c, &mut want_activity);
                    assert_eq!(got.get(i), want, "{op:?} at {i}: {place}");
                }
                assert_eq!(activity, want_activity, "{op:?} {place}");
            }
        }
    }
}

#[test]
fn borders_add_zero() {
    // One pixel too small for e4m3fn, read at kernel position (1, 1) by the first output and at
    // (1, 0) by the second. Added last it leaves -0; a border position after it makes that +0.
    let window = Window { out_h: 1, out_w: 2, h: 1, w: 1, c: 1, kernel_h: 2, kernel_w: 2, stride: 1, pad: 1, dilate: 1 };
    let codes = Codes::U32(vec![(-1e-30f32).to_bits()]);
    let pixel = Operand { format: Format::FP32, rows: 1, cols: 1, codes: &codes };
    let (sums, _) = pool(Pool::Sum, &target(Format::E4M3FN, (2, 1), Policy::RNE), &window, &[pixel]).unwrap();
    assert_eq!((sums.get(0), sums.get(1)), (0x80, 0));
}

#[test]
fn sums_start_where_there_is_a_zero() {
    assert!(has_zero(Format::E4M3FN) && !has_zero(format("e8m0")));
    // A maximum needs none.
    let codes = Codes::U8(vec![3, 200, 7]);
    let scales = Operand { format: format("e8m0"), rows: 1, cols: 3, codes: &codes };
    let (max, _) = reduce(Reduction::Maximum, &target(format("e8m0"), (1, 1), Policy::RNE), &[scales]).unwrap();
    assert_eq!(max.get(0), 200);
}

#[test]
fn overflows_and_underflows_are_counted() {
    let codes = Codes::U32([3e38f32, 3e38, 1e-30, -1.0, f32::NAN].map(f32::to_bits).to_vec());
    let row = Operand { format: Format::FP32, rows: 1, cols: 5, codes: &codes };
    let shape = (1, 5);
    let (_, squares) = elementwise(Elementwise::Multiply, &target(Format::FP32, shape, Policy::RNE), &[row, row]).unwrap();
    assert_eq!((squares.vector_overflows, squares.vector_underflows, squares.vector_nans), (2, 1, 1));
    let (_, narrow) = elementwise(Elementwise::Convert, &target(Format::E4M3FN, shape, Policy::RNE), &[row]).unwrap();
    assert_eq!((narrow.vector_overflows, narrow.vector_underflows, narrow.vector_nans), (2, 1, 3));
    let saturating = Policy::RNE.overflow(Overflow::Saturate);
    let (sum, counts) = reduce(
        Reduction::Sum,
        &target(Format::FP32, (1, 1), saturating),
        &[Operand { cols: 4, codes: &Codes::U32(vec![0x7f7f_ffff; 4]), ..row }],
    )
    .unwrap();
    assert_eq!((sum.get(0), counts.vector_overflows), (0x7f7f_ffff, 3));
}

#[test]
fn work_follows_shapes() {
    let spec = VectorSpec { lanes: 16, function_cycles: 4, latency_cycles: 8, ..VectorSpec::default() };
    let window = windows()[0];
    let e = Operation::Elementwise;
    for (operation, result, operands, want, cycles) in [
        (e(Elementwise::Add), (10, 17), vec![(10, 17), (1, 17)], (170, 0, 0), 8 + 11),
        (e(Elementwise::Multiply), (10, 17), vec![(1, 1), (10, 17)], (0, 170, 0), 8 + 11),
        (e(Elementwise::FusedMultiplyAdd), (4, 4), vec![(4, 4), (4, 1), (4, 4)], (16, 16, 0), 8 + 1),
        (e(Elementwise::Divide), (10, 17), vec![(10, 17), (10, 1)], (0, 0, 170), 8 + 11 * 4),
        (e(Elementwise::Function(super::super::function::Function::Exp)), (1, 1), vec![(1, 1)], (0, 0, 1), 8 + 4),
        (Operation::Reduce(Reduction::Sum), (1, 17), vec![(10, 17)], (170, 0, 0), 8 + 11),
        (Operation::Pool(Pool::Maximum, window), (40, 3), vec![(160, 3)], (480, 0, 0), 8 + 30),
        (Operation::Pool(Pool::MaximumGradient, window), (160, 3), vec![(160, 3), (40, 3)], (600, 0, 0), 8 + 38),
        (Operation::Pool(Pool::Spread, window), (160, 3), vec![(40, 3)], (480, 0, 0), 8 + 30),
    ] {
        let got = work(&operation, Blocks::WHOLE, result, &operands).unwrap();
        let (additions, multiplications, functions) = want;
        assert_eq!(got, VectorWork { additions, multiplications, functions, slots: got.slots }, "{operation:?}");
        assert_eq!(got.cycles(&spec), cycles, "{operation:?}");
        assert_eq!(got.events().vector_additions, additions);
    }
}

#[test]
fn refusals() {
    let fp32 = |n| Codes::U32(vec![0; n]);
    let (six, five) = (fp32(6), fp32(5));
    let a = Operand { format: Format::FP32, rows: 2, cols: 3, codes: &six };
    let to = |rows, cols| target(Format::FP32, (rows, cols), Policy::RNE);
    let says = |e: String, needle: &str| assert!(e.contains(needle), "{e}");
    says(elementwise(Elementwise::Add, &to(2, 3), &[a]).unwrap_err().to_string(), "takes 2 operands, not 1");
    says(elementwise(Elementwise::Add, &to(4, 3), &[a, a]).unwrap_err().to_string(), "operand 1: 2x3 does not repeat to the result's 4x3");
    let short = Operand { codes: &five, ..a };
    says(elementwise(Elementwise::Convert, &to(2, 3), &[short]).unwrap_err().to_string(), "need 6 codes");
    let bytes = Codes::U8(vec![0; 6]);
    says(elementwise(Elementwise::Convert, &to(2, 3), &[Operand { codes: &bytes, ..a }]).unwrap_err().to_string(), "not 6 of 1 bytes");
    says(reduce(Reduction::Sum, &to(2, 2), &[a]).unwrap_err().to_string(), "2x3 does not reduce to 2x2");
    let double = format("fp64");
    let wide = Codes::U64(vec![0; 6]);
    let exp = Elementwise::Function(super::super::function::Function::Exp);
    says(elementwise(exp, &to(2, 3), &[Operand { format: double, codes: &wide, ..a }]).unwrap_err().to_string(), "fp64");

    let window = Window { out_h: 1, out_w: 1, h: 2, w: 1, c: 3, kernel_h: 2, kernel_w: 1, stride: 1, pad: 0, dilate: 1 };
    assert!(pool(Pool::Maximum, &to(1, 3), &window, &[a]).is_ok());
    says(pool(Pool::Maximum, &to(2, 3), &window, &[a]).unwrap_err().to_string(), "the result is 2x3, but the window asks for 1x3");
    says(pool(Pool::MaximumGradient, &to(2, 3), &window, &[a, a]).unwrap_err().to_string(), "the gradient is 2x3");
    let tall = Window { h: 3, ..window };
    says(pool(Pool::Sum, &to(1, 3), &tall, &[a]).unwrap_err().to_string(), "the input is 2x3, but the window asks for 3x3");
    says(pool(Pool::Sum, &to(1, 3), &Window { stride: 0, ..window }, &[a]).unwrap_err().to_string(), "at least 1");
    let outside = Window { out_h: 2, out_w: 5, pad: 2, ..window };
    says(pool(Pool::Maximum, &to(10, 3), &outside, &[a]).unwrap_err().to_string(), "output (0, 0) holds no input element");
    assert!(pool(Pool::Sum, &to(10, 3), &outside, &[a]).is_ok());
    // Stochastic bits at the far end of the range are still bits.
    assert!(elementwise(Elementwise::Convert, &target(Format::FP32, (2, 3), Policy::new(Rounding::Sr(32))), &[a]).is_ok());
}
