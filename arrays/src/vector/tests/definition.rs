//! `apply` against the oracle's exact rationals, and against binary64 comparisons.

use super::super::{Elementwise, VectorError, apply};
use super::{Random, format, formats};
use systole_golden::oracle::{self, Operand};
use systole_golden::{Value, round::round};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Overflow, Policy, Rounding, SubnormalPolicy, Tininess};

const FORMATS: [&str; 15] = [
    "e4m3fn",
    "e5m2",
    "e4m3fnuz",
    "e2m1f",
    "e6m9",
    "dlfloat16",
    "bf16",
    "fp16",
    "tf32",
    "fp32",
    "fp64",
    "int8",
    "fx46.18",
    "fx64.40",
    "e8m0",
];

/// The quotient by exact rationals, where both are finite and neither is 0.
fn oracle_quotient(a: &Value, b: &Value, to: Format, policy: Policy, random: u64) -> Option<(u64, Flags)> {
    let (Value::Finite { negative: s, magnitude: x }, Value::Finite { negative: t, magnitude: y }) = (a, b) else { return None };
    if x.is_zero() || y.is_zero() {
        return None;
    }
    Some(round(to, &Value::Finite { negative: s != t, magnitude: x / y }, policy, random))
}

#[test]
fn arithmetic_is_the_oracles() {
    let mut random = Random(1);
    let formats = formats(&FORMATS);
    for i in 0..60_000 {
        let [fa, fb, fc, to] = std::array::from_fn(|_| random.pick(&formats));
        let [a, b, c] = [fa, fb, fc].map(|f| random.code(f));
        let mut policy = random.policy();
        policy.subnormals = random.pick(&[
            SubnormalPolicy::Gradual,
            SubnormalPolicy::Gradual,
            SubnormalPolicy::Daz,
            SubnormalPolicy::Ftz,
            SubnormalPolicy::DazFtz,
        ]);
        policy.tininess = random.pick(&[Tininess::After, Tininess::Before]);
        let r = random.next();
        let (oa, ob, oc) = (Operand::new(fa, a), Operand::new(fb, b), Operand::new(fc, c));
        let place = format!("case {i}: {fa} {a:#x}, {fb} {b:#x}, {fc} {c:#x} -> {to} {policy:?} random {r:#x}");
        let pair = [(fa, a), (fb, b)];
        let got = |op, operands: &[(Format, u64)]| apply(op, operands, to, policy, r).unwrap();
        // Far beyond two's complement a sum's lowest bits are jammed: whether it is inexact, and
        // what it wraps to, is settled only where addends span at most 126 bits.
        let far = |flags: Flags| matches!(to, Format::Fixed(_)) && flags.contains(Flags::OVERFLOW);
        let same = |got: (u64, Flags), want: (u64, Flags), op| {
            if far(got.1) && far(want.1) {
                assert!(policy.overflow == Overflow::Ieee || got.0 == want.0, "{op}, {place}");
            } else {
                assert_eq!(got, want, "{op}, {place}");
            }
        };
        same(got(Elementwise::Add, &pair), oracle::add(oa, ob, to, policy, r), "add");
        same(got(Elementwise::Subtract, &pair), oracle::sub(oa, ob, to, policy, r), "sub");
        assert_eq!(got(Elementwise::Multiply, &pair), oracle::mul(oa, ob, to, policy, r), "mul, {place}");
        assert_eq!(got(Elementwise::Convert, &pair[..1]), oracle::convert(oa, to, policy, r), "convert, {place}");
        let three = [(fa, a), (fb, b), (fc, c)];
        match apply(Elementwise::FusedMultiplyAdd, &three, to, policy, r) {
            Ok(result) => same(result, oracle::fma(oa, ob, oc, to, policy, r), "fma"),
            Err(e) => assert!(matches!(e, VectorError::WideProduct { .. }) && fa.precision() + fb.precision() > 107, "{e}, {place}"),
        }
        let (va, vb) = (Value::of_operand(fa, a, policy.subnormals), Value::of_operand(fb, b, policy.subnormals));
        if let Some(want) = oracle_quotient(&va, &vb, to, policy, r) {
            same(got(Elementwise::Divide, &pair), want, "div");
        }
    }
}

/// binary32 codes of the values the tables below speak of.
fn fp32(x: f32) -> u64 {
    x.to_bits().into()
}

