//! The order of sums: how one output's products meet, as every dataflow walks it.

use super::entropy::{Element, Entropy};
use super::mac::{Factor, Mac};
use super::register::Register;
use super::unit::{Block, count};
use super::words::Step;
use std::ops::Range;
use systole_isa::design::{Product, Scaling, Unit};
use systole_isa::device::Activity;
use systole_isa::entropy::{Site, Stage};
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Overflow, Policy, SubnormalPolicy};

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
    /// hold the mode's NaN only, so equal formats need none unless infinities saturate.
    pub fn converts(&self, from: Format) -> bool {
        from != self.format || self.policy.overflow == Overflow::Saturate
    }
}

/// Products, and the sum they belong to: where it began, and where it ends.
struct Extent {
    k: Range<u32>,
    start: u32,
    end: u32,
}

/// The sums of one output element under way: an inner accumulator and, with chunks, an outer one.
///
/// It is what a partial-sum register holds, so weight- and input-stationary arrays pass it
/// from PE to PE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// In the accumulator format.
    pub inner: Register,
    /// In the outermost format; meaningless without chunks.
    pub outer: Register,
}

impl Chain {
    /// A chain that starts from the outermost accumulator's value.
    pub fn start(mac: &Mac, outermost: Register) -> Self {
        if mac.mode().chunk.is_some() {
            Self { inner: Register::zero(mac.mode().accumulator), outer: outermost }
        } else {
            Self { inner: outermost, outer: Register::default() }
        }
    }

    /// The outermost accumulator, all chunks closed.
    pub const fn outermost(&self, mac: &Mac) -> &Register {
        if mac.mode().chunk.is_some() { &self.outer } else { &self.inner }
    }

    /// The like, taken out.
    pub fn into_outermost(self, mac: &Mac) -> Register {
        if mac.mode().chunk.is_some() { self.outer } else { self.inner }
    }

    /// Adds a block of products of one chunk; `closes` if the chunk ends with it.
    pub fn step(&mut self, mac: &Mac, block: &Block<'_>, closes: bool, entropy: &dyn Entropy, activity: &mut Activity) {
        let (products, _) = mac.split(block.factor);
        let bits = |stage| mac.mode().rounding_of(stage).random_bits();
        let exact = mac.mode().product == Product::Exact;
        // Registers advance once per rounding, so none may be drawn for what is not rounded.
        let random = |stage, index| if stage == Stage::Product && exact { 0 } else { entropy.random(bits(stage), stage, index) };
        if mac.mode().random_bits() > 0 {
            entropy.begin(block.first);
        }
        self.inner = mac.add_block(&self.inner, &Block { factor: products, ..*block }, &random, activity);
        if closes {
            self.close(mac, block.factor, block.last(), entropy, activity);
        }
    }

    /// Adds the closed chunk that ends with product `k` to the outer accumulator.
    pub(super) fn close(&mut self, mac: &Mac, factor: Factor, k: u32, entropy: &dyn Entropy, activity: &mut Activity) {
        let random = |scaled| {
            let stage = if scaled { Stage::Scale } else { Stage::Outer };
            entropy.random(mac.mode().rounding_of(stage).random_bits(), stage, k)
        };
        let (outer, flags) = mac.add_outer(&self.outer, &self.inner, mac.split(factor).1, random);
        count(flags, activity);
        self.outer = outer;
        self.inner = Register::zero(mac.mode().accumulator);
    }

    /// True if the chunk of product `k` ends with it. `start` is where the chain (feedback)
    /// or its fold (outside) began, `last` is the end of either. Blocks with scales end at
    /// multiples of their length whatever the fold.
    pub fn closes(mac: &Mac, k: u32, start: u32, last: bool) -> bool {
        mac.mode().chunk.is_some_and(|length| last || (k - Self::chunk_origin(mac, start) + 1).is_multiple_of(length))
    }

    /// Where the lengths of chunks are counted from.
    fn chunk_origin(mac: &Mac, start: u32) -> u32 {
        if mac.mode().scale == Scaling::None { start } else { 0 }
    }

    /// True if the block of product `k` ends with it: lanes full, chunk closed, or the end.
    pub fn ends_block(mac: &Mac, k: u32, start: u32, last: bool) -> bool {
        let lanes = if mac.mode().unit == Unit::Chain { 1 } else { mac.mode().lanes.max(1) };
        last || (k - start + 1).is_multiple_of(lanes) || Self::closes(mac, k, start, last)
    }

