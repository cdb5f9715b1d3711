//! The price of one product's part in the sum of a unit.
//!
//! An aligned unit shifts each product to the largest exponent, an exact one to its own place
//! among all that products can take; adders form a tree. Searching the largest exponent,
//! normalising and rounding happen once a block, and are divided by its lanes: a block that is
//! not full is charged less than it takes.

use super::model::{Cost, Model, Switching};
use super::value::{Value, addition, conversion};
use systole_isa::design::{Addend, Aligned, MacMode, Unit};

/// Adder and rounding per product, from the product to the accumulator.
pub(super) fn accumulation(model: &Model, mode: &MacMode, product: Value) -> (Cost, Cost) {
    let add = |value| addition(model, value, mode.accumulator, mode.rounding, mode.overflow);
    let lanes = f64::from(mode.lanes);
    match mode.unit {
        Unit::Chain | Unit::Descending => add(product),
        Unit::Interleaved { ways } => {
            // The chains' sums meet one another and the accumulator.
            let (adder, rounding) = add(product);
            let (joining, rounded) = add(Value::of(mode.accumulator));
            let share = f64::from(ways) / lanes;
            (adder + joining * share, rounding + rounded * share)
        }
        Unit::Exact => {
            let (tree, sum) = exact_tree(model, product, lanes);
            let (adder, rounding) = add(sum);
            (tree + adder * (1.0 / lanes), rounding * (1.0 / lanes))
        }
        Unit::ExactApart => {
            let (tree, sum) = exact_tree(model, product, lanes);
            let rounded = conversion(model, sum, mode.accumulator, mode.rounding, mode.subnormals);
            let (adder, rounding) = add(Value::of(mode.accumulator));
            (tree + adder * (1.0 / lanes), (rounded + rounding) * (1.0 / lanes))
        }
        Unit::Aligned(unit) => aligned(model, mode, unit, product),
    }
}

/// What a product that is not formed saves of its part in the sum, pJ of adder and of rounding: all
/// of it in a chain, its shifter in a tree, whose adders the other products pass.
pub(super) fn spared_pj(model: &Model, mode: &MacMode, product: Value) -> (f64, f64) {
    match mode.unit {
        Unit::Chain | Unit::Descending | Unit::Interleaved { .. } => {
            let (adder, rounding) = addition(model, product, mode.accumulator, mode.rounding, mode.overflow);
            (adder.pj, rounding.pj)
        }
        Unit::Exact | Unit::ExactApart => {
            let (tree, sum) = exact_tree(model, product, f64::from(mode.lanes));
            (tree.pj - model.adder(sum.precision).pj, 0.0)
        }
        Unit::Aligned(unit) => {
            let window = f64::from(unit.fraction_bits) + 2.0;
            (model.shifter(window, window).pj, 0.0)
        }
    }
}

/// Bits that a sum of so many terms has above one of them.
fn carries(terms: f64) -> f64 {
    terms.log2().ceil()
}

/// Placing and adding one product in a tree as wide as all products together, and the sum.
fn exact_tree(model: &Model, product: Value, lanes: f64) -> (Cost, Value) {
    let (span, places) = match product.exponent {
        Some(_) => (product.span() + 1.0, product.span() - product.precision + 1.0),
        None => (product.precision, 1.0),
    };
    let width = span + carries(lanes);
    let tree = model.fixed_accumulator(width, product.precision, places, Switching::Active);
    (tree, Value { precision: width, exponent: None, top: product.top + carries(lanes), ..product })
}

fn aligned(model: &Model, mode: &MacMode, unit: Aligned, product: Value) -> (Cost, Cost) {
    let lanes = f64::from(mode.lanes);
    let accumulator = Value::of(mode.accumulator);
    let e = product.exponent.unwrap_or(0.0).max(accumulator.exponent.unwrap_or(0.0));
    // Products lie in [1, 4): two bits before the point.
    let window = f64::from(unit.fraction_bits) + 2.0;
    let width = window + carries(lanes);
    // A comparator with its multiplexer, and the distance to the largest.
    let search = model.adder(e) + model.mux(e, 1.0);
    let distance = model.adder(e);
    let align = |bits: f64| search + distance + model.shifter(bits, bits);
    let term = align(window) + model.adder(width);
    // Leading-one detector, shifter, exponent.
    let normalise = |bits: f64| model.adder(bits) + model.shifter(bits, bits) + model.adder(e);
    let rounding = model.rounder(mode.rounding, accumulator.precision);
    let groups = f64::from(unit.groups);
    let join_groups = if unit.groups > 1 { (align(width) + model.adder(width)) * groups } else { Cost::ZERO };
    let (shared, rounding) = match unit.addend {
        // One term more; its adder makes up for the one that a tree has less than terms.
        Addend::Together => (align(window) + normalise(width), rounding),
        Addend::Apart => {
            let (adder, rounded) = addition(model, accumulator, mode.accumulator, mode.rounding, mode.overflow);
            (normalise(width) + adder, rounding + rounded)
        }
        Addend::Aligned { sum_bits, addend_bits, .. } => {
            let [sum, addend] = [sum_bits, addend_bits].map(|bits| f64::from(bits) + 2.0);
            let wide = sum.max(addend) + 1.0;
            (align(sum) + align(addend) + model.adder(wide) + normalise(wide), rounding)
        }
    };
    (term + (join_groups + shared) * (1.0 / lanes), rounding * (1.0 / lanes))
}
