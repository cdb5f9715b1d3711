//! The machine: memories, registers and units that run programs.
//!
//! Values and time are computed apart. Values follow program order, by the engine chosen; the
//! schedule follows from program and design alone and is kept for programs run again. Only what
//! masks select goes from one to the other: schedules with masked products are made anew. A run
//! begins with format and tensor registers unset, MAC mode 0, no block scales, the output
//! rounding of the design, the vector unit rounding `rne`, and a scratchpad of zeros; DRAM keeps
//! its contents.

mod bands;
mod engine;
mod memory;
mod operation;
mod overlap;
mod registers;
mod schedule;
mod seen;
mod sequencer;
mod sums;
mod transfer;
mod values;
mod watch;
mod watched;
mod words;

pub use engine::Engine;
pub use watch::{Charge, Passage, Retired, Station, Transfer, Watcher};

use memory::Memory;
use operation::{Hardware, Operation, Refusal};
use registers::Registers;
use seen::SeenByRegion;
use sequencer::{SequenceError, Sequencer, Turn};
use std::collections::{BTreeSet, VecDeque};
use systole_arrays::dataflow::Selection;
use systole_arrays::fast::KernelChoice;
use systole_arrays::vector::{self, Operation as VectorKind};
use systole_isa::codes::Codes;
use systole_isa::design::{Arithmetic, Design};
use systole_isa::device::{Device, DeviceError, Record};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::Program;
use systole_isa::view::Space;
use values::{Executor, Memories};
use words::{Buffers, Word, with_words};

/// Instructions a run may execute unless [`Machine::with_instruction_limit`] says otherwise.
pub const INSTRUCTION_LIMIT: u64 = 1_000_000_000;

/// Programs whose schedules are kept.
const KEPT_SCHEDULES: usize = 64;

/// A program's schedule.
#[derive(Debug)]
struct Kept {
    instructions: Vec<Instruction>,
    regions: Vec<String>,
    record: Record,
}

/// What a run with values tells beside memory.
struct Valued {
    regions: SeenByRegion,
    /// What the masks of masked products left, in order.
    selections: Vec<Selection>,
}

/// A machine of one design.
#[derive(Debug)]
pub struct Machine {
    hardware: Hardware,
    engine: Engine,
    choice: KernelChoice,
    memories: Memories,
    limit: u64,
    gathered_bytes: u64,
    /// Outputs of a product whose sums are told.
    looked_at: u64,
    schedules: VecDeque<Kept>,
    kernels: BTreeSet<String>,
}

/// The matrix products of a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Products {
    /// The region's name.
    pub region: String,
    /// M, N and K of every different one, in order of appearance, and how many there are.
    pub shapes: Vec<([u32; 3], u64)>,
}

/// A segment whose codes are not those expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Byte address of the code.
    pub address: u64,
    /// Its format.
    pub format: Format,
    /// What a correct run leaves there.
    pub expected: u64,
    /// What is there.
    pub found: u64,
}

impl Machine {
    /// A machine with an empty DRAM. Matrix products use the kernels of `choice` under
    /// [`Engine::Fast`].
    ///
    /// # Errors
    /// [`DeviceError::CostOnly`] for a design without modelled values, unless the engine is
    /// [`Engine::Timing`].
    pub fn new(design: Design, engine: Engine, choice: KernelChoice) -> Result<Self, DeviceError> {
        if let (Arithmetic::CostOnly(reason), true) = (&design.arithmetic, engine.computes_values()) {
            return Err(DeviceError::CostOnly { design: design.name.clone(), reason: reason.clone() });
        }
        let hardware = Hardware::new(design);
        let memories = Memories {
            dram: Memory::new(hardware.size(Space::Dram)),
            scratchpad: Memory::new(hardware.size(Space::Scratchpad)),
            buffers: Buffers::default(),
        };
        let (limit, gathered_bytes) = (INSTRUCTION_LIMIT, bands::BAND_BYTES);
        Ok(Self {
            hardware,
            engine,
            choice,
            memories,
            limit,
            gathered_bytes,
            looked_at: 0,
            schedules: VecDeque::new(),
            kernels: BTreeSet::new(),
        })
    }

