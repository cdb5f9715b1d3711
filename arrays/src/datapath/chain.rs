//! The order of sums: how one output's products meet, as every dataflow walks it.

use super::Mac;
use systole_isa::device::Activity;
use systole_isa::entropy::{Site, Stage};
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Overflow, Policy, encode_decoded};

/// How the outermost sum becomes an output code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Format of the result.
    pub format: Format,
    /// Rounding, overflow, stand-in for infinity.
    pub policy: Policy,
}

impl Output {
    /// True if results leaving an accumulator of format `from` pass a converter. Accumulators
    /// hold canonical NaNs only, so equal formats need none unless infinities saturate.
    pub fn converts(&self, from: Format) -> bool {
        from != self.format || self.policy.overflow == Overflow::Saturate
    }
}

/// The sums of one output element under way: an inner accumulator and, with chunks, an outer one.
///
/// It is what a partial-sum register holds, so weight- and input-stationary arrays pass it
/// from PE to PE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Code in the accumulator format.
    pub inner: u64,
    /// Code in the outermost format; meaningless without chunks.
    pub outer: u64,
}

/// Where an output's roundings stand in the problem, for stochastic rounding.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// The instruction's site.
    pub site: Site,
    /// Output row.
    pub row: u32,
    /// Output column.
    pub column: u32,
}

impl Chain {
    /// A chain that starts from `outermost`, a code of the outermost accumulator.
    pub fn start(mac: &Mac, outermost: u64) -> Self {
        if mac.mode().chunk.is_some() {
            Self { inner: mac.mode().accumulator.zero(false), outer: outermost }
        } else {
            Self { inner: outermost, outer: 0 }
        }
    }

    /// The code of the outermost accumulator, all chunks closed.
    pub const fn outermost(&self, mac: &Mac) -> u64 {
        if mac.mode_has_chunks() { self.outer } else { self.inner }
    }

    /// Adds product `k` of the element; `closes` if its chunk ends here.
    #[allow(clippy::too_many_arguments, reason = "two operands and their place in the sum")]
    pub fn step(&mut self, mac: &Mac, a: u64, b: u64, k: u32, closes: bool, element: &Element, activity: &mut Activity) {
        let random = |stage| element.site.random(mac.mode().rounding.random_bits(), element.row, element.column, stage, k);
        let (product, product_flags) = mac.product(a, b, random(Stage::Product));
        if mac.mode().a.is_zero(a) || mac.mode().b.is_zero(b) {
            activity.zero_operand_macs += 1;
        }
        count(product_flags, activity);
        let (inner, flags) = mac.accumulate(self.inner, product, random(Stage::Accumulate));
        count(flags, activity);
        self.inner = inner;
        if closes {
            let (outer, flags) = mac.add_outer(self.outer, mac.mode().accumulator, self.inner, random(Stage::Outer));
            count(flags, activity);
            self.outer = outer;
            self.inner = mac.mode().accumulator.zero(false);
        }
    }

    /// True if the chunk of product `k` ends with it: `position` counts products since the
    /// chain (feedback) or its fold (outside) began, `last` is the end of either.
    pub const fn closes(mac: &Mac, position: u32, last: bool) -> bool {
        match mac.mode_chunk() {
            None => false,
            Some(length) => (position + 1).is_multiple_of(length) || last,
        }
    }
}

impl Mac {
    pub(super) const fn mode_has_chunks(&self) -> bool {
        self.mode().chunk.is_some()
    }

    pub(super) const fn mode_chunk(&self) -> Option<u32> {
        self.mode().chunk
    }

    /// A fold's result added by the accumulator memory (`partial_sums: outside`).
    pub fn add_fold(&self, memory: u64, fold: u64, last_k: u32, element: &Element, activity: &mut Activity) -> u64 {
        let random = element.site.random(self.mode().rounding.random_bits(), element.row, element.column, Stage::Memory, last_k);
        let (sum, flags) = self.add_outer(memory, self.mode().outermost(), fold, random);
        count(flags, activity);
        sum
    }

    /// The output code of a finished outermost sum.
    pub fn finish(&self, outermost: u64, output: &Output, element: &Element, activity: &mut Activity) -> u64 {
        let from = self.mode().outermost();
        let value = from.decode(outermost);
        if value == Decoded::Nan {
            activity.accumulator_nans += 1;
        }
        if !output.converts(from) {
            return outermost;
        }
        let random = element.site.random(output.policy.rounding.random_bits(), element.row, element.column, Stage::Output, 0);
        let (code, flags) = encode_decoded(output.format, value, output.policy, random);
        activity.conversion_overflows += u64::from(flags.contains(Flags::OVERFLOW));
        activity.conversion_underflows += u64::from(flags.contains(Flags::UNDERFLOW));
        code
    }
}

fn count(flags: Flags, activity: &mut Activity) {
    activity.accumulator_overflows += u64::from(flags.contains(Flags::OVERFLOW));
    activity.accumulator_underflows += u64::from(flags.contains(Flags::UNDERFLOW));
}

/// One output element by definition.
///
/// `a` and `b` give the K operand codes in ascending k; `c` initialises the outermost
/// accumulator (+0 without it). `fold` is the number of products per fold where the
/// accumulator memory adds the folds (`partial_sums: outside`), `None` for one chain.
#[allow(clippy::too_many_arguments, reason = "an output element is all of these")]
pub fn dot(
    mac: &Mac,
    k: u32,
    a: impl Fn(u32) -> u64,
    b: impl Fn(u32) -> u64,
    c: Option<u64>,
    fold: Option<u32>,
    output: &Output,
    element: &Element,
    activity: &mut Activity,
) -> u64 {
    let zero = mac.mode().outermost().zero(false);
    let start = c.unwrap_or(zero);
    let outermost = match fold {
        None => {
            let mut chain = Chain::start(mac, start);
            for i in 0..k {
                chain.step(mac, a(i), b(i), i, Chain::closes(mac, i, i + 1 == k), element, activity);
            }
            chain.outermost(mac)
        }
        Some(fold) => {
            let mut memory = start;
            let mut begin = 0;
            while begin < k {
                let end = k.min(begin + fold);
                let mut chain = Chain::start(mac, zero);
                for i in begin..end {
                    chain.step(mac, a(i), b(i), i, Chain::closes(mac, i - begin, i + 1 == end), element, activity);
                }
                memory = mac.add_fold(memory, chain.outermost(mac), end - 1, element, activity);
                begin = end;
            }
            memory
        }
    };
    mac.finish(outermost, output, element, activity)
}
