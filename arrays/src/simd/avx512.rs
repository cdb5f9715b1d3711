//! AVX-512 with its byte, doubleword, short-vector and AES extensions: Ice Lake and Zen 4 on.

use super::{Lanes, Machine, Pairs, Work};
use std::arch::x86_64::*;
use systole_isa::entropy::Block;

/// Proof that this CPU has AVX512F, BW, DQ and VL, VAES, FMA and AES-NI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The proof, if it holds.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("aes"))
        .then_some(Self(()))
    }
}

/// Proof that this CPU has AVX512-FP16 as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Fp16(Avx512);

impl Avx512Fp16 {
    /// The proof, if it holds.
    pub fn detect() -> Option<Self> {
        Avx512::detect().filter(|_| is_x86_feature_detected!("avx512fp16")).map(Self)
    }
}

impl Machine for Avx512Fp16 {
    const NAME: &'static str = Avx512::NAME;
    type F32 = F32;
    type F64 = F64;
    fn f32(self) -> F32 {
        self.0.f32()
    }
    fn f64(self) -> F64 {
        self.0.f64()
    }
}

/// Eight binary64 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F64(());

/// Sixteen binary32 lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32(());

impl Machine for Avx512 {
    const NAME: &'static str = "avx512";
    type F32 = F32;
    type F64 = F64;
    fn f32(self) -> F32 {
        F32(())
    }
    fn f64(self) -> F64 {
        F64(())
    }
}

/// Methods that are a few intrinsics on register operands.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident: $in:ty),*) -> $out:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $in),*) -> $out {
            // SAFETY: `self` comes from a proof of every extension used here; operands are registers.
            unsafe { $body }
        }
    )*};
}

const TOWARD_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
const UP: i32 = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC;

impl Lanes for F64 {
    type Number = f64;
    type V = __m512d;
    type M = __mmask8;
    const LANES: usize = 8;

