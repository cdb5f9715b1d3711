//! A program on a small machine: whatever it asks, all engines answer alike.

use crate::source::Source;
use crate::{Case, draw};
use std::fmt;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::asm::disassemble;
use systole_isa::design::{Dataflow, Design, PartialSums, find};
use systole_isa::device::{Device, DeviceError, Record};
use systole_isa::field::{Address, ByteStep, Count, Field, FormatReg, Length, OptionalTensor, Small, Span, Stride, TensorReg};
use systole_isa::format::Format;
use systole_isa::instruction::{Instruction, TABLE};
use systole_isa::program::{Program, Segment};
use systole_isa::view::Space;

/// Instructions a run may execute.
const LIMIT: u64 = 600;
/// Bytes at the start of DRAM that programs mostly use; they are filled first and compared after.
const USED: u64 = 0x2000;
const FORMATS: [&str; 12] =
    ["e4m3fn", "fp32", "bf16", "int8", "fp16", "e5m2", "e6m9", "e8m0", "e2m1f", "fx46.18", "dlfloat16", "p3109_k8p3sf"];

/// A program and the machine that runs it.
#[derive(Debug)]
pub struct Run {
    design: Design,
    program: Program,
}

impl Case for Run {
    fn read(source: &mut Source<'_>) -> Self {
        let mut design = find("fp8-16x16").unwrap_or_else(|| panic!("no design fp8-16x16"));
        design.memory.dram_mib = 1;
        design.memory.scratchpad_kib = 4;
        design.array.rows = 1 + source.below(4) as u32;
        design.array.cols = 1 + source.below(4) as u32;
        design.array.dataflow = source.pick(&[Dataflow::Os, Dataflow::Ws, Dataflow::Is]);
        design.array.partial_sums = source.pick(&[PartialSums::Feedback, PartialSums::Outside]);
        design.mac = if source.one_in(4) { draw::unit_mode(source) } else { draw::mode(source) };
        design.output.format = design.mac.outermost().is_wide().then(|| draw::format(source));
        design.modes.clear();
        let fill = Segment {
            address: 0,
            format: Format::FP64,
            codes: {
                let (first, step) = (source.bits(64), source.bits(64));
                (0..USED / 8).map(|i| first.wrapping_add(step.wrapping_mul(i)).rotate_left(i as u32)).collect()
            },
        };
        let mut program = Program { regions: vec!["one".into(), "two".into()], data: vec![fill], ..Program::default() };
        while !source.is_empty() && program.instructions.len() < 80 {
            if source.one_in(16) {
                program.instructions.extend(product(source, &design));
            } else {
                program.instructions.extend(instruction(source, &design));
            }
        }
        Self { design, program }
    }

    fn check(&self) {
        assert_eq!(self.design.problems(), [], "a design that must be usable: {self}");
        let [fast, ticked, timing] = Engine::ALL.map(|engine| self.run(engine));
        match (fast, ticked, timing) {
            ((Ok(fast), memory), (Ok(ticked), other), (Ok(timing), _)) => {
                assert_eq!(fast, ticked, "fast, ticked: {self}");
                if self.program.instructions.iter().any(|i| matches!(i, Instruction::GemmM { .. })) {
                    // Without values masks select everything.
                    assert_eq!(fast.events.macs, timing.events.macs, "MACs asked for: {self}");
                    assert!(fast.events.macs_spent <= timing.events.macs_spent, "MACs spent: {self}");
                    assert!(fast.cycles.compute <= timing.cycles.compute, "fast, timing: {self}");
                } else {
                    assert_eq!((&fast.cycles, fast.events), (&timing.cycles, timing.events), "fast, timing: {self}");
                }
                assert_eq!(fast.cycles.total, fast.cycles.compute + fast.cycles.stalled(), "the account of cycles: {self}");
                assert_eq!(memory, other, "memory under fast, ticked: {self}");
            }
            ((Err(fast), memory), (Err(ticked), other), (Err(timing), _)) => {
                assert_eq!(fast, ticked, "fast, ticked: {self}");
                assert_eq!(fast, timing, "fast, timing: {self}");
                assert_eq!(memory, other, "memory under fast, ticked, after `{fast}`: {self}");
            }
            (fast, ticked, timing) => panic!("fast {:?}, ticked {:?}, timing {:?}: {self}", fast.0, ticked.0, timing.0),
        }
    }
}

impl Run {
    fn run(&self, engine: Engine) -> (Result<Record, DeviceError>, Vec<u64>) {
        let machine = Machine::new(self.design.clone(), engine, KernelChoice::Auto);
        let mut machine = machine.unwrap_or_else(|e| panic!("{e}: {self}")).with_instruction_limit(LIMIT);
        let outcome = machine.run_with_data(&self.program, 1);
        let memory = machine.read(0, Format::FP64, USED as usize / 4).unwrap_or_else(|e| panic!("{e}: {self}"));
        (outcome, memory)
    }
}

