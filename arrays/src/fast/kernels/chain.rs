//! Chains of products into accumulators narrower than the lanes that carry them: a sum, then a
//! rounding.
//!
//! The sum a b + acc in lanes of P bits is one of three, so that rounding it to p bits equals
//! rounding the exact sum:
//!
//! - exact, where the survey shows that sums span at most P bits;
//! - rounded to nearest, for nearest-even, where product and accumulator have at most p bits each
//!   and P >= 2p + 2 (Figueroa, "When is double rounding innocuous?", 1995). The same holds at the
//!   subnormal quantum Q: acc is a multiple of Q, so a sum that the first rounding could move onto
//!   a tie or off it differs from that tie by at least the last bit of a product of size Q/4 or
//!   more, which is at least 2^(-p-2) Q, while the first rounding moves sums below the smallest
//!   normal, 2^(p-1) Q, by at most 2^(p-1-P) Q;
//! - rounded to odd, or in the mode's own direction.
//!
//! Binary64 lanes take every float and two's complement of up to 50 bits. Binary32 lanes, twice as
//! many, take floats that fit, where nothing is special, overflows, or is tiny and inexact; for
//! nearest-even with innocuous sums they check for all of that. Where overflow is all that the
//! survey cannot rule out, sums are rounded the cheap way and watched, and computed again, checked,
//! if one came near the largest value.

use super::super::order::{Knowledge, Randomness, Way};
use super::super::panels::Carrier;
use super::super::reach::Sums;
use super::super::rounder::{Counts, Mode, Rounder, Tally, power_of_two};
use super::{Kernel, Tile, VECTORS, load, store};
use crate::simd::{Lanes, Number, Work};
use std::ops::Range;
use systole_isa::entropy::Block;
use systole_isa::round::{Rounding, Tininess};

/// True if products are exact in binary32, whatever their own rounding makes of them.
pub(in super::super) fn products_in_binary32(knowledge: &Knowledge) -> bool {
    let Knowledge { products, addend, .. } = knowledge;
    products.lsb >= -149 && products.max.max(addend.max) < power_of_two(126)
}

/// The kernel.
pub(in super::super) struct Chain<'a, L> {
    lanes: L,
    product: Option<&'a Rounder>,
    accumulator: &'a Rounder,
    randomness: &'a Randomness,
    /// True if what lanes sum up by fused multiply-adds rounds as exact sums do.
    fused: bool,
    /// True if sums rounded to nearest round once more as exact ones do.
    innocuous: bool,
}

const ROWS: usize = 4;

impl<'a, L: Lanes> Chain<'a, L> {
    /// The kernel, its sums chosen by what is known of all finite operands; `None` where these
    /// lanes have no room for the formats.
    pub fn new(
        lanes: L,
        product: Option<&'a Rounder>,
        accumulator: &'a Rounder,
        randomness: &'a Randomness,
        exact_product_bits: u32,
        knowledge: &Knowledge,
    ) -> Option<Self> {
        let product_bits = product.map_or(exact_product_bits, |rounder| rounder.precision);
        // Figueroa's condition.
        let innocuous = accumulator.is_nearest_even()
            && accumulator.floating
            && (2..=(L::Number::SIGNIFICAND - 2) / 2).contains(&accumulator.precision)
            && product_bits <= accumulator.precision
            // Sums moved up to the smallest normal value were tiny before rounding, but not after it;
            // without subnormals, half the smallest value is no tie of that grid.
            && ((accumulator.gradual && accumulator.tininess == Tininess::After) || knowledge.inner.never_tiny);
        let fused = innocuous || knowledge.inner.unrounded.is_exact_in::<L::Number>();
        let fits = exact_product_bits <= L::Number::SIGNIFICAND
            && accumulator.fits::<L::Number>()
            && product.is_none_or(|rounder| rounder.fits::<L::Number>() && checks::<L::Number>(rounder));
        fits.then_some(Self { lanes, product, accumulator, randomness, fused, innocuous })
    }

    /// True if sums are checked for specials, overflow and tininess where they may occur.
    pub fn watches(&self) -> bool {
        L::Number::BITS == 64 || self.innocuous
    }

