//! Rounding of lanes of P significant bits (53 or 24) to a narrower format, equal to
//! [`systole_isa::round::encode`].
//!
//! A value x in the binade e = 2^floor(log2 x) is rounded to a multiple of the quantum
//! q = e 2^-m by adding and subtracting 1.5 q 2^(P-1), whose own unit is q: nearest, ties to
//! even. Every other mode starts from that: the multiple of q at or below x, and the discarded
//! part, are exact in lanes, and so are the comparisons that decide whether to step away from
//! zero. Raising e to the smallest normal gives subnormals; holding it fixed gives fixed point.
//! Where there are no subnormals, sums below the smallest value are compared with its parts
//! instead: it and 0 are the candidates.
//!
//! Sums are exact, or rounded to odd at P bits (Boldo and Melquiond, "Emulation of FMA and
//! correctly rounded sums", 2008): no number of P - 1 bits or fewer lies between a sum and its
//! stand-in, so a second rounding to p bits (p + N for `sr<N>`) sees what the exact sum shows.

use super::reach::Reach;
use crate::simd::{Lanes, Number, two_sum};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format, Specials, Subnormals};
use systole_isa::round::{Policy, Rounding, SubnormalPolicy, Tininess, encode, encode_decoded};

/// Exponents whose binades and quanta binary64 holds with room for every step taken here.
pub(super) const EXPONENT_LIMIT: i32 = 900;

