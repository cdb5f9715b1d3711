//! n-term dot-product units: a block of products meets the accumulator at once.

use super::mac::{Factor, Mac, multiply};
use super::register::{Addend as Sum, Register};
use super::wide::Wide;
use systole_isa::design::{Addend, Aligned, Truncation, Unit};
use systole_isa::device::Activity;
use systole_isa::entropy::Stage;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::Flags;

/// Products of consecutive k.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Codes of A and B, k ascending, at least one.
    pub operands: &'a [(u64, u64)],
    /// k of the first.
    pub first: u32,
    /// What block scales multiply the products by.
    pub factor: Factor,
}

impl Block<'_> {
    pub(super) const fn last(&self) -> u32 {
        self.first + self.operands.len() as u32 - 1
    }

    /// k and operands.
    fn terms(&self) -> impl DoubleEndedIterator<Item = (u32, u64, u64)> {
        self.operands.iter().enumerate().map(|(i, &(a, b))| (self.first + i as u32, a, b))
    }
}

/// Counts the exceptions of one rounding.
pub(super) fn count(flags: Flags, activity: &mut Activity) {
    activity.accumulator_overflows += u64::from(flags.contains(Flags::OVERFLOW));
    activity.accumulator_underflows += u64::from(flags.contains(Flags::UNDERFLOW));
}

/// The random bits of a rounding, by its stage and index.
pub(super) type Random<'a> = &'a dyn Fn(Stage, u32) -> u64;

impl Mac {
    /// The accumulator after a block.
    pub(super) fn add_block(&self, accumulator: &Register, block: &Block<'_>, random: Random<'_>, activity: &mut Activity) -> Register {
        let mode = self.mode();
        for &(a, b) in block.operands {
            activity.zero_operand_macs += u64::from(mode.a.is_zero(a) || mode.b.is_zero(b));
        }
        match mode.unit {
            Unit::Chain => self.add_products(accumulator, block.terms(), block.factor, random, activity),
            Unit::Descending => self.add_products(accumulator, block.terms().rev(), block.factor, random, activity),
            Unit::Interleaved { ways } => self.add_interleaved(accumulator, block, ways, random, activity),
            Unit::Exact => {
                let products = self.products(block, random, activity);
                let (sum, flags) = self.exact_sum(&products, Some(accumulator));
                self.write(sum, flags, random(Stage::Accumulate, block.last()), activity)
            }
            Unit::ExactApart => {
                let products = self.products(block, random, activity);
                let (sum, flags) = self.exact_sum(&products, None);
                self.add_apart(accumulator, sum, flags, block.last(), random, activity)
            }
            Unit::Aligned(unit) => {
                let terms = self.terms(block, unit, activity);
                let (sum, flags) = self.align(unit, &terms, accumulator);
                if unit.addend == Addend::Apart {
                    self.add_apart(accumulator, sum.into(), flags, block.last(), random, activity)
                } else {
                    self.write(sum.into(), flags, random(Stage::Accumulate, block.last()), activity)
                }
            }
        }
    }

    /// A rounded sum in a register of the accumulator's format.
    fn write(&self, sum: Sum, raised: Flags, random: u64, activity: &mut Activity) -> Register {
        let format = self.mode().accumulator;
        let (register, flags) = Register::of(format, sum, self.policy(), random);
        count(raised | flags, activity);
        match (self.mode().unit, &register) {
            // Rounded away to nothing, a sum of an aligned unit loses its sign.
            (Unit::Aligned(unit), Register::Narrow(code)) if !unit.negative_zero && format.is_zero(*code) => Register::zero(format),
            _ => register,
        }
    }

    /// The sum of products rounded on its own, then added.
    fn add_apart(&self, accumulator: &Register, sum: Sum, raised: Flags, k: u32, random: Random<'_>, activity: &mut Activity) -> Register {
        let format = self.mode().accumulator;
        let sum = self.write(sum, raised, random(Stage::Sum, k), activity);
        let (register, flags) = accumulator.add(format, sum.addend(format, self.policy()), self.policy(), random(Stage::Accumulate, k));
        count(flags, activity);
        register
    }

    fn add_products(
        &self,
        accumulator: &Register,
        terms: impl Iterator<Item = (u32, u64, u64)>,
        factor: Factor,
        random: Random<'_>,
        activity: &mut Activity,
    ) -> Register {
        if let (Some(words), Register::Narrow(code)) = (self.words(), accumulator)
            && factor == Factor::ONE
        {
            let sum = terms.fold(*code, |code, (k, a, b)| {
                let bits = [random(Stage::Product, k), random(Stage::Accumulate, k)];
                self.step_in_words(words, code, (a, b), bits, activity).0
            });
            return Register::Narrow(sum);
        }
        let mut sum = accumulator.clone();
        for (k, a, b) in terms {
            let (product, flags) = self.scaled_product(a, b, factor, random(Stage::Product, k));
            count(flags, activity);
            let (next, flags) = self.accumulate_register(&sum, product, random(Stage::Accumulate, k));
            count(flags, activity);
            sum = next;
        }
        sum
    }

