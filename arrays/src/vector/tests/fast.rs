//! Every fast path against the definition, inside its domain and at its edges.

use super::super::function::Function;
use super::super::rounder::Rounder;
use super::super::{Blocks, Elementwise, Operand, Target, apply, count_result, elementwise, elementwise_into};
use super::{ROUNDINGS, Random, SITE, format, formats};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::exact::Exact;
use systole_isa::format::{Format, NAMED};
use systole_isa::round::{NoInfinity, Overflow, Policy, Rounding, convert, encode};

fn target(format: Format, rows: usize, cols: usize, policy: Policy) -> Target {
    Target { format, rows, cols, policy, blocks: Blocks::WHOLE, site: SITE }
}

#[test]
fn the_rounder_is_the_contracts_rounding() {
    let mut random = Random(3);
    let extra = formats(&["e4m3b-20fn", "e5m10fnuz", "e6m9f", "e1m6", "e8m23fn", "e5m1", "e6m0f", "e11m20", "e4m3b60fn"]);
    let mut held = 0;
    for format in NAMED.iter().map(|n| n.format).chain(extra) {
        for rounding in ROUNDINGS {
            for (overflow, no_infinity) in
                [(Overflow::Ieee, NoInfinity::Nan), (Overflow::Ieee, NoInfinity::Max), (Overflow::Saturate, NoInfinity::Nan)]
            {
                let policy = Policy { overflow, no_infinity, ..Policy::new(rounding) };
                let Some(rounder) = Rounder::new(format, policy) else { continue };
                held += 1;
                let float = format.as_float().unwrap();
                let low = (float.min_quantum_exponent() - 90).max(-1000);
                let high = (float.min_exponent() + (1 << float.exponent_bits) + 2).min(1000);
                for i in 0..6000 {
                    // A fraction with a run of equal bits somewhere: ties and near-ties are common.
                    let r = random.next();
                    let run = random.next() % 53;
                    let fraction = match r & 3 {
                        0 => r >> 12,
                        1 => r >> 12 >> run << run,
                        2 => (r >> 12) | ((1 << run) - 1),
                        _ => (r >> 12 >> run << run) | (r >> 3 & 1),
                    };
                    let fraction = if i % 5 == 0 { ((1 << 52) - 1) >> run << run } else { fraction & ((1 << 52) - 1) };
                    let exponent = low + (random.next() % (high - low) as u64) as i32;
                    let mut x = f64::from_bits((r & 1) << 63 | ((exponent + 1023) as u64) << 52 | fraction);
                    if i < 4 {
                        x = [0.0, -0.0, 0.0, -0.0][i];
                    }
                    let bits = random.next();
                    let (mut got, mut want) = (Activity::default(), Activity::default());
                    let code = rounder.round(rounding, x, bits, &mut got);
                    let (expected, flags) = encode(format, Exact::from_f64(x).unwrap(), policy, bits);
                    count_result(format, expected, flags, &mut want);
                    assert_eq!((code, got), (expected, want), "{format} {policy:?} {x:e} {:#x} random {bits:#x}", x.to_bits());
                }
            }
        }
    }
    assert!(held > 400, "{held}");
}

/// Converts by the instruction and by `convert`; both must agree in codes and counts.
fn check_conversion(from: Format, to: Format, policy: Policy, codes: &Codes) {
    let (got, activity) = elementwise(
        Elementwise::Convert,
        &target(to, 1, codes.len(), policy),
        &[Operand { format: from, rows: 1, cols: codes.len(), codes }],
    )
    .unwrap();
    let bits = policy.rounding.random_bits();
    let mut want_activity = Activity::default();
    for i in 0..codes.len() {
        let random = SITE.random(bits, 0, i as u32, Stage::Vector, 0);
        let (want, flags) = convert(from, to, codes.get(i), policy, random);
        count_result(to, want, flags, &mut want_activity);
        assert_eq!(got.get(i), want, "{from} {:#x} -> {to} {policy:?}", codes.get(i));
    }
    assert_eq!(activity, want_activity, "{from} -> {to} {policy:?}");
}

