//! Formats as lists of significant bits, from the top binade down, and the scale that follows
//! a tensor (Lee et al. 2022; `sunwoolee/lptorch`).
//!
//! Entry j is the number of significant bits, hidden one included, of the binade j below the
//! top, `[2^(S-j), 2^(S-j+1))`; whatever lies below the last binade lives on that binade's steps.
//! The scale S is the exponent of the top binade.

use super::SchemeError;
use super::grid::Element;
use super::number::{binary32, exact, exponent};
use crate::round::floor_log2;
use crate::value::{Rational, power_of_two};
use dashu_base::{Abs, BitTest, Sign};
use dashu_int::IBig;

/// Steps of the binades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    bits: Vec<u32>,
}

/// How a number is rounded to a step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// To the nearest, ties to even integers of steps.
    Nearest,
    /// Up if the signed fraction of a step exceeds this number.
    Above(Rational),
    /// Up if the previous value lay above the number, else down: signed.
    Hysteresis {
        /// The previous value.
        previous: f32,
    },
}

/// An element, and what the scale's rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub value: f32,
    pub code: i64,
    pub saturated: bool,
    /// Binades from the top down to the quantised number before it was cut to the largest;
    /// `None` for zero and NaN.
    pub below_top: Option<i64>,
}

impl From<Placed> for Element {
    fn from(placed: Placed) -> Self {
        Self { value: placed.value, code: placed.code, saturated: placed.saturated }
    }
}

impl Family {
    /// Checks a list: not empty, and none but the last 0. Entries may rise from a binade to the next
    /// below it, as in the formats that are finest in the middle.
    pub fn new(bits: &[u32]) -> Result<Self, SchemeError> {
        let wrong =
            |reason: &str| Err(SchemeError::Parameter { field: "significant_bits", value: format!("{bits:?}"), reason: reason.to_owned() });
        if bits.is_empty() || bits.len() > 64 || bits.iter().any(|&b| b > 16) {
            return wrong("must have 1 to 64 entries of at most 16 bits");
        }
        if bits[..bits.len() - 1].contains(&0) || bits[0] == 0 {
            return wrong("only the last entry may be 0, and not the first");
        }
        Ok(Self { bits: bits.to_vec() })
    }

    /// The largest number under scale `s`.
    fn largest(&self, s: i64) -> Rational {
        power_of_two(s + 1) - power_of_two(s + 1 - i64::from(self.bits[0]))
    }

    /// The step at `below` binades under the top.
    fn quantum(&self, s: i64, below: i64) -> Rational {
        let j = below.clamp(0, self.bits.len() as i64 - 1);
        power_of_two(s - j + 1 - i64::from(self.bits[j as usize]))
    }

    /// Positive numbers, fewest first: those of the last binade and below it, then binade by binade.
    fn in_last(&self) -> i64 {
        (1 << self.bits[self.bits.len() - 1]) - 1
    }

    /// Bits of a code below its sign.
    pub fn magnitude_bits(&self) -> u32 {
        let above: i64 = self.bits[..self.bits.len() - 1].iter().map(|b| 1i64 << (b - 1)).sum();
        (self.in_last() + above).max(1).ilog2() + 1
    }

    /// How many numbers lie above 0 and at or below `magnitude`, itself one of them.
    fn index(&self, s: i64, magnitude: &Rational) -> i64 {
        if magnitude.is_zero() {
            return 0;
        }
        let below = s - floor_log2(magnitude);
        let steps = i64::try_from((magnitude / self.quantum(s, below)).floor()).expect("at most 16 bits");
        let last = self.bits.len() as i64 - 1;
        if below >= last {
            return steps;
        }
        let between: i64 = self.bits[below as usize + 1..last as usize].iter().map(|b| 1i64 << (b - 1)).sum();
        self.in_last() + between + steps - (1 << (self.bits[below as usize] - 1)) + 1
    }

    /// Quantises one number under scale `s`.
    pub fn place(&self, x: f32, s: i64, step: &Step) -> Placed {
        let sign = i64::from(x.is_sign_negative()) << self.magnitude_bits();
        if x.is_nan() {
            return Placed { value: x, code: 0, saturated: false, below_top: None };
        }
        let largest = self.largest(s);
        let infinite = x.is_infinite();
        let number = match x {
            _ if infinite && x > 0.0 => power_of_two(s + 1),
            _ if infinite => -power_of_two(s + 1),
            _ => exact(x),
        };
        let rounded = if number.is_zero() {
            number
        } else {
            let below = s - floor_log2(&number.clone().abs());
            if below < 0 {
                // Above the top binade nothing is rounded, only cut.
                number
            } else {
                let quantum = self.quantum(s, below);
                let steps = &number / &quantum;
                let floor = steps.clone().floor();
                let fraction = &steps - Rational::from(floor.clone());
                let half = power_of_two(-1);
                let up = match step {
                    Step::Nearest => fraction > half || (fraction == half && floor.bit(0)),
                    Step::Above(u) => *u < fraction,
                    Step::Hysteresis { previous } => *previous > x && !fraction.is_zero(),
                };
                Rational::from(if up { floor + IBig::ONE } else { floor }) * quantum
            }
        };
        // Rounding to the nearest and the ceiling of a negative number keep its sign on a zero;
        // floor + 1 does not.
        let negative_zero = x.is_sign_negative() && (x == 0.0 || !matches!(step, Step::Above(_)));
        let below_top = (!rounded.is_zero()).then(|| s - floor_log2(&rounded.clone().abs()));
        let saturated = rounded.clone().abs() > largest;
        let kept = match (saturated, rounded.sign()) {
            (false, _) => rounded,
            (true, Sign::Positive) => largest,
            (true, Sign::Negative) => -largest,
        };
        let sign = if kept.is_zero() && !negative_zero { 0 } else { sign };
        let code = self.index(s, &kept.clone().abs()) | sign;
        Placed { value: binary32(negative_zero, &kept), code, saturated, below_top }
    }
}

/// The scale under which the largest finite number lies `room` binades below the top; the
/// scale of zeros is `room`.
pub(super) fn scale_of(largest: f32, room: i64) -> i64 {
    room + if largest == 0.0 { 0 } else { exponent(largest) }
}

/// The scale for the next use, by the binades from the top down to the largest quantised number:
/// one up if it is within the room, one down if it is below the first binade under it, or zero.
pub(super) fn next_scale(s: i64, room: i64, closest: Option<i64>) -> i64 {
    match closest {
        Some(below) if below < room => s + 1,
        Some(below) if below < room + 1 => s,
        _ => s - 1,
    }
}

/// Whether a given scale is one that following a tensor may lead to: with room it lies above every
/// binary32, and zeros take it down step by step.
pub(super) fn check_scale(field: &'static str, scale: i64) -> Result<(), SchemeError> {
    super::within(field, scale, -1024..=1024)
}

/// Next scales of blocks from their placed elements.
pub(super) fn next_scales(placed: &[Placed], of: &[usize], scales: &[i64], room: i64) -> Vec<i64> {
    let mut closest: Vec<Option<i64>> = vec![None; scales.len()];
    for (element, &block) in placed.iter().zip(of) {
        closest[block] = closest[block].into_iter().chain(element.below_top).min();
    }
    scales.iter().zip(closest).map(|(&s, closest)| next_scale(s, room, closest)).collect()
}
