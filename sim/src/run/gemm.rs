//! One matrix product on the machine, as a program of a few instructions.

use super::operands::{Generator, Matrix, Role};
use crate::machine::{Engine, Machine};
use sha2::{Digest, Sha256};
use std::time::Instant;
use systole_arrays::fast::KernelChoice;
use systole_arrays::problem::{Shape, scale_extents};
use systole_isa::codes::Codes;
use systole_isa::design::{Design, Scaling};
use systole_isa::device::{Device, DeviceError, Record, SumCounts};
use systole_isa::field::{Address, FormatReg, Mode, OptionalTensor, Span, TensorReg};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::Program;
use systole_isa::view::Space;

/// D = A B + C: extents, and operands where values are to be computed.
#[derive(Clone, Debug)]
pub struct Task {
    /// Rows of A and D.
    pub m: u32,
    /// Columns of B and D.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u32,
    /// A, B and possibly C; `None` for a product by shape alone.
    pub operands: Option<(Matrix, Matrix)>,
    /// C in the design's addend format.
    pub c: Option<Matrix>,
    /// Whether A and B have block scales.
    pub scaled: [bool; 2],
    /// Block scales of A and B where values are to be computed.
    pub scales: [Option<Matrix>; 2],
}

/// Operands or design do not make a product.
#[derive(Debug, thiserror::Error)]
pub enum GemmError {
    /// Inner extents differ.
    #[error("A is {am} x {ak} and B is {bk} x {bn}: A's columns must equal B's rows")]
    Inner {
        /// Rows of A.
        am: u32,
        /// Columns of A.
        ak: u32,
        /// Rows of B.
        bk: u32,
        /// Columns of B.
        bn: u32,
    },
    /// C is not M x N.
    #[error("C is {rows} x {cols}; the product is {m} x {n}")]
    Addend {
        /// Rows of C.
        rows: u32,
        /// Columns of C.
        cols: u32,
        /// Rows of the product.
        m: u32,
        /// Columns of the product.
        n: u32,
    },
    /// Block scales for a design that takes none.
    #[error(
        "design `{design}` takes no block scales; set mac.scale to exponent, chunk or chunk_rounded, and mac.chunk to the block length"
    )]
    Unscaled {
        /// The design.
        design: String,
    },
    /// Block scales of other extents.
    #[error(
        "the scales of {operand} are {rows} x {cols}; {expected_rows} x {expected_cols} are needed, one for each {block_rows} x {block_cols} block of {operand}"
    )]
    Scales {
        /// `A` or `B`.
        operand: char,
        /// Rows given.
        rows: u32,
        /// Columns given.
        cols: u32,
        /// Rows needed.
        expected_rows: u32,
        /// Columns needed.
        expected_cols: u32,
        /// Rows of a block.
        block_rows: u32,
        /// Columns of a block.
        block_cols: u32,
    },
    /// The machine refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl Task {
    /// Operands made from the design's seed, with block scales where it takes them.
    pub fn generated(design: &Design, m: u32, n: u32, k: u32, generator: Generator) -> Self {
        let mode = &design.mac;
        let a = generator.generate(mode.a, m, k, Role::A, design.seed);
        let b = generator.generate(mode.b, k, n, Role::B, design.seed);
        let task = Self::shape(design, m, n, k);
        let [rows, cols] = scale_extents(mode, Shape { m, n, k });
        let scales = |scaled: bool, (rows, cols), role| scaled.then(|| generator.scales(mode.scale_format, rows, cols, role, design.seed));
        let scales = [scales(task.scaled[0], rows, Role::ScaleA), scales(task.scaled[1], cols, Role::ScaleB)];
        Self { operands: Some((a, b)), scales, ..task }
    }

    /// A product by shape alone, with block scales where the design takes them.
    pub fn shape(design: &Design, m: u32, n: u32, k: u32) -> Self {
        Self { m, n, k, operands: None, c: None, scaled: [design.mac.scale != Scaling::None; 2], scales: [None, None] }
    }

    /// Given operands.
    ///
    /// # Errors
    /// Extents that do not fit together, and scales that the design does not take.
    pub fn given(design: &Design, a: Matrix, b: Matrix, c: Option<Matrix>, scales: [Option<Matrix>; 2]) -> Result<Self, GemmError> {
        if a.cols != b.rows {
            return Err(GemmError::Inner { am: a.rows, ak: a.cols, bk: b.rows, bn: b.cols });
        }
        let (m, n, k) = (a.rows, b.cols, a.cols);
        if let Some(c) = &c
            && (c.rows, c.cols) != (m, n)
        {
            return Err(GemmError::Addend { rows: c.rows, cols: c.cols, m, n });
        }
        let mode = &design.mac;
        if mode.scale == Scaling::None && scales.iter().any(Option::is_some) {
            return Err(GemmError::Unscaled { design: design.name.clone() });
        }
        let block = mode.chunk.unwrap_or_default();
        let blocks = [('A', mode.scale_rows, block), ('B', block, mode.scale_cols)];
        for ((operand, block_rows, block_cols), (scales, expected)) in
            blocks.into_iter().zip(scales.iter().zip(scale_extents(mode, Shape { m, n, k })))
        {
            if let Some(Matrix { rows, cols, .. }) = *scales
                && (rows, cols) != expected
            {
                let (expected_rows, expected_cols) = expected;
                return Err(GemmError::Scales { operand, rows, cols, expected_rows, expected_cols, block_rows, block_cols });
            }
        }
        Ok(Self { m, n, k, operands: Some((a, b)), c, scaled: [scales[0].is_some(), scales[1].is_some()], scales })
    }
}

