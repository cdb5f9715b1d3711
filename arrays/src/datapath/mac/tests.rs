use super::*;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Rounding, encode_f64};

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

#[test]
fn one_rounding_not_two() {
    // K = 2, e6m6 accumulator, e4m3 operands: rounding through binary32 gives 69632.
    let e4m3fn = Format::E4M3FN;
    let mac = Mac::new(&MacMode::fused(e4m3fn, e4m3fn, format("e6m6")), 0, 0);
    let mut accumulator = 0;
    for (a, b) in [(2f64.powi(-9), -(2f64.powi(-9))), (240.0, 288.0)] {
        let (product, _) = mac.product(encode_f64(e4m3fn, a), encode_f64(e4m3fn, b), 0);
        accumulator = mac.accumulate(accumulator, product, 0).0;
    }
    assert_eq!(format("e6m6").to_f64(accumulator), 68608.0);
}

#[test]
fn special_products_and_sums() {
    let e5m2 = Format::E5M2;
    let mac = Mac::new(&MacMode::fused(e5m2, e5m2, Format::FP16), 0, 0);
    let inf = e5m2.infinity(false).unwrap();
    assert_eq!(mac.product(inf, 0, 0), (Decoded::Nan, Flags::INVALID));
    let (product, _) = mac.product(inf, inf, 0);
    let (accumulator, _) = mac.accumulate(0, product, 0);
    assert_eq!(Some(accumulator), Format::FP16.infinity(false));
    let (product, _) = mac.product(inf, e5m2.infinity(true).unwrap(), 0);
    let (accumulator, flags) = mac.accumulate(accumulator, product, 0);
    assert_eq!((Some(accumulator), flags), (Format::FP16.canonical_nan(), Flags::INVALID));
}

#[test]
fn shared_bias_moves_the_product_before_rounding() {
    let e4m3fn = Format::E4M3FN;
    let one = encode_f64(e4m3fn, 1.0);
    for (bias, expected) in [(0, 1.0), (3, 0.125), (-4, 16.0), (24, 2f64.powi(-24)), (25, 0.0), (-16, f64::INFINITY)] {
        let mac = Mac::new(&MacMode::fused(e4m3fn, e4m3fn, Format::FP16), bias, 0);
        let (product, _) = mac.product(one, one, 0);
        assert_eq!(Format::FP16.to_f64(mac.accumulate(0, product, 0).0), expected, "bias {bias}");
    }
}

#[test]
fn integers_wrap_or_saturate() {
    let mode = MacMode::fused(Format::INT8, Format::INT8, format("int16"));
    for (overflow, expected) in [(Overflow::Ieee, -32768.0), (Overflow::Saturate, 32767.0)] {
        let mac = Mac::new(&MacMode { overflow, ..mode.clone() }, 0, 0);
        let mut accumulator = 0;
        for _ in 0..2 {
            let (product, _) = mac.product(0x80, 0x80, 0);
            accumulator = mac.accumulate(accumulator, product, 0).0;
        }
        assert_eq!(format("int16").to_f64(accumulator), expected);
    }
}

#[test]
fn a_wrapping_accumulator_keeps_its_low_bits_beside_huge_addends() {
    let mode = MacMode::fused(Format::BF16, Format::BF16, format("int32"));
    let mac = Mac::new(&mode, 0, 0);
    let huge = encode_f64(Format::BF16, 2f64.powi(100));
    let (product, _) = mac.product(huge, huge, 0);
    assert_eq!(mac.accumulate(5, product, 0), (5, Flags::OVERFLOW));
    let (product, _) = mac.product(encode_f64(Format::BF16, 3.0), encode_f64(Format::BF16, 2f64.powi(31)), 0);
    assert_eq!(mac.accumulate(5, product, 0).0, 5 + (1 << 31));
}

#[test]
fn cancellation_is_minus_zero_only_toward_minus_infinity() {
    let e4m3fn = Format::E4M3FN;
    for rounding in Rounding::DETERMINISTIC {
        let mac = Mac::new(&MacMode { rounding, ..MacMode::fused(e4m3fn, e4m3fn, Format::FP16) }, 0, 0);
        let (p, _) = mac.product(encode_f64(e4m3fn, 1.5), encode_f64(e4m3fn, 2.0), 0);
        let (n, _) = mac.product(encode_f64(e4m3fn, -1.5), encode_f64(e4m3fn, 2.0), 0);
        let sum = mac.accumulate(mac.accumulate(0, p, 0).0, n, 0).0;
        assert_eq!(sum, if rounding == Rounding::Rdn { 0x8000 } else { 0 });
    }
}
