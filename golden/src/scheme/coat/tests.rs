//! By hand for groups of one magnitude, and from a NumPy computation in float64 elsewhere.

use super::super::testing::{bits, line, parameters};
use super::super::{Input, Numbers};

#[test]
fn one_magnitude_is_kept() {
    let y = line("coat", &[], &[0.5, -0.5, 0.5]);
    let Numbers::F32(scales) = &y.scales else { panic!("scales") };
    assert_eq!((y.values, scales[1], scales[2]), (vec![0.5, -0.5, 0.5], 64.0, 0.5));
    assert_eq!((y.codes, y.scales_shape), (Numbers::U8(vec![0x7e, 0xfe, 0x7e]), vec![1, 3]));
    // A zero beside it is no smaller magnitude, unless all count.
    let y = line("coat", &[], &[0.5, 0.0]);
    assert_eq!((bits(&y.values), &y.codes), (bits(&[0.5, 0.0]), &Numbers::U8(vec![0x7e, 0])));
    let Numbers::F32(scales) = line("coat", &["minimum=all"], &[0.5, 0.0]).scales else { panic!("scales") };
    // log2(0.5 / 1e-30) is 98.66: 16.61 / 98.66 is 2.69 sixteenths.
    assert_eq!(scales[1], 0.125);
}

#[test]
fn as_numpy_has_it() {
    let x = [1.0, -0.3, 0.0, 1e-3, -7.25, 42.0, -3e-5, 0.8, 5.5, -0.011, 2e-7, -60.0];
    let y = line("coat", &[], &x);
    assert_eq!(y.codes, Numbers::U8(vec![0x63, 0xdb, 0, 0x37, 0xf1, 0x7b, 0xa0, 0x62, 0x6f, 0xc6, 0x04, 0xfe]));
    let Numbers::F32(scales) = &y.scales else { panic!("scales") };
    assert_eq!(scales[..], [0.540_645_2, 0.5625, 0.003_464_101_6]);
    let expected = [
        0.969_307_9,
        -0.282_681_47,
        0.0,
        0.001_034_997_4,
        -7.977_319_2,
        39.080_048,
        -2.879_219_6e-5,
        0.818_228_8,
        5.768_864,
        -0.010_764_657,
        2.082_653_6e-7,
        -60.0,
    ];
    assert_eq!(bits(&y.values), bits(&expected));
}

#[test]
fn groups_zeros_and_specials() {
    let x = [vec![1.0; 128], vec![0.0, -0.0], vec![0.0; 126], vec![f32::NAN, f32::INFINITY, 2.0, f32::NEG_INFINITY]].concat();
    let y = line("coat", &[], &x);
    assert_eq!((y.scales_shape, y.counts.blocks, y.counts.zero_blocks), (vec![3, 3], 3, 1));
    assert_eq!(bits(&y.values[126..130]), bits(&[1.0, 1.0, 0.0, -0.0]));
    assert!(y.values[256].is_nan() && y.values[257..] == [2.0, 2.0, -2.0]);
    assert_eq!((y.counts.saturated, y.counts.nan), (2, 1));
    // The whole range of binary32: the power stays at its least.
    let y = line("coat", &["epsilon=1e-45"], &[1e38, 1e-45]);
    assert_eq!(y.counts.nan, 0);
    let Numbers::F32(scales) = y.scales else { panic!("scales") };
    assert_eq!(scales[1], 0.0625);
    assert!((y.values[0] / 1e38 - 1.0).abs() < 1e-5);
    // The least epsilon leaves large and least numbers a centre, zeros counted.
    for x in [[3e38, 0.0], [f32::from_bits(1), 0.0]] {
        let y = line("coat", &["epsilon=1e-45", "minimum=all"], &x);
        assert!(y.values[0] > 0.0 && y.values[0].is_finite() && y.values[1] == 0.0, "{:?}", y.values);
    }
    let refused = parameters("coat", &["epsilon=1e-300"]).quantize(&Input::new(&[1], &[1.0])).unwrap_err();
    assert_eq!(refused.to_string(), "epsilon=1e-300: must be 1e-45 to 1");
}