    fn way_in_binary32(&self, knowledge: &Knowledge) -> Option<Way> {
        let sums = &knowledge.inner;
        let accumulator = self.accumulator;
        if !products_in_binary32(knowledge) {
            return None;
        }
        let in_range =
            rounds_all::<f32>(accumulator) || (sums.bounded && sums.reach.max <= power_of_two(accumulator.highest_binade::<f32>()));
        if sums.plain_range() && (in_range || !accumulator.is_nearest_even()) && self.product.is_none() {
            return Some(Way::Proved);
        }
        let tells = sums.never_tiny || checks::<f32>(accumulator);
        let known = Way::of(accumulator, knowledge.addend, sums).is_some() && self.products_known(knowledge);
        let checked = self.innocuous && in_range && tells && known;
        checked.then_some(if self.may_watch(sums) { Way::Watched } else { Way::Checked })
    }

    /// True if overflow is all that keeps sums from the cheap rounding.
    fn may_watch(&self, sums: &Sums) -> bool {
        let rounds = matches!(self.accumulator.rounding, Rounding::Rne | Rounding::Rtz | Rounding::Sr(_));
        rounds && self.accumulator.floating && self.product.is_none() && sums.plain_but_for_overflow()
    }

    /// A product format without NaN would need its own proof.
    fn products_known(&self, knowledge: &Knowledge) -> bool {
        self.product.is_none_or(|p| (p.holds_nan || knowledge.inner.plain) && p.floating)
    }
}

/// True if nearest-even rounds all that the format holds.
fn rounds_all<N: Number>(rounder: &Rounder) -> bool {
    rounder.max < 2.0 * power_of_two(rounder.highest_binade::<N>())
}

/// True if all that is looked at near a format's limits is a number of these lanes.
fn checks<N: Number>(rounder: &Rounder) -> bool {
    let margin = rounder.precision + rounder.rounding.random_bits() + 2 <= N::SIGNIFICAND;
    N::BITS == 64 || (margin && rounder.min_quantum + rounder.precision as i32 > -100 && rounds_all::<N>(rounder))
}

impl<L: Lanes<Number: Carrier>> Kernel for Chain<'_, L> {
    type Number = L::Number;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = L::LANES * VECTORS;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        if L::Number::BITS == 32 {
            return self.way_in_binary32(knowledge);
        }
        let mut way = Way::of(self.accumulator, knowledge.addend, &knowledge.inner)?;
        if way == Way::Checked && self.accumulator.floating && knowledge.inner.plain_range() {
            way = Way::Proved;
        } else if way == Way::Checked && self.may_watch(&knowledge.inner) {
            way = Way::Watched;
        }
        self.products_known(knowledge).then_some(if self.product.is_some() { Way::Checked } else { way })
    }

    fn span(&self, way: Way, tile: &Tile<'_, L::Number>, k: Range<usize>, sums: &mut [L::Number]) -> Counts {
        let a = &tile.a[k.start * ROWS..k.end * ROWS];
        let b = &tile.b[k.start * Self::COLUMNS..k.end * Self::COLUMNS];
        let mut parts = Parts { a, b, first: k.start, positions: tile.positions, sums, kernel: self };
        match way {
            Way::Exact => self.lanes.enter(Exact(parts)),
            Way::Proved => self.proved(parts),
            Way::Checked => self.checked(parts),
            Way::Watched => {
                let before = parts.sums.to_vec();
                if !self.watched(&mut parts) {
                    parts.sums.copy_from_slice(&before);
                    return self.checked(parts);
                }
                Counts::default()
            }
        }
    }
}

