//! A design: what the silicon has.
//!
//! Immutable data, read from RON or built in, overridden by path, validated as a whole.
//! Nothing here computes; state lives in the engines.

mod builtin;
mod energy;
mod mode;
pub mod technology;
mod unit;
mod validate;

pub use builtin::{BuiltIn, DESIGNS, find};
pub use energy::{Calibration, EnergySpec, Gating, Switching};
pub use mode::{MacMode, ModeOverride, Product, ScaledBlocks};
pub use technology::Technology;
pub use unit::{Addend, Aligned, EntropySource, LfsrShare, Scaling, Truncation, Unit};
pub use validate::Problem;

use crate::format::Format;
use crate::overrides;
use crate::round::{NoInfinity, Overflow, Policy, Rounding};
use serde::{Deserialize, Serialize};

/// A complete hardware design.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Short name, used in reports.
    pub name: String,
    /// One line on what it is and where it comes from.
    #[serde(default)]
    pub summary: String,
    /// Whether this project knows the bits the unit computes.
    #[serde(default)]
    pub arithmetic: Arithmetic,
    /// The systolic arrays.
    pub array: ArraySpec,
    /// MAC mode 0.
    pub mac: MacMode,
    /// Further MAC modes: what they leave out they take from mode 0.
    #[serde(default)]
    pub modes: Vec<ModeOverride>,
    /// Requantisation of results leaving the array.
    #[serde(default)]
    pub output: OutputSpec,
    /// The vector unit.
    #[serde(default)]
    pub vector: VectorSpec,
    /// Scratchpad, accumulator memory and DRAM.
    #[serde(default)]
    pub memory: MemorySpec,
    /// How energy and area are priced.
    #[serde(default)]
    pub energy: EnergySpec,
    /// Seed of every stochastic rounding on the hardware.
    #[serde(default)]
    pub seed: u64,
}

/// Whether the values a unit computes are known to the bit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// Values, cycles and costs.
    #[default]
    Modelled,
    /// Cycles and costs only, for this reason.
    CostOnly(String),
}

/// Which operand stays in the processing elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataflow {
    /// Output-stationary: each PE accumulates one output.
    Os,
    /// Weight-stationary: B is preloaded, A streams, partial sums move down the columns.
    Ws,
    /// Input-stationary: A is preloaded, B streams, partial sums move down the columns.
    Is,
}

/// What the compute cycle count charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// Fill, skew and drain, as registers in hardware pay them.
    #[default]
    Rtl,
    /// SCALE-Sim's closed form, for comparison: accounting only, the registers still move as under `rtl`.
    Scalesim,
}

/// Whether results drain before the next fold starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drain {
    /// The next fold starts when the last result has left.
    Serial,
    /// Results leave while the next fold computes.
    #[default]
    Overlap,
}

/// How the stationary operand enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preload {
    /// One register per PE: loading waits for the streaming fold to pass.
    Serial,
    /// A shadow register per PE: the next tile loads while the present one is used.
    #[default]
    Double,
}

/// Where partial sums of successive folds along k meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialSums {
    /// They re-enter the array: one chain over ascending k.
    #[default]
    Feedback,
    /// Each fold starts at +0 and the accumulator memory adds the folds.
    Outside,
}

/// The systolic arrays of a design.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArraySpec {
    /// PE rows R of one array.
    pub rows: u32,
    /// PE columns C of one array.
    pub cols: u32,
    /// Identical arrays sharing the memory system.
    #[serde(default = "one")]
    pub count: u32,
    /// Clock in MHz.
    pub clock_mhz: f64,
    /// Dataflow.
    pub dataflow: Dataflow,
    /// Cycle accounting.
    #[serde(default)]
    pub convention: Convention,
    /// Drain option.
    #[serde(default)]
    pub drain: Drain,
    /// Preload option (weight- and input-stationary).
    #[serde(default)]
    pub preload: Preload,
    /// Partial-sum option (weight- and input-stationary).
    #[serde(default)]
    pub partial_sums: PartialSums,
    /// Pipeline stages of a MAC, from its operand registers to its sum: a sum is written so many
    /// cycles after its product's operands.
    #[serde(default = "one", with = "unless_one")]
    pub mac_stages: u32,
    /// Of those, the last ones, through which a sum passes before the next product can be added to
    /// it; absent, all of them.
    #[serde(default)]
    pub loop_stages: Option<u32>,
}

