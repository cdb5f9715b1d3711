//! Counts over the elements of tensors that were rounded.

use super::finite;
use crate::lower::top_exponent;
use std::collections::BTreeMap;
use systole_isa::format::Format;

/// Where a format ends, in units of the scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Magnitudes of positive and negative numbers from which on they would not round to nearest
    /// to the largest.
    overflow: [f64; 2],
    /// Least normal number; 0 where there are no subnormals.
    normal: f64,
    /// Largest number.
    pub largest: f64,
}

impl Bounds {
    pub(super) fn of(format: Format) -> Self {
        let largest = [false, true].map(|negative| format.to_f64(format.max_finite(negative)).abs());
        let half_a_unit = match format {
            Format::Float(f) => f64::from(top_exponent(format) - f.precision() as i32).exp2(),
            Format::Fixed(f) => f64::from(-f.fraction_bits - 1).exp2(),
            Format::Posit(_) | Format::Quire(_) => 0.0,
        };
        let normal = format.as_float().map_or(0.0, |f| f64::from(f.min_exponent()).exp2());
        Self { overflow: largest.map(|x| x + half_a_unit), normal, largest: largest[0] }
    }
}

/// Counts over the elements of one or more tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub elements: u64,
    pub saturated: u64,
    pub underflows: u64,
    pub subnormals: u64,
    pub nans: u64,
    pub infinities: u64,
    pub not_finite: u64,
    amax: Option<f64>,
    square: f64,
    square_error: f64,
    largest_error: Option<f64>,
    /// How many finite x other than 0 there are by exponent, floor(log2 |x|).
    pub exponents: BTreeMap<i32, u64>,
}

/// floor(log2 |x|) of a finite x other than 0.
fn exponent(x: f64) -> i32 {
    let biased = (x.to_bits() >> 52 & 0x7ff) as i32;
    // A subnormal's is that of its first bit.
    if biased > 0 { biased - 1023 } else { -1011 - (x.to_bits() << 12 >> 12).leading_zeros() as i32 }
}

impl Tally {
    /// An element before and after, and where codes are multiples of values, its code's value, its
    /// scale and the format's bounds.
    pub(super) fn add(&mut self, x: f64, q: f64, coded: Option<(f64, f64, &Bounds)>) {
        self.elements += 1;
        self.nans += u64::from(q.is_nan());
        self.infinities += u64::from(q.is_infinite());
        self.not_finite += u64::from(!x.is_finite());
        let mut saturated = false;
        if let Some((code, scale, bounds)) = coded {
            self.subnormals += u64::from(code != 0.0 && code.abs() < bounds.normal);
            saturated = x.is_finite() && scale > 0.0 && x.abs() >= bounds.overflow[usize::from(x < 0.0)] * scale;
        }
        self.saturated += u64::from(saturated);
        self.underflows += u64::from(x != 0.0 && !x.is_nan() && q == 0.0);
        if !x.is_finite() {
            return;
        }
        self.amax = Some(self.amax.map_or(x.abs(), |amax| amax.max(x.abs())));
        if x != 0.0 {
            *self.exponents.entry(exponent(x)).or_default() += 1;
        }
        if !q.is_finite() {
            return;
        }
        let difference = q - x;
        self.square += x * x;
        self.square_error += difference * difference;
        if x != 0.0 && q != 0.0 && !saturated {
            let relative = difference.abs() / x.abs();
            self.largest_error = Some(self.largest_error.map_or(relative, |largest| largest.max(relative)));
        }
    }

    /// Largest magnitude of finite elements before rounding.
    pub(super) const fn amax(&self) -> Option<f64> {
        self.amax
    }

    /// Root of the squared errors over the squares.
    pub(super) fn error(&self) -> Option<f64> {
        relative(self.square_error, self.square)
    }

    /// Largest relative error.
    pub(super) fn largest_error(&self) -> Option<f64> {
        self.largest_error.and_then(finite)
    }
}