    /// Adds products `k`, `start` and `last` as for [`Chain::closes`], cut into blocks.
    #[allow(clippy::too_many_arguments, reason = "operands, their place in the sum, and where the sum stands")]
    pub fn run(
        &mut self,
        mac: &Mac,
        k: Range<u32>,
        start: u32,
        end: u32,
        operands: impl Fn(u32) -> (u64, u64) + Copy,
        factor: impl Fn(u32) -> Factor + Copy,
        entropy: &dyn Entropy,
        activity: &mut Activity,
    ) {
        let extent = Extent { k, start, end };
        Self::run_lanes(std::array::from_mut(self), mac, extent, |_, i| operands(i), |_, i| factor(i), [entropy], activity);
    }

    /// [`Chain::run`] for chains of as many outputs, the outputs by their place among them.
    #[inline(always)]
    fn run_lanes<const L: usize>(
        chains: &mut [Self; L],
        mac: &Mac,
        extent: Extent,
        operands: impl Fn(usize, u32) -> (u64, u64) + Copy,
        factor: impl Fn(usize, u32) -> Factor + Copy,
        entropy: [&dyn Entropy; L],
        activity: &mut Activity,
    ) {
        // Factors inside a block, and other orders, are the units'.
        if let Some(words) = mac.words()
            && mac.mode().unit == Unit::Chain
            && mac.mode().scale != Scaling::Exponent
        {
            let mode = mac.mode();
            let bits = mode.rounding.random_bits();
            let product_bits = if mode.product == Product::Exact { 0 } else { bits };
            let draws = mode.random_bits() > 0;
            let draw = |lane: usize, i| {
                if !draws {
                    return [0; 2];
                }
                entropy[lane].begin(i);
                [(Stage::Product, product_bits), (Stage::Accumulate, bits)].map(|(stage, bits)| entropy[lane].random(bits, stage, i))
            };
            return match words.bytes().filter(|_| !draws) {
                Some(bytes) => Self::run_in_words(chains, mac, bytes, extent, operands, factor, |_, _| [0; 2], entropy, activity),
                None => Self::run_in_words(chains, mac, words, extent, operands, factor, draw, entropy, activity),
            };
        }
        for (lane, (chain, entropy)) in chains.iter_mut().zip(entropy).enumerate() {
            chain.run_blocks(mac, &extent, |i| operands(lane, i), |i| factor(lane, i), entropy, activity);
        }
    }

    /// [`Chain::run`] for one product of a chain without random bits or factors, in machine
    /// words: whether it closed a chunk; `None`, and nothing done, where that is not what the
    /// mode asks for.
    #[inline(always)]
    pub fn run_one(&mut self, mac: &Mac, place: (u32, u32, u32), (a, b): (u64, u64), activity: &mut Activity) -> Option<bool> {
        let words = mac.simple_words()?;
        let (k, start, end) = place;
        let Register::Narrow(sum) = &mut self.inner else { return None };
        let (code, zero) = match words.bytes() {
            Some(bytes) => mac.step_in_words(bytes, *sum, (a, b), [0; 2], activity),
            None => mac.step_in_words(words, *sum, (a, b), [0; 2], activity),
        };
        *sum = code;
        activity.zero_operand_macs += u64::from(zero);
        let closes = Self::closes(mac, k, start, k + 1 == end);
        if closes {
            let none = Element { site: Site::default(), row: 0, column: 0 };
            self.close(mac, Factor::ONE, k, &none, activity);
        }
        Some(closes)
    }

    fn run_blocks(
        &mut self,
        mac: &Mac,
        extent: &Extent,
        operands: impl Fn(u32) -> (u64, u64),
        factor: impl Fn(u32) -> Factor,
        entropy: &dyn Entropy,
        activity: &mut Activity,
    ) {
        let Extent { k, start, end } = extent;
        let mut block = Vec::with_capacity(mac.mode().lanes.min(256) as usize);
        let mut first = k.start;
        for i in k.clone() {
            block.push(operands(i));
            let last = i + 1 == *end;
            if Self::ends_block(mac, i, *start, last) {
                let products = Block { operands: &block, first, factor: factor(i) };
                self.step(mac, &products, Self::closes(mac, i, *start, last), entropy, activity);
                block.clear();
                first = i + 1;
            }
        }
        debug_assert!(block.is_empty(), "products end with a block");
    }