    /// The same machine, executing at most `limit` instructions a run (2^32 at most).
    #[must_use]
    pub fn with_instruction_limit(mut self, limit: u64) -> Self {
        self.limit = limit.min(1 << 32);
        self
    }

    /// The same machine, which under [`Engine::Fast`] copies about `bytes` of each operand of a
    /// product at once (12 MiB unless told otherwise); results are the same.
    #[must_use]
    pub const fn with_gathered_bytes(mut self, bytes: u64) -> Self {
        self.gathered_bytes = bytes;
        self
    }

    /// Kernels that matrix products have used so far, each with what kept it from a faster one.
    pub fn kernels_used(&self) -> Vec<String> {
        self.kernels.iter().cloned().collect()
    }

    /// Places the program's data in DRAM and runs it.
    ///
    /// # Errors
    /// Data outside DRAM, and whatever [`Device::run`] refuses.
    pub fn run_with_data(&mut self, program: &Program, step: u64) -> Result<Record, DeviceError> {
        self.place(program)?;
        self.run(program, step)
    }

    /// Places the program's data in DRAM.
    ///
    /// # Errors
    /// Data outside DRAM.
    pub fn place(&mut self, program: &Program) -> Result<(), DeviceError> {
        program.data.iter().try_for_each(|segment| self.write(segment.address, segment.format, &segment.codes))
    }

