//! The order of codes: IEEE 754-2019 maximum without decoding.
//!
//! Sign-magnitude codes are ordered as their values are, two's complement as integers, so the
//! larger of two codes of one format is found in integers, whatever the format.

use super::{count_result, rounder::plain};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format};
use systole_isa::round::{Overflow, Policy, SubnormalPolicy, decode_with, encode_decoded};

/// The order of one format's codes, under a subnormal policy.
pub(super) struct Order {
    format: Format,
    subnormals: SubnormalPolicy,
    mask: u64,
    /// Sign bit and magnitude bits of a float; both 0 for fixed point.
    sign: u64,
    magnitude_mask: u64,
    /// Magnitudes from here on are NaN or subject to a closer look.
    finite: u64,
    infinity: u64,
    minus_zero_is_nan: bool,
    /// Magnitudes below this are read as 0.
    flushed_below: u64,
}

/// An integer that orders codes, NaN above all others.
pub(super) trait OrderKey: Copy + Ord + Default {
    /// The place of NaN.
    const NAN: Self;
    /// [`Order::of`] of `out.len()` codes from `start` on; `order` holds such keys.
    fn fill(order: &Order, codes: &Codes, start: usize, out: &mut [Self]);
}

impl OrderKey for u64 {
    const NAN: Self = NAN;
    fn fill(order: &Order, codes: &Codes, start: usize, out: &mut [Self]) {
        macro_rules! each {
            ($v:ident) => {
                out.iter_mut().zip(&$v[start..]).for_each(|(key, &code)| *key = order.of(code.into()))
            };
        }
        match codes {
            Codes::U8(v) => each!(v),
            Codes::U16(v) => each!(v),
            Codes::U32(v) => each!(v),
            Codes::U64(v) => each!(v),
        }
    }
}

impl OrderKey for i32 {
    const NAN: Self = Self::MAX;
    fn fill(order: &Order, codes: &Codes, start: usize, out: &mut [Self]) {
        let shift = order.mask.leading_zeros() - 32;
        macro_rules! each {
            ($v:ident) => {
                out.iter_mut().zip(&$v[start..]).for_each(|(key, &code)| *key = order.narrow(u32::from(code) << shift >> shift))
            };
        }
        match codes {
            Codes::U8(v) => each!(v),
            Codes::U16(v) => each!(v),
            Codes::U32(v) => each!(v),
            // Wider than the formats that have such keys.
            Codes::U64(_) => {}
        }
    }
}

/// A key of which only the highest is sought, of values or of magnitudes.
pub(super) trait Extreme: Copy + Ord + Send + Sync {
    /// No key is lower.
    const LOWEST: Self;
    /// Raises each of `best` to the key of its code, from `start` on. To be `#[inline(always)]`.
    fn raise(order: &Order, key: Key, codes: &Codes, start: usize, best: &mut [Self]);
}

impl Extreme for u64 {
    const LOWEST: Self = 0;

    #[inline(always)]
    fn raise(order: &Order, key: Key, codes: &Codes, start: usize, best: &mut [Self]) {
        for (i, best) in best.iter_mut().enumerate() {
            let code = codes.get(start + i);
            *best = (*best).max(match key {
                Key::Value => order.of(code),
                Key::Magnitude => order.of_magnitude(code),
            });
        }
    }
}

impl Extreme for i32 {
    const LOWEST: Self = Self::MIN;

    #[inline(always)]
    fn raise(order: &Order, key: Key, codes: &Codes, start: usize, best: &mut [Self]) {
        let shift = order.mask.leading_zeros() - 32;
        // Of a negative number's key the complement is its magnitude's.
        let flip = if key == Key::Magnitude { -1 } else { 0 };
        macro_rules! each {
            ($v:ident) => {
                for (best, &code) in best.iter_mut().zip(&$v[start..]) {
                    let number = order.narrow(u32::from(code) << shift >> shift);
                    *best = (*best).max(number ^ (number >> 31 & flip));
                }
            };
        }
        match codes {
            Codes::U8(v) => each!(v),
            Codes::U16(v) => each!(v),
            Codes::U32(v) => each!(v),
            // Wider than the formats that have such keys.
            Codes::U64(_) => {}
        }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Values.
    Value,
    /// Magnitudes.
    Magnitude,
}

/// The place of NaN: above everything.
const NAN: u64 = u64::MAX;
const HALF: u64 = 1 << 63;

impl Order {
    pub fn new(format: Format, subnormals: SubnormalPolicy) -> Self {
        let base = Self {
            format,
            subnormals,
            mask: format.mask(),
            sign: 0,
            magnitude_mask: 0,
            finite: 0,
            infinity: 0,
            minus_zero_is_nan: false,
            flushed_below: 0,
        };
        match format {
            Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => base,
            Format::Float(f) => Self {
                sign: f.sign_code(),
                magnitude_mask: (1 << f.magnitude_bits()) - 1,
                finite: f.max_finite_magnitude(),
                infinity: f.infinity_magnitude().unwrap_or(0),
                minus_zero_is_nan: !f.has_negative_zero(),
                flushed_below: if subnormals.flushes_inputs() && f.subnormals == systole_isa::format::Subnormals::Gradual {
                    1 << f.mantissa_bits
                } else {
                    0
                },
                ..base
            },
        }
    }