    /// For products that enter one by one, in machine words where they hold them. Chains take
    /// turns, because each of them waits for its own sums.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "operands, their place in the sum, and where the sum stands")]
    fn run_in_words<const L: usize>(
        chains: &mut [Self; L],
        mac: &Mac,
        words: impl Step,
        extent: Extent,
        operands: impl Fn(usize, u32) -> (u64, u64) + Copy,
        factor: impl Fn(usize, u32) -> Factor + Copy,
        draw: impl Fn(usize, u32) -> [u64; 2],
        entropy: [&dyn Entropy; L],
        activity: &mut Activity,
    ) {
        let Extent { k, start, end } = extent;
        let mut zeros = 0;
        let mut first = k.start;
        while first < k.end {
            let last = Self::next_close(mac, first, start, end).min(k.end);
            let mut codes = [0; L];
            for (code, chain) in codes.iter_mut().zip(&*chains) {
                *code = chain.inner.code();
            }
            for i in first..last {
                let mut factors = [(0, 0); L];
                for (lane, factors) in factors.iter_mut().enumerate() {
                    *factors = operands(lane, i);
                }
                for lane in 0..L {
                    let (code, zero) = mac.step_in_words(words, codes[lane], factors[lane], draw(lane, i), activity);
                    codes[lane] = code;
                    zeros += u64::from(zero);
                }
            }
            for (lane, (code, chain)) in codes.into_iter().zip(&mut *chains).enumerate() {
                chain.inner = Register::Narrow(code);
                if Self::closes(mac, last - 1, start, last == end) {
                    chain.close(mac, factor(lane, last - 1), last - 1, entropy[lane], activity);
                }
            }
            first = last;
        }
        activity.zero_operand_macs += zeros;
    }

    /// One past the product that closes the chunk of product `k`; `end` if none does.
    fn next_close(mac: &Mac, k: u32, start: u32, end: u32) -> u32 {
        let origin = Self::chunk_origin(mac, start);
        mac.mode().chunk.map_or(end, |length| (k - (k - origin) % length).saturating_add(length).min(end))
    }
}

impl Mac {
    /// One MAC that is not of the usual kind; by the definition where words do not know, and
    /// exceptions counted.
    #[cold]
    #[inline(never)]
    fn multiply_accumulate(&self, accumulator: u64, a: u64, b: u64, random: [u64; 2], activity: &mut Activity) -> u64 {
        if let Some((Some(code), _)) = self.words().map(|words| words.step(accumulator, a, b, random)) {
            return code;
        }
        let (product, flags) = self.product(a, b, random[0]);
        count(flags, activity);
        let (code, flags) = self.accumulate(accumulator, product, random[1]);
        count(flags, activity);
        code
    }

    /// One MAC in words, or by the definition where they do not know; and whether an operand is
    /// zero.
    #[inline(always)]
    pub(super) fn step_in_words(
        &self,
        words: impl Step,
        accumulator: u64,
        (a, b): (u64, u64),
        random: [u64; 2],
        activity: &mut Activity,
    ) -> (u64, bool) {
        match words.step(accumulator, a, b, random) {
            (Some(code), zero) => (code, zero),
            (None, zero) => (self.multiply_accumulate(accumulator, a, b, random, activity), zero),
        }
    }

    /// The outermost accumulator's +0.
    pub fn zero(&self) -> Register {
        Register::zero(self.mode().outermost())
    }

    /// The outermost accumulator holding an element of C: a code of its own format, or of the
    /// output's where it is too wide for codes.
    pub fn load(&self, c: u64, output: &Output) -> Register {
        let outermost = self.mode().outermost();
        Register::load(outermost, if outermost.is_wide() { output.format } else { outermost }, c, self.policy())
    }

    /// A fold's result added by the accumulator memory (`partial_sums: outside`).
    pub fn add_fold(&self, memory: &Register, fold: &Register, last_k: u32, entropy: &dyn Entropy, activity: &mut Activity) -> Register {
        let random = entropy.random(self.mode().rounding_of(Stage::Memory).random_bits(), Stage::Memory, last_k);
        let (sum, flags) = self.add_memory(memory, fold, random);
        count(flags, activity);
        sum
    }

