//! Operands aimed at results where implementations go wrong.
//!
//! A target is a number beside or between two neighbours of the result format: exact, a tie,
//! a tie with the smallest of stickies, at the border of subnormals or of overflow, below a
//! carry out of the significand. All operands but one are drawn, and the equation is solved
//! for that one on rationals; its rounding, and a step or none, move the result off the target
//! by little. Other cases place the addend at every distance from the product, or against it.

use super::draw::Draws;
use super::line::{code_of, corners, number, step, top};
use crate::check::{Dot, Op, Operation};
use crate::value::{Rational, Value, power_of_two};
use systole_isa::format::Format;
use systole_isa::round::Rounding;

/// Draws codes of one format.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    pub format: Format,
    corners: Vec<u64>,
}

impl Codes {
    pub fn new(format: Format) -> Self {
        Self { format, corners: corners(format) }
    }

    pub fn corner(&self, draws: &mut Draws) -> u64 {
        draws.pick(&self.corners)
    }

    pub fn corners(&self) -> &[u64] {
        &self.corners
    }

    fn uniform(&self, draws: &mut Draws) -> u64 {
        draws.bits() & self.format.mask()
    }

    /// A number within a few binades of 1, at times with few significant bits.
    fn moderate(&self, draws: &mut Draws) -> u64 {
        let bits = if draws.one_in(3) { draws.below(4) as u32 } else { 52 };
        let fraction = Rational::from(draws.bits() >> (63 - bits)) * power_of_two(-i64::from(bits) - 1);
        let magnitude = (Rational::ONE + fraction) * power_of_two(draws.between(-3, 3));
        let value = Value::Finite { negative: draws.one_in(2), magnitude };
        code_of(self.format, &value, Rounding::Rne)
    }

    fn any(&self, draws: &mut Draws) -> u64 {
        match draws.below(8) {
            0 => self.corner(draws),
            1 | 2 => self.moderate(draws),
            _ => self.uniform(draws),
        }
    }

    /// Beside a number, in any direction.
    fn beside(&self, value: &Rational, draws: &mut Draws) -> u64 {
        let rounding = draws.pick(&[Rounding::Rne, Rounding::Rne, Rounding::Rtz, Rounding::Rod]);
        let code = code_of(self.format, &Value::finite(value.clone()), rounding);
        step(self.format, code, draws.pick(&[0, 0, 0, 0, 1, -1, 2, -2]))
    }

    /// A target among the numbers of this format.
    fn target(&self, draws: &mut Draws) -> Rational {
        let format = self.format;
        let top = top(format);
        let fraction_bits = match format {
            Format::Float(f) => f.mantissa_bits,
            Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => format.bits() / 2,
        };
        let lower = match draws.below(8) {
            0..=3 => ((u128::from(draws.bits()) * (u128::from(top) + 1)) >> 64) as u64,
            // Tiny, and around the smallest normal number.
            4 => draws.below(8) as u64,
            5 => ((1 << fraction_bits) + draws.below(5) as u64).saturating_sub(3),
            // A significand of ones: rounding up carries.
            6 => draws.bits() & top | ((1 << fraction_bits) - 1),
            _ => top.saturating_sub(draws.below(3) as u64),
        }
        .min(top);
        let at = |code| number(format, code).unwrap_or(Rational::ZERO);
        let below = at(lower);
        // Beyond the largest number the spacing goes on.
        let gap = if lower < top { at(lower + 1) - &below } else { &below - at(lower - 1) };
        let offset = match draws.below(6) {
            0 => Rational::ZERO,
            1 | 2 => power_of_two(-1),
            3 => power_of_two(-1) + power_of_two(-draws.between(2, 2 * i64::from(fraction_bits) + 5)),
            4 => power_of_two(-1) - power_of_two(-draws.between(2, 2 * i64::from(fraction_bits) + 5)),
            _ => power_of_two(-2) * Rational::from(draws.below(4) as u64),
        };
        let magnitude = below + gap * offset;
        if draws.one_in(2) { -magnitude } else { magnitude }
    }

    /// A number `2^d` times `of` in size, |d| up to twice the precision and a bit.
    fn at_distance(&self, of: &Rational, precision: u32, draws: &mut Draws) -> u64 {
        let reach = 2 * i64::from(precision.min(64)) + 3;
        let mut value = of * power_of_two(draws.between(-reach, reach));
        if draws.one_in(2) {
            value *= Rational::ONE + Rational::from(draws.bits() >> 12) * power_of_two(-52);
        }
        if draws.one_in(2) {
            value = -value;
        }
        self.beside(&value, draws)
    }
}