    /// A float's magnitude, [`NAN`] for NaN.
    #[inline]
    fn float_magnitude(&self, code: u64) -> u64 {
        let magnitude = code & self.magnitude_mask;
        if magnitude > self.finite && magnitude != self.infinity || magnitude == 0 && code & self.sign != 0 && self.minus_zero_is_nan {
            NAN
        } else if magnitude < self.flushed_below {
            0
        } else {
            magnitude
        }
    }

    /// An integer that orders codes as IEEE 754-2019 maximum does: NaN above all, +0 above -0.
    #[inline]
    pub fn of(&self, code: u64) -> u64 {
        match self.format {
            Format::Posit(_) | Format::Quire(_) if self.format.is_nan(code) => NAN,
            Format::Posit(p) => FixedFormat { width: p.width, fraction_bits: 0 }.integer(code) as u64 ^ HALF,
            Format::Fixed(f) | Format::Quire(f) => f.integer(code & self.mask) as u64 ^ HALF,
            Format::Float(_) => match self.float_magnitude(code) {
                NAN => NAN,
                magnitude if code & self.sign != 0 => !magnitude & !HALF,
                magnitude => magnitude | HALF,
            },
        }
    }

    /// True for formats whose order fits 32 bits: signed floats of that width at most, of which
    /// none has a number for NaN's place.
    pub fn is_narrow(&self) -> bool {
        let top = i32::MAX as u64;
        self.sign != 0 && self.mask <= u32::MAX.into() && self.finite < top && self.infinity < top
    }

    /// [`Order::of`] in 32 bits, of a code without bits above the format's, where
    /// [`Order::is_narrow`].
    #[inline(always)]
    const fn narrow(&self, code: u32) -> i32 {
        let magnitude = code & self.magnitude_mask as u32;
        let negative = code & self.sign as u32 != 0;
        let beyond = (magnitude > self.finite as u32) & (magnitude != self.infinity as u32);
        let nan = beyond | ((magnitude == 0) & negative & self.minus_zero_is_nan);
        let magnitude = if magnitude < self.flushed_below as u32 { 0 } else { magnitude as i32 };
        let number = if negative { !magnitude } else { magnitude };
        if nan { i32::MAX } else { number }
    }

    /// A code with [`Order::narrow`]'s key, or with a magnitude's.
    pub fn code_of_narrow(&self, key: i32) -> u64 {
        match key {
            <i32 as OrderKey>::NAN => self.format.canonical_nan().unwrap_or(0),
            0.. => key as u64,
            _ => u64::from(!key as u32) | self.sign,
        }
    }

    /// The value with a key that [`Order::of`] or [`Order::of_magnitude`] gave.
    pub fn value_of(&self, key: Key, number: u64) -> Decoded {
        if number == NAN {
            return Decoded::Nan;
        }
        match (self.format, key) {
            // The magnitude of the lowest number has no code.
            (Format::Fixed(f) | Format::Quire(f), Key::Magnitude) => {
                Decoded::Finite(Exact { negative: false, significand: number.into(), exponent: -f.fraction_bits })
            }
            (Format::Float(_), Key::Value) if number & HALF == 0 => self.format.decode(!number & !HALF | self.sign),
            (Format::Float(_), Key::Value) => self.format.decode(number & !HALF),
            (_, Key::Value) => self.format.decode((number ^ HALF) & self.mask),
            (_, Key::Magnitude) => self.format.decode(number),
        }
    }

    /// The like for magnitudes.
    #[inline]
    pub fn of_magnitude(&self, code: u64) -> u64 {
        match self.format {
            Format::Posit(_) | Format::Quire(_) if self.format.is_nan(code) => NAN,
            Format::Posit(p) => FixedFormat { width: p.width, fraction_bits: 0 }.integer(code).unsigned_abs(),
            Format::Fixed(f) | Format::Quire(f) => f.integer(code & self.mask).unsigned_abs(),
            Format::Float(_) => self.float_magnitude(code),
        }
    }