impl ArraySpec {
    /// One output-stationary array at 1 GHz, all else as in a design file that does not say.
    pub const fn output_stationary(rows: u32, cols: u32) -> Self {
        Self {
            rows,
            cols,
            count: one(),
            clock_mhz: 1000.0,
            dataflow: Dataflow::Os,
            convention: Convention::Rtl,
            drain: Drain::Overlap,
            preload: Preload::Double,
            partial_sums: PartialSums::Feedback,
            mac_stages: one(),
            loop_stages: None,
        }
    }

    /// Cycles from a PE's product to its next one. Under `os` both go into one sum, which has to
    /// pass the loop; elsewhere they belong to different sums.
    pub fn issue_interval(&self) -> u32 {
        match self.dataflow {
            Dataflow::Os => self.loop_stages.unwrap_or(self.mac_stages),
            Dataflow::Ws | Dataflow::Is => 1,
        }
    }
}

/// Fields that are written as nothing where they have their default: a design that leaves them so
/// says what it said before there were such fields.
mod unless_default {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Default + PartialEq + Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        if *value == T::default() { to.serialize_none() } else { to.serialize_some(value) }
    }

    pub fn deserialize<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        Option::deserialize(from).map(Option::unwrap_or_default)
    }
}

/// A count that is written as nothing where it is 1: a design that leaves it so says what it said
/// before there was such a field.
mod unless_one {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &u32, to: S) -> Result<S::Ok, S::Error> {
        if *value == 1 { to.serialize_none() } else { to.serialize_some(value) }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        Option::deserialize(from).map(|value| value.unwrap_or(1))
    }
}

const fn one() -> u32 {
    1
}

/// How results are rounded when they leave the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSpec {
    /// Output format; absent means the outermost accumulator's format.
    pub format: Option<Format>,
    /// Rounding of the conversion.
    pub rounding: Rounding,
    /// Overflow of the conversion.
    pub overflow: Overflow,
    /// Stand-in for infinity where the output format has none.
    pub no_infinity: NoInfinity,
}

impl Default for OutputSpec {
    fn default() -> Self {
        Self { format: None, rounding: Rounding::Rne, overflow: Overflow::Ieee, no_infinity: NoInfinity::Nan }
    }
}

impl OutputSpec {
    /// The conversion policy at the drain.
    pub const fn policy(&self) -> Policy {
        Policy { no_infinity: self.no_infinity, ..Policy::new(self.rounding).overflow(self.overflow) }
    }
}

/// The vector unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VectorSpec {
    /// Widest format of its lanes: prices them, and bounds what programs may ask.
    pub format: Format,
    /// Lanes, each one result per cycle.
    pub lanes: u32,
    /// Cycles a lane is busy with one elementary function (exp, log, tanh, reciprocal, ...).
    pub function_cycles: u32,
    /// Pipeline latency from first operand to first result, cycles.
    pub latency_cycles: u32,
}

impl Default for VectorSpec {
    fn default() -> Self {
        Self { format: Format::FP32, lanes: 16, function_cycles: 4, latency_cycles: 8 }
    }
}

/// Ports of the scratchpad's banks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ports {
    /// One for operands; results, and what comes from and goes to DRAM, have another.
    #[default]
    Separate,
    /// One: a bank makes one access a cycle, whoever asks.
    Shared,
}

/// The memory system.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySpec {
    /// Scratchpad capacity, KiB.
    pub scratchpad_kib: u32,
    /// Scratchpad banks, each one access per cycle.
    pub scratchpad_banks: u32,
    /// Bytes one bank delivers per access.
    pub scratchpad_bank_bytes: u32,
    /// Who else accesses the banks that the arrays' edges and the vector unit read.
    #[serde(with = "unless_default")]
    pub scratchpad_ports: Ports,
    /// Accumulator memory beside the array, KiB (weight- and input-stationary partial sums).
    pub accumulator_kib: u32,
    /// DRAM capacity, MiB.
    pub dram_mib: u32,
    /// DRAM bytes per array clock, reads and writes together.
    pub dram_bytes_per_cycle: f64,
    /// Cycles from a DRAM request to its first byte.
    pub dram_latency_cycles: u32,
    /// DRAM energy, pJ per bit.
    pub dram_pj_per_bit: f64,
}

impl Default for MemorySpec {
    fn default() -> Self {
        Self {
            scratchpad_kib: 256,
            scratchpad_banks: 32,
            scratchpad_bank_bytes: 8,
            scratchpad_ports: Ports::Separate,
            accumulator_kib: 64,
            dram_mib: 16_384,
            dram_bytes_per_cycle: 64.0,
            dram_latency_cycles: 100,
            dram_pj_per_bit: 20.0,
        }
    }
}