impl<L: Lanes<Number: Carrier>> Chain<'_, L> {
    fn proved(&self, mut parts: Parts<'_, L>) -> Counts {
        macro_rules! proved {
            ($mode:ident) => {
                if self.fused {
                    self.lanes.enter(Proved::<L, { Mode::$mode }, true, false>(&mut parts))
                } else {
                    self.lanes.enter(Proved::<L, { Mode::$mode }, false, false>(&mut parts))
                }
            };
        }
        match self.accumulator.rounding {
            Rounding::Rne => proved!(RNE),
            Rounding::Rtz => proved!(RTZ),
            Rounding::Rdn => proved!(RDN),
            Rounding::Rup => proved!(RUP),
            Rounding::Rmm => proved!(RMM),
            Rounding::Rod => proved!(ROD),
            Rounding::Sr(_) => proved!(SR),
        };
        Counts::default()
    }

    /// True if no sum came near the largest value; else sums are not to be used.
    fn watched(&self, parts: &mut Parts<'_, L>) -> bool {
        match self.accumulator.rounding {
            Rounding::Rtz => self.lanes.enter(Proved::<L, { Mode::RTZ }, false, true>(parts)),
            Rounding::Sr(_) => self.lanes.enter(Proved::<L, { Mode::SR }, false, true>(parts)),
            _ if self.fused => self.lanes.enter(Proved::<L, { Mode::RNE }, true, true>(parts)),
            _ => self.lanes.enter(Proved::<L, { Mode::RNE }, false, true>(parts)),
        }
    }

    fn checked(&self, parts: Parts<'_, L>) -> Counts {
        let s = self.lanes;
        match (self.accumulator.is_nearest_even(), self.fused, self.product.is_some()) {
            (true, true, false) => s.enter(Checked::<L, true, true, false>(parts)),
            (true, false, false) => s.enter(Checked::<L, true, false, false>(parts)),
            (true, _, true) => s.enter(Checked::<L, true, false, true>(parts)),
            (false, true, false) => s.enter(Checked::<L, false, true, false>(parts)),
            (false, false, false) => s.enter(Checked::<L, false, false, false>(parts)),
            (false, _, true) => s.enter(Checked::<L, false, false, true>(parts)),
        }
    }
}

struct Parts<'a, L: Lanes> {
    a: &'a [L::Number],
    b: &'a [L::Number],
    /// k of the first product.
    first: usize,
    positions: &'a [Block],
    sums: &'a mut [L::Number],
    kernel: &'a Chain<'a, L>,
}

/// Sums that need no rounding.
struct Exact<'a, L: Lanes>(Parts<'a, L>);

impl<L: Lanes> Work<L> for Exact<'_, L> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: L) -> Counts {
        let Parts { a, b, sums, .. } = self.0;
        walk(s, a, b, sums, |_, _, a, b, sum| s.mul_add(a, b, sum));
        Counts::default()
    }
}

/// [`Rounder::proved`] in one mode; `FUSED`: sums by fused multiply-adds; `WATCHED`: answers whether
/// all sums stayed below the binade of the largest value.
struct Proved<'p, 'a, L: Lanes, const MODE: u8, const FUSED: bool, const WATCHED: bool>(&'p mut Parts<'a, L>);

impl<L: Lanes, const MODE: u8, const FUSED: bool, const WATCHED: bool> Work<L> for Proved<'_, '_, L, MODE, FUSED, WATCHED> {
    type Out = bool;

    #[inline(always)]
    fn run(self, s: L) -> bool {
        let Parts { a, b, first, positions, sums, kernel } = self.0;
        let (first, positions, kernel) = (*first, *positions, *kernel);
        let rounder = kernel.accumulator;
        let constants = rounder.constants(s);
        let bits = kernel.randomness.bits;
        let mut peaks = [constants.zero; VECTORS];
        let positions = if MODE == Mode::SR { &positions[..ROWS * VECTORS * L::LANES / 4] } else { positions };
        walk(s, a, b, sums, |k, place, a, b, accumulator| {
            let sum = if FUSED {
                s.mul_add(a, b, accumulator)
            } else {
                match MODE {
                    Mode::RTZ | Mode::RMM | Mode::SR => s.toward_zero(a, b, accumulator),
                    Mode::RDN => s.down(a, b, accumulator),
                    Mode::RUP => s.up(a, b, accumulator),
                    _ => s.odd(a, b, accumulator),
                }
            };
            let sum = if MODE == Mode::RDN { rounder.cancelled(s, &constants, sum, accumulator, s.mul(a, b)) } else { sum };
            if WATCHED {
                let peak = &mut peaks[place % VECTORS];
                *peak = s.max(*peak, rounder.binade(s, &constants, sum));
            }
            let random = if MODE == Mode::SR { draw(s, positions, place, &kernel.randomness.accumulate[first + k], bits) } else { sum };
            rounder.proved::<L, MODE>(s, &constants, sum, random)
        });
        WATCHED && peaks.iter().all(|&peak| !s.any(s.not(s.less(peak, rounder.top_binade(s)))))
    }
}