#[test]
fn special_values() {
    use Elementwise::{Absolute, Add, Convert, Divide, FusedMultiplyAdd, Gate, Maximum, Minimum, Multiply, Negate, Relu, Subtract};
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    let none = Flags::NONE;
    for (op, operands, want, flags) in [
        (Add, vec![INF, -INF], NAN, Flags::INVALID),
        (Add, vec![1.0, -1.0], 0.0, none),
        (Subtract, vec![INF, INF], NAN, Flags::INVALID),
        (Subtract, vec![-0.0, 0.0], -0.0, none),
        (Multiply, vec![0.0, -INF], NAN, Flags::INVALID),
        (Multiply, vec![-2.0, INF], -INF, none),
        (FusedMultiplyAdd, vec![0.0, INF, NAN], NAN, Flags::INVALID),
        (FusedMultiplyAdd, vec![INF, 1.0, -INF], NAN, Flags::INVALID),
        (Divide, vec![1.0, -0.0], -INF, Flags::DIVIDE_BY_ZERO),
        (Divide, vec![0.0, 0.0], NAN, Flags::INVALID),
        (Divide, vec![INF, INF], NAN, Flags::INVALID),
        (Divide, vec![INF, 0.0], INF, none),
        (Divide, vec![-1.0, INF], -0.0, none),
        (Divide, vec![-0.0, 3.0], -0.0, none),
        (Divide, vec![NAN, 0.0], NAN, none),
        (Maximum, vec![-0.0, 0.0], 0.0, none),
        (Maximum, vec![0.0, -0.0], 0.0, none),
        (Maximum, vec![NAN, INF], NAN, none),
        (Maximum, vec![-INF, -3.0], -3.0, none),
        (Minimum, vec![0.0, -0.0], -0.0, none),
        (Minimum, vec![-INF, NAN], NAN, none),
        (Minimum, vec![2.0, -3.0], -3.0, none),
        (Gate, vec![5.0, 0.0], 0.0, none),
        (Gate, vec![-5.0, 1e-45], -5.0, none),
        (Gate, vec![NAN, INF], NAN, none),
        (Gate, vec![5.0, NAN], 0.0, none),
        (Gate, vec![NAN, -1.0], 0.0, none),
        (Relu, vec![-0.0], 0.0, none),
        (Relu, vec![-INF], 0.0, none),
        (Relu, vec![NAN], NAN, none),
        (Relu, vec![7.0], 7.0, none),
        (Negate, vec![0.0], -0.0, none),
        (Negate, vec![NAN], NAN, none),
        (Absolute, vec![-INF], INF, none),
        (Absolute, vec![-0.0], 0.0, none),
        (Convert, vec![-0.0], -0.0, none),
    ] {
        let codes: Vec<_> = operands.iter().map(|&x| (Format::FP32, fp32(x))).collect();
        let (code, got) = apply(op, &codes, Format::FP32, Policy::RNE, 0).unwrap();
        let want = if want.is_nan() { 0x7fc0_0000 } else { fp32(want) };
        assert_eq!((code, got), (want, flags), "{op:?} {operands:?}");
    }
    // Every NaN comes out canonical, a negative one with a payload too; a signalling one is told.
    for op in [Negate, Absolute, Relu, Convert] {
        let nan = |code| apply(op, &[(Format::FP32, code)], Format::E4M3FN, Policy::RNE, 0).unwrap();
        assert_eq!(nan(0xffc1_2345), (0x7f, Flags::NONE));
        assert_eq!(nan(0xff81_2345), (0x7f, Flags::INVALID));
    }
    // Rounding down, zeros that cancel are negative.
    let down = Policy::new(Rounding::Rdn);
    let cancel = apply(Add, &[(Format::FP32, fp32(2.0)), (Format::FP32, fp32(-2.0))], Format::FP32, down, 0).unwrap();
    assert_eq!(cancel.0, fp32(-0.0));
}

#[test]
fn comparisons_are_those_of_binary64() {
    let mut random = Random(2);
    let formats = formats(&["e4m3fn", "e5m2", "e6m9", "dlfloat16", "fp32", "fp64", "int8", "e4m3fnuz"]);
    for _ in 0..100_000 {
        let (fa, fb) = (random.pick(&formats), random.pick(&formats));
        let (a, b) = (random.code(fa), random.code(fb));
        let (x, y) = (fa.to_f64(a), fb.to_f64(b));
        let got = |op| Format::FP64.to_f64(apply(op, &[(fa, a), (fb, b)], Format::FP64, Policy::RNE, 0).unwrap().0);
        let same = |got: f64, want: f64, op| {
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{op} {fa} {a:#x} {fb} {b:#x}: {got} not {want}");
        };
        let either_nan = x.is_nan() || y.is_nan();
        let first = if x == y { x.is_sign_positive() } else { x > y };
        same(
            got(Elementwise::Maximum),
            if either_nan {
                f64::NAN
            } else if first {
                x
            } else {
                y
            },
            "max",
        );
        let first = if x == y { x.is_sign_negative() } else { x < y };
        same(
            got(Elementwise::Minimum),
            if either_nan {
                f64::NAN
            } else if first {
                x
            } else {
                y
            },
            "min",
        );
        same(got(Elementwise::Gate), if y > 0.0 { x } else { 0.0 }, "gate");
    }
}

#[test]
fn refusals() {
    let e = apply(Elementwise::Add, &[(Format::FP32, 0)], Format::FP32, Policy::RNE, 0).unwrap_err();
    assert_eq!(e.to_string(), "`vadd` takes 2 operands, not 1");
    let wide = (format("fx64.18"), 1);
    let e = apply(Elementwise::FusedMultiplyAdd, &[wide, wide, wide], Format::FP32, Policy::RNE, 0).unwrap_err();
    assert!(e.to_string().contains("has 128 significant bits, 107 at most"), "{e}");
}
