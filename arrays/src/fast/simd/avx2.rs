//! AVX2, FMA and AES-NI: every x86-64 server and desktop core since 2013.

use super::{Lanes32, Lanes64, Work};
use std::arch::x86_64::{
    __m128i, __m256, __m256d, __m256i, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_NEQ_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEG_INF, _MM_FROUND_TO_ZERO,
    _mm_aesenc_si128, _mm_loadu_si128, _mm_set_epi64x, _mm_srl_epi32, _mm_xor_si128, _mm256_add_epi64, _mm256_add_pd, _mm256_add_ps,
    _mm256_and_pd, _mm256_and_ps, _mm256_blendv_pd, _mm256_blendv_ps, _mm256_castpd_si256, _mm256_castps_si256, _mm256_castsi256_pd,
    _mm256_castsi256_ps, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_cvtepu32_epi64, _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_fnmadd_ps,
    _mm256_loadu_pd, _mm256_loadu_ps, _mm256_max_pd, _mm256_max_ps, _mm256_min_pd, _mm256_min_ps, _mm256_movemask_pd, _mm256_movemask_ps,
    _mm256_mul_pd, _mm256_mul_ps, _mm256_or_pd, _mm256_or_ps, _mm256_round_pd, _mm256_round_ps, _mm256_set1_pd, _mm256_set1_ps,
    _mm256_sll_epi64, _mm256_srl_epi64, _mm256_storeu_pd, _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_epi64, _mm256_sub_pd,
    _mm256_sub_ps, _mm256_xor_pd,
};
use systole_isa::entropy::Block;

/// Proof that this CPU has AVX2, FMA and AES-NI.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Avx2(());

impl Avx2 {
    /// The proof, if it holds.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("aes")).then_some(Self(()))
    }
}

/// Methods that are one intrinsic on register operands.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident),*) in $v:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $v),*) -> $v {
            // SAFETY: `self` exists only on CPUs with AVX2, FMA and AES-NI; operands are registers.
            unsafe { $body }
        }
    )*};
}

/// 2^52: the binade whose unit is 1.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

impl Lanes64 for Avx2 {
    type V = __m256d;

