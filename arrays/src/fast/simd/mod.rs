//! Vectors of host floats behind one small interface, and the machines that implement it.
//!
//! A value of type [`Avx2`] exists only where the CPU has the instructions, so holding one is
//! the proof every intrinsic asks for. [`Portable`] is plain Rust that the compiler vectorises
//! for the baseline. Masks are vectors whose lanes are all ones or all zeros.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
pub(super) use portable::Portable;
use systole_isa::entropy::Block;

/// A loop to be compiled for one machine. `run` must be `#[inline(always)]`.
pub(super) trait Work<S> {
    /// What the loop returns.
    type Out;
    fn run(self, simd: S) -> Self::Out;
}

/// Four binary64 lanes.
pub(super) trait Lanes64: Copy + Send + Sync {
    type V: Copy;
    /// Runs a loop with the machine's instructions enabled.
    fn enter<W: Work<Self>>(self, work: W) -> W::Out;
    fn splat(self, x: f64) -> Self::V;
    fn load(self, from: &[f64; 4]) -> Self::V;
    fn store(self, x: Self::V, to: &mut [f64; 4]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c` where `a b` is exact, so that fusing changes nothing.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The lesser; `b` where `a` is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The greater; `b` where `a` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn and(self, a: Self::V, b: Self::V) -> Self::V;
    fn or(self, a: Self::V, b: Self::V) -> Self::V;
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// Mask of `a < b`, false for NaN.
    fn less(self, a: Self::V, b: Self::V) -> Self::V;
    /// Mask of `a <= b`, false for NaN.
    fn at_most(self, a: Self::V, b: Self::V) -> Self::V;
    /// Mask of `a != b`, false for NaN.
    fn differ(self, a: Self::V, b: Self::V) -> Self::V;
    /// The integer toward zero of lanes below 2^62.
    fn truncate(self, a: Self::V) -> Self::V;
    /// The integer toward minus infinity of lanes below 2^62.
    fn floor(self, a: Self::V) -> Self::V;
    /// Per lane `yes` where the top bit of `mask` is set, else `no`.
    fn select(self, mask: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// True if the top bit of any lane is set.
    fn any(self, mask: Self::V) -> bool;
    /// Sum of the lanes' bits as integers.
    fn add_bits(self, a: Self::V, b: Self::V) -> Self::V;
    /// Difference of the lanes' bits as integers.
    fn sub_bits(self, a: Self::V, b: Self::V) -> Self::V;
    /// The lanes' bits shifted toward the top.
    fn shift_left(self, a: Self::V, by: u32) -> Self::V;
    /// The lanes' bits shifted toward the bottom, zeros entering.
    fn shift_right(self, a: Self::V, by: u32) -> Self::V;
    /// The top `bits` bits of the four words of [`systole_isa::entropy::mix`], as numbers.
    fn random(self, position: &Block, addition: &Block, bits: u32) -> Self::V;

    /// The lanes' bits as an array.
    #[inline(always)]
    fn bits(self, x: Self::V) -> [u64; 4] {
        let mut lanes = [0.0; 4];
        self.store(x, &mut lanes);
        lanes.map(f64::to_bits)
    }
}

/// Eight binary32 lanes with a fused multiply-add in hardware.
pub(super) trait Lanes32: Lanes64 {
    type W: Copy;
    fn splat32(self, x: f32) -> Self::W;
    fn load32(self, from: &[f32; 8]) -> Self::W;
    fn store32(self, x: Self::W, to: &mut [f32; 8]);
    /// `a b + c`, rounded once.
    fn fused32(self, a: Self::W, b: Self::W, c: Self::W) -> Self::W;
    /// `c - a b`, rounded once.
    fn fused_negated32(self, a: Self::W, b: Self::W, c: Self::W) -> Self::W;
    fn mul32(self, a: Self::W, b: Self::W) -> Self::W;
    /// The integer toward zero.
    fn truncate32(self, a: Self::W) -> Self::W;
    /// The integer toward minus infinity.
    fn floor32(self, a: Self::W) -> Self::W;
    /// Difference of the lanes' bits as integers.
    fn sub_bits32(self, a: Self::W, b: Self::W) -> Self::W;
    fn sub32(self, a: Self::W, b: Self::W) -> Self::W;
    fn add32(self, a: Self::W, b: Self::W) -> Self::W;
    /// The lesser; `b` where `a` is NaN.
    fn min32(self, a: Self::W, b: Self::W) -> Self::W;
    /// The greater; `b` where `a` is NaN.
    fn max32(self, a: Self::W, b: Self::W) -> Self::W;
    fn and32(self, a: Self::W, b: Self::W) -> Self::W;
    fn or32(self, a: Self::W, b: Self::W) -> Self::W;
    /// Mask of `a < b`, false for NaN.
    fn less32(self, a: Self::W, b: Self::W) -> Self::W;
    /// Mask of `a <= b`, false for NaN.
    fn at_most32(self, a: Self::W, b: Self::W) -> Self::W;
    /// Mask of `a != b`, false for NaN.
    fn differ32(self, a: Self::W, b: Self::W) -> Self::W;
    /// Per lane `yes` where the top bit of `mask` is set, else `no`.
    fn select32(self, mask: Self::W, yes: Self::W, no: Self::W) -> Self::W;
    /// Top bits of the lanes, lane 0 lowest.
    fn mask32(self, mask: Self::W) -> u32;
}