    /// True if the largest value's code, unless NaN, is the result's as it is.
    pub fn is_verbatim(&self, output: Format, policy: Policy) -> bool {
        output == self.format && plain(policy) && policy.overflow == Overflow::Ieee
    }

    /// The winning code, or its magnitude, converted to the result's format; counts the result.
    pub fn finish(&self, key: Key, code: u64, output: Format, policy: Policy, random: u64, activity: &mut Activity) -> u64 {
        if key == Key::Value && self.is_verbatim(output, policy) && !output.is_nan(code) {
            return code & self.mask;
        }
        let value = match (key, decode_with(self.format, code, self.subnormals)) {
            (Key::Magnitude, Decoded::Infinite { .. }) => Decoded::Infinite { negative: false },
            (Key::Magnitude, Decoded::Finite(x)) => Decoded::Finite(Exact { negative: false, ..x }),
            (_, value) => value,
        };
        let (result, flags) = encode_decoded(output, value, policy, random);
        count_result(output, result, flags, activity);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Elementwise, apply};
    use super::*;
    use systole_isa::format::NAMED;

    #[test]
    fn narrow_keys_order_as_wide_ones() {
        let mut narrow = 0;
        for name in [
            "e4m3fn",
            "e5m2",
            "e4m3fnuz",
            "e2m1f",
            "p3109_k8p3se",
            "fp16",
            "e6m9",
            "bf16",
            "fp32",
            "e8m23f",
            "tf32",
            "e8m0",
            "int8",
            "fp64",
        ] {
            let format: Format = name.parse().unwrap();
            let (bits, edges) = (format.bits(), [0, format.mask() >> 1, (format.mask() >> 1) + 1, format.mask()]);
            let spread = (0..600_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits));
            let near = edges.iter().flat_map(|&edge| (0..9).map(move |i| edge.wrapping_add(i).wrapping_sub(4)));
            let codes: Vec<u64> = spread.chain(near.map(|code| code & format.mask())).collect();
            let buffer = Codes::from_fn(format, codes.len(), |i| codes[i]);
            for subnormals in [SubnormalPolicy::Gradual, SubnormalPolicy::Daz] {
                let order = Order::new(format, subnormals);
                assert_eq!(order.is_narrow(), !["e8m23f", "e8m0", "int8", "fp64"].contains(&name), "{name}");
                if !order.is_narrow() {
                    continue;
                }
                narrow += 1;
                let mut keys = vec![0_i32; codes.len()];
                OrderKey::fill(&order, &buffer, 0, &mut keys);
                for (&a, &x) in codes.iter().zip(&keys) {
                    assert_eq!(x == i32::NAN, order.of(a) == NAN, "{name} {a:#x}");
                    for (&b, &y) in codes.iter().zip(&keys) {
                        assert_eq!(x.cmp(&y), order.of(a).cmp(&order.of(b)), "{name} {a:#x} {b:#x}");
                    }
                }
            }
        }
        assert_eq!(narrow, 20);
    }

    #[test]
    fn the_order_is_that_of_the_maximum() {
        let formats = NAMED.iter().map(|n| n.format).filter(|f| f.bits() <= 8).chain([Format::FP16, Format::FP32, Format::INT32]);
        for format in formats {
            let bits = format.bits();
            let step = if bits <= 8 { 1 } else { (format.mask() / 511).max(1) };
            let codes: Vec<u64> = (0..512.min(format.mask() + 1)).map(|i| i * step).collect();
            for policy in [Policy::RNE, Policy::RNE.subnormals(SubnormalPolicy::Daz)] {
                let order = Order::new(format, policy.subnormals);
                for &a in &codes {
                    for &b in &codes {
                        let winner = if order.of(b) > order.of(a) { b } else { a };
                        let mut activity = Activity::default();
                        let got = order.finish(Key::Value, winner, format, policy, 0, &mut activity);
                        let want = apply(Elementwise::Maximum, &[(format, a), (format, b)], format, policy, 0).unwrap().0;
                        assert_eq!(got, want, "{format} {a:#x} {b:#x}");

                        let winner = if order.of_magnitude(b) > order.of_magnitude(a) { b } else { a };
                        let got = order.finish(Key::Magnitude, winner, format, policy, 0, &mut activity);
                        let magnitude = |code| apply(Elementwise::Absolute, &[(format, code)], Format::FP64, policy, 0).unwrap().0;
                        let want =
                            apply(Elementwise::Maximum, &[(Format::FP64, magnitude(a)), (Format::FP64, magnitude(b))], format, policy, 0)
                                .unwrap()
                                .0;
                        assert_eq!(got, want, "|{format}| {a:#x} {b:#x}");
                    }
                }
            }
        }
    }
}
