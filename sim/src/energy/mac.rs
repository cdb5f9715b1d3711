//! The price of one MAC mode, and the datapath that carries all modes of a design.

use super::model::{Cost, Model};
use super::unit;
use super::value::{Value, addition, conversion, decoder};
use systole_isa::design::{Design, MacMode, Product, Scaling};
use systole_isa::format::Format;
use systole_isa::round::SubnormalPolicy;

/// Cost of the operations of one MAC mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MacCost {
    /// Forming one exact product, subnormal operands included.
    pub multiplier: Cost,
    /// One product's part in sums up to the accumulator, without their rounding: what an n-term
    /// unit's products share is divided by its lanes.
    pub adder: Cost,
    /// Roundings of one MAC: of the product where it is rounded, and of the accumulator.
    pub rounding: Cost,
    /// One addition of a closed chunk into the outer accumulator, block scales included; zero
    /// without chunks.
    pub outer_adder: Cost,
    /// Rounding of that addition.
    pub outer_rounding: Cost,
    /// One addition of the accumulator memory.
    pub memory_adder: Cost,
    /// Rounding of that addition.
    pub memory_rounding: Cost,
    /// Converting one result to the output format.
    pub conversion: Cost,
    /// Of `adder` and of `rounding`, what a product that is not formed saves, pJ.
    pub spared_pj: (f64, f64),
    /// Of `multiplier`, the array of partial products, pJ.
    pub partial_products_pj: f64,
    /// Exponent path, part of `multiplier`: a shared datapath needs one of the widest.
    exponent: Cost,
}

/// Adding a closed chunk, with its block scales, to the outer accumulator.
fn closing(model: &Model, mode: &MacMode) -> (Cost, Cost) {
    let outermost = mode.outermost();
    let inner = Value::of(mode.accumulator);
    let add = |value| addition(model, value, outermost, mode.outer_policy().rounding, mode.overflow);
    let scale = Value::of(mode.scale_format);
    match mode.scale {
        Scaling::None => add(inner),
        // The sum of the two scales' exponents.
        Scaling::Exponent => {
            let (adder, rounding) = add(inner);
            (adder + model.adder(scale.exponent.unwrap_or(0.0) + 1.0), rounding)
        }
        Scaling::Chunk | Scaling::ChunkRounded => {
            // Scales that are powers of two need no multipliers.
            let both = if scale.precision > 1.0 { 2.0 * scale.precision } else { 0.0 };
            let multipliers = if both > 0.0 {
                model.integer_multiplier(scale.precision, scale.precision) + model.integer_multiplier(both, inner.precision)
            } else {
                Cost::ZERO
            };
            let e = scale.exponent.unwrap_or(0.0).max(inner.exponent.unwrap_or(0.0)) + 1.0;
            let multiply = multipliers + model.adder(e) * 2.0;
            let scaled = Value { precision: inner.precision + both, exponent: Some(e), ..inner };
            if mode.scale == Scaling::Chunk {
                let (adder, rounding) = add(scaled);
                (adder + multiply, rounding)
            } else {
                let rounded = conversion(model, scaled, outermost, mode.outer_policy().rounding, mode.subnormals);
                let (adder, rounding) = add(Value::of(outermost));
                (adder + multiply, rounding + rounded)
            }
        }
    }
}

impl MacCost {
    /// Prices one mode of a design.
    pub fn of(model: &Model, design: &Design, mode: &MacMode) -> Self {
        let (a, b) = (Value::of(mode.a), Value::of(mode.b));
        let exact = a.times(b);
        let mut exponent = match (a.exponent, b.exponent) {
            (Some(_), Some(_)) => model.exponent_path(exact.exponent.unwrap_or(0.0)),
            (None, None) => Cost::ZERO,
            _ => model.adder(exact.exponent.unwrap_or(0.0) + 1.0),
        };
        let exact = match mode.scale {
            Scaling::Exponent => {
                let scale = Value::of(mode.scale_format);
                let scaled = exact.scaled(scale.exponent.unwrap_or(0.0), 2.0 * scale.top.max(-scale.low));
                // One addition to each product; that of the two scales is shared by the block.
                exponent = exponent + model.adder(scaled.exponent.unwrap_or(0.0));
                scaled
            }
            Scaling::None | Scaling::Chunk | Scaling::ChunkRounded => exact,
        };
        // Fixed point, exact sums and alignment take subnormal products in place.
        let normalised = mode.unit.is_sequential() && mode.accumulator.as_float().is_some() || mode.product != Product::Exact;
        let normalise: Cost = [a, b]
            .iter()
            .filter(|v| v.subnormals && normalised && !mode.subnormals.flushes_inputs())
            .map(|v| model.subnormal_shifter(v.precision))
            .sum();
        let decoders = decoder(model, mode.a) + decoder(model, mode.b);
        let (product, product_rounding) = match mode.product {
            Product::Exact => (exact, Cost::ZERO),
            Product::Rounded(format) => (Value::of(format), conversion(model, exact, format, mode.rounding, mode.subnormals)),
        };
        let (adder, rounding) = unit::accumulation(model, mode, product);
        let spared = unit::spared_pj(model, mode, product);
        let outermost = mode.outermost();
        let (outer_adder, outer_rounding) = if mode.chunk.is_some() { closing(model, mode) } else { (Cost::ZERO, Cost::ZERO) };
        let (memory_adder, memory_rounding) = addition(model, Value::of(outermost), outermost, mode.outer_policy().rounding, mode.overflow);
        let output = design.output.rounding;
        Self {
            multiplier: model.integer_multiplier(a.precision, b.precision) + exponent + normalise + decoders,
            adder,
            rounding: product_rounding + rounding,
            outer_adder,
            outer_rounding,
            memory_adder,
            memory_rounding,
            conversion: conversion(model, Value::of(outermost), design.output_format(mode), output, SubnormalPolicy::Gradual),
            partial_products_pj: model.integer_multiplier(a.precision, b.precision).pj,
            spared_pj: (spared.0, spared.1 + product_rounding.pj),
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
            spared_pj: (self.spared_pj.0.max(other.spared_pj.0), self.spared_pj.1.max(other.spared_pj.1)),
            partial_products_pj: self.partial_products_pj.max(other.partial_products_pj),
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
