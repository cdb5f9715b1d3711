//! Units that align their terms to the largest exponent and cut off what lies below.

use super::Step;
use super::operands::Term;
use super::register::Roundings;
use crate::value::{Rational, Value, power_of_two};
use systole_isa::design::{Addend, Aligned, Truncation};
use systole_isa::format::Format;
use systole_isa::round::Flags;

/// A finite number and the exponent it is aligned by; none where only zeros met that have none.
struct Partial {
    sum: Rational,
    exponent: Option<i64>,
}

impl Partial {
    /// A finite term.
    fn of(term: &Term) -> Self {
        let Value::Finite { negative, magnitude } = &term.value else { unreachable!("specials are dealt with before") };
        Self { sum: if *negative { -magnitude } else { magnitude.clone() }, exponent: term.exponent }
    }

    /// Drops the bits below `2^(exponent - fraction_bits)`.
    fn cut(&self, exponent: i64, fraction_bits: u32, truncation: Truncation, roundings: &mut Roundings<'_>) -> Rational {
        let quantum = exponent - i64::from(fraction_bits);
        let units = &self.sum * power_of_two(-quantum);
        let whole = match truncation {
            Truncation::TowardZero => units.trunc(),
            Truncation::Floor => units.floor(),
        };
        let kept = Rational::from(whole) * power_of_two(quantum);
        if kept != self.sum {
            roundings.flags |= Flags::INEXACT;
        }
        kept
    }
}

/// Sums what is kept of `parts`, aligned to the largest of their exponents.
fn fused<'p>(
    parts: impl Iterator<Item = &'p Partial> + Clone,
    fraction_bits: u32,
    truncation: Truncation,
    roundings: &mut Roundings<'_>,
) -> Partial {
    let Some(largest) = parts.clone().filter_map(|p| p.exponent).max() else {
        return Partial { sum: Rational::ZERO, exponent: None };
    };
    let mut sum = Rational::ZERO;
    for part in parts {
        sum += part.cut(largest, fraction_bits, truncation, roundings);
    }
    Partial { sum, exponent: Some(largest) }
}

/// The sum of `terms`, and of the addend if it takes part, as the unit keeps it.
///
/// NaNs and infinities among the terms decide first; then products that count as infinite.
pub(super) fn sum(unit: Aligned, terms: &[Term], addend: Option<&Term>, roundings: &mut Roundings<'_>) -> Value {
    let specials = terms.iter().chain(addend).map(|t| &t.value).filter(|v| !matches!(v, Value::Finite { .. })).cloned();
    if let Some(special) = all_together(specials.collect(), roundings) {
        return special;
    }
    if let Some(exponent) = unit.infinite_from {
        let limit = power_of_two(exponent.into());
        let infinite = terms.iter().filter_map(|t| match &t.value {
            Value::Finite { negative, magnitude } if *magnitude >= limit => Some(Value::Infinite { negative: *negative }),
            _ => None,
        });
        if let Some(special) = all_together(infinite.collect(), roundings) {
            return special;
        }
    }
    let products: Vec<Partial> = terms.iter().map(Partial::of).collect();
    let addend = addend.map(Partial::of);
    let kept = match (unit.addend, &addend) {
        (Addend::Together, Some(addend)) => fused(products.iter().chain([addend]), unit.fraction_bits, unit.term_truncation, roundings).sum,
        (Addend::Aligned { sum_bits, addend_bits, reach }, Some(addend)) => {
            let products = in_groups(unit, &products, roundings);
            match products.exponent.into_iter().chain(addend.exponent).max() {
                None => Rational::ZERO,
                Some(largest) => {
                    let within_reach = addend.exponent.is_some_and(|e| reach.is_none_or(|reach| e >= largest - i64::from(reach)));
                    let products = products.cut(largest, sum_bits, unit.sum_truncation, roundings);
                    if within_reach {
                        products + addend.cut(largest, addend_bits, unit.sum_truncation, roundings)
                    } else {
                        if !addend.sum.is_zero() {
                            roundings.flags |= Flags::INEXACT;
                        }
                        products
                    }
                }
            }
        }
        (Addend::Apart, _) | (Addend::Together | Addend::Aligned { .. }, None) => in_groups(unit, &products, roundings).sum,
    };
    Value::finite(kept)
}

/// The sum of `specials`, if there are any.
fn all_together(specials: Vec<Value>, roundings: &mut Roundings<'_>) -> Option<Value> {
    specials.into_iter().reduce(|x, y| roundings.sum(&x, &y))
}

/// Products summed group by group, then the groups' sums.
fn in_groups(unit: Aligned, products: &[Partial], roundings: &mut Roundings<'_>) -> Partial {
    let groups = unit.groups as usize;
    let sums: Vec<Partial> = (0..groups.min(products.len()))
        .map(|g| fused(products.iter().skip(g).step_by(groups), unit.fraction_bits, unit.term_truncation, roundings))
        .collect();
    fused(sums.iter(), unit.fraction_bits, unit.sum_truncation, roundings)
}

/// Rounds a kept sum to the accumulator's format; zeros are +0 unless the unit signs them.
pub(super) fn round(unit: Aligned, format: Format, sum: &Value, step: Step, roundings: &mut Roundings<'_>) -> Value {
    match roundings.write(format, sum, step) {
        Value::Finite { magnitude, .. } if magnitude.is_zero() && !unit.negative_zero => Value::zero(false),
        rounded => rounded,
    }
}