/// What a product cost, and what it is.
#[derive(Debug)]
pub struct Outcome {
    /// Cycles, events, activity.
    pub record: Record,
    /// The result, unless timed by shape.
    pub d: Option<Matrix>,
    /// Kernels used, in words, unless timed by shape.
    pub kernels: Vec<String>,
    /// Engine time, seconds.
    pub seconds: f64,
}

impl Outcome {
    /// Partial sums, where they were looked at.
    pub fn sums(&self) -> &[SumCounts] {
        self.record.regions.first().map_or(&[], |region| &region.sums)
    }

    /// SHA-256 of the row-major little-endian output codes, in hex.
    pub fn digest(&self) -> Option<String> {
        self.d.as_ref().map(|d| codes_digest(&d.codes, d.codes.bytes_per_code()))
    }
}

/// SHA-256 of codes, little-endian, in `width` bytes each, in hex.
pub fn codes_digest(codes: &Codes, width: usize) -> String {
    let mut hash = Sha256::new();
    let mut bytes = Vec::with_capacity(PORTION.min(codes.len()) * width);
    for begin in (0..codes.len()).step_by(PORTION) {
        bytes.clear();
        for i in begin..codes.len().min(begin + PORTION) {
            bytes.extend_from_slice(&codes.get(i).to_le_bytes()[..width]);
        }
        hash.update(&bytes);
    }
    hex(&hash.finalize())
}

/// Codes that pass between host and machine at once.
const PORTION: usize = 1 << 20;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 in hex.
pub fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn write(machine: &mut Machine, place: &Placed, matrix: &Matrix) -> Result<(), DeviceError> {
    for begin in (0..matrix.codes.len()).step_by(PORTION) {
        let end = matrix.codes.len().min(begin + PORTION);
        let codes: Vec<u64> = (begin..end).map(|i| matrix.codes.get(i)).collect();
        machine.write(place.address + begin as u64 * u64::from(place.format.storage_bytes()), place.format, &codes)?;
    }
    Ok(())
}

fn read(machine: &Machine, place: &Placed) -> Result<Matrix, DeviceError> {
    let mut codes = Codes::zeros(place.format, place.rows as usize * place.cols as usize);
    for begin in (0..codes.len()).step_by(PORTION) {
        let count = PORTION.min(codes.len() - begin);
        let portion = machine.read(place.address + begin as u64 * u64::from(place.format.storage_bytes()), place.format, count)?;
        portion.iter().zip(begin..).for_each(|(&code, i)| codes.set(i, code));
    }
    Ok(Matrix { rows: place.rows, cols: place.cols, codes })
}

/// A contiguous tensor placed in DRAM.
#[derive(Debug)]
struct Placed {
    address: u64,
    format: Format,
    rows: u32,
    cols: u32,
}

/// Lays tensors out one after another, 64-byte aligned.
fn place(next: &mut u64, format: Format, rows: u32, cols: u32) -> Placed {
    let address = *next;
    *next += (u64::from(rows) * u64::from(cols) * u64::from(format.storage_bytes())).next_multiple_of(64);
    Placed { address, format, rows, cols }
}

