//! One rounding of binary32s or binary64s to codes: the result side of the fast paths.
//!
//! A loop over plain integers without a branch, which the compiler puts in vector registers.
//! The significand is shifted to the quantum of its binade, or of the subnormals; in magnitude
//! codes one step away from zero is then +1, carries included. Lanes that are not finite, and
//! those below a format without subnormals, are left to the definition.
//!
//! Domain: signed floats of at most 32 bits, gradual underflow policy, tininess after
//! rounding. [`Narrow`] takes binary32s that are the exact result, for formats with
//! subnormals whose smallest normal number is a normal one and whose precision and stochastic bits fit into binary32's
//! significand with a bit to spare. [`Rounder`] takes binary64s that are exact, or
//! rounded to odd at 53 bits, or otherwise on the exact result's side of every number of
//! precision + max(1, stochastic bits) significant bits, those at most 52; nonzero
//! magnitudes, and the format's smallest normal number, are normal binary64s. There the bits and counts are those of `encode`.

use super::{Word, count_result};
use systole_isa::device::Activity;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FloatFormat, Format, Specials, Subnormals};
use systole_isa::round::{Flags, Policy, Rounding, SubnormalPolicy, Tininess, encode, encode_decoded};

/// True for policies under which the fast paths decode and round as the definition does.
pub(super) const fn plain(policy: Policy) -> bool {
    matches!(policy.subnormals, SubnormalPolicy::Gradual) && matches!(policy.tininess, Tininess::After)
}

/// Significant bits in which a rounding to `format` under `policy` can tell two values apart.
pub(super) const fn resolution(format: Format, policy: Policy) -> u32 {
    let random = policy.rounding.random_bits();
    format.precision() + if random == 0 { 1 } else { random }
}

/// The code and flags of a value by the definition.
pub(super) fn defined(format: Format, policy: Policy, x: f64, random: u64) -> (u64, Flags) {
    match Exact::from_f64(x) {
        Some(value) => encode(format, value, policy, random),
        None => encode_decoded(format, Decoded::from_f64(x), policy, 0),
    }
}

/// Evaluates `$body` with the mode of `$rounding` in `$mode`, a constant: a loop for every mode.
macro_rules! in_mode {
    ($rounding:expr, |$mode:ident| $body:expr) => {
        in_mode!(@ $rounding, $mode, $body, Rne Rmm Rtz Rdn Rup Rod)
    };
    (@ $rounding:expr, $mode:ident, $body:expr, $($deterministic:ident)*) => {
        match $rounding {
            $(Rounding::$deterministic => {
                let $mode = Rounding::$deterministic;
                $body
            })*
            $mode @ Rounding::Sr(_) => $body,
        }
    };
}
pub(super) use in_mode;

/// What finite values beyond the range become: codes, and whether they are NaN; plus, minus.
pub(super) fn overflowed(format: Format, float: FloatFormat, policy: Policy) -> [(u64, bool); 2] {
    [false, true].map(|negative| {
        let beyond = Exact { negative, significand: 1, exponent: float.min_exponent() + (1 << float.exponent_bits) + 1 };
        let (code, _) = encode(format, beyond, policy, u64::MAX);
        (code, format.is_nan(code))
    })
}

/// What one rounding gave; truths are all ones or 0, which keeps lanes of a width together.
struct Lane<W> {
    code: W,
    overflow: W,
    negative: W,
    underflow: W,
    /// The definition is to be asked; nothing else holds.
    special: W,
}

