//! Lanes in plain Rust.

use super::{Lanes, Machine, Pairs, Work};
use systole_isa::entropy::{Block, mix};

/// The baseline every machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// Four binary64 lanes, as bits, because masks are no numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F64;

/// Four binary32 lanes: a register of the baseline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32;

impl Machine for Portable {
    const NAME: &'static str = "portable";
    type F32 = F32;
    type F64 = F64;
    fn f32(self) -> F32 {
        F32
    }
    fn f64(self) -> F64 {
        F64
    }
}

macro_rules! lanes {
    ($lanes:ident, $float:ident, $bits:ident, $signed:ident, $count:literal) => {
        impl $lanes {
            #[inline(always)]
            fn zip(a: [$bits; $count], b: [$bits; $count], f: impl Fn($bits, $bits) -> $bits) -> [$bits; $count] {
                let mut out = a;
                for (out, b) in out.iter_mut().zip(b) {
                    *out = f(*out, b);
                }
                out
            }
            #[inline(always)]
            fn floats(a: [$bits; $count], b: [$bits; $count], f: impl Fn($float, $float) -> $float) -> [$bits; $count] {
                Self::zip(a, b, |a, b| f($float::from_bits(a), $float::from_bits(b)).to_bits())
            }
            #[inline(always)]
            fn compare(a: [$bits; $count], b: [$bits; $count], f: impl Fn($float, $float) -> bool) -> [$bits; $count] {
                Self::zip(a, b, |a, b| $bits::from(f($float::from_bits(a), $float::from_bits(b))).wrapping_neg())
            }
        }

        impl Lanes for $lanes {
            type Number = $float;
            type V = [$bits; $count];
            type M = [$bits; $count];
            const LANES: usize = $count;
            const FUSES: bool = false;

            #[inline(always)]
            fn enter<W: Work<Self>>(self, work: W) -> W::Out {
                work.run(self)
            }
            #[inline(always)]
            fn splat(self, x: $float) -> Self::V {
                [x.to_bits(); $count]
            }
            #[inline(always)]
            fn load(self, from: &[$float]) -> Self::V {
                let mut lanes = [0; $count];
                lanes.iter_mut().zip(&from[..$count]).for_each(|(to, from)| *to = from.to_bits());
                lanes
            }
            #[inline(always)]
            fn store(self, x: Self::V, to: &mut [$float]) {
                to[..$count].iter_mut().zip(x).for_each(|(to, x)| *to = $float::from_bits(x));
            }
            #[inline(always)]
            fn add(self, a: Self::V, b: Self::V) -> Self::V {
                Self::floats(a, b, |a, b| a + b)
            }
            #[inline(always)]
            fn sub(self, a: Self::V, b: Self::V) -> Self::V {
                Self::floats(a, b, |a, b| a - b)
            }
            #[inline(always)]
            fn mul(self, a: Self::V, b: Self::V) -> Self::V {
                Self::floats(a, b, |a, b| a * b)
            }
            #[inline(always)]
            fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                self.add(self.mul(a, b), c)
            }
            #[inline(always)]
            fn negated_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                self.sub(c, self.mul(a, b))
            }
            #[inline(always)]
            fn min(self, a: Self::V, b: Self::V) -> Self::V {
                Self::floats(a, b, |a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            fn max(self, a: Self::V, b: Self::V) -> Self::V {
                Self::floats(a, b, |a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            fn truncate(self, a: Self::V) -> Self::V {
                a.map(|x| ($float::from_bits(x) as i64 as $float).to_bits())
            }
            #[inline(always)]
            fn floor(self, a: Self::V) -> Self::V {
                a.map(|x| {
                    let (x, cut) = ($float::from_bits(x), $float::from_bits(x) as i64 as $float);
                    (if cut > x { cut - 1.0 } else { cut }).to_bits()
                })
            }
            #[inline(always)]
            fn and(self, a: Self::V, b: Self::V) -> Self::V {
                Self::zip(a, b, |a, b| a & b)
            }
            #[inline(always)]
            fn or(self, a: Self::V, b: Self::V) -> Self::V {
                Self::zip(a, b, |a, b| a | b)
            }
            #[inline(always)]
            fn xor(self, a: Self::V, b: Self::V) -> Self::V {
                Self::zip(a, b, |a, b| a ^ b)
            }
            #[inline(always)]
            fn add_bits(self, a: Self::V, b: Self::V) -> Self::V {
                Self::zip(a, b, $bits::wrapping_add)
            }
            #[inline(always)]
            fn sub_bits(self, a: Self::V, b: Self::V) -> Self::V {
                Self::zip(a, b, $bits::wrapping_sub)
            }
            #[inline(always)]
            fn shift_left(self, a: Self::V, by: u32) -> Self::V {
                a.map(|x| x << by)
            }
            #[inline(always)]
            fn shift_right(self, a: Self::V, by: u32) -> Self::V {
                a.map(|x| x >> by)
            }
            #[inline(always)]
            fn less(self, a: Self::V, b: Self::V) -> Self::M {
                Self::compare(a, b, |a, b| a < b)
            }
            #[inline(always)]
            fn at_most(self, a: Self::V, b: Self::V) -> Self::M {
                Self::compare(a, b, |a, b| a <= b)
            }
            #[inline(always)]
            #[allow(clippy::double_comparisons, reason = "NaN does not count as different")]
            fn differ(self, a: Self::V, b: Self::V) -> Self::M {
                Self::compare(a, b, |a, b| a < b || a > b)
            }
            #[inline(always)]
            fn both(self, a: Self::M, b: Self::M) -> Self::M {
                self.and(a, b)
            }
            #[inline(always)]
            fn not(self, a: Self::M) -> Self::M {
                a.map(|x| !x)
            }
            #[inline(always)]
            fn any(self, mask: Self::M) -> bool {
                mask.iter().fold(0, |all, m| all | m) != 0
            }
            #[inline(always)]
            fn select(self, mask: Self::M, yes: Self::V, no: Self::V) -> Self::V {
                self.or(self.and(mask, yes), self.and(self.not(mask), no))
            }
            #[inline(always)]
            fn select_negative(self, x: Self::V, yes: Self::V, no: Self::V) -> Self::V {
                self.select(x.map(|x| (x as $signed >> ($bits::BITS - 1)) as $bits), yes, no)
            }
            #[inline(always)]
            fn keep(self, mask: Self::M, x: Self::V) -> Self::V {
                self.and(mask, x)
            }
            #[inline(always)]
            fn tally(self, counts: Self::V, mask: Self::M) -> Self::V {
                self.sub_bits(counts, mask)
            }
            #[inline(always)]
            fn bits(self, x: Self::V) -> impl Iterator<Item = u64> {
                x.into_iter().map(u64::from)
            }
            #[inline(always)]
            fn draw(self, positions: &[Block], addition: &Block, bits: u32) -> Self::V {
                let mut lanes = [0; $count];
                for (lanes, position) in lanes.chunks_exact_mut(4).zip(positions) {
                    lanes.iter_mut().zip(mix(*position, *addition)).for_each(|(lane, word)| *lane = $bits::from(word >> (32 - bits)));
                }
                lanes
            }
        }
    };
}

lanes!(F64, f64, u64, i64, 4);
lanes!(F32, f32, u32, i32, 4);

impl Pairs for F32 {
    #[inline(always)]
    fn multiply_even(self, a: Self::V, b: Self::V) -> Self::V {
        let product = |i: usize| u64::from(a[i & !1]) * u64::from(b[i & !1]);
        std::array::from_fn(|i| (product(i) >> (32 * (i & 1))) as u32)
    }
    #[inline(always)]
    fn odd_to_even(self, a: Self::V) -> Self::V {
        std::array::from_fn(|i| if i % 2 == 0 { a[i + 1] } else { 0 })
    }
}