#[test]
fn conversions_from_fp32() {
    // Every upper half with lower halves at the corners: all 8- and 16-bit ties among them.
    let corners = [0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff];
    let all = Codes::U32((0..=0xffff_u32).flat_map(|upper| corners.map(|lower| upper << 16 | lower)).collect());
    let mut random = Random(4);
    let drawn = Codes::U32((0..200_000).map(|_| random.next() as u32).collect());
    for name in ["e4m3fn", "e5m2", "e6m9", "bf16", "fp16"] {
        for rounding in [Rounding::Rne, Rounding::Rmm, Rounding::Rtz, Rounding::Rdn, Rounding::Rup, Rounding::Rod, Rounding::Sr(12)] {
            let policy = Policy::new(rounding);
            if rounding == Rounding::Rne {
                check_conversion(Format::FP32, format(name), policy, &all);
                check_conversion(Format::FP32, format(name), policy.overflow(Overflow::Saturate), &drawn);
            } else {
                let third = Codes::U32((0..=0xffff_u32).map(|u| u << 16 | corners[(u.wrapping_mul(7) >> 3) as usize % 6]).collect());
                check_conversion(Format::FP32, format(name), policy, &third);
            }
        }
    }
}

#[test]
#[ignore = "10^7 conversions per format: a minute; run with --ignored after touching the rounder"]
fn conversions_from_fp32_at_length() {
    let mut random = Random(5);
    for name in ["e4m3fn", "e5m2", "e6m9", "bf16", "fp16", "int8"] {
        for rounding in ROUNDINGS {
            let codes = Codes::U32((0..1_000_000).map(|_| random.next() as u32).collect());
            check_conversion(Format::FP32, format(name), Policy::new(rounding), &codes);
        }
    }
}

#[test]
fn conversions_between_all_narrow_formats() {
    for from in NAMED.iter().map(|n| n.format).filter(|f| f.bits() <= 8) {
        let codes = Codes::from_fn(from, 1 << from.bits(), |i| i as u64);
        for to in NAMED.iter().map(|n| n.format) {
            for rounding in [Rounding::Rne, Rounding::Rdn, Rounding::Sr(9)] {
                check_conversion(from, to, Policy::new(rounding), &codes);
            }
        }
    }
}

/// An instruction against `apply`, element by element, operands of full shape.
fn check_instruction(op: Elementwise, inputs: &[Format], to: Format, policy: Policy, len: usize, random: &mut Random) {
    let buffers: Vec<Codes> = inputs.iter().map(|&f| Codes::from_fn(f, len, |_| random.code(f))).collect();
    let cols = 1 + random.next() as usize % len;
    let (rows, cols) = if len.is_multiple_of(cols) { (len / cols, cols) } else { (1, len) };
    let operands: Vec<Operand> = inputs.iter().zip(&buffers).map(|(&format, codes)| Operand { format, rows, cols, codes }).collect();
    // Into a buffer that an earlier result has left full.
    let mut got = Codes::from_fn(random.pick(&[to, Format::FP16]), len + 3, |_| u64::MAX);
    let activity = elementwise_into(op, &target(to, rows, cols, policy), &operands, &mut got).unwrap();
    assert_eq!(got.len(), len);
    let mut want_activity = Activity::default();
    for i in 0..len {
        let codes: Vec<_> = operands.iter().map(|o| (o.format, o.codes.get(i))).collect();
        let bits = SITE.random(policy.rounding.random_bits(), (i / cols) as u32, (i % cols) as u32, Stage::Vector, 0);
        let (want, flags) = apply(op, &codes, to, policy, bits).unwrap();
        count_result(to, want, flags, &mut want_activity);
        let shown: Vec<String> = codes.iter().map(|(f, c)| format!("{f} {c:#x}")).collect();
        assert_eq!(got.get(i), want, "{op:?} {shown:?} -> {to} {policy:?}");
    }
    assert_eq!(activity, want_activity, "{op:?} {inputs:?} -> {to} {policy:?}");
}

