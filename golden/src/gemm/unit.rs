//! How one block of products meets the accumulator.

use super::operands::{Factor, Line, Term};
use super::register::{Register, Roundings};
use super::{Step, aligned};
use crate::value::Value;
use std::ops::Range;
use systole_isa::design::{Addend, Unit};

/// Adds the products of `block` to `accumulator`.
pub(super) fn accumulate(unit: Unit, accumulator: &mut Register, line: Line<'_>, block: Range<usize>, roundings: &mut Roundings<'_>) {
    let (first, last) = (block.start, block.end - 1);
    match unit {
        Unit::Chain => {
            for k in block {
                let term = line.term(k, None, roundings);
                accumulator.add(&term.value, Step::Accumulate { k }, roundings);
            }
        }
        Unit::Descending => {
            for k in block.rev() {
                let term = line.term(k, None, roundings);
                accumulator.add(&term.value, Step::Accumulate { k }, roundings);
            }
        }
        Unit::Interleaved { ways } => {
            // A chain without products is absent, as its products are.
            let ways = (ways as usize).min(block.len());
            let mut chains = vec![Register::zero(accumulator.format); ways];
            for (i, k) in block.enumerate() {
                let term = line.term(k, None, roundings);
                chains[i % ways].add(&term.value, Step::Accumulate { k }, roundings);
            }
            let mut sum = chains[0].clone();
            for (way, chain) in chains.iter().enumerate().skip(1) {
                sum.add(&chain.read(roundings), Step::Way { first, way }, roundings);
            }
            accumulator.add(&sum.read(roundings), Step::Way { first, way: 0 }, roundings);
        }
        Unit::Exact => {
            let products = exact_sum(line, block, roundings);
            accumulator.add(&products, Step::Accumulate { k: last }, roundings);
        }
        Unit::ExactApart => {
            let products = exact_sum(line, block, roundings);
            let sum = roundings.round(accumulator.format, &products, Step::Sum { k: last });
            accumulator.add(&sum, Step::Accumulate { k: last }, roundings);
        }
        Unit::Aligned(unit) => {
            let terms: Vec<Term> = block.map(|k| line.term(k, unit.zero_exponent, roundings)).collect();
            let format = accumulator.format;
            if matches!(unit.addend, Addend::Apart) {
                let sum = aligned::sum(unit, &terms, None, roundings);
                let sum =
                    aligned::round(unit, format, &sum, Step::Sum { k: last }, roundings).into_operand(format, roundings.policy.subnormals);
                accumulator.add(&sum, Step::Accumulate { k: last }, roundings);
            } else {
                let value = accumulator.read(roundings);
                let exponent = Factor { format, value: &value }.exponent(unit.zero_exponent);
                let addend = Term { value, exponent };
                let sum = aligned::sum(unit, &terms, Some(&addend), roundings);
                accumulator.value = aligned::round(unit, format, &sum, Step::Accumulate { k: last }, roundings);
            }
        }
    }
}

/// The sum of a block's products without any rounding; a zero sum has the sign that adding
/// one after the other gives, which no order changes.
fn exact_sum(line: Line<'_>, block: Range<usize>, roundings: &mut Roundings<'_>) -> Value {
    let mut sum: Option<Value> = None;
    for k in block {
        let product = line.term(k, None, roundings).value;
        sum = Some(match sum {
            None => product,
            Some(sum) => roundings.sum(&sum, &product),
        });
    }
    sum.expect("no block is empty")
}