/// Generates the rounder of one width of words. `without_subnormals`: if formats without
/// subnormals are in the domain.
macro_rules! rounder {
    (
        $(#[$doc:meta])* $name:ident, $word:ident, $signed:ident, $float:ident,
        fraction $fraction:literal, bias $bias:literal, without_subnormals $without_subnormals:literal
    ) => {
        $(#[$doc])*
        pub(super) struct $name {
            format: Format,
            policy: Policy,
            /// The exponent field of the format's smallest normal number.
            min_field: $signed,
            /// That number's bits.
            min_normal: $word,
            mantissa_bits: u32,
            /// Fraction bits the words have and the format has not.
            drop: $signed,
            /// The same in the binade below the smallest normal, to full precision.
            drop_below: $signed,
            max_finite: $word,
            /// The hidden bit, where the lowest binade has one and no subnormals precede it.
            offset: $word,
            /// Bits between the two signs.
            sign_shift: u32,
            negative_zero: $word,
            /// What overflows become, plus and minus, and whether that is NaN.
            overflowed: [$word; 2],
            overflows_to_nan: [bool; 2],
        }

        const _: () = {
            const SIGN: $word = 1 << ($word::BITS - 1);
            const HIDDEN: $word = 1 << $fraction;
            const INFINITY: $word = SIGN - HIDDEN;
            const MAX_SHIFT: $signed = $word::BITS as $signed - 1;

            #[inline(always)]
            fn mask(truth: bool) -> $word {
                (0 as $word).wrapping_sub(truth.into())
            }

            impl $name {
                /// The rounder of a format and policy in the domain.
                pub fn new(format: Format, policy: Policy) -> Option<Self> {
                    let float = format.as_float()?;
                    let min_field = $bias + float.min_exponent();
                    // Subnormal words lack a hidden bit to be rounded to full precision.
                    let spare = u32::from(min_field == 1);
                    let with_subnormals = matches!(float.subnormals, Subnormals::Gradual);
                    let inside = float.signed
                        && format.bits() <= 32
                        && plain(policy)
                        && !matches!(float.specials, Specials::E8m0)
                        && (with_subnormals || $without_subnormals)
                        && resolution(format, policy) + spare <= $fraction + 1 - u32::from($word::BITS == 64)
                        && min_field >= 1;
                    if !inside {
                        return None;
                    }
                    let [plus, minus] = overflowed(format, float, policy);
                    let drop = $fraction - float.mantissa_bits;
                    Some(Self {
                        format,
                        policy,
                        min_field: min_field as $signed,
                        min_normal: (min_field as $word) << $fraction,
                        mantissa_bits: float.mantissa_bits,
                        drop: drop as $signed,
                        drop_below: (drop - spare) as $signed,
                        max_finite: float.max_finite_magnitude() as $word,
                        offset: if with_subnormals { 0 } else { 1 << float.mantissa_bits },
                        sign_shift: $word::BITS - 1 - float.magnitude_bits(),
                        negative_zero: mask(float.has_negative_zero()),
                        overflowed: [plus.0 as $word, minus.0 as $word],
                        overflows_to_nan: [plus.1, minus.1],
                    })
                }

                /// What is added to a significand of which `shift` bits are dropped after that.
                #[inline(always)]
                pub fn increment(rounding: Rounding, negative: $word, odd: $word, shift: $signed, random: $word) -> $word {
                    let below_one = (1 << shift as $word) - 1;
                    match rounding {
                        Rounding::Rne => (below_one >> 1) + odd,
                        Rounding::Rmm => (below_one >> 1) + 1,
                        Rounding::Rtz => 0,
                        Rounding::Rdn => below_one & negative,
                        Rounding::Rup => below_one & !negative,
                        Rounding::Rod => below_one & odd.wrapping_sub(1),
                        Rounding::Sr(bits) => (random & ((1 << bits) - 1)) << (shift - bits as $signed) as $word,
                    }
                }

                #[inline(always)]
                fn lane(&self, rounding: Rounding, bits: $word, random: $word) -> Lane<$word> {
                    let negative = (bits as $signed >> ($word::BITS - 1)) as $word;
                    let magnitude = bits & !SIGN;
                    let field = (magnitude >> $fraction) as $signed;
                    let normal = mask(field != 0);
                    let significand = (magnitude & (HIDDEN - 1)) | (normal & HIDDEN);
                    let binade = field.max(1);
                    let floor = binade.max(self.min_field);
                    let shift = self.drop + (floor - binade);
                    // Codes of the binades below.
                    let below = ((floor - self.min_field) as $word) << self.mantissa_bits;
                    // Whatever is shifted further lies below half a quantum.
                    let near = shift.min(MAX_SHIFT);
                    let rounded = below + if let Rounding::Sr(n) = rounding {
                        let head = significand >> (shift - n as $signed).min(MAX_SHIFT) as $word;
                        (head + (random & ((1 << n) - 1))) >> n
                    } else {
                        let odd = ((significand >> near as $word) + below) & 1;
                        (significand + Self::increment(rounding, negative, odd, near, random)) >> near as $word
                    };

                    // Not tiny if full precision already reaches the smallest normal, which takes a
                    // significand of ones. That is an odd code unless there is no fraction.
                    let odd = $word::from(self.mantissa_bits != 0);
                    let full = magnitude + Self::increment(rounding, negative, odd, self.drop_below, random);
                    let tiny = mask((full as $signed) < self.min_normal as $signed);
                    let inexact = mask(significand & ((1 << near as $word) - 1) != 0);

                    let mut special = mask(magnitude as $signed >= INFINITY as $signed);
                    let mut code = rounded;
                    if $without_subnormals && self.offset != 0 {
                        let smallest = below + (significand >> self.drop as u32) == self.offset;
                        special |= mask((magnitude != 0) & ((magnitude < self.min_normal) | smallest));
                        code = rounded.wrapping_sub(self.offset) & mask(magnitude != 0);
                    }
                    let overflow = mask(code as $signed > self.max_finite as $signed) & !special;
                    let sign = (bits & SIGN) >> self.sign_shift & (self.negative_zero | mask(code != 0));
                    let [plus, minus] = self.overflowed;
                    let beyond = plus ^ ((plus ^ minus) & negative);
                    Lane {
                        code: (code | sign) & !overflow | beyond & overflow,
                        overflow,
                        negative,
                        underflow: tiny & inexact & !overflow & !special,
                        special,
                    }
                }

                /// The codes of values, and their overflows, underflows and NaNs; `randoms` is read
                /// in stochastic modes only.
                #[inline(always)]
                pub fn fill<T: Word>(
                    &self,
                    values: impl Iterator<Item = $float> + Clone,
                    randoms: &[u32],
                    out: &mut [T],
                    activity: &mut Activity,
                ) {
                    in_mode!(self.policy.rounding, |mode| match mode {
                        Rounding::Sr(_) => {
                            let drawn = values.zip(randoms).map(|(x, &random)| (x, $word::from(random)));
                            self.all(mode, drawn, out, activity);
                        }
                        _ => self.all(mode, values.map(|x| (x, 0)), out, activity),
                    });
                }

                #[inline(always)]
                fn all<T: Word>(
                    &self,
                    rounding: Rounding,
                    values: impl Iterator<Item = ($float, $word)> + Clone,
                    out: &mut [T],
                    activity: &mut Activity,
                ) {
                    let mut overflows: [$word; 2] = [0, 0];
                    let (mut underflows, mut specials): ($word, $word) = (0, 0);
                    for (code, (x, random)) in out.iter_mut().zip(values.clone()) {
                        let lane = self.lane(rounding, x.to_bits(), random);
                        *code = T::of(lane.code.into());
                        overflows[0] += lane.overflow & !lane.negative & 1;
                        overflows[1] += lane.overflow & lane.negative & 1;
                        underflows += lane.underflow & 1;
                        specials |= lane.special;
                    }
                    for (count, nan) in overflows.into_iter().zip(self.overflows_to_nan) {
                        activity.vector_overflows += u64::from(count);
                        activity.vector_nans += if nan { count.into() } else { 0 };
                    }
                    activity.vector_underflows += u64::from(underflows);
                    if specials == 0 {
                        return;
                    }
                    for (code, (x, random)) in out.iter_mut().zip(values) {
                        if self.lane(rounding, x.to_bits(), random).special != 0 {
                            *code = T::of(self.by_definition(x, random, activity));
                        }
                    }
                }

                /// The codes of values rounded by the first rounder, downward, or by the second,
                /// upward, where the truth beside them says so.
                #[inline(always)]
                pub fn fill_between<T: Word>(
                    [down, up]: &[Self; 2],
                    values: impl Iterator<Item = ($float, bool)> + Clone,
                    out: &mut [T],
                    activity: &mut Activity,
                ) {
                    let nan = |rounder: &Self, sign: usize| mask(rounder.overflows_to_nan[sign]);
                    let to_nan = [nan(down, 0), nan(down, 1), nan(up, 0), nan(up, 1)];
                    let (mut overflows, mut underflows, mut nans, mut specials): ($word, $word, $word, $word) = (0, 0, 0, 0);
                    for (code, (x, above)) in out.iter_mut().zip(values.clone()) {
                        let (low, high) = (down.lane(Rounding::Rdn, x.to_bits(), 0), up.lane(Rounding::Rup, x.to_bits(), 0));
                        let above = mask(above);
                        *code = T::of(Self::either(above, low.code, high.code).into());
                        let overflow = Self::either(above, low.overflow, high.overflow);
                        overflows += overflow & 1;
                        underflows += Self::either(above, low.underflow, high.underflow) & 1;
                        let lower = Self::either(low.negative, to_nan[0], to_nan[1]);
                        nans += overflow & Self::either(above, lower, Self::either(low.negative, to_nan[2], to_nan[3])) & 1;
                        specials |= low.special;
                    }
                    activity.vector_overflows += u64::from(overflows);
                    activity.vector_underflows += u64::from(underflows);
                    activity.vector_nans += u64::from(nans);
                    if specials == 0 {
                        return;
                    }
                    for (code, (x, above)) in out.iter_mut().zip(values) {
                        if down.lane(Rounding::Rdn, x.to_bits(), 0).special != 0 {
                            *code = T::of((if above { up } else { down }).by_definition(x, 0, activity));
                        }
                    }
                }

                /// The second where `truth` is all ones, the first where it is 0.
                #[inline(always)]
                const fn either(truth: $word, first: $word, second: $word) -> $word {
                    first ^ ((first ^ second) & truth)
                }

                #[cold]
                fn by_definition(&self, x: $float, random: $word, activity: &mut Activity) -> u64 {
                    let (code, flags) = defined(self.format, self.policy, x.into(), random.into());
                    count_result(self.format, code, flags, activity);
                    code
                }
            }
        };
    };
}

rounder! {
    /// Rounds binary64 values to one format under one policy.
    Rounder, u64, i64, f64, fraction 52, bias 1023, without_subnormals true
}
rounder! {
    /// Rounds binary32 values to one format under one policy.
    Narrow, u32, i32, f32, fraction 23, bias 127, without_subnormals false
}

/// Nearest-even without a shift by lane: the usual step of training.
///
/// Domain: [`Narrow`]'s, nearest-even, where 2^23 quanta of the subnormals are a normal binary32.
pub(super) struct NarrowToNearest {
    general: Narrow,
    /// 2^23 quanta: its last bit weighs one of them.
    magic: f32,
    /// Half a quantum of a normal result less the least bit, and what makes its exponent field.
    bias: u32,
    /// Parity of what the exponent field is reduced by.
    flips: u32,
    /// Magnitudes from here on are not tiny.
    tiny_below: u32,
    overflow_flip: u32,
}

impl NarrowToNearest {
    /// The narrower of a format and policy in the domain.
    pub fn new(format: Format, policy: Policy) -> Option<Self> {
        let general = Narrow::new(format, policy)?;
        let quantum = format.as_float()?.min_quantum_exponent();
        if policy.rounding != Rounding::Rne || !(-126..=127).contains(&(quantum + 23)) {
            return None;
        }
        let (drop, rebias) = (general.drop as u32, (general.min_field as u32 - 1) << general.mantissa_bits);
        let odd = u32::from(general.mantissa_bits != 0);
        let [plus, minus] = general.overflowed;
        Some(Self {
            magic: f32::from_bits(((quantum + 23 + 127) as u32) << 23),
            bias: ((1 << (drop - 1)) - 1u32).wrapping_sub(rebias << drop),
            flips: rebias & 1,
            tiny_below: general.min_normal - Narrow::increment(Rounding::Rne, 0, odd, general.drop_below, 0),
            overflow_flip: plus ^ minus,
            general,
        })
    }

    /// As [`Narrow::fill`].
    #[inline(always)]
    pub fn fill<T: Word>(&self, values: &[u32], out: &mut [T], activity: &mut Activity) {
        let Self { general, .. } = self;
        let mask = |truth: bool| 0u32.wrapping_sub(truth.into());
        let less = |a: u32, b: u32| mask((a as i32) < b as i32);
        let magic = self.magic.to_bits();
        let (mut overflows, mut underflows, mut specials) = (0u32, 0u32, 0u32);
        for (code, &bits) in out.iter_mut().zip(values) {
            let magnitude = bits & 0x7fff_ffff;
            let sign = bits ^ magnitude;
            let odd = ((magnitude >> general.drop as u32) ^ self.flips) & 1;
            let normal = magnitude.wrapping_add(self.bias).wrapping_add(odd) >> general.drop as u32;
            let sum = f32::from_bits(magnitude) + self.magic;
            let subnormal = sum.to_bits().wrapping_sub(magic);
            let number = if (magnitude as i32) < general.min_normal as i32 { subnormal } else { normal };
            let overflow = less(general.max_finite, number);
            let special = less(0x7f7f_ffff, magnitude);
            let inexact = mask(sum - self.magic != f32::from_bits(magnitude));
            overflows = overflows.wrapping_sub(overflow & !special);
            underflows = underflows.wrapping_sub(inexact & less(magnitude, self.tiny_below) & !overflow);
            specials |= special;
            let signed = number | (sign >> general.sign_shift & (general.negative_zero | mask(number != 0)));
            let beyond = general.overflowed[0] ^ (self.overflow_flip & mask(sign != 0));
            *code = T::of((if overflow != 0 { beyond } else { signed }).into());
        }
        activity.vector_overflows += u64::from(overflows);
        activity.vector_nans += if general.overflows_to_nan[0] { overflows.into() } else { 0 };
        activity.vector_underflows += u64::from(underflows);
        if specials != 0 {
            for (code, &bits) in out.iter_mut().zip(values).filter(|(_, bits)| **bits & 0x7fff_ffff > 0x7f7f_ffff) {
                *code = T::of(general.by_definition(f32::from_bits(bits), 0, activity));
            }
        }
    }
}

impl Rounder {
    /// The policy's rounding mode.
    pub const fn rounding(&self) -> Rounding {
        self.policy.rounding
    }

    /// The code of `x`; counts overflow, underflow and NaN. `rounding` is
    /// [`Rounder::rounding`], passed so that a loop can fix it.
    #[inline(always)]
    pub fn round(&self, rounding: Rounding, x: f64, random: u64, activity: &mut Activity) -> u64 {
        let lane = self.lane(rounding, x.to_bits(), random);
        if lane.special != 0 {
            return self.by_definition(x, random, activity);
        }
        activity.vector_overflows += lane.overflow & 1;
        activity.vector_underflows += lane.underflow & 1;
        activity.vector_nans += lane.overflow & u64::from(self.overflows_to_nan[(lane.negative & 1) as usize]);
        lane.code
    }
}
