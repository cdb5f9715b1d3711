//! What a vector instruction costs, from its shapes alone: the same under every engine.

use super::operation::{Blocks, Codebook, Elementwise, Pool, Reduction, VectorError, check_count};
use super::{codebook, elementwise, pool, reduce};
use systole_isa::design::VectorSpec;
use systole_isa::device::Events;
use systole_isa::view::Window;

/// Any operation of the vector unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `vadd` to `vsign`, `vcvt` to `vsqrt`.
    Elementwise(Elementwise),
    /// `vfind`, `vlook`.
    Codebook(Codebook),
    /// `rsum`, `rmax`, `ramax`.
    Reduce(Reduction),
    /// `pmax`, `pmaxg`, `psum`, `pspread` over a window view.
    Pool(Pool, Window),
}

/// Lane operations of one vector instruction.
///
/// An elementwise instruction makes one per result element, `vhyst` two; `vfind` makes the
/// comparisons of a binary search, ceil(log2 n) for n table elements, each in a slot of its own, and
/// `vlook` one; a reduction one per operand
/// element; a pooling one addition (comparison or sum) per kernel position of every output
/// element, border positions included, and `pmaxg` one more per element of G.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VectorWork {
    /// Additions, subtractions, comparisons and conversions.
    pub additions: u64,
    /// Multiplications; a fused multiply-add is one addition and one multiplication.
    pub multiplications: u64,
    /// Elementary functions and divisions.
    pub functions: u64,
    /// Lane slots: a fused multiply-add and a `vhyst` take one, as everything else does.
    pub slots: u64,
}

impl VectorWork {
    /// Cycles from first operand in to last result out: the pipeline's latency, then slots
    /// spread over the lanes, each busy `function_cycles` with a function and 1 with anything else.
    ///
    /// A spec without lanes is taken to have one.
    pub const fn cycles(&self, spec: &VectorSpec) -> u64 {
        let lanes = if spec.lanes == 0 { 1 } else { spec.lanes as u64 };
        let each = if self.functions > 0 { spec.function_cycles as u64 } else { 1 };
        spec.latency_cycles as u64 + self.slots.div_ceil(lanes) * each
    }

    /// The same as events; every other counter is 0.
    pub fn events(&self) -> Events {
        Events {
            vector_additions: self.additions,
            vector_multiplications: self.multiplications,
            vector_functions: self.functions,
            ..Events::default()
        }
    }
}

/// Lane operations of an instruction whose result and operands have these (rows, columns), under
/// the blocks of [`super::Target`].
/// Operands are those [`super::elementwise()`], [`super::reduce()`] and [`super::pool()`] take.
///
/// # Errors
/// The shapes those functions refuse.
pub fn work(operation: &Operation, blocks: Blocks, target: (usize, usize), operands: &[(usize, usize)]) -> Result<VectorWork, VectorError> {
    let elements = |(rows, cols): (usize, usize)| rows as u64 * cols as u64;
    Ok(match operation {
        Operation::Elementwise(op) => {
            elementwise::check_shapes(op.mnemonic(), op.arity(), blocks, target, operands)?;
            let n = elements(target);
            let one = VectorWork { slots: n, ..VectorWork::default() };
            match op {
                // A comparison and a conversion.
                Elementwise::Hysteresis => VectorWork { additions: 2 * n, ..one },
                Elementwise::Multiply => VectorWork { multiplications: n, ..one },
                Elementwise::FusedMultiplyAdd => VectorWork { additions: n, multiplications: n, ..one },
                Elementwise::Divide | Elementwise::Function(_) => VectorWork { functions: n, ..one },
                Elementwise::Add
                | Elementwise::Subtract
                | Elementwise::Maximum
                | Elementwise::Minimum
                | Elementwise::Gate
                | Elementwise::CopySign
                | Elementwise::Convert
                | Elementwise::Negate
                | Elementwise::Absolute
                | Elementwise::Relu => VectorWork { additions: n, ..one },
            }
        }
        Operation::Codebook(op) => {
            let entries = codebook::check_shapes(*op, blocks, target, operands)?;
            let n = elements(target);
            let each = match op {
                Codebook::Find => u64::from(entries.next_power_of_two().trailing_zeros()),
                Codebook::Look => 1,
            };
            VectorWork { additions: n * each, slots: n * each.max(1), ..VectorWork::default() }
        }
        Operation::Reduce(op) => {
            check_count(op.mnemonic(), 1, operands.len())?;
            reduce::check_shapes(*op, blocks, target, operands[0])?;
            let n = elements(operands[0]);
            VectorWork { additions: n, slots: n, ..VectorWork::default() }
        }
        Operation::Pool(op, window) => {
            let images = pool::check_shapes(*op, window, target, operands)? as u64;
            let outputs = images * u64::from(window.out_h) * u64::from(window.out_w) * u64::from(window.c);
            let positions = outputs * u64::from(window.kernel_h) * u64::from(window.kernel_w);
            let n = match op {
                Pool::Maximum | Pool::Sum | Pool::Spread => positions,
                Pool::MaximumGradient => positions + outputs,
            };
            VectorWork { additions: n, slots: n, ..VectorWork::default() }
        }
    })
}
