//! One multiply-accumulate: product, exact or rounded, then an addition with one rounding.

use systole_isa::design::{MacMode, Product};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format};
use systole_isa::round::{Flags, Overflow, Policy, decode_with, encode_decoded};

/// A MAC of one mode with its shared exponent bias registers set.
#[derive(Clone, Debug)]
pub struct Mac {
    mode: MacMode,
    policy: Policy,
    /// Power of two that the bias registers give every product.
    scale: i32,
}

impl Mac {
    /// A MAC whose operands are multiplied by 2^-bias_a and 2^-bias_b.
    pub fn new(mode: &MacMode, bias_a: i32, bias_b: i32) -> Self {
        Self { policy: mode.policy(), mode: mode.clone(), scale: -(bias_a + bias_b) }
    }

    /// The mode.
    pub const fn mode(&self) -> &MacMode {
        &self.mode
    }

    /// The product of two operand codes: exact, or rounded to the product format.
    ///
    /// `random` feeds a stochastic rounding of the product.
    pub fn product(&self, a: u64, b: u64, random: u64) -> (Decoded, Flags) {
        let a = decode_with(self.mode.a, a, self.policy.subnormals);
        let b = decode_with(self.mode.b, b, self.policy.subnormals);
        let (exact, flags) = multiply(a, b, self.scale);
        match self.mode.product {
            Product::Exact => (exact, flags),
            Product::Rounded(format) => {
                let (code, rounding) = encode_decoded(format, exact, self.policy, random);
                (decode_with(format, code, self.policy.subnormals), flags | rounding)
            }
        }
    }

    /// `accumulator + product`, rounded once to the accumulator format.
    pub fn accumulate(&self, accumulator: u64, product: Decoded, random: u64) -> (u64, Flags) {
        add(self.mode.accumulator, accumulator, product, self.policy, random)
    }

    /// Outer accumulator (or accumulator memory) plus a finished inner sum, rounded once.
    pub fn add_outer(&self, outer: u64, inner_format: Format, inner: u64, random: u64) -> (u64, Flags) {
        let inner = decode_with(inner_format, inner, self.policy.subnormals);
        add(self.mode.outermost(), outer, inner, self.policy, random)
    }
}

fn multiply(a: Decoded, b: Decoded, scale: i32) -> (Decoded, Flags) {
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => {
            // 0 * inf beside a quiet NaN raises nothing here: there is only one NaN.
            (Decoded::Nan, Flags::NONE)
        }
        (Decoded::Finite(x), Decoded::Finite(y)) => (Decoded::Finite(x.multiply(y).scale(scale)), Flags::NONE),
        (Decoded::Infinite { negative }, Decoded::Infinite { negative: other }) => {
            (Decoded::Infinite { negative: negative != other }, Flags::NONE)
        }
        (Decoded::Infinite { negative }, Decoded::Finite(x)) | (Decoded::Finite(x), Decoded::Infinite { negative }) => {
            if x.is_zero() {
                (Decoded::Nan, Flags::INVALID)
            } else {
                (Decoded::Infinite { negative: negative != x.negative }, Flags::NONE)
            }
        }
    }
}

/// `accumulator + addend` in `format`, one rounding.
fn add(format: Format, accumulator: u64, addend: Decoded, policy: Policy, random: u64) -> (u64, Flags) {
    let accumulator = decode_with(format, accumulator, policy.subnormals);
    let (sum, flags) = match (accumulator, addend) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => (Decoded::Nan, Flags::NONE),
        (Decoded::Infinite { negative }, Decoded::Infinite { negative: other }) if negative != other => (Decoded::Nan, Flags::INVALID),
        (infinite @ Decoded::Infinite { .. }, _) | (_, infinite @ Decoded::Infinite { .. }) => (infinite, Flags::NONE),
        (Decoded::Finite(x), Decoded::Finite(y)) => {
            let y = match format {
                Format::Fixed(fixed) | Format::Quire(fixed) if !policy.overflow.saturates() => drop_wrapped_bits(fixed, y),
                _ => y,
            };
            (Decoded::Finite(x.add(y, policy.rounding.cancels_to_negative_zero())), Flags::NONE)
        }
    };
    let (code, rounding) = encode_decoded(format, sum, policy, random);
    (code, flags | rounding)
}

/// A wrapping accumulator has no bits of weight 2^64 quanta and above, so neither has what
/// it adds; without this an addend far above the accumulator would push its low bits out of
/// the exact sum.
const fn drop_wrapped_bits(format: FixedFormat, value: Exact) -> Exact {
    let shift = value.exponent + format.fraction_bits;
    if shift >= 64 {
        Exact::zero(value.negative)
    } else if shift > -64 {
        Exact { significand: value.significand & (u128::MAX >> (64 + shift) as u32), ..value }
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::round::{Rounding, encode_f64};

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
        assert_eq!(mac.accumulate(5, product, 0).0, 5);
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
}
