//! Tables: exact results, special values, saturation, fixed point, refusals.

use super::*;
use systole_isa::round::Rounding;

#[test]
fn exact_results_raise_no_flag() {
    // Input and result as binary32 numbers.
    let cases: &[(Function, f32, f32)] = &[
        (Function::Exp, 0.0, 1.0),
        (Function::Exp, -0.0, 1.0),
        (Function::Exp2, 0.0, 1.0),
        (Function::Exp2, 1.0, 2.0),
        (Function::Exp2, -3.0, 0.125),
        (Function::Exp2, 127.0, 1.7014118e38),
        (Function::Exp2, -149.0, 1e-45),
        (Function::Log, 1.0, 0.0),
        (Function::Log2, 1.0, 0.0),
        (Function::Log2, 0.5, -1.0),
        (Function::Log2, 1e-45, -149.0),
        (Function::Log2, 1024.0, 10.0),
        (Function::Tanh, 0.0, 0.0),
        (Function::Tanh, -0.0, -0.0),
        (Function::Erf, -0.0, -0.0),
        (Function::Sigmoid, 0.0, 0.5),
        (Function::Sigmoid, -0.0, 0.5),
        (Function::Reciprocal, 4.0, 0.25),
        (Function::Reciprocal, -0.125, -8.0),
        (Function::Sqrt, 6.25, 2.5),
        (Function::Sqrt, 2.0f32.powi(-148), 5.293956e-23),
        (Function::Sqrt, 16769025.0, 4095.0),
        (Function::Rsqrt, 0.0625, 4.0),
        (Function::Rsqrt, 2.0f32.powi(-148), 1.8889466e22),
    ];
    for &(function, x, y) in cases {
        for rounding in Rounding::DETERMINISTIC.into_iter().chain([Rounding::Sr(32)]) {
            let got = evaluate(function, FP32, FP32, x.to_bits().into(), Policy::new(rounding), u64::MAX).unwrap();
            assert_eq!(got, (y.to_bits().into(), Flags::NONE), "{function}({x:e}) {rounding}");
        }
    }
}

#[test]
fn special_values_follow_the_standard() {
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    let cases: &[(Function, f32, f32, Flags)] = &[
        (Function::Exp, INF, INF, Flags::NONE),
        (Function::Exp, -INF, 0.0, Flags::NONE),
        (Function::Exp2, INF, INF, Flags::NONE),
        (Function::Exp2, -INF, 0.0, Flags::NONE),
        (Function::Log, 0.0, -INF, Flags::DIVIDE_BY_ZERO),
        (Function::Log, -0.0, -INF, Flags::DIVIDE_BY_ZERO),
        (Function::Log, -1.0, NAN, Flags::INVALID),
        (Function::Log, INF, INF, Flags::NONE),
        (Function::Log, -INF, NAN, Flags::INVALID),
        (Function::Log2, -0.0, -INF, Flags::DIVIDE_BY_ZERO),
        (Function::Log2, -1e-45, NAN, Flags::INVALID),
        (Function::Log2, INF, INF, Flags::NONE),
        (Function::Tanh, INF, 1.0, Flags::NONE),
        (Function::Tanh, -INF, -1.0, Flags::NONE),
        (Function::Erf, INF, 1.0, Flags::NONE),
        (Function::Erf, -INF, -1.0, Flags::NONE),
        (Function::Sigmoid, INF, 1.0, Flags::NONE),
        (Function::Sigmoid, -INF, 0.0, Flags::NONE),
        (Function::Reciprocal, 0.0, INF, Flags::DIVIDE_BY_ZERO),
        (Function::Reciprocal, -0.0, -INF, Flags::DIVIDE_BY_ZERO),
        (Function::Reciprocal, INF, 0.0, Flags::NONE),
        (Function::Reciprocal, -INF, -0.0, Flags::NONE),
        (Function::Rsqrt, 0.0, INF, Flags::DIVIDE_BY_ZERO),
        (Function::Rsqrt, -0.0, -INF, Flags::DIVIDE_BY_ZERO),
        (Function::Rsqrt, -1.0, NAN, Flags::INVALID),
        (Function::Rsqrt, INF, 0.0, Flags::NONE),
        (Function::Rsqrt, -INF, NAN, Flags::INVALID),
        (Function::Sqrt, -0.0, -0.0, Flags::NONE),
        (Function::Sqrt, -1.0, NAN, Flags::INVALID),
        (Function::Sqrt, INF, INF, Flags::NONE),
        (Function::Sqrt, -INF, NAN, Flags::INVALID),
    ];
    for &(function, x, y, flags) in cases {
        for rounding in Rounding::DETERMINISTIC {
            let got = value(function, FP32, FP32, x.to_bits().into(), Policy::new(rounding));
            let code = if y.is_nan() { FP32.canonical_nan().unwrap() } else { y.to_bits().into() };
            assert_eq!(got, (code, flags), "{function}({x:e}) {rounding}");
        }
    }
    for function in Function::ALL {
        assert_eq!(value(function, FP32, FP16, 0xffc0_1234, Policy::RNE), (0x7e00, Flags::NONE), "{function}");
        assert_eq!(value(function, FP32, FP16, 0x7f80_0001, Policy::RNE), (0x7e00, Flags::INVALID), "{function}");
    }
}

