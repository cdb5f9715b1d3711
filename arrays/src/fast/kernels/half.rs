//! Binary16 arithmetic: one fused multiply-add per 32 MACs, on AVX512-FP16.
//!
//! Exact where the accumulator is binary16 rounded to nearest-even with gradual underflow, products
//! are exact, operands are binary16 numbers and no sum is tiny and inexact: then the instruction
//! computes what the MAC is defined to be. Where sums may overflow to infinity, an infinity or NaN
//! at the end of a span shows that one did; those spans are computed again in binary32, which
//! counts.

use super::super::order::{Knowledge, Way};
use super::super::panels::Half;
use super::super::rounder::Counts;
use super::{Chain, Kernel, Tile};
use crate::simd::{Avx512Fp16, Machine, Number};
use std::ops::Range;

/// The kernel.
pub(in super::super) struct Fma16<'a> {
    pub proof: Avx512Fp16,
    /// Sums of the same mode that are checked.
    pub checked: Chain<'a, <Avx512Fp16 as Machine>::F32>,
    /// True if finite sums beyond the range become infinities, which stay.
    pub overflow_stays: bool,
}

const ROWS: usize = 6;
const VECTORS: usize = 2;
const LANES: usize = 32;
const COLUMNS: usize = LANES * VECTORS;

impl Kernel for Fma16<'_> {
    type Number = Half;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;
    const PAIRED: bool = true;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let sums = &knowledge.inner;
        if sums.bounded && sums.never_tiny && (sums.plain || self.overflow_stays) {
            return Some(Way::Exact);
        }
        let checked = self.checked.way(knowledge)?;
        Some(if self.overflow_stays && sums.plain && sums.never_tiny { Way::Watched } else { checked })
    }

    fn span(&self, way: Way, tile: &Tile<'_, Half>, k: Range<usize>, sums: &mut [Half]) -> Counts {
        let a = &tile.a[2 * k.start * ROWS..2 * k.end * ROWS];
        let b = &tile.b[k.start * COLUMNS..k.end * COLUMNS];
        match way {
            Way::Exact => {
                self.proof.multiply(a, b, sums);
                Counts::default()
            }
            Way::Watched => {
                let before = sums.to_vec();
                self.proof.multiply(a, b, sums);
                if sums.iter().all(|sum| sum.is_finite()) {
                    return Counts::default();
                }
                sums.copy_from_slice(&before);
                self.in_binary32(Way::Checked, a, b, sums)
            }
            Way::Proved | Way::Checked => self.in_binary32(way, a, b, sums),
        }
    }
}

impl Fma16<'_> {
    /// The same sums by the other kernel, a part of the columns after the other.
    fn in_binary32(&self, way: Way, a: &[Half], b: &[Half], sums: &mut [Half]) -> Counts {
        type Other<'a> = Chain<'a, <Avx512Fp16 as Machine>::F32>;
        let (rows, columns) = (<Other<'_> as Kernel>::ROWS, <Other<'_> as Kernel>::COLUMNS);
        let length = b.len() / COLUMNS;
        let number = |half: Half| f32::from_f64(half.to_f64());
        let mut counts = Counts::default();
        let (mut of_a, mut of_b) = (vec![0.0; rows * length], vec![0.0; columns * length]);
        let mut part = vec![0.0; rows * columns];
        for column in (0..COLUMNS).step_by(columns) {
            for (to, from) in of_b.chunks_exact_mut(columns).zip(b.chunks_exact(COLUMNS)) {
                to.iter_mut().zip(&from[column..]).for_each(|(to, &from)| *to = number(from));
            }
            for row in (0..ROWS).step_by(rows) {
                let height = rows.min(ROWS - row);
                for (to, from) in of_a.chunks_exact_mut(rows).zip(a.chunks_exact(2 * ROWS)) {
                    to.fill(0.0);
                    to[..height].iter_mut().zip(from[2 * row..].chunks_exact(2)).for_each(|(to, from)| *to = number(from[0]));
                }
                part.fill(0.0);
                for (part, sums) in part.chunks_exact_mut(columns).zip(sums[row * COLUMNS..].chunks_exact(COLUMNS)).take(height) {
                    part.iter_mut().zip(&sums[column..]).for_each(|(to, &from)| *to = number(from));
                }
                let tile = Tile { a: &of_a, b: &of_b, positions: &[] };
                counts += self.checked.span(way, &tile, 0..length, &mut part);
                for (part, sums) in part.chunks_exact(columns).zip(sums[row * COLUMNS..].chunks_exact_mut(COLUMNS)).take(height) {
                    part.iter().zip(&mut sums[column..]).for_each(|(&from, to)| *to = Half::from_f64(from.into()));
                }
            }
        }
        counts
    }
}

/// The loop itself, beside the kernel whose tile it fills.
pub(in super::super) trait Multiply {
    /// Adds products of pairs of rows' numbers by columns' numbers to `sums`, k ascending.
    fn multiply(self, a: &[Half], b: &[Half], sums: &mut [Half]);
}

impl Multiply for Avx512Fp16 {
    fn multiply(self, a: &[Half], b: &[Half], sums: &mut [Half]) {
        assert!(a.len() / (2 * ROWS) == b.len() / COLUMNS && sums.len() == ROWS * COLUMNS);
        // SAFETY: `self` is the proof of AVX512-FP16.
        unsafe { multiply(a, b, sums) }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn multiply(a: &[Half], b: &[Half], sums: &mut [Half]) {
    use std::arch::asm;
    use std::arch::x86_64::{__m512i, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512};
    // SAFETY: 32 numbers of 16 bits are 64 readable bytes.
    let load = |from: &[Half]| unsafe { _mm512_loadu_si512(from[..LANES].as_ptr().cast()) };
    let mut lanes = [[_mm512_setzero_si512(); VECTORS]; ROWS];
    for (lane, from) in lanes.iter_mut().flatten().zip(sums.chunks_exact(LANES)) {
        *lane = load(from);
    }
    for (a, b) in a.chunks_exact(2 * ROWS).zip(b.chunks_exact(COLUMNS)) {
        let b = [load(b), load(&b[LANES..])];
        for (row, pair) in lanes.iter_mut().zip(a.chunks_exact(2)) {
            // One load that spreads 32 bits is cheaper than one that spreads 16.
            let a = _mm512_set1_epi32(i32::from(pair[1].bits() as i16) << 16 | i32::from(pair[0].bits()));
            for (lane, &b) in row.iter_mut().zip(&b) {
                let mut sum: __m512i = *lane;
                // SAFETY: the caller proved AVX512-FP16; operands are registers.
                unsafe {
                    asm!("vfmadd231ph {sum}, {a}, {b}", sum = inout(zmm_reg) sum, a = in(zmm_reg) a, b = in(zmm_reg) b,
                        options(pure, nomem, nostack, preserves_flags));
                }
                *lane = sum;
            }
        }
    }
    for (&lane, to) in lanes.iter().flatten().zip(sums.chunks_exact_mut(LANES)) {
        // SAFETY: 32 numbers of 16 bits are 64 writable bytes.
        unsafe { _mm512_storeu_si512(to[..LANES].as_mut_ptr().cast(), lane) };
    }
}
