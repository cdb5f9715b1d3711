//! AVX2, FMA and AES-NI: every x86-64 server and desktop core since 2013.

use super::{Lanes, Machine, Pairs, Work};
use std::arch::x86_64::*;
use systole_isa::entropy::Block;

/// Proof that this CPU has AVX2, FMA and AES-NI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, if it holds.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("aes")).then_some(Self(()))
    }
}

/// Four binary64 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F64(Avx2);

/// Eight binary32 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32(Avx2);

impl Machine for Avx2 {
    const NAME: &'static str = "avx2";
    type F32 = F32;
    type F64 = F64;
    fn f32(self) -> F32 {
        F32(self)
    }
    fn f64(self) -> F64 {
        F64(self)
    }
}

/// Methods that are a few intrinsics on register operands.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident: $in:ty),*) -> $out:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $in),*) -> $out {
            // SAFETY: `self` exists only on CPUs with AVX2, FMA and AES-NI; operands are registers.
            unsafe { $body }
        }
    )*};
}

const TOWARD_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

/// Four random words.
#[inline(always)]
fn words(_: Avx2, position: &Block, addition: &Block) -> __m128i {
    // SAFETY: AES-NI by the proof; a block is 16 readable bytes.
    unsafe {
        let position = _mm_loadu_si128(position.as_ptr().cast());
        let addition = _mm_loadu_si128(addition.as_ptr().cast());
        _mm_aesenc_si128(_mm_aesenc_si128(_mm_xor_si128(position, addition), position), addition)
    }
}

impl Lanes for F64 {
    type Number = f64;
    type V = __m256d;
    /// All ones or all zeros.
    type M = __m256d;
    const LANES: usize = 4;

    #[inline(always)]
    fn enter<W: Work<Self>>(self, work: W) -> W::Out {
        #[target_feature(enable = "avx2,fma,aes")]
        fn enabled<W: Work<F64>>(lanes: F64, work: W) -> W::Out {
            work.run(lanes)
        }
        // SAFETY: `self` exists only on CPUs with AVX2, FMA and AES-NI.
        unsafe { enabled(self, work) }
    }
    #[inline(always)]
    fn load(self, from: &[f64]) -> __m256d {
        let from = &from[..4];
        // SAFETY: AVX by `self`; `from` is 32 readable bytes.
        unsafe { _mm256_loadu_pd(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256d, to: &mut [f64]) {
        let to = &mut to[..4];
        // SAFETY: AVX by `self`; `to` is 32 writable bytes.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr(), x) }
    }
    intrinsics! {
        splat(x: f64) -> __m256d = _mm256_set1_pd(x);
        add(a: __m256d, b: __m256d) -> __m256d = _mm256_add_pd(a, b);
        sub(a: __m256d, b: __m256d) -> __m256d = _mm256_sub_pd(a, b);
        mul(a: __m256d, b: __m256d) -> __m256d = _mm256_mul_pd(a, b);
        mul_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d = _mm256_fmadd_pd(a, b, c);
        negated_mul_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d = _mm256_fnmadd_pd(a, b, c);
        min(a: __m256d, b: __m256d) -> __m256d = _mm256_min_pd(a, b);
        max(a: __m256d, b: __m256d) -> __m256d = _mm256_max_pd(a, b);
        truncate(a: __m256d) -> __m256d = _mm256_round_pd::<TOWARD_ZERO>(a);
        floor(a: __m256d) -> __m256d = _mm256_round_pd::<DOWN>(a);
        and(a: __m256d, b: __m256d) -> __m256d = _mm256_and_pd(a, b);
        or(a: __m256d, b: __m256d) -> __m256d = _mm256_or_pd(a, b);
        xor(a: __m256d, b: __m256d) -> __m256d = _mm256_xor_pd(a, b);
        add_bits(a: __m256d, b: __m256d) -> __m256d =
            _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
        sub_bits(a: __m256d, b: __m256d) -> __m256d =
            _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
        shift_left(a: __m256d, by: u32) -> __m256d = _mm256_castsi256_pd(_mm256_sll_epi64(_mm256_castpd_si256(a), _mm_cvtsi32_si128(by as i32)));
        shift_right(a: __m256d, by: u32) -> __m256d = _mm256_castsi256_pd(_mm256_srl_epi64(_mm256_castpd_si256(a), _mm_cvtsi32_si128(by as i32)));
        less(a: __m256d, b: __m256d) -> __m256d = _mm256_cmp_pd::<_CMP_LT_OQ>(a, b);
        at_most(a: __m256d, b: __m256d) -> __m256d = _mm256_cmp_pd::<_CMP_LE_OQ>(a, b);
        differ(a: __m256d, b: __m256d) -> __m256d = _mm256_cmp_pd::<_CMP_NEQ_OQ>(a, b);
        both(a: __m256d, b: __m256d) -> __m256d = _mm256_and_pd(a, b);
        not(a: __m256d) -> __m256d = _mm256_xor_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(-1)));
        any(mask: __m256d) -> bool = _mm256_movemask_pd(mask) != 0;
        select(mask: __m256d, yes: __m256d, no: __m256d) -> __m256d = _mm256_blendv_pd(no, yes, mask);
        select_negative(x: __m256d, yes: __m256d, no: __m256d) -> __m256d = _mm256_blendv_pd(no, yes, x);
        keep(mask: __m256d, x: __m256d) -> __m256d = _mm256_and_pd(mask, x);
        tally(counts: __m256d, mask: __m256d) -> __m256d =
            _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_castpd_si256(counts), _mm256_castpd_si256(mask)));
    }
    #[inline(always)]
    fn bits(self, x: __m256d) -> impl Iterator<Item = u64> {
        let mut lanes = [0.0; 4];
        self.store(x, &mut lanes);
        lanes.into_iter().map(f64::to_bits)
    }
    #[inline(always)]
    fn draw(self, positions: &[Block], addition: &Block, bits: u32) -> __m256d {
        let words = words(self.0, &positions[0], addition);
        // SAFETY: AVX2 by `self`.
        unsafe { _mm256_castsi256_pd(_mm256_cvtepu32_epi64(_mm_srl_epi32(words, _mm_cvtsi32_si128(32 - bits as i32)))) }
    }
}

