//! Watched runs: values and time of each instruction in one walk.

use super::operation::Operation;
use super::schedule::Schedule;
use super::seen::SeenByRegion;
use super::watch::{Retired, Watcher};
use super::{Machine, check_defined, site, walk};
use systole_isa::device::{DeviceError, Record};
use systole_isa::program::Program;
use systole_isa::view::TensorView;

/// What an operation writes to memory.
const fn written(operation: &Operation) -> Option<TensorView> {
    match operation {
        Operation::Load { dst, .. } | Operation::Store { dst, .. } => Some(*dst),
        Operation::Matrix(matrix) => Some(matrix.d),
        Operation::Vector(vector) => Some(vector.d),
        Operation::Configure | Operation::Fence | Operation::Mark(_) => None,
    }
}

impl Machine {
    /// Runs a program as [`systole_isa::device::Device::run`] does, and tells a watcher of each
    /// instruction as it retires.
    ///
    /// # Errors
    /// The first instruction that cannot be executed; the watcher has been told of those before it.
    pub fn run_watched(&mut self, program: &Program, step: u64, watcher: &mut dyn Watcher) -> Result<Record, DeviceError> {
        let named = self.named_scratchpad(program)?;
        self.memories.scratchpad.clear();
        let (mut executor, limit) = self.executor();
        let (hardware, engine) = (executor.hardware, executor.engine);
        let mut schedule = Schedule::new(hardware, named).watch();
        let mut regions = SeenByRegion::default();
        let mut region = "";
        walk(hardware, limit, program, |turn, operation| {
            if let Operation::Mark(slot) = operation {
                region = &program.regions[*slot];
                schedule.enter(region);
                regions.enter(region);
            }
            let mut activity = None;
            if engine.computes_values() {
                let seen = executor.observed(operation, site(hardware, turn, step), watcher.arrays(turn.ordinal))?;
                regions.add(&seen);
                activity = Some(seen.activity);
            } else {
                check_defined(operation)?;
            }
            let selection = executor.selections.pop();
            let passage = schedule
                .watched(operation, selection.as_ref())
                .map_err(|message| format!("after {} instructions: {message}", turn.ordinal))?;
            let written = written(operation);
            let elements = match &selection {
                Some(selection) => selection.tiles().iter().map(|tile| tile.outputs).sum(),
                None => written.map_or(0, |view| view.elements()),
            };
            let codes = written.filter(|_| engine.computes_values() && watcher.reads_results());
            let codes = codes.map(|view| executor.memories.gather(&view));
            let (ordinal, index, instruction) = (turn.ordinal, turn.index, turn.instruction);
            watcher.retired(Retired { ordinal, index, instruction, region, passage, written, elements, codes, activity });
            Ok(())
        })?;
        let (mut record, charges) = schedule.finish();
        if engine.computes_values() {
            regions.complete(&mut record);
        }
        watcher.ended(&record, charges);
        Ok(record)
    }
}