#[test]
fn native_binary32() {
    let mut random = Random(6);
    let ops = Elementwise::ARITHMETIC.into_iter().chain([Elementwise::Function(Function::Sqrt)]);
    for op in ops {
        for overflow in [Overflow::Ieee, Overflow::Saturate] {
            let policy = Policy::RNE.overflow(overflow);
            check_instruction(op, &[Format::FP32; 3][..op.arity()], Format::FP32, policy, 100_000, &mut random);
            let mixed = formats(&["bf16", "e5m2", "fp32"]);
            check_instruction(op, &mixed[..op.arity()], Format::FP32, policy, 5000, &mut random);
        }
    }
    check_instruction(Elementwise::Function(Function::Reciprocal), &[Format::FP32], Format::FP32, Policy::RNE, 20_000, &mut random);
}

#[test]
fn narrowing() {
    let mut random = Random(12);
    let ops = [
        Elementwise::Convert,
        Elementwise::Negate,
        Elementwise::Absolute,
        Elementwise::Relu,
        Elementwise::Gate,
        Elementwise::CopySign,
        Elementwise::Hysteresis,
    ];
    let outputs = formats(&[
        "e4m3fn",
        "e5m2",
        "e4m3fnuz",
        "e2m1f",
        "e6m9",
        "e6m9f",
        "bf16",
        "fp16",
        "e5m1",
        "e5m0f",
        "e5m0b14f",
        "e4m3b-20fn",
        "e8m3b130",
        "e1m6",
        "int8",
        "fx6.4",
        "fx16.12",
    ]);
    for op in ops {
        for &to in &outputs {
            for overflow in [Overflow::Ieee, Overflow::Saturate] {
                for rounding in ROUNDINGS {
                    let policy = Policy::new(rounding).overflow(overflow);
                    check_instruction(op, &formats(&["fp32", "fp32"])[..op.arity()], to, policy, 2000, &mut random);
                }
            }
            check_instruction(op, &formats(&["bf16", "e5m2"])[..op.arity()], to, Policy::RNE, 1000, &mut random);
        }
    }
    // Every value around the subnormals, the smallest normal and the largest numbers.
    for to in outputs {
        let Format::Float(f) = to else {
            // Numbers of quanta, in halves, and their neighbours.
            let Format::Fixed(f) = to else { unreachable!() };
            let halves = (-300..300).map(|i| i as f32 / 2.0 * (-f.fraction_bits as f32).exp2());
            let ends = (0..1 << 12).map(|i| ((f.max_integer() - 1000 + i) as f32 + 0.5) * (-f.fraction_bits as f32).exp2());
            let codes: Vec<u32> = halves.chain(ends).map(f32::to_bits).flat_map(|x| [x, x ^ 1 << 31, x + 1, x.saturating_sub(1)]).collect();
            for rounding in ROUNDINGS {
                for overflow in [Overflow::Ieee, Overflow::Saturate] {
                    check_conversion(Format::FP32, to, Policy::new(rounding).overflow(overflow), &Codes::U32(codes.clone()));
                }
            }
            continue;
        };
        let place = |exponent: i32| ((exponent + 127).clamp(0, 254) as u32) << 23;
        let codes = [f.min_quantum_exponent() - 1, f.min_quantum_exponent(), f.min_exponent() - 1, f.min_exponent(), f.bias]
            .into_iter()
            .flat_map(|e| (0..1 << 13).map(move |i| place(e) + (i << 10) + (i & 1) * 1023))
            .chain((0..1 << 13).map(|i| i << 10))
            .flat_map(|code| [code, code | 0x8000_0000])
            .collect();
        let codes = Codes::U32(codes);
        for rounding in ROUNDINGS {
            check_conversion(Format::FP32, to, Policy::new(rounding), &codes);
        }
    }
}

