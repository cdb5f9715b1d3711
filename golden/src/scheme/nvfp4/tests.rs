//! Expected numbers by hand where the scales are exact, and from a NumPy computation with the
//! source's order of binary32 operations (ml_dtypes for the casts) where they are not.

use super::super::testing::{Random, bits, line, parameters};
use super::super::{Input, Numbers};

#[test]
fn by_hand_where_scales_are_exact() {
    // amax 6: S = 448, s = 448, so elements are the numbers themselves.
    let x = [6.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -5.0, -0.25, 0.5, 1.0, 1.5, 2.0, 3.0, -0.0];
    let expected = [6.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, -4.0, -0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -0.0];
    for arithmetic in ["arithmetic=binary32", "arithmetic=exact"] {
        let y = line("nvfp4", &[arithmetic], &x);
        assert_eq!(bits(&y.values), bits(&expected), "{arithmetic}");
        assert_eq!(y.codes, Numbers::U8(vec![7, 0, 2, 2, 4, 4, 6, 6, 14, 8, 1, 2, 3, 4, 5, 8]));
        assert_eq!((y.scales, &y.state["tensor_scale"]), (Numbers::U8(vec![0x7e]), &448.0.into()));
    }
}

#[test]
fn as_numpy_has_it() {
    let x = [1.0, -0.3, 0.0, 1e-3, -7.25, 42.0, -3e-5, 0.8, 5.5, -0.011, 2e-7, -60.0, 33.0, 17.5, -25.0, 4.0, 0.5, -0.2, 0.07, 0.9];
    let expected = [
        0.0,
        -0.0,
        0.0,
        0.0,
        -5.0,
        40.0,
        -0.0,
        0.0,
        5.0,
        -0.0,
        0.0,
        -60.0,
        30.0,
        20.0,
        -20.0,
        5.0,
        0.435_267_87,
        -0.217_633_93,
        0.072_544_64,
        0.870_535_73,
    ];
    let y = line("nvfp4", &[], &x);
    assert_eq!(bits(&y.values), bits(&expected));
    // 448 and 6.5; 2688 / 60 in binary32.
    assert_eq!((y.scales, &y.state["tensor_scale"]), (Numbers::U8(vec![0x7e, 0x4d]), &44.799_999_237_060_55.into()));
}

#[test]
fn zeros_specials_and_vanishing_scales() {
    let y = line("nvfp4", &[], &[0.0, -0.0]);
    assert_eq!((bits(&y.values), &y.state["tensor_scale"]), (bits(&[0.0, -0.0]), &1.0.into()));
    assert_eq!(y.scales, Numbers::U8(vec![0]));
    let y = line("nvfp4", &[], &[6.0, f32::NAN, f32::NEG_INFINITY, f32::INFINITY]);
    assert!(y.values[1].is_nan() && y.values[0] == 6.0 && y.values[2] == -6.0 && y.values[3] == 6.0);
    assert_eq!((y.counts.saturated, y.counts.nan), (2, 1));
    // A block 2^-20 below the largest has scale 0: its numbers are lost, but their codes saturate
    // where the source multiplies by the largest binary32.
    let mut x = [2f32.powi(-18); 32];
    (x[0], x[30], x[31]) = (6.0, -x[30], 0.0);
    for (arithmetic, lost) in [("arithmetic=binary32", [7, 15, 0]), ("arithmetic=exact", [0, 8, 0])] {
        let y = line("nvfp4", &[arithmetic], &x);
        assert_eq!(y.scales, Numbers::U8(vec![0x7e, 0]), "{arithmetic}");
        assert!(y.values[16..].iter().all(|&y| y == 0.0));
        let Numbers::U8(codes) = &y.codes else { panic!("codes of 4 bits") };
        assert_eq!(codes[29..], lost, "{arithmetic}");
    }
}

#[test]
fn square_blocks_serve_both_ways() {
    let mut random = Random(9);
    let x = random.numbers(20 * 33);
    let transposed: Vec<f32> = (0..33 * 20).map(|i| x[(i % 20) * 33 + i / 20]).collect();
    let square = parameters("nvfp4", &["block=16x16"]);
    let y = square.quantize(&Input::new(&[20, 33], &x)).unwrap();
    let z = square.quantize(&Input::new(&[33, 20], &transposed)).unwrap();
    assert_eq!((y.scales_shape, z.scales_shape), (vec![2, 3], vec![3, 2]));
    assert!((0..33 * 20).all(|i| z.values[i] == y.values[(i % 20) * 33 + i / 20]));
    // Leading dimensions count as rows.
    let rows = parameters("nvfp4", &[]).quantize(&Input::new(&[4, 5, 33], &x)).unwrap();
    assert_eq!(rows.scales_shape, [20, 3]);
}

#[test]
fn stochastic_by_hand() {
    let x = [6.0, 4.5, 4.5, -2.25];
    let y = parameters("nvfp4", &[]).quantize(&Input::new(&[4], &x).uniforms(&[0.9, 0.74, 0.75, 0.75])).unwrap();
    assert_eq!(y.values, [6.0, 4.0, 6.0, -3.0]);
}
