//! Vectors of host floats behind one small interface, and the machines that implement it.
//!
//! A machine's value exists only where the CPU has the instructions, so holding one is the proof
//! every intrinsic asks for. [`Portable`] is plain Rust that the compiler vectorises for the
//! baseline.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Avx512, Avx512Fp16};
pub(crate) use portable::Portable;
use std::fmt::Debug;
use systole_isa::entropy::Block;

/// A loop to be compiled for one machine. `run` must be `#[inline(always)]`.
pub(crate) trait Work<L> {
    /// What the loop returns.
    type Out;
    fn run(self, lanes: L) -> Self::Out;
}

/// Functions of plain Rust compiled for the widest lanes there are: AVX2 has twice those of the
/// baseline, AVX-512 four times. Results are the same: integer operations and IEEE 754 ones, which the
/// compiler never fuses.
///
/// What they call for each element must be `#[inline(always)]`, and no closure, or it stays on the
/// baseline. What they read and write come as arguments of their own, which are known not to
/// overlap; the fields of one argument are not, and loops over them run one by one.
macro_rules! on_wide_lanes {
    ($(
        $(#[$doc:meta])*
        $visible:vis fn $name:ident[$($generics:tt)*]($($argument:ident: $type:ty),* $(,)?) -> $out:ty $body:block
    )*) => {$(
        $(#[$doc])*
        $visible fn $name<$($generics)*>($($argument: $type),*) -> $out {
            #[inline(always)]
            fn plain<$($generics)*>($($argument: $type),*) -> $out $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn on_avx512<$($generics)*>($($argument: $type),*) -> $out {
                    plain($($argument),*)
                }
                #[target_feature(enable = "avx2")]
                fn on_avx2<$($generics)*>($($argument: $type),*) -> $out {
                    plain($($argument),*)
                }
                if $crate::simd::Avx512::detect().is_some() {
                    // SAFETY: the processor has these extensions.
                    return unsafe { on_avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { on_avx2($($argument),*) };
                }
            }
            plain($($argument),*)
        }
    )*};
}
pub(crate) use on_wide_lanes;

/// A host float.
pub(crate) trait Number: Copy + Default + PartialEq + Send + Sync + 'static {
    const BITS: u32;
    /// Significant bits.
    const SIGNIFICAND: u32;
    const EXPONENT_BIAS: u32;
    /// The number of this value; exact inside the kernels' domains.
    fn from_f64(value: f64) -> Self;
    /// The same of a binary32.
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        Self::from_f64(value.into())
    }
    /// The value of this number.
    fn to_f64(self) -> f64;
    /// The number of these bits; the top ones are cut off.
    fn from_bits(bits: u64) -> Self;
    /// The least number above.
    fn next_up(self) -> Self;
}

impl Number for f32 {
    const BITS: u32 = 32;
    const SIGNIFICAND: u32 = 24;
    const EXPONENT_BIAS: u32 = 127;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits as u32)
    }
    fn next_up(self) -> Self {
        self.next_up()
    }
}

impl Number for f64 {
    const BITS: u32 = 64;
    const SIGNIFICAND: u32 = 53;
    const EXPONENT_BIAS: u32 = 1023;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }
    fn next_up(self) -> Self {
        self.next_up()
    }
}

/// A CPU's vectors of both widths.
pub(crate) trait Machine: Copy + Debug {
    /// How reports call it.
    const NAME: &'static str;
    type F32: Lanes<Number = f32>;
    type F64: Lanes<Number = f64>;
    fn f32(self) -> Self::F32;
    fn f64(self) -> Self::F64;
}

/// Runs a loop, known for all lanes, on binary32 lanes of the best machine there is.
macro_rules! on_best_f32 {
    ($work:expr) => {{
        use $crate::simd::{Lanes, Machine};
        let work = $work;
        #[cfg(target_arch = "x86_64")]
        if let Some(machine) = $crate::simd::Avx512::detect() {
            machine.f32().enter(work)
        } else if let Some(machine) = $crate::simd::Avx2::detect() {
            machine.f32().enter(work)
        } else {
            $crate::simd::Portable.f32().enter(work)
        }
        #[cfg(not(target_arch = "x86_64"))]
        $crate::simd::Portable.f32().enter(work)
    }};
}
pub(crate) use on_best_f32;

/// Lanes of one host float on one machine.
pub(crate) trait Lanes: Copy + Send + Sync {
    type Number: Number;
    type V: Copy;
    /// A truth per lane.
    type M: Copy;
    /// How many; a multiple of four.
    const LANES: usize;
    /// True if `mul_add` rounds once even where `a b` is not exact.
    const FUSES: bool = true;

