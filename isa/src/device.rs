//! What hardware answers: cycles, stalls, events and activity, per instruction and in all.

mod sums;

pub use sums::{SumCounts, SumPlace};

use crate::design::Design;
use crate::format::Format;
use crate::program::Program;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Declares a record of named `u64` counters that can be summed and listed.
macro_rules! counters {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_meta])* pub $field: u64),* }

        impl $name {
            /// Every counter with its name, in declaration order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }

        impl std::ops::Mul<u64> for $name {
            type Output = Self;
            fn mul(self, factor: u64) -> Self {
                Self { $($field: self.$field * factor),* }
            }
        }
    };
}

counters! {
    /// What happened, fixed by shape and design alone: the same under every engine. Of masked
    /// products the masks decide as well: `timing`, which has no values, counts every output as
    /// selected.
    pub struct Events {
        /// Multiply-accumulates asked for: M N K per product.
        macs,
        /// Multiply-accumulates spent: those of a masked product's selected outputs, all of any other's.
        macs_spent,
        /// Lane-cycles inside compute time in which a MAC lane had no product to add
        /// (fill, skew, drain, ragged edges, outputs not selected, arrays without work).
        idle_lane_cycles,
        /// Writes of the moving A (or, input-stationary, B) operand register of a PE.
        streaming_register_writes,
        /// Writes of the other operand register of a PE: the moving B under `os`, else the
        /// preloaded operand, shadow and active registers counted apart.
        stationary_register_writes,
        /// Writes of accumulator (`os`) or partial-sum (`ws`, `is`) registers.
        accumulator_register_writes,
        /// Additions of a closed chunk into the outer accumulator.
        outer_additions,
        /// Writes of the skew registers along the array's edges.
        skew_register_writes,
        /// Writes of the drain registers that carry results (and C) through the array and its output edge.
        drain_register_writes,
        /// Words read from the accumulator memory.
        accumulator_memory_reads,
        /// Words written to the accumulator memory.
        accumulator_memory_writes,
        /// Additions made by the accumulator memory (`partial_sums: outside`).
        accumulator_memory_additions,
        /// Results converted to the output format while leaving the array.
        conversions,
        /// Bytes read from the scratchpad.
        scratchpad_read_bytes,
        /// Bytes written to the scratchpad.
        scratchpad_write_bytes,
        /// Bytes read from DRAM.
        dram_read_bytes,
        /// Bytes written to DRAM.
        dram_write_bytes,
        /// Vector-lane additions, subtractions, comparisons and conversions.
        vector_additions,
        /// Vector-lane multiplications (a fused multiply-add is one of each).
        vector_multiplications,
        /// Vector-lane elementary functions and divisions.
        vector_functions,
        /// Folds the array walked.
        folds,
        /// Instructions retired.
        instructions,
    }
}

counters! {
    /// What happened and depends on values: equal under `ticked` and `fast`, absent under `timing`.
    pub struct Activity {
        /// MACs spent of which at least one operand was a zero: what zero gating would save.
        zero_operand_macs,
        /// Products or accumulator writes (inner, outer, memory) that overflowed.
        accumulator_overflows,
        /// Products or accumulator writes that were tiny and inexact.
        accumulator_underflows,
        /// Matrix results that are NaN in the outermost accumulator.
        accumulator_nans,
        /// Output conversions that overflowed.
        conversion_overflows,
        /// Output conversions that were tiny and inexact.
        conversion_underflows,
        /// Vector results that overflowed.
        vector_overflows,
        /// Vector results that were tiny and inexact.
        vector_underflows,
        /// Vector results that are NaN.
        vector_nans,
    }
}

counters! {
    /// Bits that changed where operands pass, in the order in which the dataflow brings them: equal
    /// under `ticked` and `fast`. Registers and multipliers begin a product at 0 and hold what they
    /// have while nothing new arrives. Each count of changes has the count of what could have changed.
    pub struct Toggles {
        /// Bits changed in streaming operand registers of PEs.
        streaming_register_toggles,
        /// Bits written there.
        streaming_register_bits,
        /// Bits changed in the other operand registers of PEs, shadow and active ones.
        stationary_register_toggles,
        /// Bits written there.
        stationary_register_bits,
        /// Bits changed in the skew registers of A and B.
        skew_register_toggles,
        /// Bits written there.
        skew_register_bits,
        /// Partial products (one bit of either significand) changed in multipliers.
        partial_product_toggles,
        /// Partial products formed.
        partial_product_cells,
    }
}

/// Why the array stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// Waiting for operands from DRAM.
    OperandLoad,
    /// Waiting for a result buffer that is still being stored.
    ResultStore,
    /// The scratchpad's banks deliver fewer bytes than the array's edges consume.
    ScratchpadBandwidth,
    /// The vector unit works on what comes next, or the program has only vector work.
    Vector,
    /// Waiting for an earlier matrix instruction's stores to be readable, or for a fence.
    Dependency,
    /// Instruction issue.
    Issue,
}

impl Stall {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::OperandLoad, Self::ResultStore, Self::ScratchpadBandwidth, Self::Vector, Self::Dependency, Self::Issue];

    /// The name records use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OperandLoad => "operand_load",
            Self::ResultStore => "result_store",
            Self::ScratchpadBandwidth => "scratchpad_bandwidth",
            Self::Vector => "vector",
            Self::Dependency => "dependency",
            Self::Issue => "issue",
        }
    }
}