    #[inline(always)]
    fn enter<W: Work<Self>>(self, work: W) -> W::Out {
        #[target_feature(enable = "avx2,fma,aes")]
        fn enabled<W: Work<Avx2>>(simd: Avx2, work: W) -> W::Out {
            work.run(simd)
        }
        // SAFETY: `self` exists only on CPUs with AVX2, FMA and AES-NI.
        unsafe { enabled(self, work) }
    }
    #[inline(always)]
    fn load(self, from: &[f64; 4]) -> __m256d {
        // SAFETY: AVX by `self`; `from` is 32 readable bytes.
        unsafe { _mm256_loadu_pd(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256d, to: &mut [f64; 4]) {
        // SAFETY: AVX by `self`; `to` is 32 writable bytes.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn splat(self, x: f64) -> __m256d {
        // SAFETY: AVX by `self`.
        unsafe { _mm256_set1_pd(x) }
    }
    intrinsics! {
        add(a, b) in __m256d = _mm256_add_pd(a, b);
        sub(a, b) in __m256d = _mm256_sub_pd(a, b);
        mul(a, b) in __m256d = _mm256_mul_pd(a, b);
        mul_add(a, b, c) in __m256d = _mm256_fmadd_pd(a, b, c);
        min(a, b) in __m256d = _mm256_min_pd(a, b);
        max(a, b) in __m256d = _mm256_max_pd(a, b);
        and(a, b) in __m256d = _mm256_and_pd(a, b);
        or(a, b) in __m256d = _mm256_or_pd(a, b);
        xor(a, b) in __m256d = _mm256_xor_pd(a, b);
        less(a, b) in __m256d = _mm256_cmp_pd::<_CMP_LT_OQ>(a, b);
        at_most(a, b) in __m256d = _mm256_cmp_pd::<_CMP_LE_OQ>(a, b);
        differ(a, b) in __m256d = _mm256_cmp_pd::<_CMP_NEQ_OQ>(a, b);
        truncate(a) in __m256d = _mm256_round_pd::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(a);
        floor(a) in __m256d = _mm256_round_pd::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a);
        select(mask, yes, no) in __m256d = _mm256_blendv_pd(no, yes, mask);
        add_bits(a, b) in __m256d = _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
        sub_bits(a, b) in __m256d = _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)));
    }
    #[inline(always)]
    fn any(self, mask: __m256d) -> bool {
        // SAFETY: AVX by `self`.
        unsafe { _mm256_movemask_pd(mask) != 0 }
    }
    #[inline(always)]
    fn shift_left(self, a: __m256d, by: u32) -> __m256d {
        // SAFETY: AVX2 by `self`.
        unsafe { _mm256_castsi256_pd(_mm256_sll_epi64(_mm256_castpd_si256(a), _mm_set_epi64x(0, i64::from(by)))) }
    }
    #[inline(always)]
    fn shift_right(self, a: __m256d, by: u32) -> __m256d {
        // SAFETY: AVX2 by `self`.
        unsafe { _mm256_castsi256_pd(_mm256_srl_epi64(_mm256_castpd_si256(a), _mm_set_epi64x(0, i64::from(by)))) }
    }
    #[inline(always)]
    fn random(self, position: &Block, addition: &Block, bits: u32) -> __m256d {
        // SAFETY: AVX2 and AES-NI by `self`; a block is 16 readable bytes.
        unsafe {
            let position = _mm_loadu_si128(position.as_ptr().cast::<__m128i>());
            let addition = _mm_loadu_si128(addition.as_ptr().cast::<__m128i>());
            let mixed = _mm_aesenc_si128(_mm_aesenc_si128(_mm_xor_si128(position, addition), position), addition);
            let words = _mm_srl_epi32(mixed, _mm_set_epi64x(0, i64::from(32 - bits)));
            // A word below 2^52 in the fraction of 2^52 is 2^52 + word.
            let wide: __m256i = _mm256_cvtepu32_epi64(words);
            let unit = _mm256_set1_pd(INTEGERS);
            _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(wide), unit), unit)
        }
    }
}

impl Lanes32 for Avx2 {
    type W = __m256;

    #[inline(always)]
    fn load32(self, from: &[f32; 8]) -> __m256 {
        // SAFETY: AVX by `self`; `from` is 32 readable bytes.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store32(self, x: __m256, to: &mut [f32; 8]) {
        // SAFETY: AVX by `self`; `to` is 32 writable bytes.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn splat32(self, x: f32) -> __m256 {
        // SAFETY: AVX by `self`.
        unsafe { _mm256_set1_ps(x) }
    }
    intrinsics! {
        fused32(a, b, c) in __m256 = _mm256_fmadd_ps(a, b, c);
        fused_negated32(a, b, c) in __m256 = _mm256_fnmadd_ps(a, b, c);
        add32(a, b) in __m256 = _mm256_add_ps(a, b);
        mul32(a, b) in __m256 = _mm256_mul_ps(a, b);
        truncate32(a) in __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(a);
        floor32(a) in __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a);
        sub_bits32(a, b) in __m256 = _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
        sub32(a, b) in __m256 = _mm256_sub_ps(a, b);
        min32(a, b) in __m256 = _mm256_min_ps(a, b);
        max32(a, b) in __m256 = _mm256_max_ps(a, b);
        and32(a, b) in __m256 = _mm256_and_ps(a, b);
        or32(a, b) in __m256 = _mm256_or_ps(a, b);
        less32(a, b) in __m256 = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
        at_most32(a, b) in __m256 = _mm256_cmp_ps::<_CMP_LE_OQ>(a, b);
        differ32(a, b) in __m256 = _mm256_cmp_ps::<_CMP_NEQ_OQ>(a, b);
        select32(mask, yes, no) in __m256 = _mm256_blendv_ps(no, yes, mask);
    }
    #[inline(always)]
    fn mask32(self, mask: __m256) -> u32 {
        // SAFETY: AVX by `self`.
        unsafe { _mm256_movemask_ps(mask) as u32 }
    }
}