/// [`Rounder::checked`]; `FUSED`: sums by fused multiply-adds; `ROUNDED`: products are rounded
/// first.
struct Checked<'a, L: Lanes, const NEAREST: bool, const FUSED: bool, const ROUNDED: bool>(Parts<'a, L>);

impl<L: Lanes, const NEAREST: bool, const FUSED: bool, const ROUNDED: bool> Work<L> for Checked<'_, L, NEAREST, FUSED, ROUNDED> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: L) -> Counts {
        let Parts { a, b, first, positions, sums, kernel } = self.0;
        let rounder = kernel.accumulator;
        let constants = rounder.constants(s);
        let product_rounder = kernel.product.unwrap_or(rounder);
        let product_constants = product_rounder.constants(s);
        let random = kernel.randomness;
        let mut tally = Tally::new(s);
        let draw = |additions: &[Block], place, k| {
            if NEAREST || random.bits == 0 { constants.zero } else { draw(s, positions, place, &additions[k], random.bits) }
        };
        walk(s, a, b, sums, |k, place, a, b, accumulator| {
            let k = first + k;
            let accumulate = draw(&random.accumulate, place, k);
            if ROUNDED {
                let of_product = draw(&random.product, place, k);
                let product = product_rounder.checked_sum::<L, NEAREST>(s, &product_constants, s.mul(a, b), of_product, &mut tally);
                let sum = rounder.sum(s, &constants, accumulator, product);
                return rounder.checked_sum::<L, NEAREST>(s, &constants, sum, accumulate, &mut tally);
            }
            if FUSED && NEAREST {
                let sum = s.mul_add(a, b, accumulator);
                let inexact = |result| {
                    if kernel.innocuous {
                        // acc + a b = result iff a b = result - acc; both sides are exact this low.
                        s.differ(s.negated_mul_add(a, b, s.sub(result, accumulator)), constants.zero)
                    } else {
                        s.differ(result, sum)
                    }
                };
                return rounder.checked::<L, NEAREST>(s, &constants, sum, accumulate, inexact, &mut tally);
            }
            let product = s.mul(a, b);
            let sum = if FUSED {
                rounder.cancelled(s, &constants, s.add(product, accumulator), accumulator, product)
            } else {
                rounder.sum(s, &constants, accumulator, product)
            };
            rounder.checked_sum::<L, NEAREST>(s, &constants, sum, accumulate, &mut tally)
        });
        tally.counts(s)
    }
}

/// Random integers of the roundings of one vector.
#[inline(always)]
fn draw<L: Lanes>(s: L, positions: &[Block], place: usize, addition: &Block, bits: u32) -> L::V {
    s.draw(&positions[place * L::LANES / 4..], addition, bits)
}

/// Every sum of a tile through `step(k, vector of the tile, a, b, sum)`, k ascending.
#[inline(always)]
fn walk<L: Lanes>(
    s: L,
    a: &[L::Number],
    b: &[L::Number],
    sums: &mut [L::Number],
    mut step: impl FnMut(usize, usize, L::V, L::V, L::V) -> L::V,
) {
    let mut lanes = load::<L, ROWS>(s, sums);
    for (k, (a, b)) in a.chunks_exact(ROWS).zip(b.chunks_exact(L::LANES * VECTORS)).enumerate() {
        let b: [L::V; VECTORS] = [s.load(b), s.load(&b[L::LANES..])];
        for (r, (row, &a)) in lanes.iter_mut().zip(a).enumerate() {
            let a = s.splat(a);
            for (v, (lane, &b)) in row.iter_mut().zip(&b).enumerate() {
                *lane = step(k, r * VECTORS + v, a, b, *lane);
            }
        }
    }
    store(s, lanes, sums);
}