    fn add_interleaved(
        &self,
        accumulator: &Register,
        block: &Block<'_>,
        ways: u32,
        random: Random<'_>,
        activity: &mut Activity,
    ) -> Register {
        let format = self.mode().accumulator;
        let add = |sum: &Register, way: &Register, index: u32, activity: &mut Activity| {
            let addend = way.addend(format, self.policy());
            let (sum, flags) = sum.add(format, addend, self.policy(), random(Stage::Sum, block.first + index));
            count(flags, activity);
            sum
        };
        let chain = |way: u32, activity: &mut Activity| {
            let terms = block.terms().filter(|(k, ..)| (k - block.first) % ways == way);
            self.add_products(&Register::zero(format), terms, block.factor, random, activity)
        };
        let mut total = chain(0, activity);
        for way in 1..ways.min(block.operands.len() as u32) {
            let sum = chain(way, activity);
            total = add(&total, &sum, way, activity);
        }
        add(accumulator, &total, 0, activity)
    }

    /// The products of a block, rounded where the mode rounds them.
    fn products(&self, block: &Block<'_>, random: Random<'_>, activity: &mut Activity) -> Vec<Decoded> {
        block
            .terms()
            .map(|(k, a, b)| {
                let (product, flags) = self.scaled_product(a, b, block.factor, random(Stage::Product, k));
                count(flags, activity);
                product
            })
            .collect()
    }

    /// The exact sum of products, and of the accumulator if it joins them.
    fn exact_sum(&self, products: &[Decoded], accumulator: Option<&Register>) -> (Sum, Flags) {
        let mut specials = Specials::default();
        let mut terms = Vec::with_capacity(products.len() + 1);
        // Zero addends of one sign leave a zero of that sign.
        let mut signs = [false; 2];
        let mut take = |term: Decoded| match term {
            Decoded::Finite(x) => {
                signs[usize::from(x.negative)] = true;
                terms.push(x);
            }
            special => specials.see(special),
        };
        products.iter().for_each(|product| take(*product));
        if let Some(accumulator) = accumulator {
            match accumulator.terms(self.mode().accumulator, self.policy()) {
                Ok(parts) => parts.into_iter().for_each(|part| take(Decoded::Finite(part))),
                Err(special) => take(special),
            }
        }
        if let Some((special, flags)) = specials.result() {
            return (special.into(), flags);
        }
        let sum = Wide::sum(&terms);
        if sum.is_zero() {
            let negative = if signs == [false, true] { true } else { signs[1] && self.policy().rounding.cancels_to_negative_zero() };
            return (Decoded::Finite(Exact::zero(negative)).into(), Flags::NONE);
        }
        (Sum::Wide(sum), Flags::NONE)
    }

    /// The products of a block with the exponents an aligned unit sees.
    fn terms(&self, block: &Block<'_>, unit: Aligned, activity: &mut Activity) -> Vec<Term> {
        let mode = self.mode();
        block
            .terms()
            .map(|(_, a, b)| {
                let (x, y) = (self.operand_a(a), self.operand_b(b));
                let (product, raised) = multiply(x, y, self.bias_scale());
                let (product, scaled) = block.factor.times(product);
                count(raised | scaled, activity);
                let exponent = exponent(mode.a, x, unit)
                    .zip(exponent(mode.b, y, unit))
                    .zip(block.factor.exponent())
                    .map(|((a, b), factor)| a + b + factor + self.bias_scale());
                Term { value: product, exponent }
            })
            .collect()
    }

    /// The sum an aligned unit forms, before its rounding.
    fn align(&self, unit: Aligned, products: &[Term], accumulator: &Register) -> (Decoded, Flags) {
        let format = self.mode().accumulator;
        let addend = accumulator.read(format, self.policy());
        let addend = (unit.addend != Addend::Apart).then(|| Term { value: addend, exponent: exponent(format, addend, unit) });
        let mut specials = Specials::default();
        products.iter().chain(&addend).for_each(|term| specials.see(term.value));
        if let Some(result) = specials.result() {
            return result;
        }
        if let Some(limit) = unit.infinite_from {
            let mut specials = Specials::default();
            for term in products {
                if let Decoded::Finite(x) = term.value
                    && !x.is_zero()
                    && x.magnitude_exponent() >= limit
                {
                    specials.see(Decoded::Infinite { negative: x.negative });
                }
            }
            if let Some(result) = specials.result() {
                return result;
            }
        }
        let sum = match (unit.addend, addend) {
            (Addend::Together, Some(addend)) => {
                let all: Vec<Term> = products.iter().copied().chain([addend]).collect();
                fused_sum(&all, unit.fraction_bits, unit.term_truncation).map(|(sum, _)| sum)
            }
            (Addend::Aligned { sum_bits, addend_bits, reach }, Some(addend)) => {
                meet(grouped_sum(products, unit), addend, sum_bits, addend_bits, reach, unit.sum_truncation)
            }
            _ => grouped_sum(products, unit).map(|(sum, _)| sum),
        };
        let positive_zero = Exact::zero(false);
        (Decoded::Finite(sum.filter(|x| !x.is_zero()).unwrap_or(positive_zero)), Flags::NONE)
    }
}

