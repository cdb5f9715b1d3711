//! Rounding of binary64 lanes to a narrower format, equal to [`systole_isa::round::encode`].
//!
//! A value x in the binade e = 2^floor(log2 x) is rounded to a multiple of the quantum
//! q = e 2^-m by adding and subtracting 1.5 q 2^52, whose own unit is q: nearest, ties to even.
//! Every other mode starts from that: the multiple of q at or below x, and the discarded part,
//! are exact in binary64, and so are the comparisons that decide whether to step away from zero.
//! Raising e to the smallest normal gives subnormals; holding it fixed gives fixed point.
//!
//! Sums are exact, or rounded to odd at 53 bits (Boldo and Melquiond, "Emulation of FMA and
//! correctly rounded sums", 2008): no number of 52 bits or fewer lies between a sum and its
//! stand-in, so a second rounding to p bits (p + N for `sr<N>`) sees what the exact sum shows.

use super::simd::Lanes64;
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
    pub keeps_negative_zero: bool,
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
    /// The smallest normal value, or 0 where nothing is ever tiny.
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
                    normal: power_of_two(low),
                    tininess: policy.tininess,
                    proved_only: false,
                })
            }
        }
    }

    /// True for nearest-even, which has a loop of its own.
    pub fn is_nearest_even(&self) -> bool {
        self.rounding == Rounding::Rne
    }

    /// The lsb from which tiny results need no care: multiples of it below the smallest normal
    /// value are values of the format, or there are none but 0 where it has no subnormals.
    pub fn harmless_lsb(&self) -> i32 {
        if self.gradual { self.min_quantum } else { self.min_quantum + self.precision as i32 }
    }

    /// The constants of the loops, in lanes.
    #[inline(always)]
    pub fn constants<S: Lanes64>(&self, s: S) -> Constants<S::V> {
        let magic = 1.5 * power_of_two(52) * self.unit;
        let all_ones = self.normal * (1.0 - 0.5 * self.unit);
        let half_step = self.normal * (1.0 - 0.25 * self.unit);
        let tiny = match (self.tininess, self.rounding) {
            (Tininess::Before, _) | (_, Rounding::Rtz | Rounding::Rod) => [self.normal; 2],
            (Tininess::After, Rounding::Rne | Rounding::Rmm) => [half_step; 2],
            (Tininess::After, Rounding::Rdn) => [self.normal, all_ones.next_up()],
            (Tininess::After, Rounding::Rup) => [all_ones.next_up(), self.normal],
            (Tininess::After, Rounding::Sr(_)) => [all_ones; 2],
        };
        let last_bit = 1u64 << self.dropped_bits();
        let bits = |bits: u64| s.splat(f64::from_bits(bits));
        Constants {
            kept: bits(!(last_bit - 1)),
            dropped: bits(last_bit - 1),
            last_bit: bits(last_bit),
            half_bit: bits(last_bit >> 1),
            integers: s.splat(power_of_two(52)),
            sign: s.splat(-0.0),
            ones: s.splat(f64::from_bits(u64::MAX)),
            bit: s.splat(f64::from_bits(1)),
            exponent: s.splat(f64::INFINITY),
            zero: s.splat(0.0),
            low: s.splat(self.low),
            high: s.splat(self.high),
            magic: s.splat(magic),
            minus_magic: s.splat(-magic),
            unit: s.splat(self.unit),
            half_unit: s.splat(0.5 * self.unit),
            draws: s.splat(power_of_two(self.rounding.random_bits() as i32)),
            draw: s.splat(power_of_two(-(self.rounding.random_bits() as i32))),
            max: s.splat(self.max),
            min_size: s.splat(self.min_size),
            normal: s.splat(self.normal),
            tiny: [s.splat(tiny[0]), s.splat(tiny[1])],
            carry_unit: s.splat(0.5 * self.normal * self.unit),
            overflowed: [s.splat(self.overflowed[0]), s.splat(self.overflowed[1])],
            infinite: [s.splat(self.infinite[0]), s.splat(self.infinite[1])],
        }
    }

    /// Rounds exact sums, or sums rounded to odd.
    ///
    /// `NEAREST`: the mode is nearest-even. `PROVED`: no lane is special, overflows, or is tiny
    /// and inexact, and the format is a float. `random` feeds stochastic rounding.
    #[inline(always)]
    pub fn round<S: Lanes64, const NEAREST: bool, const PROVED: bool>(
        &self,
        s: S,
        k: &Constants<S::V>,
        sum: S::V,
        random: S::V,
        tally: &mut Tally<S::V>,
    ) -> S::V {
        let sign = s.and(sum, k.sign);
        let size = s.xor(sum, sign);
        if PROVED && !NEAREST {
            let result = s.or(self.cut(s, k, size, sign, random), sign);
            return if self.keeps_negative_zero { result } else { s.add(result, k.zero) };
        }
        let mut binade = s.and(size, k.exponent);
        if !PROVED {
            binade = s.min(s.max(binade, k.low), k.high);
        }
        let nearest = s.mul_add(binade, k.minus_magic, s.mul_add(binade, k.magic, size));
        let magnitude = if NEAREST { nearest } else { self.directed(s, k, binade, size, nearest, sign, random) };
        let mut result = s.or(magnitude, sign);
        if !PROVED {
            if s.any(s.less(size, k.normal)) {
                let limit = self.tiny_limit(s, k, sum, random);
                tally.underflows = s.sub_bits(tally.underflows, s.and(s.less(size, limit), s.differ(result, sum)));
            }
            // NaN fails this comparison too.
            if s.any(s.xor(s.at_most(magnitude, k.max), k.ones)) {
                result = self.beyond(s, k, sum, size, magnitude, result, tally);
            }
        }
        if self.keeps_negative_zero { result } else { s.add(result, k.zero) }
    }

    /// Magnitudes in the modes other than nearest-even, where nothing tiny is inexact: all
    /// numbers keep p bits, so carries and cuts act on binary64's own bits.
    #[inline(always)]
    fn cut<S: Lanes64>(&self, s: S, k: &Constants<S::V>, size: S::V, sign: S::V, random: S::V) -> S::V {
        let raised = match self.rounding {
            // Nearest-even has a loop of its own.
            Rounding::Rtz | Rounding::Rne => size,
            Rounding::Rmm => s.add_bits(size, k.half_bit),
            Rounding::Rdn => s.add_bits(size, s.select(sign, k.dropped, k.zero)),
            Rounding::Rup => s.add_bits(size, s.select(sign, k.zero, k.dropped)),
            // What is dropped carries into the last bit if it is anything.
            Rounding::Rod => s.or(size, s.and(s.add_bits(s.and(size, k.dropped), k.dropped), k.last_bit)),
            Rounding::Sr(bits) => {
                // R under the last bit kept: the sum carries where floor(nu 2^N) + R does.
                let integer = s.sub_bits(s.add(random, k.integers), k.integers);
                s.add_bits(size, s.shift_left(integer, self.dropped_bits() - bits))
            }
        };
        s.and(raised, k.kept)
    }

    /// Bits of a binary64 below the last one kept.
    const fn dropped_bits(&self) -> u32 {
        53 - if self.precision > 52 { 52 } else { self.precision }
    }

    /// Magnitudes in the modes other than nearest-even.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the parts of one rounding")]
    fn directed<S: Lanes64>(&self, s: S, k: &Constants<S::V>, binade: S::V, size: S::V, nearest: S::V, sign: S::V, random: S::V) -> S::V {
        let quantum = s.mul(binade, k.unit);
        let lower = s.sub(nearest, s.and(s.less(size, nearest), quantum));
        let discarded = s.sub(size, lower);
        let inexact = s.less(k.zero, discarded);
        let away = match self.rounding {
            Rounding::Rtz => return lower,
            Rounding::Rne => return nearest,
            Rounding::Rmm => s.and(inexact, s.at_most(s.mul(binade, k.half_unit), discarded)),
            Rounding::Rdn => s.and(inexact, s.select(sign, k.ones, k.zero)),
            Rounding::Rup => s.and(inexact, s.select(sign, k.zero, k.ones)),
            Rounding::Rod => {
                // The unit of lower + 1.5 2^52 q is q, so its last bit is the parity.
                let even = s.xor(s.shift_left(s.mul_add(binade, k.magic, lower), 63), k.sign);
                s.and(inexact, s.select(even, k.ones, k.zero))
            }
            Rounding::Sr(_) => {
                // floor(nu 2^N) + R >= 2^N is nu >= (2^N - R) 2^-N: the right side is a
                // multiple of 2^-N.
                let threshold = s.mul(s.mul(s.sub(k.draws, random), k.draw), quantum);
                s.and(inexact, s.at_most(threshold, discarded))
            }
        };
        s.add(lower, s.and(away, quantum))
    }

    /// Sizes below which a result is tiny: the smallest normal, or the least size that
    /// rounding with unbounded exponent carries up to it.
    #[inline(always)]
    fn tiny_limit<S: Lanes64>(&self, s: S, k: &Constants<S::V>, sum: S::V, random: S::V) -> S::V {
        match (self.rounding, self.tininess) {
            (Rounding::Sr(_), Tininess::After) => s.add(k.tiny[0], s.mul(s.mul(s.sub(k.draws, random), k.draw), k.carry_unit)),
            _ => s.select(sum, k.tiny[1], k.tiny[0]),
        }
    }

    /// The results where some lane is beyond the range, infinite or NaN.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the parts of one rounding")]
    fn beyond<S: Lanes64>(
        &self,
        s: S,
        k: &Constants<S::V>,
        sum: S::V,
        size: S::V,
        magnitude: S::V,
        result: S::V,
        tally: &mut Tally<S::V>,
    ) -> S::V {
        let limit = s.select(sum, k.min_size, k.max);
        let over = s.and(s.less(limit, magnitude), s.less(size, k.exponent));
        tally.overflows = s.sub_bits(tally.overflows, over);
        let infinite = s.xor(s.less(size, k.exponent), k.ones);
        let nan = s.xor(s.at_most(size, k.exponent), k.ones);
        let replaced = match self.modulus {
            None => s.select(over, s.select(sum, k.overflowed[1], k.overflowed[0]), result),
            Some(modulus) => {
                // The multiple of the modulus nearest to the result; half of it is too much.
                let unit = s.splat(1.5 * power_of_two(52));
                let turns = s.sub(s.add(s.mul(result, s.splat(1.0 / modulus)), unit), unit);
                let modulus = s.splat(modulus);
                let wrapped = s.sub(result, s.mul(turns, modulus));
                s.select(over, s.sub(wrapped, s.and(s.less(k.max, wrapped), modulus)), result)
            }
        };
        s.select(nan, sum, s.select(infinite, s.select(sum, k.infinite[1], k.infinite[0]), replaced))
    }

    /// `accumulator + addend`: exactly, or to odd at 53 bits.
    #[inline(always)]
    pub fn sum<S: Lanes64>(&self, s: S, k: &Constants<S::V>, accumulator: S::V, addend: S::V) -> S::V {
        let sum = s.add(accumulator, addend);
        let taken = s.sub(sum, accumulator);
        let error = s.add(s.sub(accumulator, s.sub(sum, taken)), s.sub(addend, taken));
        // An even sum moves to the odd neighbour on the error's side; an odd one stays.
        let inexact = s.and(s.differ(error, k.zero), k.bit);
        let back = s.and(s.shift_right(s.xor(sum, error), 63), inexact);
        let odd = s.or(s.sub_bits(sum, back), inexact);
        self.cancelled(s, k, odd, accumulator, addend)
    }

    /// Gives an exact zero sum the sign that roundTowardNegative asks for.
    #[inline(always)]
    pub fn cancelled<S: Lanes64>(&self, s: S, k: &Constants<S::V>, sum: S::V, accumulator: S::V, addend: S::V) -> S::V {
        if self.rounding.cancels_to_negative_zero() {
            let zero = s.and(s.at_most(sum, k.zero), s.at_most(k.zero, sum));
            s.or(sum, s.and(s.and(zero, k.sign), s.or(accumulator, addend)))
        } else {
            sum
        }
    }
}

/// A rounder's constants in lanes.
#[derive(Clone, Copy)]
pub(super) struct Constants<V> {
    kept: V,
    dropped: V,
    last_bit: V,
    half_bit: V,
    integers: V,
    sign: V,
    ones: V,
    bit: V,
    exponent: V,
    pub zero: V,
    low: V,
    high: V,
    magic: V,
    minus_magic: V,
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
    pub fn new<S: Lanes64<V = V>>(s: S) -> Self {
        Self { overflows: s.splat(0.0), underflows: s.splat(0.0) }
    }

    #[inline(always)]
    pub fn counts<S: Lanes64<V = V>>(self, s: S) -> Counts {
        Counts { overflows: s.bits(self.overflows).iter().sum(), underflows: s.bits(self.underflows).iter().sum() }
    }
}
