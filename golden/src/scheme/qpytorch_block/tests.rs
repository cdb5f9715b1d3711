//! Quirks by hand: with 8 bits under E = 0 the step is 1/64 and the largest 127/64.

use super::super::testing::{Random, bits, line, parameters};
use super::super::{Input, Numbers};

#[test]
fn quirks_by_hand() {
    let step = 1.0 / 64.0;
    // Ties toward plus infinity.
    let x = [1.0, 0.5 * step, -0.5 * step, 1.5 * step, -1.5 * step, -0.6 * step, -0.0];
    let y = line("qpytorch_block", &[], &x);
    assert_eq!(bits(&y.values), bits(&[1.0, step, 0.0, 2.0 * step, -step, -step, 0.0]));
    assert_eq!(y.codes, Numbers::I16(vec![64, 1, 0, 2, -1, -1, 0]));
    // A symmetric clip, where two's complement would keep -2.
    let under = f32::from_bits(0x3fff_ffff);
    let y = line("qpytorch_block", &[], &[under, -under]);
    assert_eq!((y.values, y.counts.saturated), (vec![127.0 * step, -127.0 * step], 2));
    // 6 + x has 21 fraction bits: what lies below a tie by less than 2^-22 is lifted onto it.
    let y = line("qpytorch_block", &[], &[1.0, f32::from_bits((0.5 * step).to_bits() - 1)]);
    assert_eq!(y.values, [1.0, step]);
    // +0 is added to zeros.
    assert_eq!(bits(&line("qpytorch_block", &[], &[0.0, -0.0]).values), bits(&[0.0, 0.0]));
}

/// Two bits: -1, 0 and 1 under E = 0.
#[test]
fn two_bits_by_hand() {
    let y = line("qpytorch_block", &["word_length=2"], &[1.0, 0.5, 0.49, -0.5, -0.6, 1.6, -1.6]);
    assert_eq!(y.values, [1.0, 1.0, 0.0, 0.0, -1.0, 1.0, -1.0]);
    assert_eq!((y.codes, y.counts.saturated), (Numbers::I8(vec![1, 1, 0, 0, -1, 1, -1]), 2));
}

#[test]
fn blocks_by_dimension() {
    let x = [1.0, 0.3, 4.0, 0.3];
    for (dim, scales, second) in [("dim=-1", vec![2], 0.3125), ("dim=0", vec![0, 2], 0.296875), ("dim=1", vec![2, -2], 0.30078125)] {
        let y = parameters("qpytorch_block", &[dim]).quantize(&Input::new(&[2, 2], &x)).unwrap();
        assert_eq!((y.scales, y.values[1]), (Numbers::I32(scales), second), "{dim}");
    }
    let refused = parameters("qpytorch_block", &["dim=2"]).quantize(&Input::new(&[2, 2], &x)).unwrap_err();
    assert_eq!(refused.to_string(), "dim=2: must be -1 to 1");
}

#[test]
fn infinite_sums_are_nan() {
    for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let y = line("qpytorch_block", &[], &[x, 1.0]);
        assert!(y.values.iter().all(|y| y.is_nan()), "{x}");
    }
    assert_eq!(line("qpytorch_block", &[], &[2f32.powi(125)]).values, [2f32.powi(125)]);
    // 6 2^126 is beyond binary32; the difference of infinities is a NaN with a sign, and that is clipped.
    let y = line("qpytorch_block", &[], &[2f32.powi(126), 1.0]);
    assert_eq!((y.values, y.counts.saturated), (vec![-127.0 * 2f32.powi(120); 2], 2));
}

#[test]
fn stochastic_by_hand() {
    // 0.25 and -0.25 steps: up from a quarter below, three quarters below.
    let x = [1.0, 0.25 / 64.0, 0.25 / 64.0, -0.25 / 64.0, -0.25 / 64.0];
    let y = parameters("qpytorch_block", &[]).quantize(&Input::new(&[5], &x).uniforms(&[0.9, 0.74, 0.75, 0.24, 0.25])).unwrap();
    assert_eq!(y.codes, Numbers::I16(vec![64, 0, 1, -1, 0]));
}

#[test]
fn again_changes_nothing_and_codes_are_steps() {
    let mut random = Random(7);
    for wl in [2, 3, 4, 8, 14, 22] {
        let setting = format!("word_length={wl}");
        for _ in 0..30 {
            let x = random.numbers(20);
            let y = line("qpytorch_block", &[&setting], &x);
            assert_eq!(line("qpytorch_block", &[&setting], &y.values).values, y.values, "{wl}");
            let Numbers::I32(e) = &y.scales else { panic!("exponents") };
            let codes: Vec<f32> = match &y.codes {
                Numbers::I8(codes) => codes.iter().map(|&c| c.into()).collect(),
                Numbers::I16(codes) => codes.iter().map(|&c| c.into()).collect(),
                Numbers::I32(codes) => codes.iter().map(|&c| c as f32).collect(),
                _ => panic!("integers"),
            };
            assert!(codes.iter().zip(&y.values).all(|(c, y)| c * 2f32.powi(e[0] - wl + 2) == *y && c.abs() < 2f32.powi(wl - 1)));
        }
    }
}