    /// The output code of a finished outermost sum.
    pub fn finish(&self, outermost: &Register, output: &Output, entropy: &dyn Entropy, activity: &mut Activity) -> u64 {
        let from = self.mode().outermost();
        let gradual = self.policy().subnormals(SubnormalPolicy::Gradual);
        if outermost.read(from, gradual) == Decoded::Nan {
            activity.accumulator_nans += 1;
        }
        if !output.converts(from) {
            return outermost.code();
        }
        let random = entropy.random(output.policy.rounding.random_bits(), Stage::Output, 0);
        // The converter writes the NaN the mode's accumulators hold.
        let policy = Policy { nan: self.mode().nan, ..output.policy };
        let (register, flags) = Register::of(output.format, outermost.addend(from, gradual), policy, random);
        activity.conversion_overflows += u64::from(flags.contains(Flags::OVERFLOW));
        activity.conversion_underflows += u64::from(flags.contains(Flags::UNDERFLOW));
        register.code()
    }
}

/// One output element by definition, of operands without block scales: [`scaled_dot`].
#[allow(clippy::too_many_arguments, reason = "an output element is all of these")]
pub fn dot(
    mac: &Mac,
    k: u32,
    a: impl Fn(u32) -> u64 + Copy,
    b: impl Fn(u32) -> u64 + Copy,
    c: Option<u64>,
    fold: Option<u32>,
    output: &Output,
    entropy: &dyn Entropy,
    activity: &mut Activity,
) -> u64 {
    scaled_dot(mac, k, |i| (a(i), b(i)), |_| Factor::ONE, c, fold, output, entropy, activity)
}

/// One output element by definition.
///
/// `operands` gives the K pairs of codes in ascending k, `factor` the block scales of a k; `c`
/// initialises the outermost accumulator (+0 without it). `fold` is the number of products per
/// fold where the accumulator memory adds the folds (`partial_sums: outside`), `None` for one
/// chain.
#[allow(clippy::too_many_arguments, reason = "an output element is all of these")]
pub fn scaled_dot(
    mac: &Mac,
    k: u32,
    operands: impl Fn(u32) -> (u64, u64) + Copy,
    factor: impl Fn(u32) -> Factor + Copy,
    c: Option<u64>,
    fold: Option<u32>,
    output: &Output,
    entropy: &dyn Entropy,
    activity: &mut Activity,
) -> u64 {
    let [code] = scaled_dots(mac, k, |_, i| operands(i), |_, i| factor(i), c.map(|c| [c]), fold, output, [entropy], activity);
    code
}

/// As many output elements at once, each as by [`scaled_dot`]; `operands` and `factor` take an
/// output's place among them first.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "an output element is all of these")]
pub(crate) fn scaled_dots<const L: usize>(
    mac: &Mac,
    k: u32,
    operands: impl Fn(usize, u32) -> (u64, u64) + Copy,
    factor: impl Fn(usize, u32) -> Factor + Copy,
    c: Option<[u64; L]>,
    fold: Option<u32>,
    output: &Output,
    entropy: [&dyn Entropy; L],
    activity: &mut Activity,
) -> [u64; L] {
    let mut totals: [Register; L] = c.map_or_else(|| std::array::from_fn(|_| mac.zero()), |c| c.map(|c| mac.load(c, output)));
    match fold {
        None => {
            let mut chains = totals.map(|total| Chain::start(mac, total));
            Chain::run_lanes(&mut chains, mac, Extent { k: 0..k, start: 0, end: k }, operands, factor, entropy, activity);
            totals = chains.map(|chain| chain.into_outermost(mac));
        }
        Some(fold) => {
            let mut begin = 0;
            while begin < k {
                let end = k.min(begin.saturating_add(fold));
                let mut chains: [Chain; L] = std::array::from_fn(|_| Chain::start(mac, mac.zero()));
                let extent = Extent { k: begin..end, start: begin, end };
                Chain::run_lanes(&mut chains, mac, extent, operands, factor, entropy, activity);
                for ((total, chain), entropy) in totals.iter_mut().zip(&chains).zip(entropy) {
                    *total = mac.add_fold(total, chain.outermost(mac), end - 1, entropy, activity);
                }
                begin = end;
            }
        }
    }
    let mut codes = [0; L];
    for ((code, total), entropy) in codes.iter_mut().zip(&totals).zip(entropy) {
        *code = mac.finish(total, output, entropy, activity);
    }
    codes
}