/// All pairs of 8-bit codes, and every upper half of a binary32 beside its neighbours as thresholds.
#[test]
fn hysteresis_and_signs_exhaustively() {
    for op in [Elementwise::Hysteresis, Elementwise::CopySign] {
        for (from, other) in [("e4m3fn", "e5m2"), ("e5m2", "e4m3fnuz"), ("int8", "e8m0"), ("e4m3fnuz", "posit8_0")] {
            let (from, other) = (format(from), format(other));
            let codes = Codes::from_fn(from, 1 << 16, |i| i as u64 >> 8);
            let thresholds = Codes::from_fn(other, 1 << 16, |i| i as u64 & 0xff);
            for to in formats(&["e2m1f", "e4m3fn", "e5m2", "fp16", "dlfloat16", "fp32", "int8", "e8m0"]) {
                check_pairs(op, [(from, &codes), (other, &thresholds)], to, Policy::new(Rounding::Sr(8)));
            }
        }
        let upper = |i: usize| (i as u32 / 3) << 16 | (i as u32 / 3).wrapping_mul(0x9e37) & 0xffff;
        let codes = Codes::U32((0..3 << 16).map(upper).collect());
        let thresholds = Codes::U32((0..3 << 16).map(|i| upper(i).wrapping_add(i as u32 % 3).wrapping_sub(1)).collect());
        for to in formats(&["e4m3fn", "e5m2", "e2m1f", "bf16", "fp16", "e6m9", "dlfloat16", "fp32"]) {
            for overflow in [Overflow::Ieee, Overflow::Saturate] {
                let policy = Policy::RNE.overflow(overflow);
                check_pairs(op, [(Format::FP32, &codes), (Format::FP32, &thresholds)], to, policy);
            }
        }
    }
}

/// A binary instruction against `apply` in codes and counts.
fn check_pairs(op: Elementwise, operands: [(Format, &Codes); 2], to: Format, policy: Policy) {
    let len = operands[0].1.len();
    let (got, activity) =
        elementwise(op, &target(to, 1, len, policy), &operands.map(|(format, codes)| Operand { format, rows: 1, cols: len, codes }))
            .unwrap();
    let mut want_activity = Activity::default();
    for i in 0..len {
        let pair = operands.map(|(format, codes)| (format, codes.get(i)));
        let bits = SITE.random(policy.rounding.random_bits(), 0, i as u32, Stage::Vector, 0);
        let (want, flags) = apply(op, &pair, to, policy, bits).unwrap();
        count_result(to, want, flags, &mut want_activity);
        assert_eq!(got.get(i), want, "{op:?} {pair:x?} -> {to} {policy:?}");
    }
    assert_eq!(activity, want_activity, "{op:?} -> {to} {policy:?}");
}

/// binary32s with every exponent, fractions at the ends and in the middle; products and quotients.
#[test]
fn powers_of_two() {
    let e8m0 = format("e8m0");
    let fractions = [0, 1, 0x3f_ffff, 0x40_0000, 0x40_0001, 0x7f_ffff, 0x12_3456];
    let codes = Codes::U32((0..512u32).flat_map(|top| fractions.map(|fraction| top << 23 | fraction)).collect());
    let mut random = Random(13);
    for rounding in ROUNDINGS {
        for (overflow, no_infinity) in [
            (Overflow::Ieee, NoInfinity::Nan),
            (Overflow::Ieee, NoInfinity::Max),
            (Overflow::Saturate, NoInfinity::Nan),
            (Overflow::Infinity, NoInfinity::Nan),
        ] {
            let policy = Policy { overflow, no_infinity, ..Policy::new(rounding) };
            check_conversion(Format::FP32, e8m0, policy, &codes);
            let ops = Elementwise::ARITHMETIC.into_iter().filter(|op| !matches!(op, Elementwise::Convert));
            for op in ops {
                check_instruction(op, &[Format::FP32; 3][..op.arity()], e8m0, policy, 600, &mut random);
            }
            check_instruction(Elementwise::Multiply, &formats(&["bf16", "fp32"]), e8m0, policy, 2000, &mut random);
        }
    }
}