    #[inline(always)]
    fn enter<W: Work<Self>>(self, work: W) -> W::Out {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,fma,aes")]
        fn enabled<W: Work<F64>>(lanes: F64, work: W) -> W::Out {
            work.run(lanes)
        }
        // SAFETY: `self` comes from a proof of these extensions.
        unsafe { enabled(self, work) }
    }
    #[inline(always)]
    fn load(self, from: &[f64]) -> __m512d {
        let from = &from[..8];
        // SAFETY: AVX512F by `self`; `from` is 64 readable bytes.
        unsafe { _mm512_loadu_pd(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m512d, to: &mut [f64]) {
        let to = &mut to[..8];
        // SAFETY: AVX512F by `self`; `to` is 64 writable bytes.
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), x) }
    }
    intrinsics! {
        splat(x: f64) -> __m512d = _mm512_set1_pd(x);
        add(a: __m512d, b: __m512d) -> __m512d = _mm512_add_pd(a, b);
        sub(a: __m512d, b: __m512d) -> __m512d = _mm512_sub_pd(a, b);
        mul(a: __m512d, b: __m512d) -> __m512d = _mm512_mul_pd(a, b);
        mul_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d = _mm512_fmadd_pd(a, b, c);
        negated_mul_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d = _mm512_fnmadd_pd(a, b, c);
        min(a: __m512d, b: __m512d) -> __m512d = _mm512_min_pd(a, b);
        max(a: __m512d, b: __m512d) -> __m512d = _mm512_max_pd(a, b);
        truncate(a: __m512d) -> __m512d = _mm512_roundscale_pd::<TOWARD_ZERO>(a);
        floor(a: __m512d) -> __m512d = _mm512_roundscale_pd::<DOWN>(a);
        and(a: __m512d, b: __m512d) -> __m512d = _mm512_and_pd(a, b);
        or(a: __m512d, b: __m512d) -> __m512d = _mm512_or_pd(a, b);
        xor(a: __m512d, b: __m512d) -> __m512d = _mm512_xor_pd(a, b);
        add_bits(a: __m512d, b: __m512d) -> __m512d =
            _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
        sub_bits(a: __m512d, b: __m512d) -> __m512d =
            _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
        shift_left(a: __m512d, by: u32) -> __m512d =
            _mm512_castsi512_pd(_mm512_sll_epi64(_mm512_castpd_si512(a), _mm_cvtsi32_si128(by as i32)));
        shift_right(a: __m512d, by: u32) -> __m512d =
            _mm512_castsi512_pd(_mm512_srl_epi64(_mm512_castpd_si512(a), _mm_cvtsi32_si128(by as i32)));
        less(a: __m512d, b: __m512d) -> __mmask8 = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b);
        at_most(a: __m512d, b: __m512d) -> __mmask8 = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(a, b);
        differ(a: __m512d, b: __m512d) -> __mmask8 = _mm512_cmp_pd_mask::<_CMP_NEQ_OQ>(a, b);
        select(mask: __mmask8, yes: __m512d, no: __m512d) -> __m512d = _mm512_mask_blend_pd(mask, no, yes);
        select_negative(x: __m512d, yes: __m512d, no: __m512d) -> __m512d =
            _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(x)), no, yes);
        keep(mask: __mmask8, x: __m512d) -> __m512d = _mm512_maskz_mov_pd(mask, x);
        tally(counts: __m512d, mask: __mmask8) -> __m512d = {
            let counts = _mm512_castpd_si512(counts);
            _mm512_castsi512_pd(_mm512_mask_add_epi64(counts, mask, counts, _mm512_set1_epi64(1)))
        };
        toward_zero(a: __m512d, b: __m512d, c: __m512d) -> __m512d = _mm512_fmadd_round_pd::<TOWARD_ZERO>(a, b, c);
        down(a: __m512d, b: __m512d, c: __m512d) -> __m512d = _mm512_fmadd_round_pd::<DOWN>(a, b, c);
        up(a: __m512d, b: __m512d, c: __m512d) -> __m512d = _mm512_fmadd_round_pd::<UP>(a, b, c);
        odd(a: __m512d, b: __m512d, c: __m512d) -> __m512d = {
            // Neighbours or equal: the odd one, or the upper, so that what cancels is +0.
            let down = _mm512_fmadd_round_pd::<DOWN>(a, b, c);
            let is_odd = _mm512_test_epi64_mask(_mm512_castpd_si512(down), _mm512_set1_epi64(1));
            _mm512_mask_blend_pd(is_odd, _mm512_fmadd_round_pd::<UP>(a, b, c), down)
        };
    }
    #[inline(always)]
    fn both(self, a: __mmask8, b: __mmask8) -> __mmask8 {
        a & b
    }
    #[inline(always)]
    fn not(self, a: __mmask8) -> __mmask8 {
        !a
    }
    #[inline(always)]
    fn any(self, mask: __mmask8) -> bool {
        mask != 0
    }
    #[inline(always)]
    fn bits(self, x: __m512d) -> impl Iterator<Item = u64> {
        let mut lanes = [0.0; 8];
        self.store(x, &mut lanes);
        lanes.into_iter().map(f64::to_bits)
    }
    #[inline(always)]
    fn draw(self, positions: &[Block], addition: &Block, bits: u32) -> __m512d {
        let positions = &positions[..2];
        // SAFETY: VAES and AVX512VL by the proof; two blocks are 32 readable bytes.
        unsafe {
            let position = _mm256_loadu_si256(positions.as_ptr().cast());
            let addition = _mm256_broadcastsi128_si256(_mm_loadu_si128(addition.as_ptr().cast()));
            let first = _mm256_aesenc_epi128(_mm256_xor_si256(position, addition), position);
            let words = _mm256_srl_epi32(_mm256_aesenc_epi128(first, addition), _mm_cvtsi32_si128(32 - bits as i32));
            _mm512_castsi512_pd(_mm512_cvtepu32_epi64(words))
        }
    }
}

