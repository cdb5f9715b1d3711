//! Quirks by hand on e4m3: exponents -6 to 8, steps of an eighth of a binade.

use super::super::Input;
use super::super::Numbers;
use super::super::testing::{Random, bits, line, parameters};

const E4M3: &[&str] = &["exponent_bits=4", "mantissa_bits=3"];

#[test]
fn quirks_by_hand() {
    let tiny = 2f32.powi(-9);
    for (x, expected, code) in [
        // Ties go away from zero, where nearest-even would stay at 1.
        (1.0625, 1.125, 0x39),
        (-1.0625, -1.125, 0xb9),
        (f32::from_bits(1.0625f32.to_bits() - 1), 1.0, 0x38),
        // The all-ones exponent holds numbers: 480 is the largest.
        (480.0, 480.0, 0x7f),
        (496.0, 480.0, 0x7f),
        (-1e9, -480.0, 0xff),
        (f32::INFINITY, 480.0, 0x7f),
        (f32::NEG_INFINITY, -480.0, 0xff),
        (f32::NAN, 480.0, 0x7f),
        // Subnormals are there; the tie at half the smallest goes up, and by binary32's own
        // rounding so does the number below it.
        (tiny, tiny, 1),
        (tiny / 2.0, tiny, 1),
        (f32::from_bits((tiny / 2.0).to_bits() - 1), tiny, 1),
        (-tiny / 2.0, -tiny, 0x81),
        (tiny * 0.49, 0.0, 0),
        (-tiny * 0.49, 0.0, 0),
        (-0.0, 0.0, 0),
        (2f32.powi(-6), 2f32.powi(-6), 8),
        (7.4 * tiny, 7.0 * tiny, 7),
        (7.5 * tiny, 2f32.powi(-6), 8),
    ] {
        let y = line("qpytorch_float", E4M3, &[x]);
        assert_eq!(bits(&y.values), bits(&[expected]), "{x}");
        assert_eq!(y.codes, Numbers::U8(vec![code]), "{x}");
    }
    assert_eq!(line("qpytorch_float", &[], &[1e9]).values, [114_688.0]);
    assert_eq!(line("qpytorch_float", E4M3, &[496.0, 480.0, f32::NAN]).counts.saturated, 2);
}

#[test]
fn eight_exponent_bits_cut_nothing() {
    let bf16 = ["exponent_bits=8", "mantissa_bits=7"];
    let x = [f32::INFINITY, f32::MAX, 3.0e38, 1.0 + 1.0 / 256.0, f32::NAN];
    let y = line("qpytorch_float", &bf16, &x);
    assert_eq!(y.values[..4], [f32::INFINITY, f32::INFINITY, f32::from_bits(0x7f62_0000), 1.0078125]);
    assert!(y.values[4].is_nan());
    let Numbers::U16(codes) = y.codes else { panic!("codes of 16 bits") };
    assert_eq!(codes[..4], [0x7f80, 0x7f80, 0x7f62, 0x3f81]);
}

#[test]
fn random_bits_are_uniform_numbers() {
    // 1.03125 is a quarter of a step above 1.
    let x = [1.03125; 4];
    let y = parameters("qpytorch_float", E4M3).quantize(&Input::new(&[4], &x).uniforms(&[0.0, 0.74, 0.75, 0.99])).unwrap();
    assert_eq!(y.values, [1.0, 1.0, 1.125, 1.125]);
}

#[test]
fn again_changes_nothing() {
    let mut random = Random(6);
    for settings in
        [E4M3, &["exponent_bits=5", "mantissa_bits=2"], &["exponent_bits=2", "mantissa_bits=1"], &["exponent_bits=6", "mantissa_bits=9"]]
    {
        let x = random.numbers(1000);
        let y = line("qpytorch_float", settings, &x);
        let again = line("qpytorch_float", settings, &y.values);
        assert_eq!(bits(&again.values), bits(&y.values), "{settings:?}");
        assert_eq!(again.codes, y.codes);
    }
}

/// One exponent bit: halves up to 2 without a hidden bit, then to 3.5 with one.
#[test]
fn one_exponent_bit_by_hand() {
    let y = line("qpytorch_float", &["exponent_bits=1", "mantissa_bits=2"], &[0.24, 0.25, 1.2, 1.25, -1.75, 2.25, 3.7, 3.75, -9.0]);
    assert_eq!(y.values, [0.0, 0.5, 1.0, 1.5, -2.0, 2.5, 3.5, 3.5, -3.5]);
    assert_eq!(y.codes, Numbers::U8(vec![0, 1, 2, 3, 8 | 4, 5, 7, 7, 8 | 7]));
}
