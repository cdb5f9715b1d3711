//! Which kernel computes a product.
//!
//! The host decides the instructions: `auto` takes the first of AVX-512 with FP16 arithmetic,
//! AVX-512, AVX2 and plain Rust that the CPU has. All run the same kernels, on wider or narrower
//! lanes; FP16 arithmetic adds one of its own.
//!
//! Then the mode decides, fastest first. A kernel declines a mode outside its domain: the
//! accumulator's format, the rounding, the width of products. It also declines operands whose
//! range leads outside: operands are surveyed first (largest size, lowest set bit, specials of
//! each row of A and column of B), which bounds every sum.
//!
//! Inside the chosen kernel each tile is rounded the cheap way where its own rows and columns
//! show that nothing overflows, is tiny or is special, and the checked way elsewhere, where
//! flags are counted. Tiles no kernel covers, such as those with NaNs under a fixed-point
//! accumulator, are computed by the definition.

use super::drain::Drain;
#[cfg(target_arch = "x86_64")]
use super::kernels::Fma16;
use super::kernels::{Aligned, Chain, ExactBlocks, Fused, Kernel};
use super::operands::{Carrier, Panels, Reader, Survey};
use super::order::{Knowledge, Order, Randomness, Stages};
use super::reach::Reach;
use super::rounder::{Rounder, power_of_two};
use super::scalar::{self, Problem};
use super::scales::BlockScales;
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512, Avx512Fp16};
use super::simd::{Lanes, Machine, Number, Portable};
use super::tiles::Tiles;
use crate::dataflow::separate_fold_length;
use crate::datapath::Mac;
use crate::ordinal::Draws;
use crate::problem::{Operands, Setup, Shape, Values};
use std::fmt;
use std::str::FromStr;
use systole_isa::codes::Codes;
use systole_isa::design::{Aligned as AlignedUnit, EntropySource, Product, Scaling, Unit};
use systole_isa::device::Activity;
use systole_isa::format::{FloatFormat, Format};
use systole_isa::round::SubnormalPolicy;

/// Which kernels may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KernelChoice {
    /// The fastest this machine has.
    #[default]
    Auto,
    /// AVX-512 (F, BW, DQ, VL) with VAES and AVX512-FP16.
    Avx512Fp16,
    /// AVX-512 (F, BW, DQ, VL) with VAES.
    Avx512,
    /// AVX2 with FMA and AES-NI.
    Avx2,
    /// Plain Rust.
    Portable,
    /// The definition.
    Scalar,
}

/// A choice of kernels that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelChoiceError {
    /// No such kernels.
    #[error("`{0}` names no kernels; use auto, avx512fp16, avx512, avx2, portable or scalar")]
    Unknown(String),
    /// The machine lacks the instructions.
    #[error("`{choice}` kernels need a CPU with {needs}, which this one lacks; use auto, or one of: {}", available())]
    Absent {
        /// What was asked for.
        choice: KernelChoice,
        /// What it takes.
        needs: &'static str,
    },
}

fn available() -> String {
    let names: Vec<_> = KernelChoice::available().iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl KernelChoice {
    /// Every set with its name, fastest first.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Auto, "auto"),
        (Self::Avx512Fp16, "avx512fp16"),
        (Self::Avx512, "avx512"),
        (Self::Avx2, "avx2"),
        (Self::Portable, "portable"),
        (Self::Scalar, "scalar"),
    ];

    /// The sets of kernels this machine can run, fastest first, the definition not among them.
    pub fn available() -> Vec<Self> {
        let sets = [Self::Avx512Fp16, Self::Avx512, Self::Avx2, Self::Portable];
        sets.into_iter().filter(|set| set.lacks().is_none()).collect()
    }

    /// The instructions it needs and this machine lacks.
    fn lacks(self) -> Option<&'static str> {
        #[cfg(target_arch = "x86_64")]
        let (here, needs) = match self {
            Self::Avx512Fp16 => (Avx512Fp16::detect().is_some(), "AVX512F, BW, DQ, VL, FP16 and VAES"),
            Self::Avx512 => (Avx512::detect().is_some(), "AVX512F, BW, DQ, VL and VAES"),
            Self::Avx2 => (Avx2::detect().is_some(), "AVX2, FMA and AES-NI"),
            Self::Auto | Self::Portable | Self::Scalar => (true, ""),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let (here, needs) = (matches!(self, Self::Auto | Self::Portable | Self::Scalar), "x86-64 vector extensions");
        (!here).then_some(needs)
    }
}

