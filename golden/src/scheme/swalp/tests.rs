//! Expected numbers by hand: with 8 bits a block of largest exponent E has steps of 2^(E-6).

use super::super::testing::{Random, bits, line, parameters};
use super::super::{Input, Numbers};

#[test]
fn nearest_by_hand() {
    let step = 1.0 / 64.0;
    for (x, expected, integers) in [
        // 0.3 is 19.2 steps, -0.02 is -1.28.
        (vec![1.0, 0.3, -0.02], vec![1.0, 19.0 * step, -step], vec![64i8, 19, -1]),
        // Ties go to the even step: 0.5, 1.5, 2.5, -1.5 steps; -0.5 steps become -0.
        (
            vec![1.0, 0.5 * step, 1.5 * step, 2.5 * step, -1.5 * step, -0.5 * step],
            vec![1.0, 0.0, 2.0 * step, 2.0 * step, -2.0 * step, -0.0],
            vec![64, 0, 2, 2, -2, 0],
        ),
        // Just below 2 the exponent is still 0: 128 steps are cut to 127, -128 are not.
        (vec![f32::from_bits(0x3fff_ffff)], vec![127.0 * step], vec![127]),
        (vec![-f32::from_bits(0x3fff_ffff)], vec![-2.0], vec![-128]),
        // At 2 the step doubles.
        (vec![2.0, 1.0 + step], vec![2.0, 1.0], vec![64, 32]),
        (vec![0.0, -0.0], vec![0.0, -0.0], vec![0, 0]),
    ] {
        let y = line("swalp", &[], &x);
        assert_eq!(bits(&y.values), bits(&expected), "{x:?}");
        assert_eq!(y.codes, Numbers::I8(integers));
    }
    assert_eq!(line("swalp", &[], &[f32::from_bits(0x3fff_ffff)]).counts.saturated, 1);
    assert_eq!(line("swalp", &[], &[-f32::from_bits(0x3fff_ffff)]).counts.saturated, 0);
    assert_eq!(line("swalp", &[], &[0.0]).scales, Numbers::I32(vec![-128]));
}

#[test]
fn stochastic_is_the_floor_of_the_sum() {
    let x = [1.0, 0.296875, -0.02, -0.02, 0.3, 0.3];
    // 64, 19, -1.28, -1.28, 19.2 and 19.2 steps.
    let u = [0.999, 0.999, 0.27, 0.29, 0.79, 0.81];
    let y = parameters("swalp", &[]).quantize(&Input::new(&[6], &x).uniforms(&u)).unwrap();
    assert_eq!(y.codes, Numbers::I8(vec![64, 19, -2, -1, 19, 20]));
    // In binary32 64 - 2^-18 and 0.75 2^-18 make 64; exactly they stay below.
    let below = [1.5, f32::from_bits(0x3f7f_ffff)];
    let u = [0.0, 0.75 / f64::from(1 << 18)];
    for (addition, code) in [("addition=exact", 63), ("addition=binary32", 64)] {
        let y = parameters("swalp", &[addition]).quantize(&Input::new(&[2], &below).uniforms(&u)).unwrap();
        assert_eq!(y.codes, Numbers::I8(vec![96, code]), "{addition}");
    }
    // A negative number that rises to zero has no sign left.
    let y = parameters("swalp", &[]).quantize(&Input::new(&[2], &[1.0, -0.001]).uniforms(&[0.0, 0.5])).unwrap();
    assert_eq!(y.values[1].to_bits(), 0);
}

#[test]
fn blocks_by_rank() {
    // 0.3 beside 1 is 19 steps of 1/64, beside 4 it is 4.8 of 1/16, so 5.
    let x = [1.0, 0.3, 4.0, 0.3];
    for (shape, settings, scales, second, fourth) in [
        (&[4][..], &[][..], vec![2], 0.3125, 0.3125),
        (&[2, 2], &[], vec![0, 2], 0.296875, 0.3125),
        (&[2, 2], &["small_block=conv"], vec![2], 0.3125, 0.3125),
        (&[2, 2], &["small_block=none"], vec![2], 0.3125, 0.3125),
        (&[2, 2, 1], &["small_block=Conv"], vec![0, 2], 0.296875, 0.3125),
        (&[1, 2, 2], &[], vec![2], 0.3125, 0.3125),
        (&[1, 2, 2, 1], &["block_dim=bc"], vec![0, 2], 0.296875, 0.3125),
    ] {
        let y = parameters("swalp", settings).quantize(&Input::new(shape, &x)).unwrap();
        assert_eq!(y.scales, Numbers::I32(scales), "{shape:?} {settings:?}");
        assert_eq!((y.values[1], y.values[3]), (second, fourth), "{shape:?} {settings:?}");
    }
}

#[test]
fn specials_and_narrow_exponents() {
    let y = line("swalp", &[], &[f32::INFINITY, 1.0, f32::NEG_INFINITY]);
    // 2^127 127/64 and, beyond binary32, -2^128.
    assert_eq!(y.values, [127.0 * 2f32.powi(121), 0.0, f32::NEG_INFINITY]);
    let y = parameters("swalp", &[]).quantize(&Input::new(&[2, 2], &[f32::NAN, 1.0, 1.0, 1.0])).unwrap();
    assert!(y.values[0].is_nan() && y.values[1].is_nan() && y.values[2..] == [1.0, 1.0]);
    assert_eq!(y.counts.nan, 2);
    // Exponents of 3 bits reach from -4 to 3: 100 is cut to 127/64 8, 2^-7 is 8 steps of 2^-10.
    let y = parameters("swalp", &["exponent_bits=3"]).quantize(&Input::new(&[2, 1], &[100.0, 0.0078125])).unwrap();
    assert_eq!((y.values, y.scales), (vec![15.875, 0.0078125], Numbers::I32(vec![3, -4])));
}

#[test]
fn again_changes_nothing_and_errors_are_half_a_step() {
    let mut random = Random(1);
    for bits in [2u32, 4, 8, 16] {
        let setting = format!("bits={bits}");
        for _ in 0..50 {
            let x = random.numbers(24);
            let y = line("swalp", &[&setting], &x);
            let again = line("swalp", &[&setting], &y.values);
            let Numbers::I32(e) = &y.scales else { panic!("exponents") };
            // A largest number rounded up to a power of two coarsens the block the next time.
            if again.scales == y.scales {
                assert_eq!(again.values, y.values);
            }
            let step = 2f32.powi(e[0] - bits as i32 + 2);
            let top = ((1u32 << (bits - 1)) - 1) as f32 * step;
            for (x, y) in x.iter().zip(&y.values) {
                assert!((x - y).abs() <= step / 2.0 || *y == top, "{x} {y}");
            }
        }
    }
}
