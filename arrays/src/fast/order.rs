//! The order of sums of a whole product, and what is known of the values each sum sees.

use super::reach::{Reach, Sums};
use super::rounder::Rounder;
use systole_isa::entropy::{Block, Site, Stage};

/// Extents of the sums of one output, as [`crate::datapath::dot`] walks them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Products.
    pub k: usize,
    /// Products per chunk.
    pub chunk: Option<usize>,
    /// Products per fold that the accumulator memory adds.
    pub fold: Option<usize>,
    /// Products that meet the accumulator together.
    pub block: usize,
    /// True if the sum of those is rounded on its own.
    pub apart: bool,
    /// True if chunks close at multiples of their length, whatever the fold.
    pub aligned: bool,
}

impl Order {
    /// True if the innermost sums are the ones C initialises.
    pub const fn one_level(&self) -> bool {
        self.chunk.is_none() && self.fold.is_none()
    }

    fn fold_length(&self) -> usize {
        self.fold.map_or(self.k, |fold| fold.min(self.k))
    }

    pub fn inner_length(&self) -> usize {
        self.chunk.map_or(self.fold_length(), |chunk| chunk.min(self.fold_length()))
    }
}

/// The roundings of a mode, each where it has a float or fixed-point rounder.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    pub product: Option<Rounder>,
    pub accumulator: Rounder,
    pub outermost: Rounder,
}

/// What is known of every level of sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge {
    /// What the innermost sums start from.
    pub start: Reach,
    /// Products before any rounding.
    pub products: Reach,
    /// What they add.
    pub addend: Reach,
    /// Sums of the products of a block, before any rounding.
    pub block: Reach,
    /// The rounding of those, where they are rounded on their own.
    pub apart: Option<Sums>,
    pub inner: Sums,
    /// Chunks into the outer accumulator, with what they add.
    pub outer: Option<(Reach, Sums)>,
    /// Folds into the accumulator memory, with what they add.
    pub memory: Option<(Reach, Sums)>,
}

impl Knowledge {
    /// From the reaches of operands and of C.
    ///
    /// `scale` bounds what block scales multiply a finished chunk by.
    pub fn new(stages: &Stages, order: &Order, a: Reach, b: Reach, c: Reach, scale: Reach) -> Self {
        let exact = a.product(b);
        let rounded = stages.product.as_ref().map_or(exact, |product| Sums::of(product, Reach::ZERO, exact, 1).reach);
        let block = Reach { max: rounded.max * order.block as f64, ..rounded };
        let apart = order.apart.then(|| Sums::of(&stages.accumulator, Reach::ZERO, block, 1));
        let addend = apart.map_or(block, |sums| sums.reach);
        let start = if order.one_level() { c } else { Reach::ZERO };
        let inner = Sums::of(&stages.accumulator, start, addend, order.inner_length().div_ceil(order.block));
        let outer = order.chunk.map(|chunk| {
            let start = if order.fold.is_none() { c } else { Reach::ZERO };
            // Chunks that close whatever the fold may be one more.
            let chunks = order.fold_length().div_ceil(chunk) + usize::from(order.aligned);
            let closed = if order.aligned { inner.reach.product(scale) } else { inner.reach };
            (closed, Sums::of(&stages.outermost, start, closed, chunks))
        });
        let memory = order.fold.map(|fold| {
            let addend = outer.map_or(inner.reach, |(_, sums)| sums.reach);
            (addend, Sums::of(&stages.outermost, c, addend, order.k.div_ceil(fold)))
        });
        Self { start, products: exact, addend, block, apart, inner, outer, memory }
    }
}

/// How a level of sums is rounded in one tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Sums need no rounding.
    Exact,
    /// The cheap rounding, nothing to watch for.
    Proved,
    /// The cheap rounding, and the checked one where a sum came near the largest value.
    Watched,
    /// Subnormals, overflow, specials, flags counted.
    Checked,
}

impl Way {
    /// How [`Rounder::round`] can treat these sums; `None` where it cannot.
    pub fn of(rounder: &Rounder, addend: Reach, sums: &Sums) -> Option<Self> {
        let addends_fit = rounder.floating || addend.max <= super::rounder::power_of_two(rounder.min_quantum) * (1u64 << 50) as f64;
        if rounder.proved_only {
            sums.proved().then_some(Self::Exact)
        } else if !rounder.floating && sums.proved() {
            Some(Self::Exact)
        } else if rounder.floating && sums.proved() {
            Some(if sums.unrounding { Self::Exact } else { Self::Proved })
        } else if (sums.plain || rounder.holds_nan) && addends_fit {
            Some(Self::Checked)
        } else {
            None
        }
    }
}

/// The random bits of a problem's roundings.
pub(super) struct Randomness {
    pub site: Site,
    /// Bits one rounding of the mode takes; 0 if it takes none.
    pub bits: u32,
    /// Blocks of the additions, by k.
    pub accumulate: Vec<Block>,
    /// Blocks of the rounded products, by k.
    pub product: Vec<Block>,
}

impl Randomness {
    /// What `bits` random bits per rounding over `k` products need.
    pub fn new(site: Site, bits: u32, k: usize, rounded_products: bool) -> Self {
        let blocks = |stage, wanted| if wanted { (0..k).map(|k| site.addition(stage, k as u32)).collect() } else { Vec::new() };
        Self { site, bits, accumulate: blocks(Stage::Accumulate, bits > 0), product: blocks(Stage::Product, bits > 0 && rounded_products) }
    }
}