    /// Runs a loop with the machine's instructions enabled.
    fn enter<W: Work<Self>>(self, work: W) -> W::Out;
    fn splat(self, x: Self::Number) -> Self::V;
    /// The first numbers of a slice.
    fn load(self, from: &[Self::Number]) -> Self::V;
    fn store(self, x: Self::V, to: &mut [Self::Number]);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c` where `a b` is exact, so that fusing changes nothing.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a b` where `a b` is exact.
    fn negated_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The lesser; `b` where `a` is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The greater; `b` where `a` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The integer toward zero of lanes below 2^62.
    fn truncate(self, a: Self::V) -> Self::V;
    /// The integer toward minus infinity of lanes below 2^62.
    fn floor(self, a: Self::V) -> Self::V;

    fn and(self, a: Self::V, b: Self::V) -> Self::V;
    fn or(self, a: Self::V, b: Self::V) -> Self::V;
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// Sum of the lanes' bits as integers.
    fn add_bits(self, a: Self::V, b: Self::V) -> Self::V;
    /// Difference of the lanes' bits as integers.
    fn sub_bits(self, a: Self::V, b: Self::V) -> Self::V;
    /// The lanes' bits shifted toward the top.
    fn shift_left(self, a: Self::V, by: u32) -> Self::V;
    /// The lanes' bits shifted toward the bottom, zeros entering.
    fn shift_right(self, a: Self::V, by: u32) -> Self::V;

    /// `a < b`, false for NaN.
    fn less(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a <= b`, false for NaN.
    fn at_most(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a != b`, false for NaN.
    fn differ(self, a: Self::V, b: Self::V) -> Self::M;
    fn both(self, a: Self::M, b: Self::M) -> Self::M;
    fn not(self, a: Self::M) -> Self::M;
    fn any(self, mask: Self::M) -> bool;
    /// Per lane `yes` where `mask` holds, else `no`.
    fn select(self, mask: Self::M, yes: Self::V, no: Self::V) -> Self::V;
    /// Per lane `yes` where the sign bit of `x` is set, else `no`.
    fn select_negative(self, x: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// `x` where `mask` holds, else +0.
    fn keep(self, mask: Self::M, x: Self::V) -> Self::V;
    /// `counts` as integers, one more where `mask` holds.
    fn tally(self, counts: Self::V, mask: Self::M) -> Self::V;
    /// The lanes' bits as integers.
    fn bits(self, x: Self::V) -> impl Iterator<Item = u64>;
    /// The top `bits` bits of the words of [`systole_isa::entropy::mix`], as integers: four
    /// lanes to a position.
    fn draw(self, positions: &[Block], addition: &Block, bits: u32) -> Self::V;

    /// `a b + c` toward zero, where `a b` is exact.
    #[inline(always)]
    fn toward_zero(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let (sum, _, back) = sum_and_error(self, self.mul(a, b), c);
        self.sub_bits(sum, back)
    }
    /// `a b + c` rounded to odd: toward zero, and the last bit set if anything was lost.
    #[inline(always)]
    fn odd(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let (sum, inexact, back) = sum_and_error(self, self.mul(a, b), c);
        self.or(self.sub_bits(sum, back), inexact)
    }
    /// A stand-in for `a b + c` that rounds toward minus infinity as it does, wherever two bits
    /// or more are dropped.
    #[inline(always)]
    fn down(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.odd(a, b, c)
    }
    /// The like toward plus infinity.
    #[inline(always)]
    fn up(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.odd(a, b, c)
    }
}

/// Integers in pairs of binary32 lanes.
pub(crate) trait Pairs: Lanes<Number = f32> {
    /// Product of the even lanes' bits as integers, its upper half in the odd lanes.
    fn multiply_even(self, a: Self::V, b: Self::V) -> Self::V;
    /// The odd lanes' bits in the even lanes, zeros in the odd ones.
    fn odd_to_even(self, a: Self::V) -> Self::V;
}

/// The nearest sum and its error, which is exact (TwoSum: Moller 1965, Knuth).
#[inline(always)]
pub(crate) fn two_sum<L: Lanes>(s: L, x: L::V, y: L::V) -> (L::V, L::V) {
    let sum = s.add(x, y);
    let taken = s.sub(sum, y);
    (sum, s.add(s.sub(y, s.sub(sum, taken)), s.sub(x, taken)))
}

/// The nearest sum, one in the last place where it is inexact, and the same where it lies
/// beyond the exact sum, seen from zero.
#[inline(always)]
fn sum_and_error<L: Lanes>(s: L, x: L::V, y: L::V) -> (L::V, L::V, L::V) {
    let (sum, error) = two_sum(s, x, y);
    let zero = s.splat(L::Number::default());
    let inexact = s.keep(s.differ(error, zero), s.splat(L::Number::from_bits(1)));
    let back = s.and(s.shift_right(s.xor(sum, error), L::Number::BITS - 1), inexact);
    (sum, inexact, back)
}