fn describe(program: &mut Program, register: u8, tensor: &Placed) {
    program.push(Instruction::Format { dst: FormatReg(register), format: tensor.format });
    program.push(Instruction::Tensor {
        dst: TensorReg(register),
        format: FormatReg(register),
        space: Space::Dram,
        address: Address(tensor.address),
        rows: Span(tensor.rows),
        cols: Span(tensor.cols),
    });
}

/// A machine that holds a product's operands, and the program that multiplies them.
#[derive(Debug)]
pub struct Prepared {
    /// The machine.
    pub machine: Machine,
    /// The program.
    pub program: Program,
    d: Placed,
}

/// Runs the product on a machine of this design.
///
/// # Errors
/// What the machine refuses: values of a cost-only design, tensors beyond its DRAM.
pub fn run(design: &Design, task: &Task, engine: Engine, kernel: KernelChoice) -> Result<Outcome, GemmError> {
    run_with_sums(design, task, engine, kernel, 0)
}

/// As [`run`], looking at the partial sums of as many `outputs`.
///
/// # Errors
/// As [`run`].
pub fn run_with_sums(design: &Design, task: &Task, engine: Engine, kernel: KernelChoice, outputs: u64) -> Result<Outcome, GemmError> {
    let Prepared { mut machine, program, d } = prepare(design, task, engine, kernel)?;
    machine.look_at_sums(outputs);
    let start = Instant::now();
    let record = machine.run(&program, 0)?;
    let seconds = start.elapsed().as_secs_f64();
    let result = if engine.computes_values() { Some(read(&machine, &d)?) } else { None };
    Ok(Outcome { record, d: result, kernels: machine.kernels_used(), seconds })
}

/// Everything but the run.
///
/// # Errors
/// As [`run`].
pub fn prepare(design: &Design, task: &Task, engine: Engine, kernel: KernelChoice) -> Result<Prepared, GemmError> {
    let mut machine = Machine::new(design.clone(), engine, kernel)?;
    let mode = &design.mac;
    let output = &design.output;
    let mut next = 0;
    let a = place(&mut next, mode.a, task.m, task.k);
    let b = place(&mut next, mode.b, task.k, task.n);
    let d = place(&mut next, design.output_format(mode), task.m, task.n);
    let c = task.c.as_ref().map(|_| place(&mut next, design.addend_format(mode), task.m, task.n));
    let shape = Shape { m: task.m, n: task.n, k: task.k };
    let extents = scale_extents(mode, shape);
    let scales = [0, 1].map(|i| task.scaled[i].then(|| place(&mut next, mode.scale_format, extents[i].0, extents[i].1)));

    let mut program = Program::default();
    program.push(Instruction::Mode { mode: Mode(0) });
    program.push(Instruction::Output { rounding: output.rounding, overflow: output.overflow, no_infinity: output.no_infinity });
    for (register, tensor) in [(0, &d), (1, &a), (2, &b)] {
        describe(&mut program, register, tensor);
    }
    if let Some(c) = &c {
        describe(&mut program, 3, c);
    }
    if mode.scale != Scaling::None {
        let [a, b] = [(4, &scales[0]), (5, &scales[1])].map(|(register, scales)| {
            OptionalTensor(scales.as_ref().map(|scales| {
                describe(&mut program, register, scales);
                TensorReg(register)
            }))
        });
        program.push(Instruction::Scales { a, b });
    }
    let [d_register, a_register, b_register, c_register] = [0, 1, 2, 3].map(TensorReg);
    program.push(match c {
        None => Instruction::Gemm { d: d_register, a: a_register, b: b_register },
        Some(_) => Instruction::GemmC { d: d_register, a: a_register, b: b_register, c: c_register },
    });
    program.push(Instruction::Halt {});

    if engine.computes_values() {
        if let Some((left, right)) = &task.operands {
            write(&mut machine, &a, left)?;
            write(&mut machine, &b, right)?;
        }
        for (place, matrix) in [(&c, &task.c), (&scales[0], &task.scales[0]), (&scales[1], &task.scales[1])] {
            if let (Some(place), Some(matrix)) = (place, matrix) {
                write(&mut machine, place, matrix)?;
            }
        }
    }
    Ok(Prepared { machine, program, d })
}