impl MemorySpec {
    /// Bytes that all banks of the scratchpad deliver in a cycle.
    pub fn scratchpad_bytes_per_cycle(&self) -> u64 {
        u64::from(self.scratchpad_banks) * u64::from(self.scratchpad_bank_bytes)
    }
}

/// A design could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DesignError {
    /// The text is not a design.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// File or built-in name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// An override does not fit.
    #[error(transparent)]
    Override(#[from] overrides::OverrideError),
    /// The design contradicts itself.
    #[error("design `{name}` is not usable:{}", problems.iter().map(|p| format!("\n  {p}")).collect::<String>())]
    Invalid {
        /// Name of the design.
        name: String,
        /// Every problem found.
        problems: Vec<Problem>,
    },
}

impl Design {
    /// Reads RON text; `file` is named in errors. Not yet validated: apply overrides first.
    ///
    /// # Errors
    /// [`DesignError::Syntax`] with line and column.
    pub fn from_ron(file: &str, text: &str) -> Result<Self, DesignError> {
        overrides::ron_options().from_str(text).map_err(|e| DesignError::Syntax {
            file: file.to_owned(),
            line: e.span.start.line,
            column: e.span.start.col,
            message: e.code.to_string(),
        })
    }

    /// Applies `PATH=VALUE` overrides in order and validates the result.
    ///
    /// # Errors
    /// An unknown path, a value of the wrong kind, or a design that contradicts itself.
    pub fn with_overrides(&self, settings: &[(String, String)]) -> Result<Self, DesignError> {
        let mut design: Self = overrides::apply("design", self, settings)?;
        if !settings.is_empty() && self.shadowed_modes().is_empty() {
            // An override of mode 0's operands takes the place of the mode that had them.
            for index in design.shadowed_modes().into_iter().rev() {
                design.modes.remove(index);
            }
        }
        design.validated()
    }

    /// Indices into `modes` whose operands an earlier mode takes already.
    fn shadowed_modes(&self) -> Vec<usize> {
        let modes = self.mac_modes();
        let earlier = |i: usize| modes[..i].iter().any(|m| m.takes() == modes[i].takes());
        (1..modes.len()).filter(|&i| earlier(i)).map(|i| i - 1).collect()
    }

    /// The design itself if it is consistent.
    ///
    /// # Errors
    /// [`DesignError::Invalid`] with every problem.
    pub fn validated(self) -> Result<Self, DesignError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(DesignError::Invalid { name: self.name, problems }) }
    }

    /// All MAC modes, mode 0 first, inherited fields filled in.
    pub fn mac_modes(&self) -> Vec<MacMode> {
        std::iter::once(self.mac.clone()).chain(self.modes.iter().map(|m| m.resolve(&self.mac))).collect()
    }

    /// Index of the mode that takes operands of these formats, if any: rather one without block
    /// scales, which are 1 elsewhere.
    pub fn mode_for(&self, a: Format, b: Format) -> Option<usize> {
        let modes = self.mac_modes();
        let first = |wanted: &dyn Fn(&MacMode) -> bool| modes.iter().position(|m| m.a == a && m.b == b && wanted(m));
        first(&|m| m.scale == Scaling::None).or_else(|| first(&|_| true))
    }

    /// Index of the mode that takes operands of these formats, scaled in these blocks, if any.
    pub fn mode_for_blocks(&self, a: Format, b: Format, blocks: &ScaledBlocks) -> Option<usize> {
        self.mac_modes().iter().position(|m| m.a == a && m.b == b && m.scales_by(blocks))
    }

    /// Format in which results of `mode` leave the array.
    pub fn output_format(&self, mode: &MacMode) -> Format {
        self.output.format.unwrap_or(mode.outermost())
    }

    /// Format of C: the outermost accumulator's, or where that has no codes of up to 64 bits
    /// the output format.
    pub fn addend_format(&self, mode: &MacMode) -> Format {
        if mode.outermost().is_wide() { self.output_format(mode) } else { mode.outermost() }
    }

    /// PEs over all arrays.
    pub fn processing_elements(&self) -> u64 {
        u64::from(self.array.rows) * u64::from(self.array.cols) * u64::from(self.array.count)
    }

    /// MACs that all multipliers could form in a cycle.
    pub fn mac_slots_per_cycle(&self) -> u64 {
        self.processing_elements() * u64::from(self.mac.lanes)
    }

    /// MACs per cycle at full use: one in each slot every [`ArraySpec::issue_interval`].
    pub fn peak_macs_per_cycle(&self) -> f64 {
        self.mac_slots_per_cycle() as f64 / f64::from(self.array.issue_interval())
    }
}