#[test]
fn saturated_arguments_keep_their_side() {
    const IU: Flags = Flags(Flags::INEXACT.0 | Flags::UNDERFLOW.0);
    const IO: Flags = Flags(Flags::INEXACT.0 | Flags::OVERFLOW.0);
    const I: Flags = Flags::INEXACT;
    const TINY: f32 = f32::from_bits(1);
    const BELOW_1: f32 = 1.0 - f32::EPSILON / 2.0;
    const ABOVE_1: f32 = 1.0 + f32::EPSILON;
    use Rounding::{Rdn, Rne, Rod, Rtz, Rup};
    let cases: &[(Function, f32, Rounding, f32, Flags)] = &[
        (Function::Exp, 1e5, Rne, f32::INFINITY, IO),
        (Function::Exp, 1e38, Rtz, f32::MAX, IO),
        (Function::Exp, 1e38, Rod, f32::MAX, IO),
        (Function::Exp, 88.72284, Rne, f32::INFINITY, IO),
        (Function::Exp, -1e38, Rne, 0.0, IU),
        (Function::Exp, -1e38, Rup, TINY, IU),
        (Function::Exp, -200.0, Rup, TINY, IU),
        (Function::Exp, -200.0, Rod, TINY, IU),
        (Function::Exp, 1e-30, Rup, ABOVE_1, I),
        (Function::Exp, 1e-30, Rne, 1.0, I),
        (Function::Exp, -1e-30, Rdn, BELOW_1, I),
        (Function::Exp, -TINY, Rtz, BELOW_1, I),
        (Function::Exp2, TINY, Rup, ABOVE_1, I),
        (Function::Exp2, 128.0, Rne, f32::INFINITY, IO),
        (Function::Exp2, -150.0, Rne, 0.0, IU),
        (Function::Exp2, -149.99999, Rne, TINY, IU),
        (Function::Exp2, 1e30, Rdn, f32::MAX, IO),
        (Function::Sigmoid, 50.0, Rne, 1.0, I),
        (Function::Sigmoid, 1e30, Rtz, BELOW_1, I),
        (Function::Sigmoid, -1e30, Rup, TINY, IU),
        (Function::Sigmoid, -150.0, Rne, 0.0, IU),
        (Function::Sigmoid, TINY, Rup, 0.5 + f32::EPSILON / 2.0, I),
        (Function::Sigmoid, -TINY, Rdn, 0.5 - f32::EPSILON / 4.0, I),
        (Function::Tanh, 30.0, Rne, 1.0, I),
        (Function::Tanh, 30.0, Rtz, BELOW_1, I),
        (Function::Tanh, -1e30, Rup, -BELOW_1, I),
        (Function::Tanh, TINY, Rne, TINY, IU),
        (Function::Tanh, TINY, Rdn, 0.0, IU),
        (Function::Tanh, -TINY, Rup, -0.0, IU),
        (Function::Tanh, 1e-20, Rne, 1e-20, I),
        (Function::Erf, 7.0, Rdn, BELOW_1, I),
        (Function::Erf, -7.0, Rne, -1.0, I),
        (Function::Erf, TINY, Rne, TINY, IU),
        (Function::Erf, TINY, Rup, f32::from_bits(2), IU),
        (Function::Reciprocal, TINY, Rne, f32::INFINITY, IO),
        (Function::Reciprocal, f32::MAX, Rne, 2.938736e-39, IU),
    ];
    for &(function, x, rounding, y, flags) in cases {
        let got = value(function, FP32, FP32, x.to_bits().into(), Policy::new(rounding));
        assert_eq!(got, (y.to_bits().into(), flags), "{function}({x:e}) {rounding}: {:e}", f32::from_bits(got.0 as u32));
    }
}

#[test]
fn fixed_point_and_odd_formats() {
    let saturate = Policy::RNE.overflow(Overflow::Saturate);
    // Function, input, code, output, result, flags.
    let cases: &[(Function, &str, u64, &str, u64, Flags)] = &[
        // exp(2.5) = 12.18 in sixteenths: 194.9.
        (Function::Exp, "fx12.4", 40, "fx12.4", 195, Flags::INEXACT),
        (Function::Exp, "int8", 5, "int8", 127, Flags(0x5)),
        (Function::Exp2, "int8", 6, "int8", 64, Flags::NONE),
        (Function::Exp2, "int8", 0xff, "int8", 0, Flags::INEXACT),
        (Function::Tanh, "fx8.4", 0xe0, "fx8.7", 0x85, Flags::INEXACT),
        (Function::Sqrt, "int8", 49, "int8", 7, Flags::NONE),
        (Function::Reciprocal, "int8", 0, "int8", 127, Flags(0x18)),
        (Function::Log, "int8", 0x80, "int8", 0, Flags::INVALID),
        (Function::Exp2, "int8", 0x80, "e8m0", 0, Flags(0x3)),
        (Function::Exp2, "int8", 0x81, "e8m0", 0, Flags::NONE),
        (Function::Log, "e4m3fn", 0, "e4m3fn", 0xfe, Flags::DIVIDE_BY_ZERO),
        (Function::Sqrt, "e4m3fnuz", 0xb8, "e4m3fnuz", 0x80, Flags::INVALID),
    ];
    for &(function, input, code, output, expected, flags) in cases {
        let got = value(function, format(input), format(output), code, saturate);
        assert_eq!(got, (expected, flags), "{function} {input} {code:#x} {output}");
    }
}

#[test]
fn refusals_name_the_mend() {
    let refusal = |input, output, policy| evaluate(Function::Exp, format(input), format(output), 0, policy, 0).unwrap_err().to_string();
    assert!(refusal("fp64", "fp32", Policy::RNE).contains("input format fp64, which has 53"));
    assert!(refusal("fp32", "int32", Policy::RNE).contains("output format int32, which has 32"));
    assert!(refusal("fp32", "int8", Policy::RNE).contains("saturate"));
    assert!(Evaluator::new(Function::Exp, FP32, Format::FP64, Policy::RNE).is_err());
    for function in Function::ALL {
        assert_eq!(function.to_string().parse(), Ok(function));
    }
    assert!("sinh".parse::<Function>().unwrap_err().to_string().contains("sinh"));
}
