//! A product surveyed, and its outputs computed by whichever kernel was chosen.

use super::drain::{Drain, Row};
use super::kernels::Kernel;
use super::masked::zero_operand_macs;
use super::order::{Knowledge, Order, Randomness, Stages};
use super::panels::Panels;
use super::reach::Reach;
use super::reader::Reader;
use super::rounder::{EXPONENT_LIMIT, Rounder, power_of_two};
use super::scalar::Problem;
use super::scales::BlockScales;
use super::survey::{Lines, Survey};
use super::tiles::{Addends, BLOCK, Outputs, Tiles, Ways};
use crate::simd::Machine;
use std::ops::Range;
use systole_isa::codes::Codes;
use systole_isa::design::{EntropySource, Product, Scaling, Unit};
use systole_isa::device::Activity;
use systole_isa::format::{FloatFormat, Format};

/// The kernels, and how reports call them on each machine.
macro_rules! names {
    ($($(#[$on:meta])? $kernel:ident: $name:literal,)*) => {
        #[derive(Clone, Copy)]
        pub(super) enum Name {
            $($(#[$on])? $kernel,)*
        }

        impl Name {
            fn on<S: Machine>(self) -> &'static str {
                match (self, S::NAME) {
                    $(
                        $(#[$on])?
                        (Self::$kernel, "avx512") => concat!($name, "/avx512"),
                        $(#[$on])?
                        (Self::$kernel, "avx2") => concat!($name, "/avx2"),
                        $(#[$on])?
                        (Self::$kernel, _) => concat!($name, "/portable"),
                    )*
                }
            }
        }
    };
}

names! {
    #[cfg(target_arch = "x86_64")]
    Fma16: "fma16",
    Fma32: "fma32",
    Fma64: "fma64",
    Carrier32: "carrier32",
    Carrier64: "carrier64",
    Integer: "integer",
    Blocks: "blocks",
    Aligned32: "aligned32",
    Aligned64: "aligned64",
}

/// What a kernel answered.
pub(super) struct Done {
    pub name: &'static str,
    pub d: Codes,
    pub activity: Activity,
    pub by_definition: u64,
}

/// A product surveyed, for any kernel.
pub(super) struct Prepared<'a> {
    pub problem: &'a Problem<'a>,
    pub stages: Stages,
    pub order: Order,
    pub a: Reader,
    pub b: Reader,
    pub a_survey: Survey,
    pub b_survey: Survey,
    /// What A and B reach before block scales join them, which panels hold on the way.
    pub unscaled: [Reach; 2],
    /// How C is read.
    pub c: Option<Reader>,
    pub c_reach: Reach,
    /// What all operands together allow to know.
    pub all: Knowledge,
    /// What the finite ones among them do.
    pub finite: Knowledge,
    /// Bits of the widest exact product.
    pub product_bits: u32,
    pub scales: Option<BlockScales>,
    /// What they multiply a finished chunk by.
    pub scale_reach: Reach,
}

/// Bytes of the panels of rows, and of columns, that are there at once.
const PANEL_BYTES: usize = if cfg!(test) { 64 << 10 } else { 20 << 20 };

/// Significant bits of the widest value: two's complement has one more, a power of two.
pub(super) const fn significant_bits(format: Format) -> u32 {
    match format {
        Format::Float(f) => f.precision(),
        Format::Fixed(f) | Format::Quire(f) => f.width - 1,
        Format::Posit(p) => p.precision(),
    }
}

impl<'a> Prepared<'a> {
    /// Surveys the operands, or says why only the definition will do.
    pub fn new(problem: &'a Problem<'a>) -> Result<Self, String> {
        let mode = problem.mac.mode();
        let policy = mode.policy();
        let (m, n, k) = (problem.shape.m as usize, problem.shape.n as usize, problem.shape.k as usize);
        let (block, apart) = match mode.unit {
            Unit::Chain => (1, false),
            Unit::Exact => (mode.lanes as usize, false),
            Unit::ExactApart => (mode.lanes as usize, true),
            Unit::Aligned(_) => (mode.lanes as usize, false),
            Unit::Descending | Unit::Interleaved { .. } => return Err("the PE is an n-term unit that rounds within a block".to_owned()),
        };
        if mode.scale == Scaling::ChunkRounded {
            return Err("scaled sums are rounded on their own".to_owned());
        }
        if mode.entropy != EntropySource::Counter && mode.random_bits() > 0 {
            return Err("random bits come from shift registers".to_owned());
        }
        if mode.outer_policy().rounding.random_bits() != mode.rounding.random_bits() {
            return Err("only some of the roundings are stochastic".to_owned());
        }
        if m == 0 || n == 0 || k == 0 {
            return Err("there are no products".to_owned());
        }
        let product = match mode.product {
            Product::Exact => None,
            Product::Rounded(format) => Some(Rounder::new(format, policy)?),
        };
        let mut stages = Stages {
            product,
            accumulator: Rounder::new(mode.accumulator, policy)?,
            outermost: Rounder::new(mode.outermost(), mode.outer_policy())?,
        };
        let product_bits = significant_bits(mode.a) + significant_bits(mode.b);
        if product_bits > 53 {
            return Err(format!("products have up to {product_bits} significant bits, more than 53"));
        }
        let scale = -(problem.setup.bias_a + problem.setup.bias_b);
        let range = |format: Format| format!("values of {format} with the shared biases are out of binary64's range");
        let a = Reader::new(mode.a, policy.subnormals, 0).ok_or_else(|| range(mode.a))?;
        let b = Reader::new(mode.b, policy.subnormals, scale).ok_or_else(|| range(mode.b))?;
        let mut a_survey = Survey::new(problem.operands.a, &a, Lines::Rows, k);
        let mut b_survey = Survey::new(problem.operands.b, &b, Lines::Columns, n);
        let unscaled = [a_survey.all, b_survey.all];
        let mut scales = (mode.scale != Scaling::None).then(|| BlockScales::new(mode, problem.shape, problem.operands));
        let mut scale_reach = Reach { max: 1.0, lsb: 0, ..Reach::ZERO };
        if let Some(scales) = &mut scales {
            let [of_a, of_b] = scales.reach();
            if mode.scale == Scaling::Exponent {
                (a_survey, b_survey) = (a_survey.scaled(of_a), b_survey.scaled(of_b));
                if [&a_survey, &b_survey].iter().any(|survey| !survey.all.is_within(-EXPONENT_LIMIT, EXPONENT_LIMIT)) {
                    return Err("operands with their scales are out of binary64's range".to_owned());
                }
            } else {
                scales.multiply_sums(significant_bits(mode.accumulator), mode.scale_format)?;
                scale_reach = of_a.product(of_b);
            }
        }
        let (c, c_reach) = match problem.operands.c {
            None => (None, Reach::ZERO),
            Some(codes) => {
                let reader =
                    Reader::new(problem.setup.addend_format(), policy.subnormals, 0).ok_or_else(|| range(problem.setup.addend_format()))?;
                let mut reach = Survey::new(codes, &reader, Lines::Rows, n).all;
                // Two's complement has no -0.
                reach.negative_zero &= stages.outermost.floating;
                (Some(reader), reach)
            }
        };
        let order = Order {
            k,
            chunk: mode.chunk.map(|chunk| chunk as usize),
            fold: problem.fold.map(|fold| fold as usize),
            block,
            apart,
            aligned: scales.is_some(),
        };
        let finite = |reach: Reach| Reach { special: false, ..reach };
        let (a_reach, b_reach) = (finite(a_survey.all), finite(b_survey.all));
        let products = a_reach.product(b_reach);
        if products.lsb < -900 || products.max > power_of_two(900) {
            return Err("products are out of binary64's range".to_owned());
        }
        // A rounding that changes none of these products is none.
        let special = a_survey.all.special || b_survey.all.special;
        stages.product = stages.product.filter(|product| special || !product.keeps(products, product_bits));
        let all = Knowledge::new(&stages, &order, a_survey.all, b_survey.all, c_reach, scale_reach);
        let finite = Knowledge::new(&stages, &order, a_reach, b_reach, finite(c_reach), finite(scale_reach));
        if products.lsb + scale_reach.lsb.min(0) < -900 || products.max * scale_reach.max.max(1.0) * k as f64 > power_of_two(900) {
            return Err("scaled sums are out of binary64's range".to_owned());
        }
        if mode.outermost().is_wide() && !Drain::new(&problem.mac, problem.setup.output, problem.setup.site, problem.places).rounds_lanes()
        {
            return Err(format!("results leave {} for {}", mode.outermost(), problem.setup.output.format));
        }
        Ok(Self { problem, stages, order, a, b, a_survey, b_survey, unscaled, c, c_reach, all, finite, product_bits, scales, scale_reach })
    }

    /// The product by one kernel, a band of rows by a band of columns after the other.
    pub fn run<S: Machine, K: Kernel>(&self, machine: S, kernel: &K, name: Name, randomness: &Randomness) -> Done {
        let problem = self.problem;
        let (m, n, k) = (problem.shape.m as usize, problem.shape.n as usize, problem.shape.k as usize);
        let drain = Drain::new(&problem.mac, problem.setup.output, problem.setup.site, problem.places);
        let scale = problem.mac.mode().scale;
        let c = problem.operands.c.zip(self.c.as_ref());
        let c = c.map(|(codes, reader)| Addends { codes, reader, signed_zeros: self.stages.outermost.floating });
        let (height, width) = (BLOCK * K::ROWS, BLOCK * K::COLUMNS);
        let mut d = Codes::zeros(problem.setup.output.format, m * n);
        let mut blocks: Vec<_> = Row::blocks(&mut d, n, height, width).into_iter().map(Some).collect();
        let mut activity = Activity::default();
        let mut by_definition = 0;
        // Copies of a number that a panel holds, or passes through.
        let copies = if K::POWERS || K::PAIRED { 3 } else { 1 };
        let lines = |block: usize| (PANEL_BYTES / (k * copies * size_of::<K::Number>()) / block).max(1) * block;
        let (band_height, band_width) = (lines(height), lines(width));
        // Where the whole product is cheap, so is every tile.
        let ways = Ways::new(kernel, &self.all, &self.stages).filter(Ways::are_cheap);
        if ways.is_none() {
            self.gather_lines();
        }
        let mut rows: Option<(usize, Panels<K::Number>)> = None;
        for column in (0..n).step_by(band_width) {
            let columns = column..n.min(column + band_width);
            let b = self.columns::<K>(columns.clone());
            for row in (0..m).step_by(band_height) {
                let a = match rows.take() {
                    Some((at, panels)) if at == row => panels,
                    stale => {
                        drop(stale);
                        self.rows::<K>(row..m.min(row + band_height))
                    }
                };
                let tiles = Tiles {
                    lanes: machine.f64(),
                    kernel,
                    problem,
                    stages: &self.stages,
                    order: self.order,
                    randomness,
                    drain: &drain,
                    a: &a,
                    b: &b,
                    a_survey: &self.a_survey,
                    b_survey: &self.b_survey,
                    c,
                    c_reach: self.c_reach,
                    ways,
                    scales: self.scales.as_ref().filter(|_| scale == Scaling::Chunk),
                    scale_reach: self.scale_reach,
                };
                let places = (row..m.min(row + band_height))
                    .step_by(height)
                    .flat_map(|r| columns.clone().step_by(width).map(move |c| (r, c)))
                    .map(|(r, c)| Outputs { rows: r..m.min(r + height), columns: c..n.min(c + width) });
                let wanted = |place: &Outputs| match problem.operands.mask {
                    None => true,
                    Some(mask) => place.rows.clone().any(|r| mask.count(r as u32, place.columns()) > 0),
                };
                let work = places.filter(wanted).filter_map(|place| {
                    let index = place.rows.start / height * n.div_ceil(width) + place.columns.start / width;
                    blocks[index].take().map(|to| (place, to))
                });
                let (of_band, definitions) = tiles.run(work.collect());
                activity += of_band;
                by_definition += definitions;
                rows = Some((row, a));
            }
        }
        drop(blocks);
        let (height, width) = (m as u64, n as u64);
        let zeros = self.a_survey.zeros.iter().zip(&self.b_survey.zeros).map(|(&a, &b)| (u64::from(a), u64::from(b)));
        activity.zero_operand_macs = match problem.operands.mask {
            None => zeros.map(|(a, b)| a * width + b * height - a * b).sum(),
            Some(_) if zeros.clone().all(|(a, b)| a + b == 0) => 0,
            Some(mask) => zero_operand_macs(problem, mask),
        };
        Done { name: name.on::<S>(), d, activity, by_definition }
    }

    /// Surveys each row of A and column of B.
    fn gather_lines(&self) {
        let Problem { shape, operands, mac, .. } = self.problem;
        let scales = self.scales.as_ref().filter(|_| mac.mode().scale == Scaling::Exponent);
        let [of_a, of_b] = scales.map_or([None; 2], |scales| scales.reach().map(Some));
        self.a_survey.gather(operands.a, &self.a, Lines::Rows, shape.k as usize, of_a);
        self.b_survey.gather(operands.b, &self.b, Lines::Columns, shape.n as usize, of_b);
    }

    /// Rows of A as a kernel reads them.
    fn rows<K: Kernel>(&self, range: Range<usize>) -> Panels<K::Number> {
        let (problem, mode) = (self.problem, self.problem.mac.mode());
        let mut a = Panels::<K::Number>::rows(problem.operands.a, &self.a, self.order.k, K::ROWS, range.clone());
        if let Some(scales) = self.scales.as_ref().filter(|_| mode.scale == Scaling::Exponent) {
            a.scale(range.end, K::ROWS, |row, k| scales.a(row, k));
        }
        if K::PAIRED {
            a = a.paired();
        }
        if K::POWERS { a.with_powers(K::ROWS, smallest_exponent(mode.a)) } else { a }
    }

    /// Columns of B as a kernel reads them.
    fn columns<K: Kernel>(&self, range: Range<usize>) -> Panels<K::Number> {
        let (problem, mode) = (self.problem, self.problem.mac.mode());
        let n = problem.shape.n as usize;
        let mut b = Panels::<K::Number>::columns(problem.operands.b, &self.b, n, K::COLUMNS, range.clone());
        if let Some(scales) = self.scales.as_ref().filter(|_| mode.scale == Scaling::Exponent) {
            b.scale(range.end, K::COLUMNS, |column, k| scales.b(k, column));
        }
        let biases = problem.setup.bias_a + problem.setup.bias_b;
        if K::POWERS { b.with_powers(K::COLUMNS, smallest_exponent(mode.b) - biases) } else { b }
    }
}

/// Exponent of the smallest normal value.
fn smallest_exponent(format: Format) -> i32 {
    format.as_float().map_or(0, FloatFormat::min_exponent)
}
