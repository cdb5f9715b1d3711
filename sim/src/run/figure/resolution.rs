//! How far apart the numbers of a format lie, from its codes.

use std::cmp::Ordering;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format, Subnormals};
use systole_isa::round::{Flags, Policy, encode};

/// The positive numbers of a format in ranges of one spacing.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The format.
    pub format: Format,
    /// Ascending; each ends where the next begins, the last at the largest number.
    pub ranges: Vec<Range>,
    /// Where nearest rounding overflows; absent where it never does.
    pub overflow: Option<Threshold>,
}

/// Neighbouring numbers of one spacing.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first number.
    pub from: Exact,
    /// The first number of the next range; the largest of all in the last.
    pub to: Exact,
    /// Distance of each number from the next.
    pub spacing: Exact,
    /// Numbers from `from` on, without `to` but in the last range.
    pub numbers: u64,
    /// What they are.
    pub kind: Kind,
}

/// What the numbers of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Zero alone, where the next number is farther than those after it.
    Zero,
    /// Zero and subnormal numbers.
    Subnormal,
    /// All others.
    Normal,
}

/// The magnitude at which results of nearest-even rounding are beyond the range.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// Half a spacing above the largest number.
    pub at: Exact,
    /// Whether this magnitude itself overflows.
    pub included: bool,
}

/// A format whose numbers have no codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is wider than the 64 bits of a code: an accumulator's only, all its numbers one distance apart; `systole format {0}` shows it"
)]
pub struct WideError(Format);

fn number(format: Format, code: u64) -> Exact {
    match format.decode(code) {
        Decoded::Finite(x) => x,
        Decoded::Nan | Decoded::Infinite { .. } => unreachable!("codes up to the largest number are finite"),
    }
}

fn distance(low: Exact, high: Exact) -> Exact {
    high.add(low.negate(), false)
}

/// Positive values by size.
fn compare(a: Exact, b: Exact) -> Ordering {
    let difference = distance(b, a);
    match (difference.is_zero(), difference.negative) {
        (true, _) => Ordering::Equal,
        (false, true) => Ordering::Less,
        (false, false) => Ordering::Greater,
    }
}

/// Distance from the largest number to the next one up, were there one.
fn spacing_at_the_top(format: Format, largest: Exact, below: Exact) -> Exact {
    match format {
        Format::Float(f) => {
            let quantum = (largest.magnitude_exponent() - f.mantissa_bits as i32).max(f.min_quantum_exponent());
            Exact { negative: false, significand: 1, exponent: quantum }
        }
        Format::Fixed(_) | Format::Quire(_) | Format::Posit(_) => below,
    }
}

impl Resolution {
    /// The ranges of `format`.
    ///
    /// # Errors
    /// [`WideError`].
    pub fn of(format: Format) -> Result<Self, WideError> {
        if format.is_wide() {
            return Err(WideError(format));
        }
        let last = format.max_finite(false);
        let spacing = |code: u64| distance(number(format, code), number(format, code + 1));
        let largest = number(format, last);
        let above = spacing_at_the_top(format, largest, if last == 0 { largest } else { spacing(last - 1) });
        let subnormals = match format {
            Format::Float(f) if f.subnormals == Subnormals::Gradual => (1u64 << f.mantissa_bits).min(last + 1),
            _ => 0,
        };
        let spacing_of = |code: u64| if code < last { spacing(code) } else { above };
        let mut ranges = Vec::new();
        let mut first = 0;
        while first <= last {
            let here = spacing_of(first);
            // Zero may lie apart; from there on distances never shrink.
            let alone = first == 0 && first < last && compare(spacing_of(first + 1), here) == Ordering::Less;
            let limit = if alone {
                1
            } else if first < subnormals {
                subnormals
            } else {
                last + 1
            };
            let (mut same, mut other) = (first, limit);
            while other - same > 1 {
                let middle = same + (other - same) / 2;
                if compare(spacing_of(middle), here) == Ordering::Equal { same = middle } else { other = middle }
            }
            let kind = match (alone, first < subnormals) {
                (true, _) => Kind::Zero,
                (false, true) => Kind::Subnormal,
                (false, false) => Kind::Normal,
            };
            let to = number(format, other.min(last));
            ranges.push(Range { from: number(format, first), to, spacing: here, numbers: other - first, kind });
            first = other;
        }
        let at = largest.add(above.scale(-1), false);
        let overflow = match format {
            Format::Posit(_) => None,
            Format::Float(_) | Format::Fixed(_) | Format::Quire(_) => {
                let included = encode(format, at, Policy::RNE, 0).1.contains(Flags::OVERFLOW);
                Some(Threshold { at, included })
            }
        };
        Ok(Self { format, ranges, overflow })
    }