#[test]
fn fused_multiply_add_at_ties() {
    // a b + c with c an exact half ulp of the product's rounding away, give or take a little.
    let mut random = Random(7);
    let mut codes = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..50_000 {
        let a = f32::from_bits(0x3f80_0000 | (random.next() as u32 & 0x007f_ffff));
        let b = f32::from_bits(0x3f80_0000 | (random.next() as u32 & 0x007f_f000));
        let half = f32::from_bits(((127 - random.pick(&[23, 24, 25, 47, 60, 149 - 23])) as u32) << 23);
        let c = if random.next() & 1 == 0 { half } else { -half };
        let scale = random.pick(&[1.0, 1e-30, 1e-38, 1e30]);
        for (v, x) in codes.iter_mut().zip([a * scale, b, c * scale]) {
            v.push(x.to_bits());
        }
    }
    let len = codes[0].len();
    let buffers = codes.map(Codes::U32);
    let operands: Vec<Operand> = buffers.iter().map(|codes| Operand { format: Format::FP32, rows: 1, cols: len, codes }).collect();
    for to in formats(&["fp32", "bf16", "e6m9"]) {
        let (got, _) = elementwise(Elementwise::FusedMultiplyAdd, &target(to, 1, len, Policy::RNE), &operands).unwrap();
        for i in 0..len {
            let three: Vec<_> = buffers.iter().map(|b| (Format::FP32, b.get(i))).collect();
            let want = apply(Elementwise::FusedMultiplyAdd, &three, to, Policy::RNE, 0).unwrap().0;
            assert_eq!(got.get(i), want, "{to} {three:x?}");
        }
    }
}

#[test]
fn any_formats_any_policy() {
    let mut random = Random(8);
    let inputs = formats(&[
        "e4m3fn",
        "e5m2",
        "e4m3fnuz",
        "e6m9",
        "dlfloat16",
        "bf16",
        "fp16",
        "tf32",
        "fp32",
        "int8",
        "fx12.6",
        "e8m0",
        "fp64",
        "fx46.18",
    ]);
    let outputs =
        formats(&["e4m3fn", "e5m2", "e4m3fnuz", "e2m1f", "e6m9", "dlfloat16", "bf16", "fp16", "tf32", "fp32", "int8", "e8m0", "fp64"]);
    for op in Elementwise::ARITHMETIC {
        for _ in 0..240 {
            let mut given = [random.pick(&inputs), random.pick(&inputs), random.pick(&inputs)];
            if op == Elementwise::FusedMultiplyAdd && given[0].precision() + given[1].precision() > 107 {
                given[0] = Format::FP32;
            }
            let (to, policy) = (random.pick(&outputs), random.policy());
            check_instruction(op, &given[..op.arity()], to, policy, 400, &mut random);
        }
    }
}

#[test]
fn functions() {
    let mut random = Random(9);
    for function in Function::ALL {
        for (from, to) in [("e4m3fn", "e4m3fn"), ("bf16", "fp16"), ("fp32", "fp32"), ("fp32", "e5m2"), ("e6m9", "fp32")] {
            for policy in [Policy::RNE, Policy::new(Rounding::Sr(8)), Policy::new(Rounding::Rtz)] {
                check_instruction(Elementwise::Function(function), &[format(from)], format(to), policy, 300, &mut random);
            }
        }
    }
}

#[test]
fn many_threads_give_the_bits_of_one() {
    let mut random = Random(10);
    for rounding in [Rounding::Rne, Rounding::Sr(10)] {
        check_instruction(
            Elementwise::Multiply,
            &formats(&["fp32", "e5m2"]),
            format("e4m3fn"),
            Policy::new(rounding),
            150_000,
            &mut random,
        );
    }
}
