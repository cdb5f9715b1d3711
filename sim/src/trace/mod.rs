//! Traces: waveforms of the ticked arrays' registers, timelines of the machine, commit logs.
//!
//! Each is a leaf: it looks at a run and changes nothing of it. [`record`] keeps what registers
//! hold, [`wave`] writes it as a waveform by one of the writers ([`fst`], [`vcd`]); [`timeline`]
//! draws where every cycle went; [`log`] writes a line for each instruction. [`task`] runs what is
//! looked at.

pub mod fst;
pub mod log;
pub mod record;
pub mod task;
pub mod timeline;
pub mod vcd;
pub mod wave;

use std::path::{Path, PathBuf};
use systole_isa::device::DeviceError;

/// A trace cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be written.
    #[error("trace file `{}` cannot be written: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// Too many registers in too many cycles.
    #[error(
        "the waveform has {registers} registers in {cycles} cycles, {} values; {} are possible: name fewer cycles with --cycles FROM..TO, or trace a smaller array with --set array.rows=R --set array.cols=C",
        registers * cycles,
        record::MAX_SAMPLES
    )]
    TooManyValues {
        /// Registers, or fewer.
        registers: u64,
        /// Cycles looked at.
        cycles: u64,
    },
    /// Too much to step.
    #[error(
        "{cycles} cycles of {pes} PEs are too many to step; {} PE-cycles are possible: trace a smaller product or array (--shape M,N,K, --set array.rows=R --set array.cols=C)",
        task::MAX_PE_CYCLES
    )]
    TooManySteps {
        /// Array-busy cycles.
        cycles: u64,
        /// PEs of all arrays.
        pes: u64,
    },
    /// Too many cycles for a clock signal.
    #[error("the window has {cycles} cycles; {} are possible: name fewer with --cycles FROM..TO", wave::MAX_CYCLES)]
    TooLong {
        /// Cycles of the window.
        cycles: u64,
    },
    /// A window without cycles.
    #[error("--cycles {from}..{to} holds none of the {total} cycles there are; name some of 0..{total}")]
    Outside {
        /// First cycle.
        from: u64,
        /// Cycle behind the last.
        to: u64,
        /// Cycles there are.
        total: u64,
    },
    /// Times beyond 64 bits.
    #[error("cycle {cycle} lies beyond the times that a waveform at {clock_mhz} MHz can hold; name earlier ones with --cycles FROM..TO")]
    Late {
        /// The cycle.
        cycle: u64,
        /// The clock.
        clock_mhz: f64,
    },
    /// No array is at work.
    #[error(
        "the program has no matrix instruction that the arrays compute, so there is no waveform; its timeline is written with --timeline FILE.json"
    )]
    NoProducts,
    /// Another count of cycles than the registers'.
    #[error("a waveform shows what registers do, and `array.convention: scalesim` counts other cycles; use --set array.convention=rtl")]
    Convention,
    /// Too many slices.
    #[error("the timeline has more than {} slices; trace a shorter program, or a smaller network or batch", timeline::MAX_SLICES)]
    TooManySlices,
    /// The machine refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl TraceError {
    /// A file that cannot be written, by its path and cause.
    pub fn io(path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::Io { path: path.to_owned(), cause: cause.to_string() }
    }
}
