//! The price of one MAC mode, and the datapath that carries all modes of a design.

use super::model::{Cost, Model, Switching};
use systole_isa::design::{Design, MacMode, Product};
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::{Overflow, Rounding, SubnormalPolicy};

/// Cost of the operations of one MAC mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MacCost {
    /// Forming one exact product, subnormal operands included.
    pub multiplier: Cost,
    /// One addition into the accumulator, without its rounding.
    pub adder: Cost,
    /// Roundings of one MAC: of the product where it is rounded, and of the accumulator.
    pub rounding: Cost,
    /// One addition of a closed chunk into the outer accumulator; zero without chunks.
    pub outer_adder: Cost,
    /// Rounding of that addition.
    pub outer_rounding: Cost,
    /// One addition of the accumulator memory.
    pub memory_adder: Cost,
    /// Rounding of that addition.
    pub memory_rounding: Cost,
    /// Converting one result to the output format.
    pub conversion: Cost,
    /// Exponent path, part of `multiplier`: a shared datapath needs one of the widest.
    exponent: Cost,
}

/// The bits of a value on its way through a datapath.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// Significand or integer width, bits.
    precision: f64,
    /// Exponent bits; `None` in fixed point.
    exponent: Option<f64>,
    /// Values are below 2^top in magnitude.
    top: f64,
    /// Weight of the lowest bit is 2^low.
    low: f64,
    /// True if subnormals must be normalised first.
    subnormals: bool,
}

impl Value {
    fn of(format: Format) -> Self {
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

    /// The exact product of two values.
    fn times(self, other: Self) -> Self {
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

/// Adding a value to an accumulator of `format`: adder and rounding.
fn addition(model: &Model, value: Value, format: Format, rounding: Rounding, overflow: Overflow) -> (Cost, Cost) {
    let accumulator = Value::of(format);
    if let Some(e) = accumulator.exponent {
        let width = accumulator.precision.max(value.precision);
        let e = e.max(value.exponent.unwrap_or(0.0));
        return model.float_adder_and_rounder(e, accumulator.precision, width, rounding);
    }
    // A fixed-point value has one place; a float's product moves over its whole range.
    let places = if value.exponent.is_some() { value.top - value.low - value.precision + 1.0 } else { 1.0 };
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
fn conversion(model: &Model, value: Value, format: Format, rounding: Rounding, subnormals: SubnormalPolicy) -> Cost {
    let target = Value::of(format);
    let rounder = model.rounder(rounding, target.precision);
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

impl MacCost {
    /// Prices one mode of a design.
    pub fn of(model: &Model, design: &Design, mode: &MacMode) -> Self {
        let (a, b) = (Value::of(mode.a), Value::of(mode.b));
        let exact = a.times(b);
        let exponent = match (a.exponent, b.exponent) {
            (Some(_), Some(_)) => model.exponent_path(exact.exponent.unwrap_or(0.0)),
            (None, None) => Cost::ZERO,
            _ => model.adder(exact.exponent.unwrap_or(0.0) + 1.0),
        };
        // Fixed-point accumulators take subnormal products in place.
        let normalised = mode.accumulator.as_float().is_some() || mode.product != Product::Exact;
        let normalise: Cost = [a, b]
            .iter()
            .filter(|v| v.subnormals && normalised && !mode.subnormals.flushes_inputs())
            .map(|v| model.subnormal_shifter(v.precision))
            .sum();
        let (product, product_rounding) = match mode.product {
            Product::Exact => (exact, Cost::ZERO),
            Product::Rounded(format) => (Value::of(format), conversion(model, exact, format, mode.rounding, mode.subnormals)),
        };
        let (adder, rounding) = addition(model, product, mode.accumulator, mode.rounding, mode.overflow);
        let outermost = mode.outermost();
        let (outer_adder, outer_rounding) = match mode.chunk {
            None => (Cost::ZERO, Cost::ZERO),
            Some(_) => addition(model, Value::of(mode.accumulator), outermost, mode.rounding, mode.overflow),
        };
        let (memory_adder, memory_rounding) = addition(model, Value::of(outermost), outermost, mode.rounding, mode.overflow);
        let output = design.output.rounding;
        Self {
            multiplier: model.integer_multiplier(a.precision, b.precision) + exponent + normalise,
            adder,
            rounding: product_rounding + rounding,
            outer_adder,
            outer_rounding,
            memory_adder,
            memory_rounding,
            conversion: conversion(model, Value::of(outermost), design.output_format(mode), output, SubnormalPolicy::Gradual),
            exponent,
        }
    }

    /// The cost of a datapath that can do either: each unit as large as the larger.
    fn max(self, other: Self) -> Self {
        Self {
            multiplier: self.multiplier.max(other.multiplier),
            adder: self.adder.max(other.adder),
            rounding: self.rounding.max(other.rounding),
            outer_adder: self.outer_adder.max(other.outer_adder),
            outer_rounding: self.outer_rounding.max(other.outer_rounding),
            memory_adder: self.memory_adder.max(other.memory_adder),
            memory_rounding: self.memory_rounding.max(other.memory_rounding),
            conversion: self.conversion.max(other.conversion),
            exponent: self.exponent.max(other.exponent),
        }
    }

    /// The datapath that carries every mode: one multiplier of the widest significands and
    /// exponents, and the largest of every other unit.
    pub fn union(model: &Model, design: &Design, modes: &[MacMode]) -> Self {
        let costs: Vec<Self> = modes.iter().map(|mode| Self::of(model, design, mode)).collect();
        let mut union = costs.iter().copied().fold(Self::default(), Self::max);
        let widest = |side: fn(&MacMode) -> Format| modes.iter().map(|mode| Value::of(side(mode)).precision).fold(0.0, f64::max);
        let shared = model.integer_multiplier(widest(|m| m.a), widest(|m| m.b));
        let normalise = modes
            .iter()
            .zip(&costs)
            .map(|(mode, cost)| {
                let bare = model.integer_multiplier(Value::of(mode.a).precision, Value::of(mode.b).precision);
                cost.multiplier - bare - cost.exponent
            })
            .fold(Cost::ZERO, Cost::max);
        union.multiplier = shared + union.exponent + normalise;
        union
    }
}