impl Lanes for F32 {
    type Number = f32;
    type V = __m256;
    /// All ones or all zeros.
    type M = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn enter<W: Work<Self>>(self, work: W) -> W::Out {
        #[target_feature(enable = "avx2,fma,aes")]
        fn enabled<W: Work<F32>>(lanes: F32, work: W) -> W::Out {
            work.run(lanes)
        }
        // SAFETY: `self` exists only on CPUs with AVX2, FMA and AES-NI.
        unsafe { enabled(self, work) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        let from = &from[..8];
        // SAFETY: AVX by `self`; `from` is 32 readable bytes.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256, to: &mut [f32]) {
        let to = &mut to[..8];
        // SAFETY: AVX by `self`; `to` is 32 writable bytes.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
    }
    intrinsics! {
        splat(x: f32) -> __m256 = _mm256_set1_ps(x);
        add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        mul_add(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
        negated_mul_add(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fnmadd_ps(a, b, c);
        min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps(a, b);
        max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        truncate(a: __m256) -> __m256 = _mm256_round_ps::<TOWARD_ZERO>(a);
        floor(a: __m256) -> __m256 = _mm256_round_ps::<DOWN>(a);
        and(a: __m256, b: __m256) -> __m256 = _mm256_and_ps(a, b);
        or(a: __m256, b: __m256) -> __m256 = _mm256_or_ps(a, b);
        xor(a: __m256, b: __m256) -> __m256 = _mm256_xor_ps(a, b);
        add_bits(a: __m256, b: __m256) -> __m256 =
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
        sub_bits(a: __m256, b: __m256) -> __m256 =
            _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
        shift_left(a: __m256, by: u32) -> __m256 = _mm256_castsi256_ps(_mm256_sll_epi32(_mm256_castps_si256(a), _mm_cvtsi32_si128(by as i32)));
        shift_right(a: __m256, by: u32) -> __m256 = _mm256_castsi256_ps(_mm256_srl_epi32(_mm256_castps_si256(a), _mm_cvtsi32_si128(by as i32)));
        less(a: __m256, b: __m256) -> __m256 = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
        at_most(a: __m256, b: __m256) -> __m256 = _mm256_cmp_ps::<_CMP_LE_OQ>(a, b);
        differ(a: __m256, b: __m256) -> __m256 = _mm256_cmp_ps::<_CMP_NEQ_OQ>(a, b);
        both(a: __m256, b: __m256) -> __m256 = _mm256_and_ps(a, b);
        not(a: __m256) -> __m256 = _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
        any(mask: __m256) -> bool = _mm256_movemask_ps(mask) != 0;
        select(mask: __m256, yes: __m256, no: __m256) -> __m256 = _mm256_blendv_ps(no, yes, mask);
        select_negative(x: __m256, yes: __m256, no: __m256) -> __m256 = _mm256_blendv_ps(no, yes, x);
        keep(mask: __m256, x: __m256) -> __m256 = _mm256_and_ps(mask, x);
        tally(counts: __m256, mask: __m256) -> __m256 =
            _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(counts), _mm256_castps_si256(mask)));
    }
    #[inline(always)]
    fn bits(self, x: __m256) -> impl Iterator<Item = u64> {
        let mut lanes = [0.0; 8];
        self.store(x, &mut lanes);
        lanes.into_iter().map(|x| x.to_bits().into())
    }
    #[inline(always)]
    fn draw(self, positions: &[Block], addition: &Block, bits: u32) -> __m256 {
        let (low, high) = (words(self.0, &positions[0], addition), words(self.0, &positions[1], addition));
        // SAFETY: AVX2 by `self`.
        unsafe { _mm256_castsi256_ps(_mm256_srl_epi32(_mm256_set_m128i(high, low), _mm_cvtsi32_si128(32 - bits as i32))) }
    }
}

impl Pairs for F32 {
    intrinsics! {
        multiply_even(a: __m256, b: __m256) -> __m256 = _mm256_castsi256_ps(_mm256_mul_epu32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
        odd_to_even(a: __m256) -> __m256 = _mm256_castsi256_ps(_mm256_srli_epi64::<32>(_mm256_castps_si256(a)));
    }
}