/// Draws operands of a single operation.
#[derive(Clone, Debug)]
pub(super) struct Director {
    op: Op,
    operands: Vec<Codes>,
    result: Codes,
}

impl Director {
    pub fn new(operation: &Operation) -> Self {
        let operands = operation.operands.iter().map(|&format| Codes::new(format)).collect();
        Self { op: operation.op, operands, result: Codes::new(operation.result) }
    }

    fn numbers(&self, codes: &[u64]) -> Vec<Option<Rational>> {
        self.operands.iter().zip(codes).map(|(operand, &code)| number(operand.format, code)).collect()
    }

    /// Operand codes of a case.
    pub fn operands(&self, draws: &mut Draws) -> Vec<u64> {
        let mut codes: Vec<u64> = self.operands.iter().map(|operand| operand.any(draws)).collect();
        let last = codes.len() - 1;
        let numbers = self.numbers(&codes);
        let has_addend = matches!(self.op, Op::Add | Op::Sub | Op::Fma);
        // What the last operand is added to.
        let partial = match (self.op, &numbers[..]) {
            (Op::Add | Op::Sub, [Some(x), _]) => Some(x.clone()),
            (Op::Fma, [Some(x), Some(y), _]) => Some(x * y),
            _ => None,
        };
        match (draws.below(12), partial) {
            (0, _) => codes.iter_mut().zip(&self.operands).for_each(|(code, operand)| *code = operand.corner(draws)),
            (1, _) => {}
            (2 | 3, Some(partial)) if has_addend && !partial.is_zero() => {
                codes[last] = self.operands[last].at_distance(&partial, self.result.format.precision(), draws);
            }
            (4 | 5, Some(partial)) if has_addend => {
                let against = if self.op == Op::Sub { partial } else { -partial };
                codes[last] = self.operands[last].beside(&against, draws);
            }
            (6..=8, _) if has_addend => {
                let target = self.result.target(draws);
                self.split(&target, &mut codes, draws);
            }
            _ => {
                let target = self.result.target(draws);
                if let Some((free, value)) = self.solve(&target, &numbers, draws) {
                    codes[free] = self.operands[free].beside(&value, draws);
                }
            }
        }
        codes
    }

    /// The neighbour of the target toward zero as one addend, what is left of it as the other:
    /// half an ulp, or a little more or less.
    fn split(&self, target: &Rational, codes: &mut [u64], draws: &mut Draws) {
        // The addend that takes the neighbour, and the operand that brings the rest.
        let (whole, rest) = match self.op {
            Op::Fma => (2, 1),
            _ if draws.one_in(2) => (1, 0),
            _ => (0, 1),
        };
        let sign = |of: usize, x: Rational| if self.op == Op::Sub && of == 1 { -x } else { x };
        let format = self.operands[whole].format;
        codes[whole] = code_of(format, &Value::finite(sign(whole, target.clone())), Rounding::Rtz);
        let Some(held) = number(format, codes[whole]) else { return };
        let mut left = sign(rest, target - sign(whole, held));
        if self.op == Op::Fma {
            // A power of two leaves the other factor all of its bits.
            if draws.one_in(2) {
                let power = Value::Finite { negative: draws.one_in(2), magnitude: power_of_two(draws.between(-3, 3)) };
                codes[0] = code_of(self.operands[0].format, &power, Rounding::Rne);
            }
            match number(self.operands[0].format, codes[0]) {
                Some(factor) if !factor.is_zero() => left /= factor,
                _ => return,
            }
        }
        codes[rest] = self.operands[rest].beside(&left, draws);
    }

    /// Which operand gives the target, and what it must be, the others being as they are.
    fn solve(&self, target: &Rational, numbers: &[Option<Rational>], draws: &mut Draws) -> Option<(usize, Rational)> {
        let quotient = |numerator: Rational, by: &Rational| (!by.is_zero()).then(|| numerator / by);
        match (self.op, numbers) {
            (Op::Convert, _) => Some((0, target.clone())),
            (Op::Add, [Some(x), _]) => Some((1, target - x)),
            (Op::Sub, [Some(x), _]) => Some((1, x - target)),
            (Op::Mul, [Some(x), _]) => Some((1, quotient(target.clone(), x)?)),
            (Op::Fma, [Some(x), _, Some(z)]) if draws.one_in(2) => Some((1, quotient(target - z, x)?)),
            (Op::Fma, [Some(x), Some(y), _]) => Some((2, target - x * y)),
            _ => None,
        }
    }
}