    /// The matrix products a program asks for, by region.
    ///
    /// # Errors
    /// What [`Device::run`] refuses of a program's instructions.
    pub fn products(&self, program: &Program) -> Result<Vec<Products>, DeviceError> {
        let mut regions = vec![Products::default()];
        let mut present = 0;
        self.walk(program, |_, operation| {
            match operation {
                Operation::Mark(region) => {
                    let name = &program.regions[*region];
                    present = regions.iter().position(|known| known.region == *name).unwrap_or_else(|| {
                        regions.push(Products { region: name.clone(), shapes: Vec::new() });
                        regions.len() - 1
                    });
                }
                Operation::Matrix(matrix) => {
                    let shape = [matrix.shape.m, matrix.shape.n, matrix.shape.k];
                    let shapes = &mut regions[present].shapes;
                    match shapes.iter_mut().find(|(known, _)| *known == shape) {
                        Some((_, count)) => *count += 1,
                        None => shapes.push((shape, 1)),
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(regions)
    }

    /// Where DRAM differs from what the program expects to leave, NaN codes included.
    ///
    /// # Errors
    /// An expectation outside DRAM.
    pub fn differences(&self, program: &Program) -> Result<Vec<Difference>, DeviceError> {
        let mut differences = Vec::new();
        for segment in &program.expect {
            let codes = self.read(segment.address, segment.format, segment.codes.len())?;
            let pairs = segment.codes.iter().zip(codes).enumerate();
            differences.extend(pairs.filter(|(_, (expected, found))| *expected != found).map(|(i, (&expected, found))| Difference {
                address: segment.address + i as u64 * u64::from(segment.format.storage_bytes()),
                format: segment.format,
                expected,
                found,
            }));
        }
        Ok(differences)
    }

    fn host_range(&self, what: &str, address: u64, format: Format, count: usize) -> Result<(), DeviceError> {
        let bytes = count as u128 * u128::from(format.storage_bytes());
        let last = u128::from(address) + bytes.max(1) - 1;
        if count > 0 && last >= u128::from(self.memories.dram.size()) {
            return Err(out_of_range(&self.hardware, what.to_owned(), Space::Dram, address.into(), last as i128));
        }
        Ok(())
    }

    /// The schedule of a program, from those kept or made now; `selections` are what the masks of
    /// its masked products left, where values were computed.
    fn schedule(&mut self, program: &Program, selections: Vec<Selection>) -> Result<Record, DeviceError> {
        if !selections.is_empty() {
            return self.timed(program, selections);
        }
        let known = self.schedules.iter().position(|k| k.instructions == program.instructions && k.regions == program.regions);
        if let Some(kept) = known.and_then(|i| self.schedules.remove(i)) {
            let record = kept.record.clone();
            self.schedules.push_back(kept);
            return Ok(record);
        }
        let record = self.timed(program, selections)?;
        if self.schedules.len() == KEPT_SCHEDULES {
            self.schedules.pop_front();
        }
        self.schedules.push_back(Kept {
            instructions: program.instructions.clone(),
            regions: program.regions.clone(),
            record: record.clone(),
        });
        Ok(record)
    }

    fn timed(&self, program: &Program, selections: Vec<Selection>) -> Result<Record, DeviceError> {
        let mut selections = selections.into_iter();
        let mut schedule = schedule::Schedule::new(&self.hardware, self.named_scratchpad(program)?);
        self.walk(program, |turn, operation| {
            if let Operation::Mark(region) = operation {
                schedule.enter(&program.regions[*region]);
            }
            self.check_defined(operation)?;
            let masked = matches!(operation, Operation::Matrix(matrix) if matrix.mask.is_some());
            let selection = if masked { selections.next() } else { None };
            schedule
                .operation(operation, selection.as_ref())
                .map_err(|message| format!("after {} instructions: {message}", turn.ordinal))?;
            Ok(())
        })?;
        Ok(schedule.finish().0)
    }

    /// Under [`Engine::Timing`], refuses what engines with values refuse: operations that are
    /// not defined for their formats.
    fn check_defined(&self, operation: &Operation) -> Result<(), String> {
        if self.engine == Engine::Timing { check_defined(operation) } else { Ok(()) }
    }

    /// The first scratchpad byte above all that the program's tensors name.
    fn named_scratchpad(&self, program: &Program) -> Result<u64, DeviceError> {
        let names = |i: &Instruction| matches!(i, Instruction::Tensor { space: Space::Scratchpad, .. });
        if !program.instructions.iter().any(names) {
            return Ok(0);
        }
        let mut top = 0;
        self.walk(program, |_, operation| {
            self.check_defined(operation)?;
            let mut see = |view: &systole_isa::view::TensorView| {
                if let (Space::Scratchpad, Some((_, last))) = (view.space, view.byte_range()) {
                    top = top.max(last as u64 + 1);
                }
            };
            match operation {
                Operation::Load { dst, src } | Operation::Store { dst, src } => [dst, src].into_iter().for_each(&mut see),
                Operation::Matrix(m) => m.operands().chain([m.d]).for_each(|view| see(&view)),
                Operation::Vector(v) => v.operands().iter().chain([&v.d]).for_each(&mut see),
                Operation::Configure | Operation::Fence | Operation::Mark(_) => {}
            }
            Ok(())
        })?;
        Ok(top)
    }

    /// Executes the program with values.
    fn valued(&mut self, program: &Program, step: u64) -> Result<Valued, DeviceError> {
        self.memories.scratchpad.clear();
        let mut regions = SeenByRegion::default();
        let (mut executor, limit) = self.executor();
        let hardware = executor.hardware;
        walk(hardware, limit, program, |turn, operation| {
            if let Operation::Mark(region) = operation {
                regions.enter(&program.regions[*region]);
            }
            regions.add(&executor.execute(operation, site(hardware, turn, step))?);
            Ok(())
        })?;
        Ok(Valued { regions, selections: executor.selections })
    }

    /// What executes operations on this machine's memories, and how many of them at most.
    fn executor(&mut self) -> (Executor<'_>, u64) {
        let Self { hardware, engine, choice, memories, limit, gathered_bytes, looked_at, kernels, .. } = self;
        let executor = Executor {
            hardware,
            memories,
            engine: *engine,
            choice: *choice,
            gathered_bytes: *gathered_bytes,
            looked_at: *looked_at,
            kernels,
            selections: Vec::new(),
        };
        (executor, *limit)
    }

    fn walk(&self, program: &Program, visit: impl FnMut(&Turn<'_>, &Operation) -> Result<(), String>) -> Result<(), DeviceError> {
        walk(&self.hardware, self.limit, program, visit)
    }
}

/// Where an instruction's stochastic roundings stand.
fn site(hardware: &Hardware, turn: &Turn<'_>, step: u64) -> Site {
    Site { seed: hardware.design.seed, step: step as u32, instruction: turn.ordinal as u32, ..Site::default() }
}

/// Resolves and visits every instruction of a program in order.
fn walk(
    hardware: &Hardware,
    limit: u64,
    program: &Program,
    mut visit: impl FnMut(&Turn<'_>, &Operation) -> Result<(), String>,
) -> Result<(), DeviceError> {
    let text = |index: usize| program.instructions.get(index).map(Instruction::to_string).unwrap_or_default();
    let mut sequencer = Sequencer::new(&program.instructions, limit);
    let mut registers = Registers::new(&hardware.design);
    loop {
        let turn = match sequencer.step() {
            Ok(Some(turn)) => turn,
            Ok(None) => return Ok(()),
            Err(SequenceError { index, message }) => return Err(DeviceError::Illegal { index, text: text(index), message }),
        };
        let visited = hardware
            .resolve(&mut registers, turn.instruction, program.regions.len())
            .and_then(|operation| visit(&turn, &operation).map_err(Refusal::from));
        match visited {
            Ok(()) => {}
            Err(Refusal::Illegal(message)) => return Err(DeviceError::Illegal { index: turn.index, text: text(turn.index), message }),
            Err(Refusal::OutOfRange { space, first, last }) => {
                let what = format!("instruction {} `{}`", turn.index, text(turn.index));
                return Err(out_of_range(hardware, what, space, first, last));
            }
        }
    }
}

/// Refuses vector operations that are not defined for their formats.
fn check_defined(operation: &Operation) -> Result<(), String> {
    if let Operation::Vector(vector) = operation
        && let VectorKind::Elementwise(op) = vector.kind
    {
        let codes: Vec<(Format, u64)> = vector.operands().iter().map(|view| (view.format, 0)).collect();
        vector::apply(op, &codes, vector.d.format, vector.policy, 0).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn out_of_range(hardware: &Hardware, what: String, space: Space, first: i128, last: i128) -> DeviceError {
    let (memory, mend) = match space {
        Space::Dram => ("DRAM", "memory.dram_mib"),
        Space::Scratchpad => ("scratchpad", "memory.scratchpad_kib"),
    };
    // Negative addresses print as the two's complement that an address register would hold.
    let printed = |address: i128| address.clamp(i64::MIN.into(), u64::MAX.into()) as u64;
    DeviceError::OutOfRange { what, first: printed(first), last: printed(last), memory, size: hardware.size(space), mend }
}

impl Device for Machine {
    fn design(&self) -> &Design {
        &self.hardware.design
    }

    fn write(&mut self, address: u64, format: Format, codes: &[u64]) -> Result<(), DeviceError> {
        self.host_range("write from the host", address, format, codes.len())?;
        if self.engine.computes_values() {
            let size = format.storage_bytes() as usize;
            let mut buffer = self.memories.buffers.take_codes(format, codes.len());
            with_words!(&mut buffer, |words| {
                words.iter_mut().zip(codes).for_each(|(word, &code)| *word = Word::from_code(code & format.mask()));
                words::write(&mut self.memories.dram, address, size, words);
            });
            self.memories.buffers.give_codes(buffer);
        }
        Ok(())
    }

    fn read(&self, address: u64, format: Format, count: usize) -> Result<Vec<u64>, DeviceError> {
        self.host_range("read by the host", address, format, count)?;
        let mut codes = Codes::zeros(format, count);
        with_words!(&mut codes, |words| {
            words::read(&self.memories.dram, address, format.storage_bytes() as usize, words);
            words::mask(format, words);
        });
        Ok(codes.iter().collect())
    }

    /// Runs a program. The low 32 bits of `step` enter the site of stochastic rounding, with
    /// the ordinal of the instruction among those executed.
    fn run(&mut self, program: &Program, step: u64) -> Result<Record, DeviceError> {
        if !self.engine.computes_values() {
            return self.schedule(program, Vec::new());
        }
        let Valued { regions, selections } = self.valued(program, step)?;
        let mut record = self.schedule(program, selections)?;
        regions.complete(&mut record);
        Ok(record)
    }

    fn look_at_sums(&mut self, outputs: u64) {
        self.looked_at = outputs;
    }
}