/// Root of a ratio of squares; 0 of nothing.
pub(super) fn relative(square_error: f64, square: f64) -> Option<f64> {
    if square_error == 0.0 { Some(0.0) } else { finite((square_error / square).sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::round::{Overflow, Policy, Rounding, convert};

    fn tally(format: &str, scale: f64, values: &[f64]) -> Tally {
        let format: Format = format.parse().unwrap();
        let bounds = Bounds::of(format);
        let policy = Policy::new(Rounding::Rne).overflow(Overflow::Saturate);
        let mut tally = Tally::default();
        for &x in values {
            let (code, _) = convert(Format::FP64, format, (x / scale).to_bits(), policy, 0);
            let code = format.to_f64(code);
            tally.add(x, code * scale, Some((code, scale, &bounds)));
        }
        tally
    }

    /// Formats end half a unit in the last place beyond their largest number.
    #[test]
    fn bounds_by_hand() {
        for (format, largest, overflow, normal) in [
            ("e4m3fn", 448.0, [464.0; 2], 2f64.powi(-6)),
            ("e5m2", 57344.0, [61440.0; 2], 2f64.powi(-14)),
            ("e2m1f", 6.0, [7.0; 2], 1.0),
            ("e3m0b7f", 1.0, [1.5; 2], 2f64.powi(-6)),
            ("fp16", 65504.0, [65520.0; 2], 2f64.powi(-14)),
            ("int8", 127.0, [127.5, 128.5], 0.0),
            ("fx8.4", 127.0 / 16.0, [127.5 / 16.0, 128.5 / 16.0], 0.0),
            ("posit8_0", 64.0, [64.0; 2], 0.0),
        ] {
            let bounds = Bounds::of(format.parse().unwrap());
            assert_eq!((bounds.largest, bounds.overflow, bounds.normal), (largest, overflow, normal), "{format}");
        }
    }

    /// e2m1f: 0, 0.5, 1, 1.5, 2, 3, 4, 6, in units of 4.
    #[test]
    fn counts_by_hand() {
        let t = tally("e2m1f", 4.0, &[0.0, 0.9, -0.9, 1.1, 2.0, 4.0, 24.0, 27.9, 28.0, -100.0]);
        assert_eq!((t.elements, t.saturated, t.underflows, t.subnormals), (10, 2, 2, 2));
        assert_eq!((t.nans, t.infinities, t.not_finite, t.amax()), (0, 0, 0, Some(100.0)));
        // 0.9 -> 0 twice, 1.1 -> 2, 27.9 -> 24, 28 -> 24, -100 -> -24.
        let errors = 2.0 * 0.81 + 0.81 + 3.9 * 3.9 + 16.0 + 76.0 * 76.0;
        let squares = 2.0 * 0.81 + 1.21 + 4.0 + 16.0 + 576.0 + 27.9 * 27.9 + 784.0 + 10_000.0;
        assert!((t.error().unwrap() - f64::sqrt(errors / squares)).abs() < 1e-15);
        // That of 1.1: what saturates or vanishes is counted, not measured.
        assert!((t.largest_error().unwrap() - 0.9 / 1.1).abs() < 1e-15);
    }

    #[test]
    fn exponents_by_hand() {
        let t = tally("e4m3fn", 1.0, &[0.0, 1.0, 1.99, -2.0, 0.75, f64::INFINITY, f64::NAN]);
        assert_eq!(t.exponents.into_iter().collect::<Vec<_>>(), [(-1, 1), (0, 2), (1, 1)]);
        for e in [-1074, -1073, -1050, -1023, -1022, -1, 0, 1023] {
            assert_eq!(exponent(2f64.powi(e)), e);
        }
        assert_eq!(exponent(2f64.powi(-1060) + 2f64.powi(-1061)), -1060);
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let bounds = Bounds::of(Format::FP16);
        let mut t = Tally::default();
        for (x, q) in
            [(f64::NAN, f64::NAN), (f64::INFINITY, f64::INFINITY), (1e6, f64::INFINITY), (2.0, 2.0), (f64::NEG_INFINITY, -65504.0)]
        {
            t.add(x, q, Some((q, 1.0, &bounds)));
        }
        assert_eq!((t.elements, t.saturated, t.nans, t.infinities, t.not_finite), (5, 1, 1, 2, 3));
        assert_eq!((t.amax(), t.error(), t.largest_error(), t.underflows), (Some(1e6), Some(0.0), Some(0.0), 0));
    }

    #[test]
    fn nothing_has_no_error() {
        let t = tally("e4m3fn", 1.0, &[0.0, -0.0]);
        assert_eq!((t.error(), t.largest_error(), t.amax(), t.saturated), (Some(0.0), None, Some(0.0), 0));
        // Blocks of zeros may have a scale of 0.
        let mut t = Tally::default();
        t.add(1e-40, 0.0, Some((0.0, 0.0, &Bounds::of(Format::FP16))));
        assert_eq!((t.saturated, t.underflows, t.error()), (0, 1, Some(1.0)));
        assert_eq!(relative(1.0, 0.0), None);
    }
}
