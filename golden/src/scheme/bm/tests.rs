//! Expected numbers by hand. E2M5 with bias 2: largest 3.9375, smallest normal 0.5, smallest 2^-6;
//! under block exponent E an element means its minifloat times 2^(E-1).

use super::super::number::{Draw, exact64, finite_float, round_magnitude};
use super::super::testing::{Random, bits, line, parameters};
use super::super::{Input, Numbers};

#[test]
fn nearest_by_hand() {
    let tiny = 1.0 / 128.0;
    // Field 2 and fraction 0 is 1 = 2^(2-2); 2 has field 3.
    let y = line("bm", &[], &[1.0, -0.5, tiny, tiny / 2.0, -tiny / 2.0, 1.5 * tiny, 0.0, -0.0, 1.0 + 1.0 / 64.0]);
    assert_eq!(y.codes, Numbers::U8(vec![0x60, 0xc0, 1, 0, 0x80, 2, 0, 0, 0x60]));
    assert_eq!(bits(&y.values), bits(&[1.0, -0.5, tiny, 0.0, -0.0, 2.0 * tiny, 0.0, 0.0, 1.0]));
    assert_eq!((y.scales, y.counts.flushed, y.counts.saturated), (Numbers::I32(vec![0]), 2, 0));
    // 1.99 2^1 rounds to 4 and is cut to 3.9375; just below 2 the exponent is still 0.
    let y = line("bm", &[], &[-1.99, f32::from_bits(0x3fff_ffff)]);
    assert_eq!((y.values, y.counts.saturated), (vec![-1.96875, 1.96875], 2));
    // E4M3 with bias 8: 240 in the top binade, 2^-10 smallest, and 7 the top exponent.
    let y = line("bm", &["exponent_bits=4", "mantissa_bits=3"], &[240.0, 0.0009765625, 0.00048828125, 0.001, 249.0]);
    assert_eq!(y.values, [240.0, 0.0009765625, 0.0, 0.0009765625, 240.0]);
    assert_eq!(y.codes, Numbers::U8(vec![0x7f, 1, 0, 1, 0x7f]));
}

#[test]
fn small_and_special_blocks() {
    // log2(1e-28) is -93.01: the exponent of zeros, and the least there is.
    for x in [0.0, 1e-31, 1e-40] {
        assert_eq!(line("bm", &[], &[x]).scales, Numbers::I32(vec![-94]), "{x}");
    }
    assert_eq!(line("bm", &[], &[0.0, -0.0]).counts.zero_blocks, 1);
    assert_eq!(line("bm", &[], &[3e38]).scales, Numbers::I32(vec![127]));
    let y = line("bm", &[], &[f32::INFINITY, 1.0, f32::NEG_INFINITY]);
    assert_eq!(y.values, [1.96875 * 2f32.powi(127), 0.0, -1.96875 * 2f32.powi(127)]);
    assert!(line("bm", &[], &[1.0, f32::NAN]).values.iter().all(|y| y.is_nan()));
}

#[test]
fn blocks_by_rank() {
    for (shape, settings, expected) in [
        (&[100][..], &[][..], &[1][..]),
        (&[3, 47], &[], &[3]),
        (&[3, 48], &[], &[1, 1]),
        (&[50, 97], &[], &[2, 3]),
        (&[50, 97], &["tile=0"], &[1]),
        (&[50, 97], &["tile=-1"], &[50]),
        (&[50, 49, 3, 3], &[], &[2, 2, 1]),
        (&[50, 3, 3, 3], &[], &[50]),
        (&[2, 49, 7, 7], &["tensor=activation"], &[2, 2, 2]),
        (&[2, 49, 49], &["tensor=activation"], &[2, 2, 2]),
    ] {
        let x = vec![1.0; shape.iter().product()];
        assert_eq!(parameters("bm", settings).quantize(&Input::new(shape, &x)).unwrap().scales_shape, expected, "{shape:?}");
    }
    // Channel 48 of an activation's pixel 48 has a block of its own: 0.01 survives beside 100.
    let mut x = vec![100.0; 49 * 49];
    x[48 * 49 + 48] = 0.01;
    let y = parameters("bm", &["tensor=activation"]).quantize(&Input::new(&[1, 49, 7, 7], &x)).unwrap();
    assert!((y.values[48 * 49 + 48] - 0.01).abs() < 1e-4);
    let y = parameters("bm", &["tensor=weight"]).quantize(&Input::new(&[1, 49, 7, 7], &x)).unwrap();
    assert_eq!(y.values[48 * 49 + 48], 0.0);
}

#[test]
fn stochastic_by_hand() {
    // In [1, 2) under E = 0 the step is 1/32: 1.01 is 0.32 steps above 1.
    let x = [1.01, 1.01, -1.01, 1.999, 0.001];
    let u = [0.67, 0.69, 0.69, 0.5, 0.9];
    let y = parameters("bm", &[]).quantize(&Input::new(&[5], &x).uniforms(&u)).unwrap();
    // 1.999 is carried past the largest; 0.001 is 0.128 of the smallest.
    assert_eq!(y.values, [1.0, 1.03125, -1.03125, 1.96875, 0.0078125]);
    assert_eq!(y.counts.saturated, 1);
}

/// 31 - 2^-18 steps and 0.75 2^-18 make 31 - 2^-20, in binary32 a tie that goes to 31.
#[test]
fn sums_in_binary32_on_request() {
    let x = [2.0 - 2f32.powi(-5) - 2f32.powi(-23)];
    for (addition, code) in [("addition=exact", 0x7e), ("addition=binary32", 0x7f)] {
        let y = parameters("bm", &[addition]).quantize(&Input::new(&[1], &x).uniforms(&[0.75 * 2f64.powi(-18)])).unwrap();
        assert_eq!(y.codes, Numbers::U8(vec![code]), "{addition}");
    }
}

/// Half as the uniform number rounds ties up and all else as to the nearest; a sum of all
/// uniforms is unbiased.
#[test]
fn drawn_rounding_agrees_with_the_nearest() {
    let mut random = Random(5);
    for (e, m) in [(1, 0), (2, 5), (3, 0), (4, 3), (5, 2), (8, 10)] {
        let format = finite_float(e, m, 1 << (e - 1));
        for x in random.numbers(400) {
            let x = exact64(f64::from(x.abs()));
            let nearest = round_magnitude(format, &x, &Draw::Nearest);
            let drawn = round_magnitude(format, &x, &Draw::Uniform(exact64(0.5)));
            let floor = round_magnitude(format, &x, &Draw::Uniform(exact64(0.0)));
            let ceiling = round_magnitude(format, &x, &Draw::Uniform(exact64(1.0 - 2f64.powi(-53))));
            assert!(nearest == drawn || (nearest.0 + 1 == drawn.0 && nearest.0.is_multiple_of(2)), "{e} {m} {x}");
            assert!(floor.0 <= nearest.0 && nearest.0 <= ceiling.0 && ceiling.0 <= floor.0 + 1);
        }
    }
}

#[test]
fn again_changes_nothing() {
    let mut random = Random(2);
    for settings in
        [&["exponent_bits=2", "mantissa_bits=5"][..], &["exponent_bits=4", "mantissa_bits=3"], &["exponent_bits=3", "mantissa_bits=1"]]
    {
        for _ in 0..40 {
            let x = random.numbers(24);
            let y = line("bm", settings, &x);
            let again = line("bm", settings, &y.values);
            assert_eq!(again.values, y.values, "{settings:?} {x:?}");
            assert_eq!(again.counts.saturated, 0);
        }
    }
}