/// A sound product, mostly with a mask, on tensors of their own.
fn product(source: &mut Source<'_>, design: &Design) -> Vec<Instruction> {
    let (m, n, k) = (1 + source.below(12) as u32, 1 + source.below(12) as u32, 1 + source.below(12) as u32);
    let mac = &design.mac;
    let mask = source.pick(&FORMATS).parse().unwrap_or(Format::INT8);
    let formats = [design.output.format.unwrap_or(mac.outermost()), mac.a, mac.b, mask];
    let mut instructions: Vec<_> = (0..).zip(formats).map(|(i, format)| Instruction::Format { dst: FormatReg(i), format }).collect();
    for (i, (rows, cols)) in (0..).zip([(m, n), (m, k), (k, n), (m, n)]) {
        let space = source.pick(&[Space::Dram, Space::Dram, Space::Scratchpad]);
        // Apart, mostly: D may not overlap what it is made of.
        let apart = if space == Space::Dram { 0x500 } else { 0x300 };
        let address = Address(u64::from(i) * apart + source.bits(8));
        instructions.push(Instruction::Tensor {
            dst: TensorReg(i),
            format: FormatReg(i),
            space,
            address,
            rows: Span(rows),
            cols: Span(cols),
        });
    }
    let [d, a, b, m] = [0, 1, 2, 3].map(TensorReg);
    instructions.push(Instruction::Scales { a: OptionalTensor(None), b: OptionalTensor(None) });
    instructions.push(if source.one_in(4) { Instruction::Gemm { d, a, b } } else { Instruction::GemmM { d, a, b, m } });
    instructions
}

/// One instruction, with operands that mostly mean something; `None` for words that are none.
fn instruction(source: &mut Source<'_>, design: &Design) -> Option<Instruction> {
    let tensor = |source: &mut Source<'_>| TensorReg(source.below(6) as u8);
    Some(match source.below(16) {
        0 => {
            let mac = &design.mac;
            let name = source.pick(&FORMATS).parse().unwrap_or(Format::FP32);
            let format = source.pick(&[name, mac.a, mac.b, design.addend_format(mac), mac.scale_format]);
            Instruction::Format { dst: FormatReg(source.below(4) as u8), format }
        }
        1..=5 => Instruction::Tensor {
            dst: tensor(source),
            format: FormatReg(source.below(4) as u8),
            space: source.pick(&[Space::Dram, Space::Dram, Space::Scratchpad]),
            address: Address(match source.below(8) {
                0 => source.bits(40),
                1 => (1 << 20) - source.bits(8),
                _ => source.bits(16) % USED,
            }),
            rows: Span(source.below(21) as u32),
            cols: Span(source.below(21) as u32),
        },
        6 => Instruction::Stride {
            dst: tensor(source),
            inner: Span(source.below(9) as u32),
            outer_stride: Stride(source.within(-40, 40)),
            inner_stride: Stride(if source.one_in(8) { source.bits(28) as i32 - (1 << 27) } else { source.within(-40, 40) }),
            col_stride: Stride(source.within(-3, 3)),
        },
        7 => {
            let mut twelve = || Small(source.below(5) as u16);
            let (out_h, out_w, h, w) = (twelve(), twelve(), twelve(), twelve());
            let mut six = || Small(source.below(4) as u16);
            let (kernel_h, kernel_w, stride, pad, dilate) = (six(), six(), six(), six(), six());
            Instruction::Window {
                dst: tensor(source),
                out_h,
                out_w,
                h,
                w,
                c: Small(source.below(5) as u16),
                kernel_h,
                kernel_w,
                stride,
                pad,
                dilate,
            }
        }
        8 => match source.below(4) {
            0 => Instruction::Loop { count: Count(source.below(6) as u32), length: Length(source.below(10) as u16) },
            1 => Instruction::Advance { dst: tensor(source), bytes: ByteStep(source.bits(10) as i64 - 512) },
            _ => any(source, 0x00, 0x18)?,
        },
        _ => any(source, 0x18, 0xff)?,
    })
}

/// An instruction whose opcode lies in a range, its fields mostly small.
fn any(source: &mut Source<'_>, low: u8, high: u8) -> Option<Instruction> {
    let rows: Vec<_> = TABLE.iter().filter(|row| (low..high).contains(&row.opcode)).collect();
    let row = rows[source.below(rows.len())];
    let (mut word, mut position) = (u128::from(row.opcode), 8);
    for &width in row.widths {
        // Tensor registers as `instruction` sets them; else small, or anything.
        let field = if width == TensorReg::BITS {
            source.below(6) as u64
        } else if source.one_in(4) {
            source.bits(width)
        } else {
            source.below(8) as u64 & (u64::MAX >> (64 - width))
        };
        word |= u128::from(field) << position;
        position += width;
    }
    Instruction::decode(word).ok()
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "array {:?}\nmode {:?}\n{}", self.design.array, self.design.mac, disassemble(&self.program))
    }
}