/// A value and the exponent it is aligned by; `None` for a zero that does not take part.
#[derive(Clone, Copy, Debug)]
struct Term {
    value: Decoded,
    exponent: Option<i32>,
}

/// The exponent of an operand as an aligned unit reads it from its code's fields.
fn exponent(format: Format, value: Decoded, unit: Aligned) -> Option<i32> {
    match value {
        Decoded::Finite(x) if x.is_zero() => unit.zero_exponent,
        Decoded::Finite(x) => Some(x.magnitude_exponent().max(format.as_float().map_or(i32::MIN, |f| f.min_exponent()))),
        Decoded::Nan | Decoded::Infinite { .. } => None,
    }
}

/// The multiple of 2^lsb that truncation leaves of `x`.
fn truncate(x: Exact, lsb: i32, truncation: Truncation) -> Exact {
    let shift = lsb - x.exponent;
    if shift <= 0 {
        return x;
    }
    let kept = if shift < 128 { x.significand >> shift } else { 0 };
    let lost = shift >= 128 && x.significand != 0 || shift < 128 && x.significand & ((1 << shift) - 1) != 0;
    let down = truncation == Truncation::Floor && x.negative && lost;
    Exact { negative: x.negative, significand: kept + u128::from(down), exponent: lsb }
}

/// The exact sum of terms truncated below the largest exponent, and that exponent; `None` if
/// no term takes part.
fn fused_sum(terms: &[Term], fraction_bits: u32, truncation: Truncation) -> Option<(Exact, i32)> {
    let largest = terms.iter().filter_map(|term| term.exponent).max()?;
    let lsb = largest - fraction_bits as i32;
    let kept: Vec<Exact> = terms
        .iter()
        .filter_map(|term| match (term.value, term.exponent) {
            (Decoded::Finite(x), Some(_)) => Some(truncate(x, lsb, truncation)),
            _ => None,
        })
        .collect();
    Some((Wide::sum(&kept).to_exact(), largest))
}

/// The sum of products: of each group, then of the groups at their largest exponent.
fn grouped_sum(products: &[Term], unit: Aligned) -> Option<(Exact, i32)> {
    let groups = unit.groups as usize;
    let sums: Vec<(Exact, i32)> = (0..groups)
        .filter_map(|group| {
            let terms: Vec<Term> = products.iter().skip(group).step_by(groups).copied().collect();
            fused_sum(&terms, unit.fraction_bits, unit.term_truncation)
        })
        .collect();
    let largest = sums.iter().map(|(_, exponent)| *exponent).max()?;
    let lsb = largest - unit.fraction_bits as i32;
    let kept: Vec<Exact> = sums.iter().map(|(sum, _)| truncate(*sum, lsb, unit.sum_truncation)).collect();
    Some((Wide::sum(&kept).to_exact(), largest))
}

/// Sum of products and accumulator aligned to the larger of their exponents.
fn meet(
    products: Option<(Exact, i32)>,
    addend: Term,
    sum_bits: u32,
    addend_bits: u32,
    reach: Option<u32>,
    truncation: Truncation,
) -> Option<Exact> {
    let largest = products.map(|(_, exponent)| exponent).into_iter().chain(addend.exponent).max()?;
    let mut kept = Vec::new();
    if let Some((sum, _)) = products {
        kept.push(truncate(sum, largest - sum_bits as i32, truncation));
    }
    if let (Decoded::Finite(x), Some(exponent)) = (addend.value, addend.exponent)
        && reach.is_none_or(|reach| i64::from(exponent) >= i64::from(largest) - i64::from(reach))
    {
        kept.push(truncate(x, largest - addend_bits as i32, truncation));
    }
    Some(Wide::sum(&kept).to_exact())
}

/// NaNs and infinities among the terms of a sum.
#[derive(Clone, Copy, Default)]
struct Specials {
    nan: bool,
    positive: bool,
    negative: bool,
}

impl Specials {
    fn see(&mut self, term: Decoded) {
        match term {
            Decoded::Nan => self.nan = true,
            Decoded::Infinite { negative: true } => self.negative = true,
            Decoded::Infinite { negative: false } => self.positive = true,
            Decoded::Finite(_) => {}
        }
    }

    /// What they make of the sum, if there are any.
    const fn result(self) -> Option<(Decoded, Flags)> {
        match (self.nan, self.positive, self.negative) {
            (true, ..) => Some((Decoded::Nan, Flags::NONE)),
            (_, true, true) => Some((Decoded::Nan, Flags::INVALID)),
            (_, false, false) => None,
            (_, _, negative) => Some((Decoded::Infinite { negative }, Flags::NONE)),
        }
    }
}

#[cfg(test)]
mod tests;
