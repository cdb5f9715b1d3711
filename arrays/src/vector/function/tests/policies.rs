//! Rounding modes against each other, monotonicity, and the evaluator against the definition.

use super::*;
use systole_isa::round::{Rounding, Tininess};

/// Codes of the finite values of a format in ascending order, -0 left out.
fn ascending(format: Format) -> Vec<u64> {
    let f = format.as_float().unwrap();
    let largest = f.max_finite_magnitude();
    (1..=largest).rev().map(|m| m | f.sign_code()).chain(0..=largest).collect()
}

#[test]
fn sixteen_bit_results_are_monotone() {
    for function in Function::ALL {
        for (input, output) in [(FP16, FP16), (BF16, BF16), (FP16, FP32), (BF16, format("e4m3fn"))] {
            let evaluator = Evaluator::new(function, input, output, Policy::RNE.overflow(Overflow::Saturate)).unwrap();
            let mut previous: Option<(f64, f64)> = None;
            for code in ascending(input) {
                let (result, flags) = evaluator.evaluate(code, 0);
                if flags.contains(Flags::INVALID) || flags.contains(Flags::DIVIDE_BY_ZERO) {
                    previous = None;
                    continue;
                }
                let (x, y) = (input.to_f64(code), output.to_f64(result));
                if let Some((before, value)) = previous {
                    let decreasing = matches!(function, Function::Reciprocal | Function::Rsqrt);
                    assert!(if decreasing { y <= value } else { y >= value }, "{function}: {before:e} {value:e}, {x:e} {y:e}");
                }
                previous = Some((x, y));
            }
        }
    }
}

#[test]
fn directed_modes_bracket() {
    let mut random = Random(3);
    let formats = [FP16, BF16, FP32, format("e4m3fn"), format("e5m2fnuz"), format("e8m13")];
    for function in Function::ALL {
        for _ in 0..4000 {
            let input = formats[random.below(6) as usize];
            let output = formats[random.below(6) as usize];
            let code = random.next() & input.mask();
            let at = |rounding| value(function, input, output, code, Policy::new(rounding).overflow(Overflow::Saturate));
            let all = Rounding::DETERMINISTIC.map(at);
            let [rne, rmm, rtz, rdn, rup, rod] = all.map(|(c, _)| output.to_f64(c));
            let context = format!("{function} {input} {code:#x} {output}");
            if all[0].1.contains(Flags::INVALID) || rne.is_nan() || !rne.is_finite() {
                assert!(all.iter().all(|&r| r == all[0]), "{context}");
                continue;
            }
            assert!(rdn <= rup, "{context}");
            for nearest in [rne, rmm, rod] {
                assert!(nearest == rdn || nearest == rup, "{context}");
            }
            assert_eq!(rtz, if rdn >= 0.0 { rdn } else { rup }, "{context}");
            let inexact = all.map(|(_, flags)| flags.contains(Flags::INEXACT));
            assert!(inexact.iter().all(|&i| i == inexact[0]), "{context}");
            if !inexact[0] {
                assert_eq!(rdn, rup, "{context}");
            } else if !all[0].1.contains(Flags::OVERFLOW) && rdn != rup && rdn > 0.0 {
                assert_eq!(all[4].0, all[3].0 + 1, "{context}: neighbours");
            }
        }
    }
}

#[test]
fn evaluator_gives_what_evaluate_gives() {
    let mut random = Random(4);
    let formats = ["e4m3fn", "fp16", "bf16", "dlfloat16", "fx12.4", "int8", "e5m2", "e8m0", "p3109_k8p4se", "tf32", "e11m23"].map(format);
    let roundings = [Rounding::Rne, Rounding::Rup, Rounding::Rod, Rounding::Sr(1), Rounding::Sr(13), Rounding::Sr(32)];
    for _ in 0..400 {
        let function = Function::ALL[random.below(10) as usize];
        let input = formats[random.below(formats.len() as u64) as usize];
        let output = formats[random.below(formats.len() as u64) as usize];
        let mut policy = Policy::new(roundings[random.below(6) as usize]);
        if matches!(output, Format::Fixed(_)) || random.below(2) == 0 {
            policy = policy.overflow(Overflow::Saturate);
        }
        if random.below(3) == 0 {
            policy = policy.subnormals(SubnormalPolicy::DazFtz);
        }
        if random.below(3) == 0 {
            policy.tininess = Tininess::Before;
        }
        let evaluator = Evaluator::new(function, input, output, policy).unwrap();
        for _ in 0..50 {
            let (code, bits) = (random.next() & input.mask(), random.next());
            let expected = evaluate(function, input, output, code, policy, bits).unwrap();
            for _ in 0..2 {
                assert_eq!(evaluator.evaluate(code, bits), expected, "{function} {input} {code:#x} {output} {policy:?}");
            }
        }
    }
}

/// Cost of one evaluation, for the record: run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_one_evaluation() {
    let mut random = Random(5);
    let codes: Vec<u64> = (0..200_000).map(|_| random.next() & 0x7fff_ffff & !0x7f80_0000 | (97 + random.below(34)) << 23).collect();
    let narrow: Vec<u64> = (0..2_000_000).map(|_| random.below(1 << 16)).collect();
    for function in Function::ALL {
        let wide = Evaluator::new(function, FP32, FP32, Policy::RNE).unwrap();
        let table = Evaluator::new(function, BF16, BF16, Policy::RNE).unwrap();
        let stochastic = Evaluator::new(function, BF16, BF16, Policy::new(Rounding::Sr(16))).unwrap();
        let time = |evaluator: &Evaluator, codes: &[u64]| {
            let start = std::time::Instant::now();
            let sum = codes.iter().fold(0u64, |sum, &c| sum.wrapping_add(evaluator.evaluate(c, sum).0));
            std::hint::black_box(sum);
            start.elapsed().as_secs_f64() * 1e9 / codes.len() as f64
        };
        // The least of several runs: the machine may be busy.
        let best = |evaluator: &Evaluator, codes: &[u64]| (0..9).map(|_| time(evaluator, codes)).fold(f64::INFINITY, f64::min);
        time(&wide, &codes[..1000]);
        let first = time(&table, &narrow[..65536]);
        time(&stochastic, &narrow);
        println!(
            "{function:>10}: fp32 {:6.1} ns, bf16 filling {first:6.1} ns, bf16 table {:5.1} ns, bf16 sr16 {:5.1} ns",
            best(&wide, &codes),
            best(&table, &narrow[..65536]),
            best(&stochastic, &narrow[..65536])
        );
    }
}