impl FromStr for KernelChoice {
    type Err = KernelChoiceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|&(_, its)| its == name);
        let (choice, _) = found.ok_or_else(|| KernelChoiceError::Unknown(name.to_owned()))?;
        choice.lacks().map_or(Ok(choice), |needs| Err(KernelChoiceError::Absent { choice, needs }))
    }
}

impl fmt::Display for KernelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(choice, _)| choice == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// The kernel that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelUse {
    /// Kernel and instructions, such as `carrier32/avx2`.
    pub name: &'static str,
    /// Why no faster one ran, and how many tiles fell to the definition. Empty if neither.
    pub reason: String,
    /// Tiles it left to the definition.
    pub tiles_by_definition: u64,
}

/// Computes a product and says by which kernel.
///
/// # Panics
/// If the operands' lengths are not those of `shape`.
pub fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>, choice: KernelChoice) -> (Values, KernelUse) {
    let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
    assert_eq!(operands.a.len(), m * k, "A is M x K");
    assert_eq!(operands.b.len(), k * n, "B is K x N");
    assert!(operands.c.is_none_or(|c| c.len() == m * n), "C is M x N");
    let problem = Problem {
        mac: Mac::new(&setup.mode, setup.bias_a, setup.bias_b),
        setup,
        shape,
        operands,
        fold: separate_fold_length(&setup.array, &setup.mode),
        draws: Draws::new(setup, shape),
    };
    let mut declined = Vec::new();
    let done = match choice {
        KernelChoice::Scalar => Err("asked for".to_owned()),
        _ => Prepared::new(&problem).and_then(|prepared| prepared.on_host(choice, &mut declined)),
    };
    let (d, activity, name, by_definition) = match done {
        Ok(Done { name, d, activity, by_definition }) => (d, activity, name, by_definition),
        Err(reason) => {
            declined.push(reason);
            let (d, activity) = scalar::run(&problem);
            (d, activity, "scalar", 0)
        }
    };
    if by_definition > 0 {
        declined.push(format!("{by_definition} tiles by the definition: specials, or a range outside the kernel's"));
    }
    (Values { d, activity }, KernelUse { name, reason: declined.join("; "), tiles_by_definition: by_definition })
}

