//! Expected numbers by hand from OCP MX v1.0: emax of e4m3 is 8, its largest 448.

use super::super::testing::{Random, bits, line, parameters};
use super::super::{Input, Numbers};

#[test]
fn floor_and_ceil_scales_by_hand() {
    // amax 1.0: floor gives 2^-8, so 1 is 256; 1.9 is 486.4, rounds to 480 and is cut to 448.
    let y = line("mx", &[], &[1.0, -0.0, 1.9, -2f32.powi(-18), 2f32.powi(-17)]);
    assert_eq!(y.scales, Numbers::U8(vec![127 - 8]));
    // -2^-18 is half of the smallest, a tie: to -0.
    assert_eq!(bits(&y.values), bits(&[1.0, -0.0, 1.75, -0.0, 2f32.powi(-17)]));
    assert_eq!((y.codes, y.counts.saturated), (Numbers::U8(vec![0x78, 0x80, 0x7e, 0x80, 1]), 1));
    let y = line("mx", &["scale_rule=ceil"], &[1.9, 1.75]);
    assert_eq!((y.scales, y.values, y.counts.saturated), (Numbers::U8(vec![127 - 7]), vec![1.875, 1.75], 0));
    // Exactly 448 times a power of two needs no more than it.
    assert_eq!(line("mx", &["scale_rule=ceil"], &[1.75]).scales, Numbers::U8(vec![127 - 8]));
    assert_eq!(line("mx", &["scale_rule=ceil"], &[1.75f32.next_up()]).scales, Numbers::U8(vec![127 - 7]));
    // Just below a power of two the exponent is the lower one.
    assert_eq!(line("mx", &[], &[2f32.next_down()]).scales, Numbers::U8(vec![127 - 8]));
    assert_eq!(line("mx", &["rounding=away"], &[1.0, 2f32.powi(-18)]).values[1], 2f32.powi(-17));
}

#[test]
fn every_element_format() {
    for (element, largest, emax, code) in
        [("e4m3", 448.0, 8, 0x7e), ("e5m2", 57344.0, 15, 0x7b), ("e3m2", 28.0, 4, 0x1f), ("e2m3", 7.5, 2, 0x1f), ("e2m1", 6.0, 2, 7)]
    {
        let y = line("mx", &[&format!("element={element}")], &[largest, -largest, largest * 1.01]);
        assert_eq!(y.values, [largest, -largest, largest], "{element}");
        assert_eq!(y.scales, Numbers::U8(vec![127]), "{element} has emax {emax}");
        let Numbers::U8(codes) = y.codes else { panic!("codes of 8 bits") };
        assert_eq!(codes[0], code, "{element}");
    }
    // As microxcaling spells them, and its rounding to even.
    for (theirs, ours) in [("fp8_e4m3", "e4m3"), ("fp8_e5m2", "e5m2"), ("fp6_e3m2", "e3m2"), ("fp6_e2m3", "e2m3"), ("fp4_e2m1", "e2m1")] {
        let element = |name| parameters("mx", &[&format!("element={name}"), "rounding=even"]);
        assert_eq!(element(theirs), element(ours));
    }
    // Two's complement in 64ths; -2 is there unless asked otherwise.
    let x = [-1.999, 1.999, 1.0, 0.3, 0.5 / 64.0, 1.5 / 64.0];
    let y = line("mx", &["element=mxint8"], &x);
    assert_eq!((y.codes, y.values[0]), (Numbers::I8(vec![-128, 127, 64, 19, 0, 2]), -2.0));
    let y = line("mx", &["element=int8", "symmetric=true"], &x);
    assert_eq!((y.codes, y.counts.saturated), (Numbers::I8(vec![-127, 127, 64, 19, 0, 2]), 2));
}

#[test]
fn blocks_run_along_an_axis() {
    for (shape, axis, expected) in [
        (&[100][..], "axis=-1", &[4][..]),
        (&[3, 33], "axis=-1", &[3, 2]),
        (&[33, 3], "axis=0", &[2, 3]),
        (&[2, 64, 3, 3], "axis=1", &[2, 2, 3, 3]),
    ] {
        let x = vec![1.0; shape.iter().product()];
        assert_eq!(parameters("mx", &[axis]).quantize(&Input::new(shape, &x)).unwrap().scales_shape, expected, "{shape:?}");
    }
    let mut x = [1e-6f32; 64];
    x[0] = 100.0;
    let y = line("mx", &[], &x);
    assert!(y.values[31] == 0.0 && y.values[32] != 0.0);
    assert!(parameters("mx", &["axis=1"]).quantize(&Input::new(&[64], &x)).is_err());
}

#[test]
fn zeros_specials_and_the_ends_of_the_scale() {
    let x: Vec<f32> = [vec![0.0; 32], vec![f32::NAN; 1], vec![1.0; 31], vec![f32::INFINITY, 1.0]].concat();
    let y = line("mx", &[], &x);
    assert_eq!(y.scales, Numbers::U8(vec![0, 255, 255]));
    assert!(y.values[..32].iter().all(|&y| y == 0.0) && y.values[32..].iter().all(|y| y.is_nan()));
    assert_eq!((y.counts.zero_blocks, y.counts.nan), (1, 34));
    // 2^-130 wants 2^-138 and gets 2^-127, where it is an eighth, code 0x20.
    let y = line("mx", &[], &[2f32.powi(-130)]);
    assert_eq!((y.scales, y.values, y.codes), (Numbers::U8(vec![0]), vec![2f32.powi(-130)], Numbers::U8(vec![0x20])));
}

#[test]
fn again_changes_nothing() {
    let mut random = Random(8);
    for element in ["e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8"] {
        let setting = format!("element={element}");
        let x = random.numbers(320);
        let y = line("mx", &[&setting], &x);
        let again = line("mx", &[&setting], &y.values);
        let (Numbers::U8(scales), Numbers::U8(scales_again)) = (&y.scales, &again.scales) else { panic!("scales") };
        for (i, (a, b)) in y.values.iter().zip(&again.values).enumerate() {
            assert!(a == b || scales[i / 32] != scales_again[i / 32], "{element} {i}");
        }
    }
}

#[test]
fn stochastic_by_hand() {
    // Under 2^-8, 1.03125 is 264, a quarter of a step of 32 above 256.
    let x = [1.03125, 1.03125, -1.03125];
    let y = parameters("mx", &[]).quantize(&Input::new(&[3], &x).uniforms(&[0.74, 0.75, 0.75])).unwrap();
    assert_eq!(y.values, [1.0, 1.125, -1.125]);
}