    /// The largest number.
    pub fn largest(&self) -> Exact {
        number(self.format, self.format.max_finite(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::NAMED;

    fn resolution(name: &str) -> Resolution {
        Resolution::of(name.parse().unwrap()).unwrap()
    }

    /// Every number of every small format lies where its range says.
    #[test]
    fn ranges_hold_every_number_once() {
        let more = ["e3m0f", "e1m2f", "e4m3b-3", "p3109_k6p3se", "posit6_1", "fx9.4", "posit16_3", "e5m6"];
        let formats = NAMED.iter().map(|n| n.format).chain(more.map(|name| name.parse().unwrap()));
        for format in formats.filter(|f| f.bits() <= 16) {
            let resolution = Resolution::of(format).unwrap();
            let (mut code, last) = (0, format.max_finite(false));
            for (i, range) in resolution.ranges.iter().enumerate() {
                assert_eq!(format.to_f64(code), range.from.to_f64(), "{format}");
                for _ in 0..range.numbers {
                    if code < last {
                        let step = format.to_f64(code + 1) - format.to_f64(code);
                        assert_eq!(step, range.spacing.to_f64(), "{format} {code:#x}");
                    }
                    code += 1;
                }
                assert_eq!(format.to_f64(code.min(last)), range.to.to_f64(), "{format}");
                if let Some(next) = resolution.ranges.get(i + 1) {
                    let split = range.kind != next.kind;
                    assert!(split || compare(range.spacing, next.spacing) == Ordering::Less, "{format}");
                }
            }
            assert_eq!(code, last + 1, "{format}");
        }
    }

    /// Largest, least normal and least subnormal numbers and thresholds, by hand.
    #[test]
    fn landmarks_by_hand() {
        let power = |e: i32| f64::from(e).exp2();
        for (name, least, normal, largest, overflow) in [
            ("fp16", power(-24), power(-14), 65504.0, Some((65520.0, true))),
            ("bf16", power(-133), power(-126), 255.0 * power(120), Some((511.0 * power(119), true))),
            ("e4m3fn", power(-9), power(-6), 448.0, Some((464.0, false))),
            ("e5m2", power(-16), power(-14), 57344.0, Some((61440.0, true))),
            ("e4m3fnuz", power(-10), power(-7), 240.0, Some((248.0, true))),
            ("e4m3b11fnuz", power(-13), power(-10), 30.0, Some((31.0, true))),
            ("e2m5b2f", power(-6), 0.5, 3.9375, Some((3.96875, true))),
            ("e6m9", power(-39), power(-30), 4_290_772_992.0, Some((power(32) - power(21), true))),
            ("e2m1f", 0.5, 1.0, 6.0, Some((7.0, true))),
            ("int8", 1.0, 0.0, 127.0, Some((127.5, true))),
        ] {
            let resolution = resolution(name);
            let subnormal = resolution.ranges[0].kind == Kind::Subnormal;
            assert_eq!(resolution.ranges[0].spacing.to_f64(), least, "{name}");
            if subnormal {
                assert_eq!(resolution.ranges[0].to.to_f64(), normal, "{name}");
            }
            assert_eq!(resolution.largest().to_f64(), largest, "{name}");
            assert_eq!(resolution.overflow.map(|t| (t.at.to_f64(), t.included)), overflow, "{name}");
        }
        // 2^33 - 2^24 and 2^-31 (1 + 2^-9), which is farther from 0 than from its neighbour.
        let dlfloat = resolution("dlfloat16");
        assert_eq!(dlfloat.largest().to_f64(), 8_573_157_376.0);
        assert_eq!((dlfloat.ranges[0].kind, dlfloat.ranges[0].numbers), (Kind::Zero, 1));
        assert_eq!(dlfloat.ranges[0].spacing.to_f64(), power(-31) * (1.0 + power(-9)));
        assert!(resolution("posit8_1").overflow.is_none());
        assert_eq!(resolution("fp64").ranges.len(), 2047);
        assert_eq!(resolution("fp32").overflow.map(|t| t.at.to_f64()), Some(power(128) - power(103)));
    }

    /// The lecture's table: 2^-24 up to 2^-13 (subnormals and the first binade), then every
    /// binade twice the one below, 32 up to the largest number.
    #[test]
    fn fp16_is_the_lectures_table() {
        let ranges = resolution("fp16").ranges;
        assert_eq!(ranges.len(), 31);
        let power = |e: i32| f64::from(e).exp2();
        for (i, range) in ranges.iter().enumerate() {
            let exponent = (i as i32).max(1) - 15;
            assert_eq!(range.spacing.to_f64(), power(exponent - 10), "{i}");
            let (from, to) = (if i == 0 { 0.0 } else { power(exponent) }, if i == 0 { power(-14) } else { power(exponent + 1) });
            assert_eq!((range.from.to_f64(), range.numbers), (from, 1024));
            assert_eq!(range.to.to_f64(), if i == 30 { 65504.0 } else { to });
        }
    }

    #[test]
    fn wide_accumulators_are_refused() {
        assert!(Resolution::of("quire32_2".parse().unwrap()).unwrap_err().to_string().contains("wider than the 64 bits"));
    }
}