/// The kernels, and how reports call them on each machine.
macro_rules! names {
    ($($(#[$on:meta])? $kernel:ident: $name:literal,)*) => {
        #[derive(Clone, Copy)]
        enum Name {
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
struct Done {
    name: &'static str,
    d: Codes,
    activity: Activity,
    by_definition: u64,
}

/// A product surveyed, for any kernel.
struct Prepared<'a> {
    problem: &'a Problem<'a>,
    stages: Stages,
    order: Order,
    a: Reader,
    b: Reader,
    a_survey: Survey,
    b_survey: Survey,
    c: Option<Vec<f64>>,
    c_reach: Reach,
    /// What all operands together allow to know.
    all: Knowledge,
    /// What the finite ones among them do.
    finite: Knowledge,
    /// Bits of the widest exact product.
    product_bits: u32,
    scales: Option<BlockScales>,
    /// What they multiply a finished chunk by.
    scale_reach: Reach,
}

/// Significant bits of the widest value: two's complement has one more, a power of two.
const fn significant_bits(format: Format) -> u32 {
    match format {
        Format::Float(f) => f.precision(),
        Format::Fixed(f) | Format::Quire(f) => f.width - 1,
        Format::Posit(p) => p.precision(),
    }
}

impl<'a> Prepared<'a> {
    /// Surveys the operands, or says why only the definition will do.
    fn new(problem: &'a Problem<'a>) -> Result<Self, String> {
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
        let stages = Stages {
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
        let mut a_survey = Survey::rows(problem.operands.a, &a, k);
        let mut b_survey = Survey::columns(problem.operands.b, &b, n);
        let scales = (mode.scale != Scaling::None).then(|| BlockScales::new(mode, problem.shape, problem.operands));
        let mut scale_reach = Reach { max: 1.0, lsb: 0, ..Reach::ZERO };
        if let Some(scales) = &scales {
            let [of_a, of_b] = scales.reach();
            if mode.scale == Scaling::Exponent {
                (a_survey, b_survey) = (a_survey.scaled(of_a), b_survey.scaled(of_b));
            } else {
                let scale_bits = mode.scale_format.precision();
                let bits = significant_bits(mode.accumulator) + if scale_bits == 1 { 0 } else { 2 * scale_bits };
                if bits > 53 {
                    return Err(format!("scaled sums have up to {bits} significant bits, more than 53"));
                }
                scale_reach = of_a.product(of_b);
            }
        }
        let (c, c_reach) = match problem.operands.c {
            None => (None, Reach::ZERO),
            Some(codes) => {
                let reader = Reader::new(problem.setup.addend_format(), SubnormalPolicy::Gradual, 0)
                    .ok_or_else(|| range(problem.setup.addend_format()))?;
                let mut reach = Survey::rows(codes, &reader, n).of(0..m);
                // Two's complement has no -0.
                let floating = stages.outermost.floating;
                reach.negative_zero &= floating;
                let value = |code| if floating { reader.value(code) } else { reader.value(code) + 0.0 };
                (Some(codes.iter().map(value).collect()), reach)
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
        let (a_reach, b_reach) = (finite(a_survey.of(0..m)), finite(b_survey.of(0..n)));
        let products = a_reach.product(b_reach);
        if products.lsb < -900 || products.max > power_of_two(900) {
            return Err("products are out of binary64's range".to_owned());
        }
        let all = Knowledge::new(&stages, &order, a_survey.of(0..m), b_survey.of(0..n), c_reach, scale_reach);
        let finite = Knowledge::new(&stages, &order, a_reach, b_reach, finite(c_reach), finite(scale_reach));
        if products.lsb + scale_reach.lsb.min(0) < -900 || products.max * scale_reach.max.max(1.0) * k as f64 > power_of_two(900) {
            return Err("scaled sums are out of binary64's range".to_owned());
        }
        if mode.outermost().is_wide() && !Drain::new(&problem.mac, problem.setup.output, problem.setup.site).rounds_lanes() {
            return Err(format!("results leave {} for {}", mode.outermost(), problem.setup.output.format));
        }
        Ok(Self { problem, stages, order, a, b, a_survey, b_survey, c, c_reach, all, finite, product_bits, scales, scale_reach })
    }

    /// Tries the kernels of the best machine within `choice`.
    fn on_host(&self, choice: KernelChoice, declined: &mut Vec<String>) -> Result<Done, String> {
        #[cfg(target_arch = "x86_64")]
        {
            let within = |set| choice == KernelChoice::Auto || choice == set;
            if let Some(machine) = Avx512Fp16::detect().filter(|_| within(KernelChoice::Avx512Fp16)) {
                let native = self.stages.accumulator.format == Format::FP16 && self.problem.mac.mode().unit == Unit::Chain;
                match native.then(|| self.fma16(machine)) {
                    Some(Ok(done)) => return Ok(done),
                    Some(Err(reason)) => declined.push(format!("fma16: {reason}")),
                    None => {}
                }
                return self.on(machine, declined);
            }
            if let Some(machine) = Avx512::detect().filter(|_| within(KernelChoice::Avx512)) {
                return self.on(machine, declined);
            }
            if let Some(machine) = Avx2::detect().filter(|_| within(KernelChoice::Avx2)) {
                return self.on(machine, declined);
            }
        }
        if choice == KernelChoice::Auto {
            declined.push("this CPU has neither AVX-512 nor AVX2 with what else kernels take".to_owned());
        }
        self.on(Portable, declined)
    }

    /// Tries the kernels on one machine's lanes, fastest first.
    fn on<S: Machine>(&self, machine: S, declined: &mut Vec<String>) -> Result<Done, String> {
        match self.problem.mac.mode().unit {
            Unit::Chain => self.chain(machine, declined),
            Unit::Aligned(unit) => {
                let narrow = self.operands_fit_binary32().and_then(|()| self.aligned(machine, machine.f32(), unit, Name::Aligned32));
                narrow.or_else(|reason| {
                    declined.push(format!("aligned32: {reason}"));
                    self.aligned(machine, machine.f64(), unit, Name::Aligned64).map_err(|reason| format!("aligned64: {reason}"))
                })
            }
            _ => self.exact_blocks(machine),
        }
    }

    /// Binary16 arithmetic.
    #[cfg(target_arch = "x86_64")]
    fn fma16(&self, machine: Avx512Fp16) -> Result<Done, String> {
        let mode = self.problem.mac.mode();
        let accumulator = &self.stages.accumulator;
        if !accumulator.is_nearest_even() {
            return Err(format!("rounding is {}, not rne", accumulator.rounding));
        }
        if self.stages.product.is_some() {
            return Err("products are rounded".to_owned());
        }
        let (m, n) = (self.problem.shape.m as usize, self.problem.shape.n as usize);
        let fits = |format, reach: Reach| significant_bits(format) <= 11 && reach.lsb >= -24 && reach.max < 65536.0;
        if !fits(mode.a, self.a_survey.of(0..m)) || !fits(mode.b, self.b_survey.of(0..n)) {
            return Err("operands with the shared biases are not in binary16's range".to_owned());
        }
        let randomness = self.randomness();
        let checked = self.carrier32(machine.f32(), &randomness)?;
        let overflow_stays = accumulator.overflowed.iter().chain(&accumulator.infinite).all(|x| x.is_infinite());
        let kernel = Fma16 { proof: machine, checked, overflow_stays };
        match kernel.way(&self.finite) {
            Some(_) => Ok(self.run(machine, &kernel, Name::Fma16, &randomness)),
            None => Err("these operands may underflow".to_owned()),
        }
    }

    fn chain<S: Machine>(&self, machine: S, declined: &mut Vec<String>) -> Result<Done, String> {
        let floating = self.stages.accumulator.floating;
        let randomness = self.randomness();
        let [fused32, fused64] = if floating { [Name::Fma32, Name::Fma64] } else { [Name::Integer; 2] };
        match self.operands_fit_binary32() {
            Ok(()) => {
                match self.fused(machine.f32()) {
                    Ok(kernel) => return Ok(self.run(machine, &kernel, fused32, &randomness)),
                    Err(reason) => declined.push(format!("fma32: {reason}")),
                }
                match self.carrier32(machine.f32(), &randomness) {
                    Ok(kernel) => return Ok(self.run(machine, &kernel, Name::Carrier32, &randomness)),
                    Err(reason) => declined.push(format!("carrier32: {reason}")),
                }
            }
            Err(reason) => declined.push(format!("fma32, carrier32: {reason}")),
        }
        if let Ok(kernel) = self.fused(machine.f64()) {
            return Ok(self.run(machine, &kernel, fused64, &randomness));
        }
        let (product, accumulator) = (self.stages.product.as_ref(), &self.stages.accumulator);
        Chain::new(machine.f64(), product, accumulator, &randomness, self.product_bits, &self.all)
            .filter(|kernel| kernel.way(&self.finite).is_some())
            .map(|kernel| self.run(machine, &kernel, if floating { Name::Carrier64 } else { Name::Integer }, &randomness))
            .ok_or_else(|| {
                "carrier64: these operands may underflow in a format without subnormals, or exceed fixed point's range".to_owned()
            })
    }

    /// Whether operands are exact in binary32.
    fn operands_fit_binary32(&self) -> Result<(), String> {
        let mode = self.problem.mac.mode();
        let (m, n) = (self.problem.shape.m as usize, self.problem.shape.n as usize);
        let fits = |format, reach: Reach| significant_bits(format) <= 24 && reach.lsb >= -126 && reach.max < power_of_two(127);
        if fits(mode.a, self.a_survey.of(0..m)) && fits(mode.b, self.b_survey.of(0..n)) {
            Ok(())
        } else {
            Err("operands with the shared biases are not in binary32's range".to_owned())
        }
    }

    /// Sums that multiply-adds compute as they are.
    fn fused<L: Lanes<Number: Carrier>>(&self, lanes: L) -> Result<Fused<L>, String> {
        let accumulator = &self.stages.accumulator;
        if self.stages.product.is_some() {
            return Err("products are rounded".to_owned());
        }
        let native = L::Number::BITS == 32 && accumulator.format == Format::FP32 && accumulator.is_nearest_even();
        let kernel = Fused { lanes, native, floating: accumulator.floating };
        if kernel.way(&self.finite).is_some() {
            return Ok(kernel);
        }
        Err(if native {
            "these operands may overflow or underflow".to_owned()
        } else if !accumulator.floating {
            "sums may need more than 24 bits or exceed the accumulator".to_owned()
        } else if accumulator.format == Format::FP32 {
            format!("rounding is {}, not rne", accumulator.rounding)
        } else {
            format!("the accumulator is {}, not fp32", accumulator.format)
        })
    }

    fn carrier32<'k, L: Lanes<Number = f32>>(&'k self, lanes: L, randomness: &'k Randomness) -> Result<Chain<'k, L>, String> {
        let (product, accumulator) = (self.stages.product.as_ref(), &self.stages.accumulator);
        let Some(kernel) = Chain::new(lanes, product, accumulator, randomness, self.product_bits, &self.all) else {
            return Err(format!("{} {} does not fit binary32 with room to round", accumulator.format, accumulator.rounding));
        };
        if self.finite.addend.lsb < -149 || self.finite.addend.max >= power_of_two(126) {
            return Err("products are not in binary32's range".to_owned());
        }
        let (m, n) = (self.problem.shape.m as usize, self.problem.shape.n as usize);
        if !kernel.watches() && (self.a_survey.of(0..m).special || self.b_survey.of(0..n).special || self.c_reach.special) {
            return Err("there are infinities or NaNs".to_owned());
        }
        kernel.way(&self.finite).is_some().then_some(kernel).ok_or_else(|| "these operands may overflow or underflow".to_owned())
    }

    fn aligned<S: Machine, L: Lanes<Number: Carrier>>(&self, machine: S, lanes: L, unit: AlignedUnit, name: Name) -> Result<Done, String> {
        let (m, n) = (self.problem.shape.m as usize, self.problem.shape.n as usize);
        if self.stages.product.is_some() {
            return Err("products are rounded".to_owned());
        }
        if self.problem.mac.mode().scale == Scaling::Exponent {
            return Err("block scales join the exponents".to_owned());
        }
        let largest = self.a_survey.of(0..m).max.max(self.b_survey.of(0..n).max);
        let largest = if largest == 0.0 { 0 } else { (largest.to_bits() >> 52) as i32 - 1023 };
        let bias = -(self.problem.setup.bias_a + self.problem.setup.bias_b);
        let mode = self.problem.mac.mode();
        let slack = (mode.a.precision() + mode.b.precision()) as i32;
        let kernel = Aligned::new(lanes, &self.stages.accumulator, unit, self.order.block, largest.max(0) + bias.max(0), slack)?;
        match kernel.way(&self.finite) {
            Some(_) => Ok(self.run(machine, &kernel, name, &self.randomness())),
            None => Err("sums may overflow, or be tiny, or lie too far apart".to_owned()),
        }
    }

    fn exact_blocks<S: Machine>(&self, machine: S) -> Result<Done, String> {
        let mode = self.problem.mac.mode();
        if mode.product != Product::Exact {
            return Err("blocks: products are rounded".to_owned());
        }
        if mode.rounding.cancels_to_negative_zero() {
            return Err("blocks: under rdn a sum that cancels is -0".to_owned());
        }
        if self.order.apart && mode.rounding.random_bits() > 0 {
            return Err("blocks: a block's sum is rounded stochastically on its own".to_owned());
        }
        let randomness = self.randomness();
        let accumulator = &self.stages.accumulator;
        let (length, apart) = (self.order.block, self.order.apart);
        let kernel = ExactBlocks { lanes: machine.f64(), accumulator, length, apart, randomness: &randomness };
        match kernel.way(&self.finite) {
            Some(_) => Ok(self.run(machine, &kernel, Name::Blocks, &randomness)),
            None => Err("blocks: a block may need more than 53 bits, or sums exceed the accumulator".to_owned()),
        }
    }

    fn randomness(&self) -> Randomness {
        let bits = self.problem.mac.mode().rounding.random_bits();
        Randomness::new(self.problem.setup.site, bits, self.order.k, self.stages.product.is_some())
    }

    fn run<S: Machine, K: Kernel>(&self, machine: S, kernel: &K, name: Name, randomness: &Randomness) -> Done {
        let problem = self.problem;
        let (n, k) = (problem.shape.n as usize, problem.shape.k as usize);
        let drain = Drain::new(&problem.mac, problem.setup.output, problem.setup.site);
        let (m, mode) = (problem.shape.m as usize, problem.mac.mode());
        let mut a = Panels::<K::Number>::rows(problem.operands.a, &self.a, k, K::ROWS);
        let mut b = Panels::<K::Number>::columns(problem.operands.b, &self.b, n, K::COLUMNS);
        if let Some(scales) = self.scales.as_ref().filter(|_| mode.scale == Scaling::Exponent) {
            a.scale(m, K::ROWS, |row, k| scales.a(row, k));
            b.scale(n, K::COLUMNS, |column, k| scales.b(k, column));
        }
        if K::PAIRED {
            a = a.paired();
        }
        if K::POWERS {
            let smallest = |format: Format| format.as_float().map_or(0, FloatFormat::min_exponent);
            a = a.with_powers(K::ROWS, smallest(mode.a));
            b = b.with_powers(K::COLUMNS, smallest(mode.b) - (problem.setup.bias_a + problem.setup.bias_b));
        }
        let tiles = Tiles {
            lanes: machine.f64(),
            kernel,
            problem,
            stages: &self.stages,
            order: self.order,
            randomness,
            drain: &drain,
            a,
            b,
            a_survey: &self.a_survey,
            b_survey: &self.b_survey,
            c: self.c.as_deref(),
            c_reach: self.c_reach,
            scales: self.scales.as_ref().filter(|_| mode.scale == Scaling::Chunk),
            scale_reach: self.scale_reach,
        };
        let (d, mut activity, by_definition) = tiles.run();
        let (rows, columns) = (u64::from(problem.shape.m), u64::from(problem.shape.n));
        activity.zero_operand_macs = (self.a_survey.zeros.iter().zip(&self.b_survey.zeros))
            .map(|(&a, &b)| (u64::from(a), u64::from(b)))
            .map(|(a, b)| a * columns + b * rows - a * b)
            .sum();
        Done { name: name.on::<S>(), d, activity, by_definition }
    }
}
