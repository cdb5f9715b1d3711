//! Values on their way through a datapath, and what adding and converting them costs.

use super::model::{Cost, Model, Switching};
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::{Overflow, Rounding, SubnormalPolicy};

/// The bits of a value on its way through a datapath.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    /// Significand or integer width, bits.
    pub precision: f64,
    /// Exponent bits; `None` in fixed point.
    pub exponent: Option<f64>,
    /// Values are below 2^top in magnitude.
    pub top: f64,
    /// Weight of the lowest bit is 2^low.
    pub low: f64,
    /// True if subnormals must be normalised first.
    pub subnormals: bool,
}

impl Value {
    pub fn of(format: Format) -> Self {
        let precision = f64::from(format.precision());
        match format {
            Format::Float(f) => {
                let top_field = f.max_finite_magnitude().checked_shr(f.mantissa_bits).unwrap_or(0).max(1);
                Self {
                    precision,
                    exponent: Some(f64::from(f.exponent_bits)),
                    top: top_field as f64 - f64::from(f.bias) + 1.0,
                    low: f64::from(f.min_quantum_exponent()),
                    subnormals: f.subnormals == Subnormals::Gradual,
                }
            }
            // Decoded to sign, exponent and significand before the arithmetic.
            Format::Posit(p) => Self {
                precision,
                exponent: Some(f64::from(p.exponent_bits) + f64::from(p.width).log2().ceil()),
                top: f64::from(p.max_exponent()) + 1.0,
                low: -f64::from(p.max_exponent()),
                subnormals: false,
            },
            Format::Fixed(f) | Format::Quire(f) => Self {
                precision,
                exponent: None,
                top: f64::from(f.width) - 1.0 - f64::from(f.fraction_bits),
                low: -f64::from(f.fraction_bits),
                subnormals: false,
            },
        }
    }

    /// The value times a power of two of `exponent` exponent bits, from -`reach` to `reach`.
    pub fn scaled(self, exponent: f64, reach: f64) -> Self {
        Self { exponent: Some(self.exponent.unwrap_or(0.0).max(exponent) + 1.0), top: self.top + reach, low: self.low - reach, ..self }
    }

    /// Bits from the highest place a value reaches to its lowest.
    pub fn span(self) -> f64 {
        self.top - self.low
    }

    /// The exact product of two values.
    pub fn times(self, other: Self) -> Self {
        Self {
            precision: self.precision + other.precision,
            exponent: match (self.exponent, other.exponent) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0.0).max(b.unwrap_or(0.0))),
            },
            top: self.top + other.top,
            low: self.low + other.low,
            subnormals: false,
        }
    }
}

/// From a posit to sign, exponent and significand: complement, run counter, shifter. Nothing
/// for other formats.
pub(super) fn decoder(model: &Model, format: Format) -> Cost {
    let Format::Posit(p) = format else { return Cost::ZERO };
    let width = f64::from(p.width);
    model.adder(width) * 2.0 + model.shifter(width, width)
}

/// From sign, exponent and significand to a posit, rounding apart: shifter and complement.
pub(super) fn encoder(model: &Model, format: Format) -> Cost {
    let Format::Posit(p) = format else { return Cost::ZERO };
    let width = f64::from(p.width);
    model.adder(width) + model.shifter(width, width)
}

/// Adding a value to an accumulator of `format`: adder and rounding.
pub(super) fn addition(model: &Model, value: Value, format: Format, rounding: Rounding, overflow: Overflow) -> (Cost, Cost) {
    let accumulator = Value::of(format);
    if let Some(e) = accumulator.exponent {
        let width = accumulator.precision.max(value.precision);
        let e = e.max(value.exponent.unwrap_or(0.0));
        let (adder, rounder) = model.float_adder_and_rounder(e, accumulator.precision, width, rounding);
        return (adder + decoder(model, format) + encoder(model, format), rounder);
    }
    // A fixed-point value has one place; a float's product moves over its whole range.
    let places = if value.exponent.is_some() { value.span() - value.precision + 1.0 } else { 1.0 };
    let adder = model.fixed_accumulator(accumulator.precision, value.precision, places, Switching::Active);
    let saturation = match overflow {
        Overflow::Saturate | Overflow::Propagate => model.mux(accumulator.precision, 1.0),
        Overflow::Ieee | Overflow::Infinity => Cost::ZERO,
    };
    let inexact = value.low < accumulator.low;
    let rounder = if inexact { model.rounder(rounding, value.precision) } else { Cost::ZERO };
    (adder + saturation, rounder)
}

/// Rounding an exact value to `format`.
pub(super) fn conversion(model: &Model, value: Value, format: Format, rounding: Rounding, subnormals: SubnormalPolicy) -> Cost {
    let target = Value::of(format);
    let rounder = model.rounder(rounding, target.precision) + encoder(model, format);
    match (value.exponent, target.exponent) {
        // Already aligned: drop bits, clip.
        (None, None) => rounder + model.mux(target.precision, 1.0),
        (Some(_), None) => model.shifter(target.precision, target.precision) + rounder,
        (None, Some(e)) => model.shifter(value.precision, value.precision) + model.adder(e) + rounder,
        (Some(_), Some(e)) => {
            let tiny = target.subnormals && !subnormals.flushes_results();
            let denormalise = if tiny { model.subnormal_shifter(target.precision) } else { Cost::ZERO };
            // One place of normalisation, and the exponent rebased.
            model.mux(target.precision, 1.0) + model.adder(e + 1.0) + denormalise + rounder
        }
    }
}