/// Cycles of a run. `total` = `compute` + every stall, exactly, under the `rtl` convention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycles {
    /// From the first request to the last byte stored.
    pub total: u64,
    /// Array-busy time without memory stalls, by the design's convention.
    pub compute: u64,
    /// Idle time of the array by reason.
    pub stall: BTreeMap<Stall, u64>,
}

impl Cycles {
    /// Idle cycles over all reasons.
    pub fn stalled(&self) -> u64 {
        self.stall.values().sum()
    }

    /// Charges `cycles` to a reason; zero charges leave no entry.
    pub fn charge(&mut self, reason: Stall, cycles: u64) {
        if cycles > 0 {
            *self.stall.entry(reason).or_default() += cycles;
        }
    }
}

impl std::ops::AddAssign<&Self> for Cycles {
    fn add_assign(&mut self, other: &Self) {
        self.total += other.total;
        self.compute += other.compute;
        for (&reason, &cycles) in &other.stall {
            self.charge(reason, cycles);
        }
    }
}

/// What one region of a program (the instructions after a `mark`) cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord {
    /// The region's name.
    pub name: String,
    /// Cycles attributed to it: `total` sums over regions to the program's total.
    pub cycles: Cycles,
    /// Its events.
    pub events: Events,
    /// MACs spent, by MAC mode index: for energy by mode.
    pub macs_by_mode: BTreeMap<usize, u64>,
    /// Its activity, where values were computed.
    pub activity: Option<Activity>,
    /// Its toggles, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toggles: Option<Toggles>,
    /// Its partial sums, where they were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<SumCounts>,
}

/// What a run answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Cycles of the whole program.
    pub cycles: Cycles,
    /// Events of the whole program.
    pub events: Events,
    /// MACs spent, by MAC mode index.
    pub macs_by_mode: BTreeMap<usize, u64>,
    /// Value-dependent counts; `None` when no values were computed.
    pub activity: Option<Activity>,
    /// Toggles of operands; `None` where they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toggles: Option<Toggles>,
    /// The same by region, in order of first appearance; instructions before the first mark
    /// belong to a region named "".
    pub regions: Vec<RegionRecord>,
}

impl Record {
    /// Adds another run's counts; regions are matched by name.
    pub fn accumulate(&mut self, other: &Self) {
        self.cycles += &other.cycles;
        self.events += other.events;
        add_modes(&mut self.macs_by_mode, &other.macs_by_mode);
        add_counts(&mut self.activity, other.activity);
        add_counts(&mut self.toggles, other.toggles);
        for region in &other.regions {
            if let Some(mine) = self.regions.iter_mut().find(|r| r.name == region.name) {
                mine.cycles += &region.cycles;
                mine.events += region.events;
                add_modes(&mut mine.macs_by_mode, &region.macs_by_mode);
                add_counts(&mut mine.activity, region.activity);
                add_counts(&mut mine.toggles, region.toggles);
                SumCounts::merge(&mut mine.sums, &region.sums);
            } else {
                self.regions.push(region.clone());
            }
        }
    }
}

fn add_modes(mine: &mut BTreeMap<usize, u64>, other: &BTreeMap<usize, u64>) {
    for (&mode, &macs) in other {
        *mine.entry(mode).or_default() += macs;
    }
}

fn add_counts<T: Default + std::ops::AddAssign>(mine: &mut Option<T>, other: Option<T>) {
    if let Some(other) = other {
        *mine.get_or_insert_default() += other;
    }
}

/// A device refused or could not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// An access outside the memory.
    #[error("{what}: addresses {first:#x} to {last:#x} lie outside the {memory} of {size:#x} bytes; enlarge {mend} or move the tensor")]
    OutOfRange {
        /// Instruction or host access.
        what: String,
        /// First byte touched.
        first: u64,
        /// Last byte touched.
        last: u64,
        /// `DRAM` or `scratchpad`.
        memory: &'static str,
        /// Its size, bytes.
        size: u64,
        /// The design field that sets it.
        mend: &'static str,
    },
    /// An instruction cannot be executed as written.
    #[error("instruction {index} `{text}`: {message}")]
    Illegal {
        /// Its position in the program.
        index: usize,
        /// Its assembly text.
        text: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The design's values are not modelled.
    #[error("design `{design}` is for costs and cycles only: {reason}; use --engine timing, `systole cost`, or another design")]
    CostOnly {
        /// The design.
        design: String,
        /// Why.
        reason: String,
    },
}

/// Simulated hardware as software sees it: memory, and programs to run.
pub trait Device {
    /// What the hardware is.
    fn design(&self) -> &Design;

    /// Writes codes of `format` to DRAM at `address`, each in
    /// [`Format::storage_bytes`] bytes, little-endian, without gaps.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`].
    fn write(&mut self, address: u64, format: Format, codes: &[u64]) -> Result<(), DeviceError>;

    /// Reads `count` codes of `format` from DRAM at `address`. Under an engine without
    /// values they are zeros.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`].
    fn read(&self, address: u64, format: Format, count: usize) -> Result<Vec<u64>, DeviceError>;

    /// Runs a program to its end. `step` enters the site of stochastic rounding.
    ///
    /// # Errors
    /// The first instruction that cannot be executed; memory keeps what was written before it.
    fn run(&mut self, program: &Program, step: u64) -> Result<Record, DeviceError>;

    /// From here on matrix products tell the partial sums of as many of their outputs, of all where
    /// they have no more; of none with 0, as in the beginning. That changes nothing else of a run.
    fn look_at_sums(&mut self, outputs: u64);
}
