//! Watchers: what follows a program instruction by instruction.
//!
//! A watched run computes what a plain one does; values and time advance together, so that each
//! instruction can be told with its cycles and its results as it retires.

use systole_arrays::ticked;
use systole_isa::codes::Codes;
use systole_isa::device::{Activity, Record, Stall};
use systole_isa::instruction::Instruction;
use systole_isa::view::TensorView;

/// Where an instruction is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Station {
    /// By the sequencer, as it issues.
    Sequencer,
    /// On the load unit.
    Load,
    /// On the arrays.
    Array,
    /// On the vector unit.
    Vector,
    /// On the store unit.
    Store,
}

impl Station {
    /// Its name in logs and timelines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequencer => "sequencer",
            Self::Load => "load",
            Self::Array => "array",
            Self::Vector => "vector",
            Self::Store => "store",
        }
    }
}

/// A transfer to or from DRAM, from its request to its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Cycle of the request.
    pub from: u64,
    /// Cycle by which all of it is done.
    pub to: u64,
    /// How much.
    pub bytes: u64,
}

/// Cycles of the arrays' time, as the record charges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// First cycle.
    pub from: u64,
    /// Cycle behind the last.
    pub to: u64,
    /// Why the arrays stood still; `None` where they computed.
    pub stall: Option<Stall>,
    /// Region, by its place in the record.
    pub region: usize,
}

/// An instruction's way through the machine.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Where it was executed.
    pub station: Station,
    /// First cycle in which it was.
    pub start: u64,
    /// Cycle by which all it reads is read and all it writes is written.
    pub end: u64,
    /// Cycle from which its unit has nothing more to do for it.
    pub released: u64,
    /// Array-busy cycles of a matrix instruction.
    pub compute: u64,
    /// Loads and stores by waves one by one; else the loads and the stores of each instruction as one.
    pub detailed: bool,
    /// Its reads of DRAM.
    pub loads: Vec<Transfer>,
    /// Its writes of DRAM.
    pub stores: Vec<Transfer>,
    /// Charges that became known with it, in order of time.
    pub charges: Vec<Charge>,
}

/// An instruction that has retired.
#[derive(Debug)]
pub struct Retired<'a> {
    /// Ordinal among the instructions executed, from 0.
    pub ordinal: u64,
    /// Position in the program.
    pub index: usize,
    /// The instruction.
    pub instruction: &'a Instruction,
    /// Name of the region it belongs to.
    pub region: &'a str,
    /// When.
    pub passage: Passage,
    /// What it wrote, if it wrote to memory.
    pub written: Option<TensorView>,
    /// How many elements of that: fewer than all under a mask, unless values are not computed.
    pub elements: u64,
    /// The codes that then stand there, row-major, where values are computed and
    /// [`Watcher::reads_results`] asks for them.
    pub codes: Option<Codes>,
    /// What its values did, where they are computed.
    pub activity: Option<Activity>,
}

/// What follows a run.
pub trait Watcher {
    /// Whether results are read back from memory.
    fn reads_results(&self) -> bool {
        false
    }

    /// What looks at the registers of the matrix instruction about to execute, under the ticked engine.
    fn arrays(&mut self, ordinal: u64) -> Option<&mut dyn ticked::Observer> {
        let _ = ordinal;
        None
    }

    /// An instruction has retired. They come in program order, which is the order of retirement.
    fn retired(&mut self, retired: Retired<'_>);

    /// The program has ended: its record, and the last charges.
    fn ended(&mut self, record: &Record, charges: Vec<Charge>) {
        let _ = (record, charges);
    }
}