/// Draws operands of a dot product.
#[derive(Clone, Debug)]
pub(super) struct DotDirector {
    a: Codes,
    b: Codes,
    c: Codes,
    result: Codes,
    /// Power of two that shared biases give every product.
    shift: i64,
    k: usize,
}

impl DotDirector {
    pub fn new(dot: &Dot, k: usize) -> Self {
        let shift = -i64::from(dot.mode.bias_a) - i64::from(dot.mode.bias_b);
        Self { a: Codes::new(dot.mode.a), b: Codes::new(dot.mode.b), c: Codes::new(dot.addend), result: Codes::new(dot.result), shift, k }
    }

    /// Corners in every place.
    pub fn corner(&self, draws: &mut Draws) -> Vec<u64> {
        let mut codes: Vec<u64> = (0..self.k).map(|_| self.a.corner(draws)).collect();
        codes.extend((0..self.k).map(|_| self.b.corner(draws)));
        codes.push(self.c.corner(draws));
        codes
    }

    fn product(&self, codes: &[u64], i: usize) -> Option<Rational> {
        let (x, y) = (number(self.a.format, codes[i])?, number(self.b.format, codes[self.k + i])?);
        Some(x * y * power_of_two(self.shift))
    }

    /// K a's, K b's and C of a case.
    pub fn operands(&self, draws: &mut Draws) -> Vec<u64> {
        let k = self.k;
        let pattern = draws.below(8);
        let mut codes = vec![0; 2 * k + 1];
        for i in 0..k {
            let (a, b) = match pattern {
                0 => (self.a.uniform(draws), self.b.uniform(draws)),
                1 => (self.a.any(draws), self.b.any(draws)),
                // Exponents all over the range of alignment.
                2 => {
                    let reach = 2 * i64::from(self.result.format.precision().min(64)) + 3;
                    let size = power_of_two(-draws.between(0, reach) / 2);
                    let mut far = |codes: &Codes| match number(codes.format, codes.moderate(draws)) {
                        Some(x) => code_of(codes.format, &Value::finite(x * &size), Rounding::Rne),
                        None => 0,
                    };
                    (far(&self.a), far(&self.b))
                }
                _ => (self.a.moderate(draws), self.b.moderate(draws)),
            };
            (codes[i], codes[k + i]) = (a, b);
            // Zeros of either sign among the terms.
            if pattern >= 5 && draws.one_in(4) {
                codes[i] = code_of(self.a.format, &Value::zero(draws.one_in(2)), Rounding::Rne);
            }
            // A term that cancels the one before it.
            if pattern == 3
                && i % 2 == 1
                && let Some(before) = number(self.a.format, codes[i - 1])
            {
                codes[i] = code_of(self.a.format, &Value::finite(-before), Rounding::Rne);
                codes[k + i] = codes[k + i - 1];
            }
        }
        if draws.one_in(16) {
            let i = draws.below(k);
            codes[i] = self.a.corner(draws);
        }
        let products: Option<Vec<Rational>> = (0..k).map(|i| self.product(&codes, i)).collect();
        let sum = products.as_ref().map(|products| products.iter().fold(Rational::ZERO, |sum, x| sum + x));
        let largest = products.and_then(|products| products.into_iter().max_by(|x, y| magnitude(x).cmp(&magnitude(y))));
        codes[2 * k] = match (draws.below(8), sum, largest) {
            (0, ..) => self.c.any(draws),
            (1, ..) => self.c.corner(draws),
            (2 | 3, Some(sum), _) => self.c.beside(&(self.result.target(draws) - sum), draws),
            (4, Some(sum), _) => self.c.beside(&-sum, draws),
            (5 | 6, _, Some(largest)) if !largest.is_zero() => self.c.at_distance(&largest, self.result.format.precision(), draws),
            _ => self.c.moderate(draws),
        };
        codes
    }
}

fn magnitude(x: &Rational) -> Rational {
    if *x < Rational::ZERO { -x.clone() } else { x.clone() }
}
