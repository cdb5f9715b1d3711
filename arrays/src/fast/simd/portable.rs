//! Four lanes in plain Rust.

use super::{Lanes64, Work};
use systole_isa::entropy::{Block, mix};

/// The baseline every machine has.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Portable;

/// Lanes as bits, because masks are no numbers.
type V = [u64; 4];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(u64, u64) -> u64) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

#[inline(always)]
fn zip_floats(a: V, b: V, f: impl Fn(f64, f64) -> f64) -> V {
    zip(a, b, |a, b| f(f64::from_bits(a), f64::from_bits(b)).to_bits())
}

#[inline(always)]
fn compare(a: V, b: V, f: impl Fn(f64, f64) -> bool) -> V {
    zip(a, b, |a, b| 0u64.wrapping_sub(u64::from(f(f64::from_bits(a), f64::from_bits(b)))))
}

impl Lanes64 for Portable {
    type V = V;

    #[inline(always)]
    fn enter<W: Work<Self>>(self, work: W) -> W::Out {
        work.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f64) -> V {
        [x.to_bits(); 4]
    }
    #[inline(always)]
    fn load(self, from: &[f64; 4]) -> V {
        from.map(f64::to_bits)
    }
    #[inline(always)]
    fn store(self, x: V, to: &mut [f64; 4]) {
        *to = x.map(f64::from_bits);
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip_floats(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip_floats(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip_floats(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        zip_floats(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        zip_floats(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn and(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn xor(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn less(self, a: V, b: V) -> V {
        compare(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn at_most(self, a: V, b: V) -> V {
        compare(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    #[allow(clippy::double_comparisons, reason = "NaN does not count as different")]
    fn differ(self, a: V, b: V) -> V {
        compare(a, b, |a, b| a < b || a > b)
    }
    #[inline(always)]
    fn truncate(self, a: V) -> V {
        a.map(|x| ((f64::from_bits(x) as i64) as f64).to_bits())
    }
    #[inline(always)]
    fn floor(self, a: V) -> V {
        a.map(|x| {
            let (x, cut) = (f64::from_bits(x), (f64::from_bits(x) as i64) as f64);
            (if cut > x { cut - 1.0 } else { cut }).to_bits()
        })
    }
    #[inline(always)]
    fn select(self, mask: V, yes: V, no: V) -> V {
        let wide = mask.map(|m| ((m as i64) >> 63) as u64);
        [0, 1, 2, 3].map(|i| yes[i] & wide[i] | no[i] & !wide[i])
    }
    #[inline(always)]
    fn any(self, mask: V) -> bool {
        (mask[0] | mask[1] | mask[2] | mask[3]) >> 63 == 1
    }
    #[inline(always)]
    fn add_bits(self, a: V, b: V) -> V {
        zip(a, b, u64::wrapping_add)
    }
    #[inline(always)]
    fn sub_bits(self, a: V, b: V) -> V {
        zip(a, b, u64::wrapping_sub)
    }
    #[inline(always)]
    fn shift_left(self, a: V, by: u32) -> V {
        a.map(|x| x << by)
    }
    #[inline(always)]
    fn shift_right(self, a: V, by: u32) -> V {
        a.map(|x| x >> by)
    }
    #[inline(always)]
    fn random(self, position: &Block, addition: &Block, bits: u32) -> V {
        mix(*position, *addition).map(|word| f64::from(word >> (32 - bits)).to_bits())
    }
}