/// 2^exponent, for exponents of normal binary64 numbers.
pub(super) const fn power_of_two(exponent: i32) -> f64 {
    assert!(-1022 <= exponent && exponent <= 1023);
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Rounding to one format under one policy.
#[derive(Clone, Debug)]
pub(super) struct Rounder {
    pub format: Format,
    pub rounding: Rounding,
    /// Significant bits p; for fixed point those above the sign.
    pub precision: u32,
    /// Exponent of the smallest quantum.
    pub min_quantum: i32,
    /// The largest finite value.
    pub max: f64,
    /// The largest and the lowest finite value are multiples of 2^max_lsb.
    pub max_lsb: i32,
    /// Size of the lowest finite value.
    pub min_size: f64,
    /// False where tiny values have no quantum of their own (no subnormals).
    pub gradual: bool,
    /// False for two's complement.
    pub floating: bool,
    /// True if NaN has a code, so that it can be carried as a NaN.
    pub holds_nan: bool,
    keeps_negative_zero: bool,
    /// Least and greatest binade whose quantum is used.
    low: f64,
    high: f64,
    /// Quantum of a binade, relative to it.
    unit: f64,
    /// What finite values beyond the range become, plus and minus.
    pub overflowed: [f64; 2],
    /// Two's complement that wraps: the modulus.
    modulus: Option<f64>,
    /// What infinities become.
    pub infinite: [f64; 2],
    /// The size below which results are tiny: the smallest normal value or, without subnormals,
    /// the smallest value; 0 where nothing is ever tiny.
    normal: f64,
    pub tininess: Tininess,
    /// True if lanes are not rounded: only sums that prove to need no rounding are known.
    pub proved_only: bool,
}

impl Rounder {
    /// Two's complement of which lanes hold only what needs no rounding: bounds on the safe side.
    fn of_exact_sums(format: Format, fixed: FixedFormat, policy: Policy) -> Result<Self, String> {
        let quantum = (-fixed.fraction_bits).max(-EXPONENT_LIMIT);
        let top = (fixed.width as i32 - 1 - fixed.fraction_bits).min(EXPONENT_LIMIT);
        if quantum > EXPONENT_LIMIT || top <= quantum {
            return Err(format!("the range of {format} is beyond binary64's"));
        }
        let q = power_of_two(quantum);
        let max = if top - quantum > 52 { power_of_two(top) * (1.0 - f64::EPSILON) } else { power_of_two(top) - q };
        let precision = (fixed.width - 1).min(EXPONENT_LIMIT as u32);
        Ok(Self { proved_only: true, ..Self::twos_complement(format, policy, precision, quantum, [max, max]) })
    }

    /// Two's complement with its quantum and the sizes of its largest and lowest values.
    fn twos_complement(format: Format, policy: Policy, precision: u32, quantum: i32, [max, min_size]: [f64; 2]) -> Self {
        let q = power_of_two(quantum);
        Self {
            format,
            rounding: policy.rounding,
            precision,
            min_quantum: quantum,
            max,
            max_lsb: quantum,
            min_size,
            gradual: true,
            floating: false,
            holds_nan: false,
            keeps_negative_zero: false,
            low: q,
            high: q,
            unit: 1.0,
            overflowed: [max, -min_size],
            modulus: None,
            infinite: [max, -min_size],
            normal: 0.0,
            tininess: policy.tininess,
            proved_only: false,
        }
    }

    /// True if every value of these, of at most `bits` significant bits, is a number of the format.
    pub fn keeps(&self, values: Reach, bits: u32) -> bool {
        let zeros = self.keeps_negative_zero || !values.negative_zero;
        let in_range = self.min_quantum <= values.lsb && values.max <= self.max;
        self.floating && self.gradual && zeros && bits <= self.precision && in_range && !values.special
    }

    /// A rounder, or why this format and policy have none.
    pub fn new(format: Format, policy: Policy) -> Result<Self, String> {
        match format {
            Format::Posit(_) => Err(format!("{format} is rounded by the definition only")),
            // Sums of rounded lanes stay below 2^51 quanta: the width's 2^49 and an addend of as much.
            Format::Fixed(fixed) | Format::Quire(fixed) if fixed.width > 50 || matches!(format, Format::Quire(_)) => {
                Self::of_exact_sums(format, fixed, policy)
            }
            Format::Quire(_) => unreachable!("quires are above"),
            Format::Fixed(fixed) => {
                let quantum = -fixed.fraction_bits;
                if quantum.abs() > EXPONENT_LIMIT {
                    return Err(format!("the quantum of {format} is out of binary64's range"));
                }
                if let Rounding::Sr(bits) = policy.rounding
                    && fixed.width + bits > 50
                {
                    return Err(format!("{} on {} bits needs more than 50", policy.rounding, fixed.width));
                }
                let q = power_of_two(quantum);
                let (max, min_size) = (fixed.max_integer() as f64 * q, -(fixed.min_integer() as f64) * q);
                let modulus = (!policy.overflow.saturates()).then_some(2.0 * min_size);
                Ok(Self { modulus, ..Self::twos_complement(format, policy, fixed.width - 1, quantum, [max, min_size]) })
            }
            Format::Float(float) => {
                if !float.signed || float.specials == Specials::E8m0 {
                    return Err(format!("{format} has no sign"));
                }
                if policy.subnormals != SubnormalPolicy::Gradual {
                    return Err("subnormals are flushed".to_owned());
                }
                let precision = float.precision();
                if !(2..=50).contains(&precision) {
                    return Err(format!("{format} has {precision} significant bits, not 2 to 50"));
                }
                if let Rounding::Sr(bits) = policy.rounding
                    && precision + bits > 50
                {
                    return Err(format!("{} below {precision} significant bits needs more than 50", policy.rounding));
                }
                let max = format.to_f64(float.max_finite_magnitude());
                let Decoded::Finite(top) = float.decode(float.max_finite_magnitude()) else {
                    return Err(format!("{format} has no finite values"));
                };
                let (low, high) = (float.min_exponent(), top.magnitude_exponent());
                if low < -EXPONENT_LIMIT || high > EXPONENT_LIMIT || high < low {
                    return Err(format!("exponents of {format} are out of range"));
                }
                let beyond = |negative| {
                    let (code, _) = encode(format, Exact { negative, significand: 1, exponent: high + 2 }, policy, 0);
                    format.to_f64(code)
                };
                let infinite = |negative| {
                    let (code, _) = encode_decoded(format, Decoded::Infinite { negative }, policy, 0);
                    format.to_f64(code)
                };
                Ok(Self {
                    format,
                    rounding: policy.rounding,
                    precision,
                    min_quantum: float.min_quantum_exponent(),
                    max,
                    max_lsb: high - float.mantissa_bits as i32,
                    min_size: max,
                    gradual: float.subnormals == Subnormals::Gradual,
                    floating: true,
                    holds_nan: float.canonical_nan().is_some(),
                    keeps_negative_zero: float.has_negative_zero(),
                    low: power_of_two(low),
                    high: power_of_two(high),
                    unit: power_of_two(-(float.mantissa_bits as i32)),
                    overflowed: [beyond(false), beyond(true)],
                    modulus: None,
                    infinite: [infinite(false), infinite(true)],
                    normal: match float.subnormals {
                        Subnormals::Gradual => power_of_two(low),
                        // Code 1: the code of the smallest power of two is that of 0.
                        Subnormals::None => format.to_f64(1),
                    },
                    tininess: policy.tininess,
                    proved_only: false,
                })
            }
        }
    }

    /// True for nearest-even.
    pub fn is_nearest_even(&self) -> bool {
        self.rounding == Rounding::Rne
    }

    /// The lsb from which tiny results need no care: multiples of it below the smallest normal
    /// value are values of the format, or there are none but 0 where it has no subnormals.
    pub fn harmless_lsb(&self) -> i32 {
        if self.gradual { self.min_quantum } else { self.min_quantum + self.precision as i32 }
    }

    /// Exponent of the highest binade that nearest-even can round in lanes: 1.5 q 2^(P-1) must
    /// stay finite.
    pub fn highest_binade<N: Number>(&self) -> i32 {
        let top = (self.high.to_bits() >> 52) as i32 - 1023;
        top.min(N::EXPONENT_BIAS as i32 - 1 - N::SIGNIFICAND as i32 + self.precision as i32 - 1)
    }

    /// True if floats of these lanes hold every constant, and sums of P bits, rounded to odd or
    /// exact, show all that this rounding looks at.
    pub fn fits<N: Number>(&self) -> bool {
        if N::BITS == 64 {
            return true;
        }
        let kept = match self.rounding {
            Rounding::Sr(bits) => self.precision + bits,
            Rounding::Rtz => self.precision,
            _ => self.precision + 2,
        };
        let exponent = |power: f64| (power.to_bits() >> 52) as i32 - 1023;
        self.floating && kept <= N::SIGNIFICAND && exponent(self.low) >= -126 && exponent(self.high) <= 127
    }

    /// The constants of the loops, in lanes.
    #[inline(always)]
    pub fn constants<L: Lanes>(&self, s: L) -> Constants<L::V> {
        let integers = power_of_two(L::Number::SIGNIFICAND as i32 - 1);
        let magic = 1.5 * integers * self.unit;
        let all_ones = self.normal * (1.0 - 0.5 * self.unit);
        let half_step = self.normal * (1.0 - 0.25 * self.unit);
        let from = L::Number::from_f64;
        let above = from(all_ones).next_up();
        let tiny = match (self.tininess, self.rounding) {
            (Tininess::Before, _) | (_, Rounding::Rtz | Rounding::Rod) => [from(self.normal); 2],
            (Tininess::After, Rounding::Rne | Rounding::Rmm) => [from(half_step); 2],
            (Tininess::After, Rounding::Rdn) => [from(self.normal), above],
            (Tininess::After, Rounding::Rup) => [above, from(self.normal)],
            (Tininess::After, Rounding::Sr(_)) => [from(all_ones); 2],
        };
        let last_bit = 1u64 << self.dropped_bits::<L::Number>();
        let bits = |bits: u64| s.splat(L::Number::from_bits(bits));
        let number = |value: f64| s.splat(from(value));
        let random_bits = self.rounding.random_bits();
        Constants {
            random_shift: self.dropped_bits::<L::Number>().saturating_sub(random_bits),
            kept: bits(!(last_bit - 1)),
            dropped: bits(last_bit - 1),
            last_bit: bits(last_bit),
            half_bit: bits(last_bit >> 1),
            integers: number(integers),
            sign: number(-0.0),
            exponent: number(f64::INFINITY),
            zero: number(0.0),
            settled: number(if self.keeps_negative_zero { -0.0 } else { 0.0 }),
            low: number(self.low),
            high: number(power_of_two(self.highest_binade::<L::Number>())),
            magic: number(magic),
            unit: number(self.unit),
            half_unit: number(0.5 * self.unit),
            draws: number(power_of_two(random_bits as i32)),
            draw: number(power_of_two(-(random_bits as i32))),
            max: number(self.max),
            min_size: number(self.min_size),
            normal: number(self.normal),
            tiny: tiny.map(|size| s.splat(size)),
            carry_unit: number(0.5 * self.normal * self.unit),
            overflowed: [number(self.overflowed[0]), number(self.overflowed[1])],
            infinite: [number(self.infinite[0]), number(self.infinite[1])],
        }
    }

    /// The powers of two of the lanes' exponents.
    #[inline(always)]
    pub fn binade<L: Lanes>(&self, s: L, k: &Constants<L::V>, sum: L::V) -> L::V {
        s.and(sum, k.exponent)
    }

    /// The power of two of the largest value.
    #[inline(always)]
    pub fn top_binade<L: Lanes>(&self, s: L) -> L::V {
        s.splat(L::Number::from_f64(self.high))
    }

    /// Rounds sums, exact or rounded to odd, of which none is special, overflows, or is tiny and
    /// inexact, to a float.
    ///
    /// `MODE`: the rounding as [`Mode`] numbers it, or [`Mode::ANY`]. `random` feeds stochastic
    /// rounding. A -0 may come out of nearest-even as +0.
    #[inline(always)]
    pub fn proved<L: Lanes, const MODE: u8>(&self, s: L, k: &Constants<L::V>, sum: L::V, random: L::V) -> L::V {
        if MODE == Mode::RNE {
            let binade = s.and(sum, k.exponent);
            return s.negated_mul_add(binade, k.magic, s.mul_add(binade, k.magic, sum));
        }
        let mode = if MODE == Mode::ANY { Mode::of(self.rounding) } else { MODE };
        // Magnitudes keep p bits, so carries and cuts act on the float's own bits.
        let raised = match mode {
            Mode::RTZ => sum,
            Mode::RMM => s.add_bits(sum, k.half_bit),
            Mode::RDN => s.add_bits(sum, s.select_negative(sum, k.dropped, k.zero)),
            Mode::RUP => s.add_bits(sum, s.select_negative(sum, k.zero, k.dropped)),
            // What is dropped carries into the last bit if it is anything.
            Mode::ROD => s.or(sum, s.and(s.add_bits(s.and(sum, k.dropped), k.dropped), k.last_bit)),
            // R under the last bit kept: the sum carries where floor(nu 2^N) + R does.
            Mode::SR => s.add_bits(sum, s.shift_left(random, k.random_shift)),
            _ => {
                let even = s.and(s.shift_right(sum, self.dropped_bits::<L::Number>()), s.splat(L::Number::from_bits(1)));
                s.add_bits(s.add_bits(sum, s.sub_bits(k.half_bit, s.splat(L::Number::from_bits(1)))), even)
            }
        };
        let result = s.and(raised, k.kept);
        // Elsewhere no sum is -0.
        if mode == Mode::RDN { s.add(result, k.settled) } else { result }
    }

    /// Rounds any sums, counting flags.
    ///
    /// `NEAREST`: the mode is nearest-even. `inexact` is asked about results where some sum is
    /// below the smallest normal value: which differ from their exact sums.
    #[inline(always)]
    pub fn checked<L: Lanes, const NEAREST: bool>(
        &self,
        s: L,
        k: &Constants<L::V>,
        sum: L::V,
        random: L::V,
        inexact: impl Fn(L::V) -> L::M,
        tally: &mut Tally<L::V>,
    ) -> L::V {
        let sign = s.and(sum, k.sign);
        let size = s.xor(sum, sign);
        let binade = s.min(s.max(s.and(size, k.exponent), k.low), k.high);
        let nearest = s.negated_mul_add(binade, k.magic, s.mul_add(binade, k.magic, size));
        let magnitude = if NEAREST { nearest } else { self.directed(s, k, binade, size, nearest, sign, random) };
        let mut result = s.or(magnitude, sign);
        if s.any(s.less(size, k.normal)) {
            let limit = if self.gradual {
                self.tiny_limit(s, k, sum, random)
            } else {
                let smallest_or_zero = s.keep(self.reaches_smallest(s, k, size, sign, random), k.normal);
                result = s.select(s.less(size, k.normal), s.or(smallest_or_zero, sign), result);
                k.normal
            };
            tally.underflows = s.tally(tally.underflows, s.both(s.less(size, limit), inexact(result)));
        }
        // NaN fails this comparison too.
        if s.any(s.not(s.at_most(magnitude, k.max))) {
            result = self.beyond(s, k, sum, size, magnitude, result, tally);
        }
        s.add(result, k.settled)
    }

    /// [`Rounder::checked`] of sums that are exact or rounded to odd.
    #[inline(always)]
    pub fn checked_sum<L: Lanes, const NEAREST: bool>(
        &self,
        s: L,
        k: &Constants<L::V>,
        sum: L::V,
        random: L::V,
        tally: &mut Tally<L::V>,
    ) -> L::V {
        self.checked::<L, NEAREST>(s, k, sum, random, |result| s.differ(result, sum), tally)
    }

    /// Bits of a float in lanes below the last one kept.
    const fn dropped_bits<N: Number>(&self) -> u32 {
        N::SIGNIFICAND - if self.precision > N::SIGNIFICAND { N::SIGNIFICAND } else { self.precision }
    }

    /// Magnitudes in the modes other than nearest-even.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the parts of one rounding")]
    fn directed<L: Lanes>(&self, s: L, k: &Constants<L::V>, binade: L::V, size: L::V, nearest: L::V, sign: L::V, random: L::V) -> L::V {
        let quantum = s.mul(binade, k.unit);
        let lower = s.sub(nearest, s.keep(s.less(size, nearest), quantum));
        let discarded = s.sub(size, lower);
        let step = match self.rounding {
            Rounding::Rtz => return lower,
            Rounding::Rne => return nearest,
            Rounding::Rmm => s.keep(s.at_most(s.mul(binade, k.half_unit), discarded), quantum),
            Rounding::Rdn => s.select_negative(sign, quantum, k.zero),
            Rounding::Rup => s.select_negative(sign, k.zero, quantum),
            Rounding::Rod => {
                // The unit of lower + 1.5 2^(P-1) q is q, so its last bit is the parity.
                let parity = s.shift_left(s.mul_add(binade, k.magic, lower), L::Number::BITS - 1);
                s.select_negative(parity, k.zero, quantum)
            }
            Rounding::Sr(_) => {
                // floor(nu 2^N) + R >= 2^N is nu >= (2^N - R) 2^-N: the right side is a
                // multiple of 2^-N.
                let threshold = s.mul(s.mul(s.sub(k.draws, self.integer(s, k, random)), k.draw), quantum);
                s.keep(s.at_most(threshold, discarded), quantum)
            }
        };
        s.add(lower, s.keep(s.less(k.zero, discarded), step))
    }

    /// Integers below 2^(P-1) as numbers.
    #[inline(always)]
    fn integer<L: Lanes>(&self, s: L, k: &Constants<L::V>, bits: L::V) -> L::V {
        s.sub(s.or(bits, k.integers), k.integers)
    }

    /// Sizes below which a result is tiny: the smallest normal, or the least size that
    /// rounding with unbounded exponent carries up to it.
    #[inline(always)]
    fn tiny_limit<L: Lanes>(&self, s: L, k: &Constants<L::V>, sum: L::V, random: L::V) -> L::V {
        match (self.rounding, self.tininess) {
            (Rounding::Sr(_), Tininess::After) => {
                s.add(k.tiny[0], s.mul(s.mul(s.sub(k.draws, self.integer(s, k, random)), k.draw), k.carry_unit))
            }
            _ => s.select_negative(sum, k.tiny[1], k.tiny[0]),
        }
    }

    /// Where sizes below the smallest value of a format without subnormals become that value.
    #[inline(always)]
    fn reaches_smallest<L: Lanes>(&self, s: L, k: &Constants<L::V>, size: L::V, sign: L::V, random: L::V) -> L::M {
        let half = || s.mul(k.normal, s.splat(L::Number::from_f64(0.5)));
        let never = s.less(k.zero, k.zero);
        match self.rounding {
            Rounding::Rtz => never,
            // 0 is the even one.
            Rounding::Rne => s.less(half(), size),
            Rounding::Rmm => s.at_most(half(), size),
            Rounding::Rdn => s.less(k.zero, s.select_negative(sign, size, k.zero)),
            Rounding::Rup => s.less(k.zero, s.select_negative(sign, k.zero, size)),
            Rounding::Rod => s.less(k.zero, size),
            Rounding::Sr(_) => {
                let threshold = s.mul(s.mul(s.sub(k.draws, self.integer(s, k, random)), k.draw), k.normal);
                s.both(s.at_most(threshold, size), s.less(k.zero, size))
            }
        }
    }

    /// The results where some lane is beyond the range, infinite or NaN.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the parts of one rounding")]
    fn beyond<L: Lanes>(
        &self,
        s: L,
        k: &Constants<L::V>,
        sum: L::V,
        size: L::V,
        magnitude: L::V,
        result: L::V,
        tally: &mut Tally<L::V>,
    ) -> L::V {
        let limit = s.select_negative(sum, k.min_size, k.max);
        let finite = s.less(size, k.exponent);
        let over = s.both(s.less(limit, magnitude), finite);
        tally.overflows = s.tally(tally.overflows, over);
        let replaced = match self.modulus {
            None => s.select(over, s.select_negative(sum, k.overflowed[1], k.overflowed[0]), result),
            Some(modulus) => {
                // The multiple of the modulus nearest to the result; half of it is too much.
                let number = |value: f64| s.splat(L::Number::from_f64(value));
                let unit = number(1.5 * power_of_two(L::Number::SIGNIFICAND as i32 - 1));
                let turns = s.sub(s.add(s.mul(result, number(1.0 / modulus)), unit), unit);
                let modulus = number(modulus);
                let wrapped = s.sub(result, s.mul(turns, modulus));
                s.select(over, s.sub(wrapped, s.keep(s.less(k.max, wrapped), modulus)), result)
            }
        };
        let numbers = s.select(finite, replaced, s.select_negative(sum, k.infinite[1], k.infinite[0]));
        // Neither finite nor infinite: NaN.
        s.select(s.at_most(size, k.exponent), numbers, sum)
    }

    /// `accumulator + addend`: exactly, or to odd.
    #[inline(always)]
    pub fn sum<L: Lanes>(&self, s: L, k: &Constants<L::V>, accumulator: L::V, addend: L::V) -> L::V {
        let one = s.splat(L::Number::from_f64(1.0));
        self.cancelled(s, k, s.odd(addend, one, accumulator), accumulator, addend)
    }

    /// `accumulator + high + low` likewise, where `low` is at most 2^-25 of `high` in size, and
    /// zero or NaN where `high` is not finite.
    ///
    /// What is left of the sum of the first two, and `low`, are rounded to odd together, then
    /// with the nearest sum. Where the first rounding loses bits, the nearest sum was inexact: so
    /// it has at least half the size of `high`, and the lost bits lie too low for the second
    /// rounding to see more of them than that there are some.
    #[inline(always)]
    pub fn sum_of_three<L: Lanes>(&self, s: L, k: &Constants<L::V>, accumulator: L::V, high: L::V, low: L::V) -> L::V {
        let one = s.splat(L::Number::from_f64(1.0));
        let (nearest, error) = two_sum(s, accumulator, high);
        let below = s.odd(error, one, low);
        let all = s.odd(below, one, nearest);
        // Without a third, zeros have the first two's sign, and specials are not looked into.
        let finite = s.less(s.xor(nearest, s.and(nearest, k.sign)), k.exponent);
        let sum = s.select(s.both(s.differ(low, k.zero), finite), all, s.odd(high, one, accumulator));
        self.cancelled(s, k, sum, accumulator, high)
    }

    /// Gives an exact zero sum the sign that roundTowardNegative asks for.
    #[inline(always)]
    pub fn cancelled<L: Lanes>(&self, s: L, k: &Constants<L::V>, sum: L::V, accumulator: L::V, addend: L::V) -> L::V {
        if self.rounding.cancels_to_negative_zero() {
            let nonzero = s.differ(sum, k.zero);
            let signs = s.and(s.or(accumulator, addend), k.sign);
            // Sums of zero, and NaNs, take the signs' union.
            s.or(sum, s.keep(s.not(nonzero), signs))
        } else {
            sum
        }
    }
}

/// Roundings as numbers, for loops made for one of them.
pub(super) struct Mode;

impl Mode {
    pub const RNE: u8 = 0;
    pub const RTZ: u8 = 1;
    pub const RDN: u8 = 2;
    pub const RUP: u8 = 3;
    pub const RMM: u8 = 4;
    pub const ROD: u8 = 5;
    pub const SR: u8 = 6;
    /// Whichever the rounder has.
    pub const ANY: u8 = 7;

    pub const fn of(rounding: Rounding) -> u8 {
        match rounding {
            Rounding::Rne => Self::ANY,
            Rounding::Rtz => Self::RTZ,
            Rounding::Rdn => Self::RDN,
            Rounding::Rup => Self::RUP,
            Rounding::Rmm => Self::RMM,
            Rounding::Rod => Self::ROD,
            Rounding::Sr(_) => Self::SR,
        }
    }
}

/// A rounder's constants in lanes.
#[derive(Clone, Copy)]
pub(super) struct Constants<V> {
    /// From random integers to just below the last bit kept.
    random_shift: u32,
    kept: V,
    dropped: V,
    last_bit: V,
    half_bit: V,
    integers: V,
    sign: V,
    exponent: V,
    pub zero: V,
    /// Added to a result, it leaves a -0 that the format has, and makes +0 of one it lacks.
    settled: V,
    low: V,
    high: V,
    magic: V,
    unit: V,
    half_unit: V,
    draws: V,
    draw: V,
    max: V,
    min_size: V,
    normal: V,
    tiny: [V; 2],
    carry_unit: V,
    overflowed: [V; 2],
    infinite: [V; 2],
}

/// Lanes' counts under way.
#[derive(Clone, Copy)]
pub(super) struct Tally<V> {
    overflows: V,
    underflows: V,
}

/// Counts of flags raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub overflows: u64,
    pub underflows: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.overflows += other.overflows;
        self.underflows += other.underflows;
    }
}

impl<V: Copy> Tally<V> {
    #[inline(always)]
    pub fn new<L: Lanes<V = V>>(s: L) -> Self {
        let none = s.splat(L::Number::default());
        Self { overflows: none, underflows: none }
    }

    #[inline(always)]
    pub fn counts<L: Lanes<V = V>>(self, s: L) -> Counts {
        Counts { overflows: s.bits(self.overflows).sum(), underflows: s.bits(self.underflows).sum() }
    }
}
