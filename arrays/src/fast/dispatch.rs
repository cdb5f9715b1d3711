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

use super::choice::KernelChoice;
#[cfg(target_arch = "x86_64")]
use super::kernels::Fma16;
use super::kernels::{Aligned, Chain, ExactBlocks, Fused, Kernel, products_in_binary32};
use super::masked::{self, Places};
use super::order::Randomness;
use super::panels::Carrier;
#[cfg(target_arch = "x86_64")]
use super::panels::Half;
use super::prepared::{Done, Name, Prepared, significant_bits};
use super::reach::Reach;
use super::scalar::{self, Problem};
use crate::dataflow::separate_fold_length;
use crate::datapath::Mac;
use crate::ordinal::Draws;
use crate::problem::{Operands, Setup, Shape, Values};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Fp16};
use crate::simd::{Lanes, Machine, Number, Portable};
use systole_isa::design::{Aligned as AlignedUnit, Product, Scaling, Unit};
use systole_isa::format::Format;

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

/// Computes a product, or the outputs that its mask selects, and says by which kernel.
///
/// # Panics
/// If the lengths of operands or the mask's extents are not those of `shape`, or if there is a mask
/// beside a C or beside random bits from shift registers.
pub fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>, choice: KernelChoice) -> (Values, KernelUse) {
    let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
    assert_eq!(operands.a.len(), m * k, "A is M x K");
    assert_eq!(operands.b.len(), k * n, "B is K x N");
    assert!(operands.c.is_none_or(|c| c.len() == m * n), "C is M x N");
    match operands.mask {
        None => compute(setup, shape, operands, &Places::default(), choice),
        Some(mask) => masked::gemm(setup, shape, operands, mask, choice),
    }
}

/// The same where `places` are the operands' rows and columns in the whole product. Tiles without
/// a selected output are skipped, but operands are packed as they are.
pub(super) fn compute(setup: &Setup, shape: Shape, operands: &Operands<'_>, places: &Places, choice: KernelChoice) -> (Values, KernelUse) {
    let problem = Problem {
        mac: Mac::new(&setup.mode, setup.bias_a, setup.bias_b),
        setup,
        shape,
        operands,
        fold: separate_fold_length(&setup.array, &setup.mode),
        draws: Draws::new(setup, shape),
        places,
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

impl Prepared<'_> {
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
        let accumulator = &self.stages.accumulator;
        if !accumulator.is_nearest_even() {
            return Err(format!("rounding is {}, not rne", accumulator.rounding));
        }
        if self.stages.product.is_some() {
            return Err("products are rounded".to_owned());
        }
        self.operands_fit::<Half>(-24, 16, "binary16")?;
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
            .ok_or_else(|| "carrier64: infinities or NaNs where the accumulator has none, or sums beyond fixed point's range".to_owned())
    }

    /// Whether operands are exact in a host float of so many significant bits and such a range.
    fn operands_fit<N: Number>(&self, low: i32, high: i32, name: &str) -> Result<(), String> {
        let mode = self.problem.mac.mode();
        let fits = |format, reaches: [Reach; 2]| {
            significant_bits(format) <= N::SIGNIFICAND && reaches.into_iter().all(|reach| reach.is_within(low, high))
        };
        let [a, b] = self.unscaled;
        if fits(mode.a, [a, self.a_survey.all]) && fits(mode.b, [b, self.b_survey.all]) {
            Ok(())
        } else {
            Err(format!("operands with the shared biases are not in {name}'s range"))
        }
    }

    fn operands_fit_binary32(&self) -> Result<(), String> {
        self.operands_fit::<f32>(-126, 127, "binary32")
    }

    /// Sums that multiply-adds compute as they are.
    fn fused<L: Lanes<Number: Carrier>>(&self, lanes: L) -> Result<Fused<L>, String> {
        let accumulator = &self.stages.accumulator;
        if self.stages.product.is_some() {
            return Err("products are rounded".to_owned());
        }
        if !L::FUSES && self.product_bits > L::Number::SIGNIFICAND {
            return Err("products are not exact, and there is no fused multiply-add".to_owned());
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
        if !products_in_binary32(&self.finite) {
            return Err("products are not in binary32's range".to_owned());
        }
        if !kernel.watches() && (self.a_survey.all.special || self.b_survey.all.special || self.c_reach.special) {
            return Err("there are infinities or NaNs".to_owned());
        }
        kernel.way(&self.finite).is_some().then_some(kernel).ok_or_else(|| "these operands may overflow or underflow".to_owned())
    }

    fn aligned<S: Machine, L: Lanes<Number: Carrier>>(&self, machine: S, lanes: L, unit: AlignedUnit, name: Name) -> Result<Done, String> {
        if self.stages.product.is_some() {
            return Err("products are rounded".to_owned());
        }
        if self.product_bits > L::Number::SIGNIFICAND {
            return Err(format!("products have {} significant bits, more than {}", self.product_bits, L::Number::SIGNIFICAND));
        }
        if self.problem.mac.mode().scale == Scaling::Exponent {
            return Err("block scales join the exponents".to_owned());
        }
        let largest = self.a_survey.all.max.max(self.b_survey.all.max);
        let largest = if largest == 0.0 { 0 } else { (largest.to_bits() >> 52) as i32 - 1023 };
        let bias = -(self.problem.setup.bias_a + self.problem.setup.bias_b);
        let mode = self.problem.mac.mode();
        let slack = (mode.a.precision() + mode.b.precision()) as i32;
        let blocks = [self.order.block, self.order.inner_length().div_ceil(self.order.block)];
        let kernel = Aligned::new(lanes, &self.stages.accumulator, unit, blocks, largest.max(0) + bias.max(0), slack)?;
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
}
