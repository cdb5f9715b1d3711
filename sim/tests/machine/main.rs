//! The machine as a device: engines agree, time adds up, refusals name place and mend.

mod masks;
mod random;
mod refusals;
mod state;
mod time;

use proptest::prelude::*;
use proptest::sample::select;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::asm::assemble;
use systole_isa::codes::Codes;
use systole_isa::design::{self, Design};
use systole_isa::device::{Cycles, Device, DeviceError, Record, Stall};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::{Program, Segment};
use systole_isa::round::encode_f64;

fn program(text: &str) -> Program {
    assemble("test", text).unwrap_or_else(|e| panic!("{text}\n{}", e.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

fn design(settings: &[(&str, &str)]) -> Design {
    let settings: Vec<_> = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    design::find("fp8-16x16").unwrap().with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

fn timed(design: &Design, text: &str) -> Record {
    Machine::new(design.clone(), Engine::Timing, KernelChoice::Auto).unwrap().run(&program(text), 0).unwrap_or_else(|e| panic!("{e}"))
}

fn stall(cycles: &Cycles, reason: Stall) -> u64 {
    cycles.stall.get(&reason).copied().unwrap_or(0)
}

/// One product of `m` x `n` x `k`, everything in DRAM, as the only work.
fn product(m: u32, n: u32, k: u32) -> String {
    format!(
        "format f0, e4m3fn\nformat f1, fp32\ntensor t0, f1, dram, 0x8000000, {m}, {n}\ntensor t1, f0, dram, 0, {m}, {k}\ntensor t2, f0, dram, 0x4000000, {k}, {n}\ngemm t0, t1, t2\n"
    )
}