impl Lanes for F32 {
    type Number = f32;
    type V = __m512;
    type M = __mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    fn enter<W: Work<Self>>(self, work: W) -> W::Out {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,vaes,fma,aes")]
        fn enabled<W: Work<F32>>(lanes: F32, work: W) -> W::Out {
            work.run(lanes)
        }
        // SAFETY: `self` comes from a proof of these extensions.
        unsafe { enabled(self, work) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: AVX512F by `self`; `from` is 64 readable bytes.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: AVX512F by `self`; `to` is 64 writable bytes.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    intrinsics! {
        splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        negated_mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fnmadd_ps(a, b, c);
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        truncate(a: __m512) -> __m512 = _mm512_roundscale_ps::<TOWARD_ZERO>(a);
        floor(a: __m512) -> __m512 = _mm512_roundscale_ps::<DOWN>(a);
        and(a: __m512, b: __m512) -> __m512 = _mm512_and_ps(a, b);
        or(a: __m512, b: __m512) -> __m512 = _mm512_or_ps(a, b);
        xor(a: __m512, b: __m512) -> __m512 = _mm512_xor_ps(a, b);
        add_bits(a: __m512, b: __m512) -> __m512 =
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
        sub_bits(a: __m512, b: __m512) -> __m512 =
            _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
        shift_left(a: __m512, by: u32) -> __m512 =
            _mm512_castsi512_ps(_mm512_sll_epi32(_mm512_castps_si512(a), _mm_cvtsi32_si128(by as i32)));
        shift_right(a: __m512, by: u32) -> __m512 =
            _mm512_castsi512_ps(_mm512_srl_epi32(_mm512_castps_si512(a), _mm_cvtsi32_si128(by as i32)));
        less(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        at_most(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b);
        differ(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_NEQ_OQ>(a, b);
        select(mask: __mmask16, yes: __m512, no: __m512) -> __m512 = _mm512_mask_blend_ps(mask, no, yes);
        select_negative(x: __m512, yes: __m512, no: __m512) -> __m512 =
            _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), no, yes);
        keep(mask: __mmask16, x: __m512) -> __m512 = _mm512_maskz_mov_ps(mask, x);
        tally(counts: __m512, mask: __mmask16) -> __m512 = {
            let counts = _mm512_castps_si512(counts);
            _mm512_castsi512_ps(_mm512_mask_add_epi32(counts, mask, counts, _mm512_set1_epi32(1)))
        };
        toward_zero(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_round_ps::<TOWARD_ZERO>(a, b, c);
        down(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_round_ps::<DOWN>(a, b, c);
        up(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_round_ps::<UP>(a, b, c);
        odd(a: __m512, b: __m512, c: __m512) -> __m512 = {
            // Neighbours or equal: the odd one, or the upper, so that what cancels is +0.
            let down = _mm512_fmadd_round_ps::<DOWN>(a, b, c);
            let is_odd = _mm512_test_epi32_mask(_mm512_castps_si512(down), _mm512_set1_epi32(1));
            _mm512_mask_blend_ps(is_odd, _mm512_fmadd_round_ps::<UP>(a, b, c), down)
        };
    }
    #[inline(always)]
    fn both(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a & b
    }
    #[inline(always)]
    fn not(self, a: __mmask16) -> __mmask16 {
        !a
    }
    #[inline(always)]
    fn any(self, mask: __mmask16) -> bool {
        mask != 0
    }
    #[inline(always)]
    fn bits(self, x: __m512) -> impl Iterator<Item = u64> {
        let mut lanes = [0.0; 16];
        self.store(x, &mut lanes);
        lanes.into_iter().map(|x| x.to_bits().into())
    }
    #[inline(always)]
    fn draw(self, positions: &[Block], addition: &Block, bits: u32) -> __m512 {
        let positions = &positions[..4];
        // SAFETY: VAES and AVX512F by the proof; four blocks are 64 readable bytes.
        unsafe {
            let position = _mm512_loadu_si512(positions.as_ptr().cast());
            let addition = _mm512_broadcast_i32x4(_mm_loadu_si128(addition.as_ptr().cast()));
            let first = _mm512_aesenc_epi128(_mm512_xor_si512(position, addition), position);
            let words = _mm512_aesenc_epi128(first, addition);
            _mm512_castsi512_ps(_mm512_srl_epi32(words, _mm_cvtsi32_si128(32 - bits as i32)))
        }
    }
}

impl Pairs for F32 {
    intrinsics! {
        multiply_even(a: __m512, b: __m512) -> __m512 = _mm512_castsi512_ps(_mm512_mul_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
        odd_to_even(a: __m512) -> __m512 = _mm512_castsi512_ps(_mm512_srli_epi64::<32>(_mm512_castps_si512(a)));
    }
}
