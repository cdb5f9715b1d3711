//! By hand where logarithms are whole, and from a NumPy computation in float64 elsewhere.

use super::super::Numbers;
use super::super::testing::{Random, bits, line};
use super::*;

fn alpha_beta(scales: &Numbers) -> (f64, f64) {
    let Numbers::F64(pair) = scales else { panic!("alpha and beta") };
    (pair[0], pair[1])
}

#[test]
fn by_hand() {
    // Logarithms 0 and 2, mean 1: alpha = 15, beta = -15; y = 2^-15 and 2^15.
    let y = line("s2fp8", &[], &[1.0, -4.0, 0.0]);
    assert_eq!((y.values, alpha_beta(&y.scales)), (vec![1.0, -4.0, 0.0], (15.0, -15.0)));
    // 2^-15 is half the smallest normal number.
    assert_eq!(y.codes, Numbers::U8(vec![0x02, 0xf8, 0]));
    // With the zero as magnitude 1: mean 2/3.
    let y = line("s2fp8", &["count_zeros=true"], &[1.0, -4.0, 0.0]);
    let (alpha, beta) = alpha_beta(&y.scales);
    assert!((alpha - 11.25).abs() < 1e-12 && (beta + 7.5).abs() < 1e-12);
}

#[test]
fn degenerate_tensors() {
    let y = line("s2fp8", &[], &[-0.5, 0.5, 0.0]);
    assert_eq!((y.values, alpha_beta(&y.scales)), (vec![-0.5, 0.5, 0.0], (1.0, 16.0)));
    assert_eq!(y.codes, Numbers::U8(vec![0xf8, 0x78, 0]));
    let y = line("s2fp8", &[], &[0.0, -0.0]);
    assert_eq!((bits(&y.values), alpha_beta(&y.scales)), (bits(&[0.0, -0.0]), (1.0, 0.0)));
    // Not finite: kept, and not counted.
    let y = line("s2fp8", &[], &[f32::NAN, 1.0, f32::NEG_INFINITY, -4.0]);
    assert!(y.values[0].is_nan() && y.values[1..] == [1.0, f32::NEG_INFINITY, -4.0]);
    assert_eq!((y.codes, alpha_beta(&y.scales)), (Numbers::U8(vec![0x7e, 0x02, 0xfc, 0xf8]), (15.0, -15.0)));
    // Almost one magnitude: alpha is kept at its limit.
    let y = line("s2fp8", &[], &[1.0, 1.0001]);
    assert_eq!(alpha_beta(&y.scales).0, 64.0);
    assert!(line("s2fp8", &["alpha_limit=2"], &[1.0, 1.5]).state["alpha"] == 2.0);
}

#[test]
fn as_numpy_has_it() {
    let x = [1.0, -0.3, 0.0, 1e-3, -7.25, 42.0, -3e-5, 0.8, 5.5, -0.011, 2e-7, -60.0];
    let y = line("s2fp8", &[], &x);
    assert_eq!(y.codes, Numbers::U8(vec![0x52, 0xc7, 0, 0x13, 0xe5, 0x75, 0x80, 0x50, 0x62, 0xa9, 0, 0xf8]));
    let expected =
        [0.974_649_9, -0.289_049_2, 0.0, 0.000_978_04, -7.746_334, 44.594_933, -0.0, 0.754_532_75, 5.610_969_5, -0.010_924_12, 0.0, -60.0];
    assert_eq!(bits(&y.values), bits(&expected));
    let (alpha, beta) = alpha_beta(&y.scales);
    assert!((alpha - 1.583_973_930_415_771).abs() < 1e-14 && (beta - 5.643_639_286_738_019).abs() < 1e-14);
}

/// The mean of the squeezed logarithms is 0 and their largest 15; nothing is lost where plain
/// E5M2 would lose most.
#[test]
fn squeezed_tensors_fill_the_format() {
    let mut random = Random(11);
    let x: Vec<f32> = (0..400).map(|_| (-20.0 + 6.0 * (random.uniform() + random.uniform() - 1.0)).exp2() as f32).collect();
    let y = line("s2fp8", &[], &x);
    let (alpha, beta) = alpha_beta(&y.scales);
    let squeezed: Vec<f64> = x.iter().map(|&x| alpha * log2(x.into()) + beta).collect();
    assert!((squeezed.iter().sum::<f64>() / 400.0).abs() < 1e-9);
    assert!((squeezed.iter().copied().fold(f64::MIN, f64::max) - 15.0).abs() < 1e-9);
    assert_eq!((y.counts.flushed, y.counts.saturated), (0, 0));
    let worst = x.iter().zip(&y.values).map(|(x, y)| ((x - y) / x).abs()).fold(0.0, f32::max);
    assert!(worst < 0.13);
}
